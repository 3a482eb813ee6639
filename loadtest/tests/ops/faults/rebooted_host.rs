//! A host that loses the network and returns as another boot, in network namespaces.
//!
//! ```text
//!     namespace "before"            namespace "collector"            namespace "after"
//!     agent, boot 1  192.0.2.2 ──── 192.0.2.1      192.0.2.5 ──── 192.0.2.6  agent, boot 2
//!                              ✂ at 0 s                                       from 10 s on
//! ```

use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::network::Network;
use crate::programs::{Program, built, wait_for};

/// How long the host is away.
const AWAY: Duration = Duration::from_secs(10);
/// Maximum time from the loss until the host is shown again: the time away, five seconds for the
/// challenge of the old connection, and a margin of one.
const BACK_WITHIN: Duration = Duration::from_secs(16);

/// Creates the network in the picture; `None` if namespaces cannot be created.
fn create_network() -> Option<Network> {
    let network = Network::create(&["collector", "before", "after"])?;
    network.connect("collector", "before", "192.0.2.1/30", "192.0.2.2/30");
    network.connect("collector", "after", "192.0.2.5/30", "192.0.2.6/30");
    Some(network)
}

/// Starts the real agent on a host with this boot number.
fn agent(
    network: &Network,
    namespace: &str,
    collector: &str,
    boot: u8,
    files: &TempDir,
) -> Program {
    let id = files.path().join(format!("boot-{boot}"));
    std::fs::write(&id, format!("00000000-0000-4000-8000-{boot:012}\n")).unwrap();
    let mut command = network.command(namespace, "sh");
    command.args(["-c", "mount --bind \"$0\" /proc/sys/kernel/random/boot_id && exec \"$@\""]);
    command.arg(id).arg(built("fleetgauge-agent"));
    command.args(["--id", "phoenix", "--collector", collector]);
    Program::start({
        command.args(["--label", &format!("boot={boot}")]);
        command
    })
}

#[test]
#[ignore = "needs root, iproute2 and curl"]
fn rebooted_host_returns_soon_without_conflict() {
    let Some(network) = create_network() else { return };
    let files = tempfile::tempdir().unwrap();
    let mut command = network.command("collector", built("fleetgauge-collector"));
    command.args(["--listen", "192.0.2.1:45678,192.0.2.5:45678", "--insecure"]);
    let _collector = Program::start(command);
    wait_for("a collector that answers", 10, || network.page("collector", "/readyz"));
    let shows = |boot: u8| {
        let page = network.page("collector", "/metrics/agents").unwrap();
        page.contains(&format!("agent=\"phoenix\",boot=\"{boot}\""))
    };
    let mut before = agent(&network, "before", "192.0.2.1:45678", 1, &files);
    wait_for("the host's first boot on the page", 10, || shows(1).then_some(()));

    // From here on all packets are lost, so the collector receives no FIN or RST.
    network.link("before", "set wire down");
    let lost = Instant::now();
    before.kill();
    std::thread::sleep(AWAY);
    assert!(shows(1), "at an interval of 15 s the collector cannot know yet");
    let _after = agent(&network, "after", "192.0.2.5:45678", 2, &files);
    wait_for("the host's second boot on the page", 20, || shows(2).then_some(()));
    let back = lost.elapsed();
    assert!(!shows(1), "the first boot is still shown");
    assert!(back <= BACK_WITHIN, "back only after {back:?}");

    let own = network.page("collector", "/metrics/self").unwrap();
    assert!(own.contains("fleetgauge_rejects_total{code=\"id_conflict\"} 0\n"), "{own}");
    println!("back after {back:?}");
}
