//! A real node_exporter, as the reference for the agent's metrics.

use std::process::Command;

use tempfile::TempDir;

use super::http;
use super::programs::{Program, free_address, installed, wait_for};

/// Filters and settings of node_exporter 1.12 that Debian's package of 1.5 does not have by
/// default.
const DEFAULTS: [&str; 4] = [
    "--collector.diskstats.device-exclude=^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\\d+n\\d+p)\\d+$",
    "--collector.filesystem.fs-types-exclude=^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|\
     devpts|devtmpfs|fusectl|hugetlbfs|iso9660|mqueue|nsfs|overlay|proc|procfs|pstore|rpc_pipefs|\
     securityfs|selinuxfs|squashfs|erofs|sysfs|tracefs)$",
    "--collector.filesystem.mount-points-exclude=^/(dev|proc|run/credentials/.+|sys|\
     var/lib/docker/.+|var/lib/containers/storage/.+)($|/)",
    "--collector.netdev.device-exclude=^$",
];
/// A text file that node_exporter and agent show, beside their own metrics.
const TEXT_FILE: &str = "# TYPE backup_size_bytes gauge\nbackup_size_bytes{disk=\"a b\"} 17\n";

/// A directory of text files, and settings of an agent that reads it.
pub(crate) struct TextFiles(TempDir);

impl TextFiles {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        std::fs::write(path.join("backup.prom"), TEXT_FILE).unwrap();
        let settings = format!("[[textfile]]\npath = \"{}/*.prom\"\n", path.display());
        std::fs::write(path.join("agent.toml"), settings).unwrap();
        Self(directory)
    }

    /// Returns the path of the agent's settings.
    pub(crate) fn settings(&self) -> String {
        self.0.path().join("agent.toml").display().to_string()
    }
}

/// A node_exporter on a free port of 127.0.0.1.
pub(crate) struct NodeExporter {
    pub(crate) address: String,
    _program: Program,
}

impl NodeExporter {
    /// Starts node_exporter with these flags, the defaults of 1.12 and text files.
    pub(crate) fn start(text_files: &TextFiles, flags: &[&str]) -> Self {
        let address = free_address();
        let mut command: Command = installed("NODE_EXPORTER", "prometheus-node-exporter");
        command
            .arg(format!("--web.listen-address={address}"))
            .arg(format!("--collector.textfile.directory={}", text_files.0.path().display()))
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
