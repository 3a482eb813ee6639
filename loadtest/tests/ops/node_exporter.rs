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
/// Variable with the path of node_exporter, and its name in Debian.
const PROGRAM: [&str; 2] = ["NODE_EXPORTER", "prometheus-node-exporter"];
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

fn program() -> Command {
    let [variable, name] = PROGRAM;
    installed(variable, name)
}

/// Returns the version of the node_exporter of this machine, such as `1.5.0`.
pub(crate) fn version() -> String {
    let mut command = program();
    let output = command.arg("--version").output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    // Old versions print it to standard error.
    let text = [output.stdout, output.stderr].concat();
    version_in(&String::from_utf8_lossy(&text)).to_owned()
}

/// Returns the version in the output of `node_exporter --version`, or `unknown`.
fn version_in(output: &str) -> &str {
    let rest = output.split_once("node_exporter, version ").map(|(_, rest)| rest);
    rest.and_then(|rest| rest.split_whitespace().next()).unwrap_or("unknown")
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
        let mut command = program();
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

#[test]
fn version_is_the_third_word() {
    let output = "node_exporter, version 1.5.0 (branch: debian/sid, revision: 1.5.0-1+b6)\n  \
                  go version:       go1.19.8\n";
    assert_eq!(version_in(output), "1.5.0");
    assert_eq!(version_in("node_exporter, version 1.12.1\n"), "1.12.1");
    assert_eq!(version_in("prometheus, version 2.42.0\n"), "unknown");
}
