//! The images of `deploy/container` contain everything that the programs need: each runs with
//! nothing else.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::programs::{Collector, Program, built, repository, wait_for};

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
    put_libraries(program, image.path());
    std::fs::copy(built(program), image.path().join("program")).unwrap();
    image
}

/// Copies the shared libraries of this program into a root directory.
fn put_libraries(program: &str, root: &Path) {
    let put = |from: &Path, to: &str| {
        let to = root.join(to.trim_start_matches('/'));
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
}

/// Returns a command that runs in the image as the image's user.
fn within(image: &TempDir) -> Command {
    enter(image.path(), "/program")
}

/// Returns a command that runs a program in this root directory as the image's user.
fn enter(root: &Path, program: &str) -> Command {
    let mut command = Command::new("chroot");
    command.arg("--userspec=65532:65532").arg(root).arg(program);
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

/// Images and containers of a test.
struct Buildah(TempDir);

impl Buildah {
    /// A command of buildah with storage of its own, which needs no support of the kernel.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("buildah");
        for (flag, name) in [("--root", "storage"), ("--runroot", "run")] {
            command.arg(flag).arg(self.0.path().join(name));
        }
        command.args(["--storage-driver", "vfs"]).args(arguments);
        command
    }

    /// Runs a command of buildah. Returns the last line that it prints.
    fn run(&self, arguments: &[&str]) -> String {
        let mut command = self.command(arguments);
        let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        assert!(output.status.success(), "{command:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().lines().last().unwrap_or_default().to_owned()
    }

    /// Builds the stage of a program and returns the root directory of a container with its image.
    ///
    /// The base image and the stage that compiles are in registries, which a test must not need. The
    /// program of this build and its libraries replace them; the other lines are the shipped ones.
    fn build(&self, program: &str) -> PathBuf {
        let shipped = std::fs::read_to_string(repository("deploy/container/Containerfile"));
        let shipped = shipped.unwrap();
        let stage = program.trim_start_matches("fleetgauge-");
        let begin = format!("FROM gcr.io/distroless/cc-debian12:nonroot AS {stage}\n");
        let (_, rest) = shipped.split_once(&begin).expect("a stage of the program");
        let rest = rest.split("\nFROM ").next().unwrap();
        let rest = rest.replace("--from=build /src/target/release/", "");
        let context = tempfile::tempdir().unwrap();
        put_libraries(program, &context.path().join("base"));
        std::fs::copy(built(program), context.path().join(program)).unwrap();
        let file = self.0.path().join(program);
        let text = format!("FROM scratch\nCOPY base /\n{rest}");
        std::fs::write(&file, text).unwrap();
        let (file, context) = (file.to_str().unwrap(), context.path().to_str().unwrap());
        self.run(&["build", "--isolation", "chroot", "--tag", program, "--file", file, context]);
        let container = self.run(&["from", "--pull-never", program]);
        let path = self.run(&["inspect", "--format", "{{.OCIv1.Config.Entrypoint}}", &container]);
        assert_eq!(path, format!("[/usr/bin/{program}]"));
        PathBuf::from(self.run(&["mount", &container]))
    }
}

impl Drop for Buildah {
    fn drop(&mut self) {
        let _ = self.command(&["umount", "--all"]).output();
    }
}

#[test]
#[ignore = "needs root and buildah"]
fn stages_of_the_container_file_build_and_run() {
    let buildah = Buildah(tempfile::tempdir().unwrap());
    let (collector, agent) = ("fleetgauge-collector", "fleetgauge-agent");
    let command = enter(&buildah.build(collector), &format!("/usr/bin/{collector}"));
    let collector = Collector::start_by(command, "127.0.0.1:0", "127.0.0.1:0", &[]);
    let mut command = enter(&buildah.build(agent), &format!("/usr/bin/{agent}"));
    command.args(["--id", "contained", "--collector", &collector.agents, "--interval", "1s"]);
    let _agent = Program::start(command);
    wait_for("the agent on the page", 10, || {
        collector.get("/metrics/agents", "").contains("agent=\"contained\"").then_some(())
    });
}
