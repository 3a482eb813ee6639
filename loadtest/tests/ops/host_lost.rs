//! A host that vanishes from the network and comes back as another boot, in network namespaces made for it.
//!
//! ```text
//!   namespace "before"            namespace "collector"            namespace "after"
//!   agent, boot 1  192.0.2.2 ──── 192.0.2.1      192.0.2.5 ──── 192.0.2.6  agent, boot 2
//!                            ✂ at 0 s                                       from 10 s on
//! ```

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::programs::{Program, built, wait_for};

/// How long the host is away.
const AWAY: Duration = Duration::from_secs(10);
/// By when it must be shown again, from when it was lost: the time away, five seconds in which the old connection
/// is asked whether it lives, and one for everything else.
const BACK_WITHIN: Duration = Duration::from_secs(16);

fn ip(arguments: &str) -> Output {
    let mut ip = Command::new("ip");
    ip.args(arguments.split(' ')).output().unwrap_or_else(|error| panic!("{ip:?}: {error}"))
}

/// Network namespaces that go when the test does.
struct Network {
    prefix: String,
}

impl Network {
    /// The picture above; `None` where namespaces cannot be made.
    fn lay() -> Option<Self> {
        let network = Self { prefix: format!("fleetgauge-{}", std::process::id()) };
        for name in ["collector", "before", "after"] {
            let made = ip(&format!("netns add {}", network.name(name)));
            if !made.status.success() {
                println!("SKIP: no namespaces here: {}", String::from_utf8_lossy(&made.stderr));
                return None;
            }
            network.link(name, "set lo up");
        }
        network.connect("before", "192.0.2.1/30", "192.0.2.2/30");
        network.connect("after", "192.0.2.5/30", "192.0.2.6/30");
        Some(network)
    }

    fn name(&self, short: &str) -> String {
        format!("{}-{short}", self.prefix)
    }

    fn link(&self, namespace: &str, arguments: &str) {
        let done = ip(&format!("-n {} link {arguments}", self.name(namespace)));
        assert!(done.status.success(), "{arguments}: {done:?}");
    }

    /// A cable between the collector's namespace and this one.
    fn connect(&self, host: &str, near: &str, far: &str) {
        let (hub, spoke) = (self.name("collector"), self.name(host));
        self.link("collector", &format!("add {host} type veth peer name wire netns {spoke}"));
        for (namespace, device, address) in [(&hub, host, near), (&spoke, "wire", far)] {
            let given = ip(&format!("-n {namespace} address add {address} dev {device}"));
            assert!(given.status.success(), "{given:?}");
        }
        self.link("collector", &format!("set {host} up"));
        self.link(host, "set wire up");
    }

    /// A command that runs inside.
    fn command(&self, namespace: &str, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(namespace)]).arg(program.as_ref());
        command
    }

    fn page(&self, path: &str) -> Option<String> {
        let mut curl = self.command("collector", "curl");
        let page = curl.args(["-sSf", &format!("http://127.0.0.1:1234{path}")]).output().unwrap();
        page.status.success().then(|| String::from_utf8(page.stdout).unwrap())
    }

    /// The real agent on a host whose boot has this number.
    fn agent(&self, namespace: &str, collector: &str, boot: u8, files: &TempDir) -> Program {
        let id = files.path().join(format!("boot-{boot}"));
        std::fs::write(&id, format!("00000000-0000-4000-8000-{boot:012}\n")).unwrap();
        let mut command = self.command(namespace, "sh");
        command.args(["-c", "mount --bind \"$0\" /proc/sys/kernel/random/boot_id && exec \"$@\""]);
        command.arg(id).arg(built("fleetgauge-agent"));
        command.args(["--id", "phoenix", "--collector", collector]);
        Program::start({
            command.args(["--label", &format!("boot={boot}")]);
            command
        })
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in ["collector", "before", "after"] {
            ip(&format!("netns del {}", self.name(name)));
        }
    }
}

#[test]
#[ignore = "needs root, iproute2 and curl"]
fn a_rebooted_host_is_back_soon_and_no_conflict() {
    let Some(network) = Network::lay() else { return };
    let files = tempfile::tempdir().unwrap();
    let mut command = network.command("collector", built("fleetgauge-collector"));
    command.args(["--listen", "192.0.2.1:45678,192.0.2.5:45678", "--insecure"]);
    let _collector = Program::start(command);
    wait_for("a collector that answers", 10, || network.page("/readyz"));
    let shows = |boot: u8| {
        let page = network.page("/metrics/agents").unwrap();
        page.contains(&format!("agent=\"phoenix\",boot=\"{boot}\""))
    };
    let mut before = network.agent("before", "192.0.2.1:45678", 1, &files);
    wait_for("the host's first boot on the page", 10, || shows(1).then_some(()));

    // Packets vanish; nobody says goodbye.
    network.link("before", "set wire down");
    let lost = Instant::now();
    before.kill();
    std::thread::sleep(AWAY);
    assert!(shows(1), "at an interval of 15 s the collector cannot know yet");
    let _after = network.agent("after", "192.0.2.5:45678", 2, &files);
    wait_for("the host's second boot on the page", 20, || shows(2).then_some(()));
    let back = lost.elapsed();
    assert!(!shows(1), "the first boot is still shown");
    assert!(back <= BACK_WITHIN, "back only after {back:?}");

    let own = network.page("/metrics/self").unwrap();
    assert!(own.contains("fleetgauge_rejects_total{code=\"id_conflict\"} 0\n"), "{own}");
    println!("back after {back:?}");
}
