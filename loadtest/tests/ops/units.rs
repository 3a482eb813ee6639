//! The shipped units under a real systemd, which boots in a container over a copy-on-write view of
//! this host's files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::programs::{built, cannot_run, repository};

/// A systemd target that starts the check and what it needs, nothing else.
const TARGET: &str = "[Unit]\nWants=systemd-journald.service dbus.service check.service\n";
/// A service that runs the check. The container must exit even if the check fails.
const SERVICE: &str = "[Unit]\nAfter=dbus.service\nSuccessAction=poweroff-force\n\
    FailureAction=poweroff-force\n[Service]\nType=oneshot\nExecStart=/usr/local/bin/check\n\
    StandardOutput=file:/var/log/check\nTimeoutStartSec=3min\n";

/// Root directory of the container: this host's files with an overlay in memory.
struct Root(TempDir);

impl Root {
    /// Mounts the overlay; `None` if that is not possible.
    fn mount() -> Option<Self> {
        let root = Self(tempfile::tempdir().unwrap());
        let at = |name: &str| root.0.path().join(name).display().to_string();
        std::fs::create_dir(at("memory")).unwrap();
        if !mount(&["-t", "tmpfs", "tmpfs", &at("memory")]) {
            return None;
        }
        for name in ["memory/upper", "memory/work", "root"] {
            std::fs::create_dir(at(name)).unwrap();
        }
        let options =
            format!("lowerdir=/,upperdir={},workdir={}", at("memory/upper"), at("memory/work"));
        mount(&["-t", "overlay", "overlay", "-o", &options, &at("root")]).then_some(root)
    }

    fn path(&self, within: &str) -> PathBuf {
        self.0.path().join("root").join(within)
    }

    fn put(&self, from: &Path, within: &str) {
        let to = self.path(within);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(from, to).unwrap();
    }

    /// Boots systemd in the container and waits until it exits. Returns the `name=value` lines that
    /// the check printed.
    fn boot(&self) -> BTreeMap<String, String> {
        let mut nspawn = Command::new("systemd-nspawn");
        nspawn.args(["--register=no", "--keep-unit", "--private-network", "--boot", "--directory"]);
        nspawn.arg(self.path("")).arg("systemd.unit=check.target");
        let console = nspawn.output().unwrap();
        let printed = std::fs::read_to_string(self.path("var/log/check")).unwrap_or_else(|error| {
            panic!("{error}: {}", String::from_utf8_lossy(&console.stdout))
        });
        let facts = printed.lines().filter_map(|line| line.split_once('='));
        facts.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        for name in ["root", "memory"] {
            let _ = Command::new("umount").arg(self.0.path().join(name)).output();
        }
    }
}

fn mount(arguments: &[&str]) -> bool {
    let mounted = Command::new("mount").args(arguments).output().unwrap();
    if !mounted.status.success() {
        cannot_run("mount", &mounted.stderr);
    }
    mounted.status.success()
}

#[test]
#[ignore = "needs root, systemd-container and curl"]
fn shipped_units_run_under_systemd() {
    let Some(root) = Root::mount() else { return };
    for program in ["fleetgauge-collector", "fleetgauge-agent"] {
        root.put(&built(program), &format!("usr/bin/{program}"));
        let unit = format!("{program}.service");
        root.put(
            &repository(&format!("deploy/systemd/{unit}")),
            &format!("etc/systemd/system/{unit}"),
        );
    }
    for port in ["agents", "http"] {
        let unit = format!("fleetgauge-collector-{port}.socket");
        root.put(
            &repository(&format!("deploy/systemd/{unit}")),
            &format!("etc/systemd/system/{unit}"),
        );
    }
    root.put(&repository("deploy/sysusers.d/fleetgauge.conf"), "etc/sysusers.d/fleetgauge.conf");
    for settings in ["collector.toml", "agent.toml"] {
        root.put(&repository(&format!("deploy/{settings}")), &format!("etc/fleetgauge/{settings}"));
    }
    root.put(&repository("loadtest/tests/ops/units/check.sh"), "usr/local/bin/check");
    std::fs::write(root.path("etc/systemd/system/check.target"), TARGET).unwrap();
    std::fs::write(root.path("etc/systemd/system/check.service"), SERVICE).unwrap();
    std::fs::write(root.path("etc/hostname"), "unit-test\n").unwrap();

    let mut facts = root.boot();
    println!("{facts:#?}");
    let mut fact = |name: &str| facts.remove(name).unwrap_or_else(|| panic!("no {name}"));
    assert_eq!(fact("started"), "active active");
    assert_eq!((fact("series"), fact("filesystem")), ("6".into(), "1".into()));
    assert_eq!(fact("writable"), "1", "the agent does not see the host's mounts");
    assert_eq!(fact("network"), "1", "the agent cannot use netlink");
    assert_eq!(fact("init"), "1", "processes are hidden");
    assert_eq!(fact("roots"), "0", "somebody runs as root");
    assert_eq!(fact("reloaded"), "active active");
    assert_eq!(fact("running"), "0 0", "the watchdog was not fed");
    assert_eq!(fact("frozen"), "1 1", "the watchdog did not act");
    assert_eq!(fact("series_after"), "6");
    let stop: u64 = fact("stop_ms").parse().unwrap();
    assert!(stop > 3_000, "nobody was waited for: {stop} ms");
    assert_eq!(fact("stopped"), "success");
    assert_eq!(fact("refused"), "0");
    assert_eq!(fact("results"), "success success");
    assert_eq!(fact("port_free"), "active", "systemd gave up on a port in use");
}
