//! A host with thousands of network devices, as container hosts have them.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use super::{assert_on_time, failed, samples, value, without_agent};
use crate::network::Network;
use crate::programs::{Program, built, wait_for};

/// Pairs of devices.
const PAIRS: usize = 2500;
/// The devices, and the loopback device.
const DEVICES: usize = 2 * PAIRS + 1;
const INTERVAL: Duration = Duration::from_secs(5);
const NAMESPACE: &str = "devices";
const AGENTS: &str = "127.0.0.1:45678";
/// A collector that accepts the series of all devices.
const HIGH_LIMITS: [&str; 4] =
    ["--max-series=500000", "--max-values=500000", "--max-labels-size=8MiB", "--max-payload=8MiB"];
/// Upper bound of the agent's resident memory, in bytes.
const MAX_RESIDENT: u64 = 64 << 20;

/// Starts a collector with these flags and waits until it responds.
fn collector(network: &Network, flags: &[&str]) -> Program {
    let mut command = network.command(NAMESPACE, built("fleetgauge-collector"));
    command.args(["--listen", AGENTS]).args(flags);
    let collector = Program::start(command);
    wait_for("a collector that answers", 10, || network.page(NAMESPACE, "/readyz"));
    collector
}

fn page(network: &Network) -> Option<String> {
    Some(without_agent(&network.page(NAMESPACE, "/metrics/agents/many")?, "many"))
}

/// Returns the resident memory of a process, in bytes.
fn resident(program: &Program) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", program.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

fn rows(page: &str) -> [usize; 2] {
    ["node_network_receive_bytes_total", "node_network_up"].map(|name| samples(page, name).len())
}

/// Waits for the agent's page, then checks the rows of devices on the page of this many reports.
fn assert_rows(network: &Network, expected: [usize; 2], reports: u32) {
    wait_for("the agent on the page", 30, || (rows(&page(network)?) == expected).then_some(()));
    assert_on_time(
        INTERVAL,
        reports,
        || page(network),
        |page| {
            assert_eq!(rows(page), expected);
            // A collector that is left out counts as failed.
            let failed = failed(page);
            for (collector, rows) in ["netdev", "netclass"].into_iter().zip(expected) {
                assert_eq!(failed.contains(collector), rows == 0, "{failed:?}");
            }
            assert!(!samples(page, "node_memory_MemTotal_bytes").is_empty());
        },
    );
    let own = network.page(NAMESPACE, "/metrics/self").unwrap();
    let sum = |family| samples(&own, family).into_iter().map(value).sum::<f64>();
    assert_eq!(sum("fleetgauge_agents_connected"), 1.0, "{own}");
    assert_eq!(sum("fleetgauge_rejects_total"), 0.0, "{own}");
    let page = page(network).unwrap();
    for line in samples(&page, "node_scrape_collector_duration_seconds") {
        if line.contains("netdev") || line.contains("netclass") {
            println!("{line}");
        }
    }
}

#[test]
#[ignore = "needs root, iproute2 and curl"]
fn thousands_of_devices_cost_no_report() {
    let Some(network) = Network::create(&[NAMESPACE]) else { return };
    let mut batch = String::new();
    for pair in 0..PAIRS {
        writeln!(batch, "link add veth{pair}a type veth peer name veth{pair}b").unwrap();
    }
    network.batch(NAMESPACE, &batch);
    let before = collector(&network, &[]);
    let mut command = network.command(NAMESPACE, built("fleetgauge-agent"));
    command.args(["--id", "many", "--collector", AGENTS, "--interval", "5s"]);
    let agent = Program::start(command);
    // Their series are more than the collector accepts of an agent.
    assert_rows(&network, [0, 0], 2);
    for collector in ["netdev", "netclass"] {
        let line = format!("collector source=\"{collector}\"");
        assert_eq!(agent.log().matches(&line).count(), 1, "{collector} is logged once");
    }
    println!("left out: {} bytes resident", resident(&agent));

    drop(before);
    let _after = collector(&network, &HIGH_LIMITS);
    assert_rows(&network, [DEVICES; 2], 2);
    let resident = resident(&agent);
    println!("all {DEVICES} devices: {resident} bytes resident");
    assert!(resident < MAX_RESIDENT, "{resident}");
}
