//! Half-open connections, at a report interval of a second.

use std::time::Duration;

use crate::network::{BadLink, Network};
use crate::programs::Program;

use super::{agent, collector, shows, until};

/// Maximum time until a silent agent is removed, in seconds: three intervals, the interval in
/// progress, and the time to fetch a page.
const GONE_WITHIN: u64 = 5;
/// Maximum time until the agent is shown again, in seconds: the kernel retransmits a report for 60,
/// the agent waits at most 5 before the next attempt, and there is a margin.
const BACK_WITHIN: u64 = 60 + 5 + 10;

/// A host behind a link that can be impaired, and its collector.
struct Fault {
    link: BadLink,
    host: Program,
    collector: Program,
    network: Network,
}

impl Fault {
    fn new() -> Option<Self> {
        let network = Network::create(&["host", "collector", "again"])?;
        let ends = [("host", "192.0.2.2"), ("collector", "192.0.2.1"), ("again", "192.0.2.1")];
        let link = network.bad_link(&ends);
        let collector = collector(&network, "collector");
        let host = agent(&network, "host", "far", "1s");
        let fault = Self { link, host, collector, network };
        until("the host on the page", 10, || fault.shown("collector"));
        Some(fault)
    }

    fn shown(&self, collector: &str) -> bool {
        shows(&self.network.page(collector, "/metrics/agents").unwrap(), "far")
    }

    fn gone(&self) -> Duration {
        until("the host taken off the page", GONE_WITHIN, || !self.shown("collector"))
    }

    fn back(&self, collector: &str) -> Duration {
        until("the host back on the page", BACK_WITHIN, || self.shown(collector))
    }
}

#[test]
#[ignore = "needs root, iproute2, curl and python3"]
fn unplugged_host_is_removed_after_three_intervals_and_returns() {
    let Some(mut fault) = Fault::new() else { return };
    fault.link.order("set loss=1");
    let gone = fault.gone();
    std::thread::sleep(Duration::from_secs(5));
    assert!(!fault.shown("collector"));
    fault.link.order("set");
    let back = fault.back("collector");
    println!("gone after {gone:?}, back {back:?} after it was plugged in");
}

#[test]
#[ignore = "needs root, iproute2, curl and python3"]
fn connection_forgotten_by_nat_recovers_in_about_a_minute() {
    let Some(mut fault) = Fault::new() else { return };
    // This NAT drops packets silently. If it answered with RST, the agent would notice at once.
    fault.link.order("forget");
    let gone = fault.gone();
    let back = fault.back("collector");
    println!("gone after {gone:?}, back {back:?} after that");
}

#[test]
#[ignore = "needs root, iproute2, curl and python3"]
fn agents_reconnect_after_the_collector_host_reboots() {
    let Some(mut fault) = Fault::new() else { return };
    // A power failure: no FIN is sent, and after the next boot the host has no connections.
    fault.link.order("set loss=1");
    fault.collector.kill();
    fault.link.order("switch");
    fault.collector = collector(&fault.network, "again");
    fault.link.order("set");
    let back = fault.back("again");
    assert!(fault.host.log().contains("connection lost"), "it had not noticed");
    println!("back {back:?} after the collector was");
}
