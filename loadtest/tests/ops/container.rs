//! The images of `deploy/container` contain everything that the programs need: each runs with
//! nothing else.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::programs::{Collector, Program, built, wait_for};

/// Libraries of the base image (distroless `cc`).
const LIBRARIES: [&str; 8] = [
    "libc.so.6",
    "libm.so.6",
    "libgcc_s.so.1",
    "libpthread.so.0",
    "libdl.so.2",
    "librt.so.1",
    "ld-linux-x86-64.so.2",
    "ld-linux-aarch64.so.1",
];

/// Creates a root directory with this program and its shared libraries.
fn image(program: &str) -> TempDir {
    let image = tempfile::tempdir().unwrap();
    let put = |from: &Path, to: &str| {
        let to = image.path().join(to.trim_start_matches('/'));
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(from, to).unwrap();
    };
    let program = built(program);
    let linked = Command::new("ldd").arg(&program).output().unwrap();
    let linked = String::from_utf8(linked.stdout).unwrap();
    // `ldd` prints `libc.so.6 => /lib/…/libc.so.6 (0x…)`, and the loader without the arrow.
    for path in linked.split_whitespace().filter(|word| word.starts_with('/')) {
        let name = Path::new(path).file_name().unwrap().to_str().unwrap();
        assert!(LIBRARIES.contains(&name), "{name} is not in the image: {linked}");
        put(Path::new(path), path);
    }
    put(&program, "/program");
    image
}

/// Returns a command that runs in the image as the image's user.
fn within(image: &TempDir) -> Command {
    let mut command = Command::new("chroot");
    command.arg("--userspec=65532:65532").arg(image.path()).arg("/program");
    command
}

#[test]
#[ignore = "needs root"]
fn images_have_everything_the_programs_need() {
    for image in [image("fleetgauge-collector"), image("fleetgauge-agent")] {
        let printed = within(&image).arg("--version").output().unwrap();
        assert!(printed.status.success(), "{printed:?}");
    }
    let (collector, agent) = (image("fleetgauge-collector"), image("fleetgauge-agent"));
    let collector = Collector::start_by(within(&collector), "127.0.0.1:0", "127.0.0.1:0", &[]);
    let mut command = within(&agent);
    command.args(["--id", "contained", "--collector", &collector.agents, "--interval", "1s"]);
    let _agent = Program::start(command);
    // Without /proc, only the series that do not need it are shown.
    wait_for("the agent on the page", 10, || {
        collector.get("/metrics/agents", "").contains("agent=\"contained\"").then_some(())
    });
}
