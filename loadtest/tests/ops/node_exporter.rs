//! A real node_exporter, as the reference for the agent's metrics.

use std::process::Command;

use super::http;
use super::programs::{Program, free_address, installed, wait_for};

/// Filters and settings of node_exporter 1.12 that Debian's package of 1.5 does not have by default.
const DEFAULTS: [&str; 5] = [
    "--collector.diskstats.device-exclude=^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\\d+n\\d+p)\\d+$",
    "--collector.filesystem.fs-types-exclude=^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|\
     devpts|devtmpfs|fusectl|hugetlbfs|iso9660|mqueue|nsfs|overlay|proc|procfs|pstore|rpc_pipefs|\
     securityfs|selinuxfs|squashfs|erofs|sysfs|tracefs)$",
    "--collector.filesystem.mount-points-exclude=^/(dev|proc|run/credentials/.+|sys|\
     var/lib/docker/.+|var/lib/containers/storage/.+)($|/)",
    "--collector.netdev.device-exclude=^$",
    "--collector.textfile.directory=",
];
/// A node_exporter on a free port of 127.0.0.1.
pub(crate) struct NodeExporter {
    pub(crate) address: String,
    _program: Program,
}

impl NodeExporter {
    /// Starts node_exporter with these flags and the defaults of 1.12.
    pub(crate) fn start(flags: &[&str]) -> Self {
        let address = free_address();
        let mut command: Command = installed("NODE_EXPORTER", "prometheus-node-exporter");
        command
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=error")
            .args(DEFAULTS)
            .args(flags);
        let program = Program::start(command);
        wait_for("a node_exporter that listens", 10, || http::get(&address, "/", "").ok());
        Self { address, _program: program }
    }

    /// Returns its page.
    pub(crate) fn page(&self) -> String {
        http::get(&self.address, "/metrics", "").unwrap()
    }
}
