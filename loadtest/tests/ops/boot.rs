//! Containers that boot systemd, or run a check without it, over a copy-on-write view of another
//! root directory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use super::programs::{Program, cannot_run};

/// A systemd target that starts the check and what it needs, nothing else.
const TARGET: &str = "[Unit]\nWants=systemd-journald.service dbus.service check.service\n";
/// A service that runs the check. The container must exit even if the check fails.
const SERVICE: &str = "[Unit]\nAfter=dbus.service\nSuccessAction=poweroff-force\n\
    FailureAction=poweroff-force\n[Service]\nType=oneshot\nExecStart=/usr/local/bin/check\n\
    StandardOutput=file:/var/log/check\nTimeoutStartSec=3min\n";

/// Maximum duration of the shutdown of a container.
const SHUTDOWN_SECONDS: u64 = 30;

/// Root directory of a container: the files of another directory with an overlay in memory.
pub(crate) struct Root(TempDir);

impl Root {
    /// Mounts an overlay over the files of `lower`; `None` if that is not possible.
    pub(crate) fn mount(lower: &Path) -> Option<Self> {
        let root = Self(tempfile::tempdir().unwrap());
        let at = |name: &str| root.0.path().join(name).display().to_string();
        std::fs::create_dir(at("memory")).unwrap();
        if !mount(&["-t", "tmpfs", "tmpfs", &at("memory")]) {
            return None;
        }
        for name in ["memory/upper", "memory/work", "root"] {
            std::fs::create_dir(at(name)).unwrap();
        }
        let (lower, upper, work) = (lower.display(), at("memory/upper"), at("memory/work"));
        let options = format!("lowerdir={lower},upperdir={upper},workdir={work}");
        mount(&["-t", "overlay", "overlay", "-o", &options, &at("root")]).then_some(root)
    }

    /// Returns the path of a file in the container.
    pub(crate) fn path(&self, within: &str) -> PathBuf {
        self.0.path().join("root").join(within)
    }

    /// Copies a file into the container.
    pub(crate) fn put(&self, from: &Path, within: &str) {
        let to = self.path(within);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(from, to).unwrap();
    }

    /// Boots systemd in the container, runs the check as a service and waits until the container
    /// exits. Returns the facts that the check printed.
    pub(crate) fn boot(&self, check: &Path) -> Facts {
        self.put(check, "usr/local/bin/check");
        std::fs::write(self.path("etc/systemd/system/check.target"), TARGET).unwrap();
        std::fs::write(self.path("etc/systemd/system/check.service"), SERVICE).unwrap();
        std::fs::write(self.path("etc/hostname"), "unit-test\n").unwrap();
        let console = self.nspawn(&["--boot"], "systemd.unit=check.target");
        let printed = std::fs::read_to_string(self.path("var/log/check")).unwrap_or_else(|error| {
            panic!("{error}: {}", String::from_utf8_lossy(&console.stdout))
        });
        Facts::parse(&printed)
    }

    /// Runs the check in the container without a service manager. Returns the facts that it
    /// printed.
    pub(crate) fn run(&self, check: &Path) -> Facts {
        self.put(check, "usr/local/bin/check");
        let output = self.nspawn(&["--as-pid2", "--pipe"], "/usr/local/bin/check");
        println!("{}", String::from_utf8_lossy(&output.stderr));
        Facts::parse(&String::from_utf8_lossy(&output.stdout))
    }

    /// Boots systemd in the container, with the network of this namespace.
    pub(crate) fn start(self, name: &str, namespace: &Path) -> Booted {
        std::fs::write(self.path("etc/hostname"), format!("{name}\n")).unwrap();
        let mut nspawn = Command::new("systemd-nspawn");
        nspawn.args(["--register=no", "--keep-unit", "--boot", "--machine", name]);
        nspawn.arg(format!("--network-namespace-path={}", namespace.display()));
        nspawn.arg("--directory").arg(self.path("")).stdin(Stdio::null());
        Booted { program: Program::start(nspawn), _root: self }
    }

    fn nspawn(&self, flags: &[&str], command: &str) -> Output {
        let mut nspawn = Command::new("systemd-nspawn");
        nspawn.args(["--register=no", "--keep-unit", "--private-network"]).args(flags);
        nspawn.arg("--directory").arg(self.path("")).arg(command).output().unwrap()
    }
}

/// A running container, which is shut down when its test ends.
pub(crate) struct Booted {
    program: Program,
    // Unmounted after the shutdown.
    _root: Root,
}

impl Drop for Booted {
    fn drop(&mut self) {
        // systemd stops its services; after a kill the mounts would be busy for a moment.
        self.program.signal(rustix::process::Signal::TERM);
        self.program.wait(SHUTDOWN_SECONDS);
    }
}

/// The `name=value` lines that a check printed.
pub(crate) struct Facts(BTreeMap<String, String>);

impl Facts {
    fn parse(printed: &str) -> Self {
        println!("{printed}");
        let facts = printed.lines().filter_map(|line| line.trim_end().split_once('='));
        Self(facts.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// Returns a fact.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.get(name).unwrap_or_else(|| panic!("the check did not print {name}"))
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
