//! A rolling restart: real agents with two collectors, which are drained and restarted one after
//! the other. The engine must have every sample, and no marker while an agent lives.

use std::io::{Read, Write};
use std::net::TcpStream;

use fleetgauge_receiver::{Receiver, ReceiverSettings, Sample, Series};
use rustix::process::Signal;
use tempfile::NamedTempFile;
use tokio::runtime::Runtime;

use super::super::http::HTTP_TIMEOUT;
use super::super::programs::{Collector, Program, agent_with, wait_for};
use super::FREE;

const AGENTS: [&str; 3] = ["web-1", "web-2", "web-3"];
/// Maximum time between two samples, in milliseconds. The interval is a second, but an agent skips
/// samples if the machine is busy. Collectors count those that were taken and are missing.
const MAX_GAP_MS: i64 = 10_000;
const MISSING: &str = "fleetgauge_remote_write_reports_missing_total{remote_name=\"engine\"}";
/// New samples of each agent before it is asked to leave: a session is stable after two intervals,
/// and only then the agent reconnects at once.
const STABLE_SAMPLES: usize = 4;
/// Maximum time of a step, in seconds.
const STEP_SECONDS: u64 = 60;

const TOKEN: &str = "operator";
/// SHA-256 of [`TOKEN`].
const TOKEN_DIGEST: &str = "06e55b633481f7bb072957eabcf110c972e86691c3cfedabe088024bffe42f23";

/// A collector that forwards to the engine, and its files.
struct Node {
    collector: Collector,
    settings: NamedTempFile,
    users: NamedTempFile,
}

impl Node {
    fn start(engine: &str) -> Self {
        let [mut settings, mut users] = [(); 2].map(|()| NamedTempFile::new().unwrap());
        write!(settings, "[[remote_write]]\nname = \"engine\"\nurl = \"{engine}\"\n").unwrap();
        let user = "[[credential]]\nuser = \"ops\"\nmay_drain = true\n";
        writeln!(users, "{user}tokens = [\"sha256:{TOKEN_DIGEST}\"]").unwrap();
        Self { collector: start_at(FREE, FREE, &settings, &users), settings, users }
    }

    /// Restarts the collector with SIGTERM, and waits until it accepts agents.
    fn restart(&mut self) {
        let Collector { agents, http, program } = &mut self.collector;
        program.signal(Signal::TERM);
        assert!(program.wait(STEP_SECONDS), "the collector does not stop");
        self.collector = start_at(agents, http, &self.settings, &self.users);
        wait_for("a collector that is ready", STEP_SECONDS, || {
            self.request("GET", "/readyz").filter(|answer| answer.starts_with("ready"))
        });
    }

    /// Sends a request as an operator. Returns the body of a successful response.
    fn request(&self, method: &str, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(&self.collector.http).ok()?;
        stream.set_read_timeout(Some(HTTP_TIMEOUT)).ok()?;
        let head = "HTTP/1.0\r\nHost: collector\r\nAuthorization: Bearer";
        write!(stream, "{method} {path} {head} {TOKEN}\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let is_success = head.split(' ').nth(1) == Some("200");
        is_success.then(|| body.to_owned())
    }

    /// Fails if the collector has missed a report of an agent.
    fn expect_all_reports(&self) {
        let page = self.request("GET", "/metrics/self").unwrap();
        let missing = page.lines().find_map(|line| line.strip_prefix(MISSING));
        assert_eq!(missing.map(str::trim), Some("0"));
    }

    fn drain(&self, query: &str) {
        assert!(self.request("POST", &format!("/api/drain?{query}")).is_some(), "{query}");
    }

    /// Ids of the agents on the page.
    fn agents(&self) -> Vec<&'static str> {
        let page = self.request("GET", "/metrics/agents").unwrap();
        let has = |id: &&str| page.contains(&format!("agent=\"{id}\""));
        AGENTS.into_iter().filter(has).collect()
    }
}

