//! A session without a socket, and measurement of what its input costs.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use fleetgauge_collector::Config;
use fleetgauge_collector::connection::session::{HELLO_TIMEOUT, Handshake, Session};
use fleetgauge_collector::exposition::{Format, render};
use fleetgauge_collector::state::CollectorState;
use fleetgauge_proto::message::{Catalog, Hello, Label, Report};
use fleetgauge_proto::report::{EncodedValues, Values};
use fleetgauge_proto::{Accept, Code, Fingerprint, FrameBuffer, Message, VERSION, catalog};
use rustix::time::{ClockId, clock_gettime};
use tracing::Dispatch;
use tracing::subscriber::NoSubscriber;

/// Maximum slowdown of this build relative to a release build.
const SLOWNESS: u32 = if cfg!(debug_assertions) { 30 } else { 1 };
const NOW: u64 = 1_000_000;

/// A second dispatcher that is never dropped. While only one exists, tracing asks the default
/// subscriber of the thread that reaches a log call first, and caches the answer for all threads. A
/// thread without a subscriber would then disable that call.
static SECOND: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::default()));

/// A collector without sockets: sessions and registry only.
pub(crate) struct Rig {
    pub(crate) collector: Arc<CollectorState>,
}

/// A session and its output.
pub(crate) struct Agent {
    session: Session,
    said: Vec<u8>,
}

/// The cost of some input.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    pub(crate) sent: usize,
    pub(crate) cpu: Duration,
    /// Peak of allocated bytes.
    pub(crate) peak: usize,
    /// Bytes that the input has taken from the memory budget and not given back.
    pub(crate) kept: usize,
    pub(crate) log: usize,
    /// Page bytes for each byte sent, reports included; 0 if the input leads to no page.
    pub(crate) page: f64,
}

impl Cost {
    /// Returns the cost of one of many equal inputs: mean CPU time, and the maximum of everything
    /// else.
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

    /// CPU time for each byte sent, converted to a release build.
    pub(crate) fn nanoseconds_a_byte(&self) -> f64 {
        (self.cpu / SLOWNESS).as_nanos() as f64 / self.sent as f64
    }

    pub(crate) fn a_byte(&self, bytes: usize) -> f64 {
        bytes as f64 / self.sent as f64
    }
}

/// Converts a time of a release build to this build.
pub(crate) fn at_most(release: Duration) -> Duration {
    release * SLOWNESS
}

impl Rig {
    pub(crate) fn new(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config { drain: Duration::ZERO, ..Config::default() };
        // The rate limit is raised, because the cost of one frame is measured here.
        config.bounds.reports_per_interval = 1_000_000;
        config.bounds.row_changes_per_second = 1_000_000;
        change(&mut config);
        let mut own = prometheus_client::registry::Registry::default();
        Self { collector: Arc::new(CollectorState::new(config, &mut own)) }
    }

    pub(crate) fn connect(&self) -> Agent {
        let address: SocketAddr = "127.0.0.1:9".parse().unwrap();
        let (admission, now) = (&self.collector.admission, self.collector.clock.now());
        let handle = admission.admit(address, NOW + HELLO_TIMEOUT, now).unwrap();
        let permit = Arc::clone(&admission.handshakes).try_acquire_owned().unwrap();
        let handshake = Handshake { accepted: None, permit, certificate: None };
        self.collector.telemetry.metrics.connected();
        let session = Session::new(Arc::clone(&self.collector), handle, handshake, NOW);
        Agent { session, said: Vec::new() }
    }

    /// Page size in bytes, in the longer format.
    pub(crate) fn page_bytes(&self) -> usize {
        let bytes = [Format::Text, Format::OpenMetrics].map(|format| {
            let mut page = Vec::new();
            render(&self.collector.registry.snapshot(), format, &mut page).unwrap();
            page.len()
        });
        bytes[0].max(bytes[1])
    }

    /// Measures the cost of these frames from this agent.
    pub(crate) fn cost(&self, agent: &mut Agent, frames: &[Vec<u8>]) -> Cost {
        let before = self.collector.registry.budget().taken();
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
            kept: self.collector.registry.budget().taken().saturating_sub(before),
            log,
            page: 0.0,
        }
    }
}

impl Agent {
    pub(crate) fn receives(&mut self, frame: &[u8]) {
        self.session.received(frame, NOW, &mut self.said);
    }

    /// Returns the Reject code of the session; `None` if it was not rejected.
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

/// A log kept in memory.
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

/// Returns the CPU time that this thread has used so far.
pub(crate) fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

pub(crate) fn frame(message: &Message<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode(VERSION, &mut bytes).unwrap();
    bytes
}

pub(crate) fn hello(id: &str, labels: Vec<Label<'_>>, catalog: Fingerprint) -> Vec<u8> {
    hello_of(id, labels, vec![catalog])
}

/// A Hello that names these catalogs.
pub(crate) fn hello_of(id: &str, labels: Vec<Label<'_>>, catalogs: Vec<Fingerprint>) -> Vec<u8> {
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
        catalogs,
        credential: None,
        extensions: Vec::new(),
    }))
}

/// The frame and the fingerprint of a catalog.
pub(crate) fn encode(catalog: &Catalog<'_>) -> (Vec<u8>, Fingerprint) {
    catalog::encode(catalog).unwrap()
}

pub(crate) fn report(sequence: u64, values: &[f64]) -> Vec<u8> {
    let decimals = vec![0; values.len()];
    let mut encoded = EncodedValues::default();
    encoded.encode_all(values, [(1, &*decimals)].into_iter());
    report_of(sequence, encoded.values())
}

pub(crate) fn report_of(sequence: u64, values: Values<'_>) -> Vec<u8> {
    frame(&Message::Report(Report { stream: 0, sequence, unix_ms: 0, values }))
}
