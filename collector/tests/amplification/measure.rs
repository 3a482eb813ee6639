//! A session without a socket, and what the bytes that it is given cost.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use fleetgauge_collector::Config;
use fleetgauge_collector::exposition::{Format, render};
use fleetgauge_collector::session::{HELLO_TIMEOUT, Handshake, Session};
use fleetgauge_collector::shared::Shared;
use fleetgauge_proto::message::{Hello, Label, Report, Schema};
use fleetgauge_proto::report::{self, Values};
use fleetgauge_proto::{Accept, Code, Fingerprint, FrameBuffer, Message, VERSION, schema};
use rustix::time::{ClockId, clock_gettime};
use tracing::Dispatch;
use tracing::subscriber::NoSubscriber;

/// How much slower than a release build this one may be.
const SLOWNESS: u32 = if cfg!(debug_assertions) { 30 } else { 1 };
const NOW: u64 = 1_000_000;

/// A second dispatcher, alive for ever. While only one exists, tracing asks the default subscriber
/// of the thread that reaches a log call first, and caches the answer for all threads: a thread
/// without a subscriber would switch that call off.
static SECOND: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::default()));

/// A collector of which only the sessions and the registry are there.
pub(crate) struct Rig {
    pub(crate) shared: Arc<Shared>,
}

/// A session, and what it has said.
pub(crate) struct Agent {
    session: Session,
    said: Vec<u8>,
}

/// What some bytes have cost.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    pub(crate) sent: usize,
    pub(crate) cpu: Duration,
    /// Most that was allocated at once, and what of the budget is still taken.
    pub(crate) peak: usize,
    pub(crate) kept: usize,
    pub(crate) log: usize,
    /// Bytes of a page for each byte that it took, reports included, if they make one.
    pub(crate) page: f64,
}

impl Cost {
    /// What one of many costs that send the same: the mean of CPU time, the most of all else.
    pub(crate) fn of_one(costs: &[Self]) -> Self {
        let most = |of: fn(&Self) -> usize| costs.iter().map(of).max().unwrap();
        Self {
            cpu: costs.iter().map(|cost| cost.cpu).sum::<Duration>() / costs.len() as u32,
            peak: most(|cost| cost.peak),
            kept: most(|cost| cost.kept),
            log: most(|cost| cost.log),
            ..costs[0]
        }
    }

    /// CPU time for each byte sent, as a release build would take at most.
    pub(crate) fn nanoseconds_a_byte(&self) -> f64 {
        (self.cpu / SLOWNESS).as_nanos() as f64 / self.sent as f64
    }

    pub(crate) fn a_byte(&self, bytes: usize) -> f64 {
        bytes as f64 / self.sent as f64
    }
}

/// As long as this in a release build.
pub(crate) fn at_most(release: Duration) -> Duration {
    release * SLOWNESS
}

impl Rig {
    pub(crate) fn new(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config { drain: Duration::ZERO, ..Config::default() };
        // What a flood of frames costs is another matter: how many may come is bounded.
        config.bounds.reports_per_interval = 1_000_000;
        change(&mut config);
        let mut own = prometheus_client::registry::Registry::default();
        Self { shared: Arc::new(Shared::new(config, &mut own)) }
    }

    pub(crate) fn connect(&self) -> Agent {
        let address: SocketAddr = "127.0.0.1:9".parse().unwrap();
        let peer = self.shared.admit(address, NOW + HELLO_TIMEOUT).unwrap();
        let place = Arc::clone(&self.shared.handshakes).try_acquire_owned().unwrap();
        let handshake = Handshake { accepted: None, place, certificate: None };
        self.shared.metrics.connected();
        let session = Session::new(Arc::clone(&self.shared), peer, handshake, NOW);
        Agent { session, said: Vec::new() }
    }

    /// Bytes of the page in the longer format.
    pub(crate) fn page_bytes(&self) -> usize {
        let bytes = [Format::Text, Format::OpenMetrics].map(|format| {
            let mut page = Vec::new();
            render(&self.shared.registry.snapshot(), format, &mut page).unwrap();
            page.len()
        });
        bytes[0].max(bytes[1])
    }

    /// What it costs that this agent sends these frames.
    pub(crate) fn cost(&self, agent: &mut Agent, frames: &[Vec<u8>]) -> Cost {
        let before = self.shared.registry.budget().taken();
        LazyLock::force(&SECOND);
        let log = Log::default();
        let writer = log.clone();
        let subscriber =
            tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
        let mut cpu = Duration::ZERO;
        let allocated = allocation_counter::measure(|| {
            tracing::subscriber::with_default(subscriber, || {
                let begun = thread_time();
                for frame in frames {
                    agent.session.received(frame, NOW, &mut agent.said);
                }
                cpu = thread_time() - begun;
            });
        });
        let log = log.0.lock().unwrap().len();
        Cost {
            sent: frames.iter().map(Vec::len).sum(),
            cpu,
            peak: usize::try_from(allocated.bytes_max).unwrap(),
            kept: self.shared.registry.budget().taken().saturating_sub(before),
            log,
            page: 0.0,
        }
    }
}

impl Agent {
    pub(crate) fn receives(&mut self, frame: &[u8]) {
        self.session.received(frame, NOW, &mut self.said);
    }

    /// The code by which it was refused, if it was.
    pub(crate) fn refused(&self) -> Option<Code> {
        let accept = Accept { version: VERSION, max_payload_bytes: 16 * 1024 };
        let (mut frames, mut input) = (FrameBuffer::default(), &self.said[..]);
        let mut code = None;
        while let Some(frame) = frames.next(&mut input, accept).unwrap() {
            if let Message::Reject(reject) = Message::decode(frame).unwrap() {
                code = Code::from_u16(reject.code);
            }
        }
        code
    }
}

/// A log that is kept.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// CPU time of this thread.
pub(crate) fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

pub(crate) fn frame(message: &Message<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode(VERSION, &mut bytes).unwrap();
    bytes
}

pub(crate) fn hello(id: &str, labels: Vec<Label<'_>>, schema: Fingerprint) -> Vec<u8> {
    frame(&Message::Hello(Hello {
        min_version: 1,
        max_version: 1,
        capabilities: 0,
        agent_id: id,
        host_nonce: [1; 16],
        process_nonce: [7; 16],
        labels,
        interval_ms: 15_000,
        agent_version: "",
        schema,
        credential: None,
        extensions: Vec::new(),
    }))
}

/// A schema's frame and its fingerprint.
pub(crate) fn encode(schema: &Schema<'_>) -> (Vec<u8>, Fingerprint) {
    schema::encode(schema).unwrap()
}

pub(crate) fn report(sequence: u64, values: &[f64]) -> Vec<u8> {
    let mut bytes = Vec::new();
    report::write_all(values, &mut bytes);
    report_of(sequence, Values::All(&bytes))
}

pub(crate) fn report_of(sequence: u64, values: Values<'_>) -> Vec<u8> {
    frame(&Message::Report(Report { stream: 0, sequence, unix_ms: 0, values }))
}