fn start_at(
    agents: &str,
    http: &str,
    settings: &NamedTempFile,
    users: &NamedTempFile,
) -> Collector {
    let [settings, users] = [settings, users].map(|file| file.path().to_str().unwrap());
    let flags = ["--config", settings, "--http-credentials", users];
    Collector::start_at(agents, http, &flags)
}

/// The engine, and the runtime that it runs on.
struct Engine {
    receiver: Receiver,
    _runtime: Runtime,
}

impl Engine {
    fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let receiver = {
            let _context = runtime.enter();
            Receiver::start(ReceiverSettings::default()).unwrap()
        };
        Self { receiver, _runtime: runtime }
    }

    /// Calls a function with the series of an agent's presence.
    fn agent_up<T>(&self, id: &str, look: impl FnOnce(Series<'_>) -> T) -> Option<T> {
        let ledger = self.receiver.ledger();
        ledger.find(&[("__name__", "fleetgauge_agent_up"), ("agent", id)]).map(look)
    }

    fn samples(&self, id: &str) -> usize {
        self.agent_up(id, |series| series.samples().len()).unwrap_or(0)
    }

    /// Waits until every agent has had a stable session since now.
    fn wait_stable(&self) {
        let before = AGENTS.map(|id| self.samples(id));
        wait_for("new samples of all agents", STEP_SECONDS, || {
            let has_new = |(id, before): (&str, usize)| self.samples(id) >= before + STABLE_SAMPLES;
            AGENTS.into_iter().zip(before).all(has_new).then_some(())
        });
    }
}

fn start_agent(id: &str, one: &Node, other: &Node) -> Program {
    let flags = ["--collector", &other.collector.agents, "--interval", "1s", "--metrics", "basic"];
    agent_with(id, &one.collector, &flags)
}

fn wait_all_at(node: &Node, other: &Node) {
    wait_for("all agents at one collector", STEP_SECONDS, || {
        (node.agents() == AGENTS && other.agents().is_empty()).then_some(())
    });
}

#[test]
fn rolling_restart_of_two_collectors_leaves_no_gap_and_no_agent_on_two_pages() {
    let engine = Engine::start();
    let [mut one, mut other] = [(); 2].map(|()| Node::start(&engine.receiver.url()));
    let _agents = AGENTS.map(|id| start_agent(id, &one, &other));
    engine.wait_stable();
    for _ in 0..2 {
        one.drain(&format!("target={}&over=1s", other.collector.agents));
        wait_all_at(&other, &one);
        one.expect_all_reports();
        one.restart();
        engine.wait_stable();
        std::mem::swap(&mut one, &mut other);
    }
    // Each agent returns to the collector that it prefers.
    for node in [&one, &other] {
        node.drain("over=0s");
    }
    engine.wait_stable();
    for node in [&one, &other] {
        node.expect_all_reports();
    }
    let [at_one, at_other] = [&one, &other].map(Node::agents);
    let mut all = [&at_one[..], &at_other].concat();
    all.sort_unstable();
    assert_eq!(all, AGENTS, "{at_one:?} {at_other:?}");

    for id in AGENTS {
        let (times, markers) = engine
            .agent_up(id, |series| {
                let (markers, samples): (Vec<Sample>, Vec<Sample>) =
                    series.samples().iter().copied().partition(|sample| sample.is_stale_marker());
                let times: Vec<_> = samples.iter().map(|sample| sample.unix_ms).collect();
                (times, markers.len())
            })
            .unwrap();
        let longest = times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
        println!("{id}: {} samples, at most {longest} ms apart", times.len());
        assert!(longest < MAX_GAP_MS, "{id}: {times:?}");
        assert_eq!(markers, 0, "{id} was marked while it moved");
    }
    let ledger = engine.receiver.ledger();
    assert_eq!(ledger.findings().violations(), 0, "{:?}", ledger.findings());
}
