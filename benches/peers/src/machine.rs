//! The machine and the versions of the programs.

use std::fmt::{self, Display, Formatter};
use std::process::Command;

use procfs::{Current, Meminfo};
use serde::Serialize;

/// The machine that the comparison runs on.
#[derive(Debug, Serialize)]
pub struct Machine {
    /// Number of CPUs that this program may use.
    pub cpus: usize,
    /// Total memory, in bytes.
    pub memory: u64,
    /// Release of the kernel.
    pub kernel: String,
}

impl Machine {
    /// The machine that this program runs on.
    #[must_use]
    pub fn this() -> Self {
        let uname = rustix::system::uname();
        Self {
            cpus: std::thread::available_parallelism().map_or(0, Into::into),
            memory: Meminfo::current().map_or(0, |memory| memory.mem_total),
            kernel: uname.release().to_string_lossy().into_owned(),
        }
    }
}

impl Display for Machine {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let gib = self.memory >> 30;
        write!(f, "{} CPUs, {gib} GiB, Linux {}", self.cpus, self.kernel)
    }
}

/// Name and version of the Debian package; empty if it is not installed. For fleetgauge, which has
/// none, its version.
#[must_use]
pub fn version(package: &str) -> String {
    if package.is_empty() {
        return env!("CARGO_PKG_VERSION").to_owned();
    }
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat=${Package} ${source:Upstream-Version}", package]);
    let known = query.output().ok().filter(|output| output.status.success());
    known.map_or_else(String::new, |known| String::from_utf8_lossy(&known.stdout).into_owned())
}
