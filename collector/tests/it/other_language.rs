//! A client in another language, written only from docs/protocol.md.

use std::process::{Command, Stdio};

use crate::support::collector::Collector;
use crate::support::eventually;

const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/client.py");

#[test]
#[ignore = "needs python3"]
fn python_client_reports_and_leaves() {
    let collector = Collector::start();
    let mut client = Command::new("python3")
        .args([CLIENT, &collector.agents.to_string(), "py-1", "--interval", "1"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    eventually("the Python client is shown", || collector.page().shows("py-1"));
    let page = collector.page().0;
    for kind in ["gauge", "counter", "histogram", "summary"] {
        assert!(page.contains(&format!(" {kind}\n")), "no {kind} in {page}");
    }
    eventually("its changed reports are taken", || {
        collector.metric("fleetgauge_reports_total") > 2.0
    });
    client.kill().unwrap();
    client.wait().unwrap();
    eventually("the session has ended", || !collector.page().shows("py-1"));
    let rejected: f64 = collector
        .page_at("/metrics/self")
        .samples()
        .filter(|(series, _)| series.starts_with("fleetgauge_rejects_total"))
        .map(|(_, count)| count)
        .sum();
    assert!(rejected == 0.0, "nothing was rejected");
}
