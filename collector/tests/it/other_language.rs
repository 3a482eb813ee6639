//! A client in another language, written only from docs/protocol.md.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::collector::Collector;
use crate::support::eventually;

const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/client.py");

/// A running Python client. Dropping it kills the process.
struct PythonClient(Child);

impl PythonClient {
    /// Starts a client that reports every second. `starter` is the command that starts Python, or
    /// empty.
    fn start(starter: &[&str], collector: &Collector) -> Self {
        let address = collector.agents.to_string();
        let client = ["python3", CLIENT, &address, "py-1", "--interval", "1"];
        let words: Vec<_> = starter.iter().chain(&client).collect();
        let child = Command::new(words[0]).args(&words[1..]).stdout(Stdio::null()).spawn();
        let client = Self(child.unwrap());
        eventually("the Python client is shown", || collector.page().shows("py-1"));
        client
    }

    /// Runs a command that sees the filesystems of the client.
    fn in_its_mounts(&self, command: &[&str]) {
        let pid = self.0.id().to_string();
        let mut entered = Command::new("nsenter");
        let ran = entered.args(["--target", &pid, "--mount", "--"]).args(command).output().unwrap();
        assert!(ran.status.success(), "{command:?}: {}", String::from_utf8_lossy(&ran.stderr));
    }
}

impl Drop for PythonClient {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn assert_nothing_rejected(collector: &Collector) {
    let page = collector.page_at("/metrics/self");
    let rejects = |series: &str| series.starts_with("fleetgauge_rejects_total");
    let rejected: f64 = page.samples().filter(|(series, _)| rejects(series)).map(|(_, v)| v).sum();
    assert!(rejected == 0.0, "nothing was rejected");
}

#[test]
#[ignore = "needs python3"]
fn python_client_reports_and_leaves() {
    let collector = Collector::start();
    let client = PythonClient::start(&[], &collector);
    // The summary has samples once the client has sent reports.
    for kind in ["gauge", "counter", "histogram", "summary"] {
        let of_kind = format!(" {kind}\n");
        eventually("each kind is shown", || collector.page().0.contains(&of_kind));
    }
    eventually("its changed reports are taken", || {
        collector.metric("fleetgauge_reports_total") > 2.0
    });
    drop(client);
    eventually("the session has ended", || !collector.page().shows("py-1"));
    assert_nothing_rejected(&collector);
}

/// The series of a filesystem's size.
fn size_of(mountpoint: &Path) -> String {
    let labels = format!("mountpoint=\"{}\",fstype=\"tmpfs\"", mountpoint.display());
    format!("example_filesystem_size_bytes{{agent=\"py-1\",{labels}}}")
}

#[test]
#[ignore = "needs python3, and root for a mount"]
fn row_of_the_python_client_is_shown_while_its_filesystem_is_mounted() {
    let collector = Collector::start();
    let directory = tempfile::tempdir().unwrap();
    let (series, path) = (size_of(directory.path()), directory.path().to_str().unwrap());
    // Only the client has the filesystem: nothing is left mounted if the test fails.
    let client = PythonClient::start(&["unshare", "--mount"], &collector);
    assert_eq!(collector.page().value(&series), None);
    client.in_its_mounts(&["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", path]);
    eventually("the row is shown", || collector.page().value(&series) == Some(1_048_576.0));
    client.in_its_mounts(&["umount", path]);
    eventually("the row is gone", || collector.page().value(&series).is_none());
    assert!(collector.page().shows("py-1"), "the other series stay");
    assert_nothing_rejected(&collector);
}
