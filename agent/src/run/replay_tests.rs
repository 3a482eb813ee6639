use std::net::SocketAddr;
use std::pin::pin;
use std::time::{Duration, Instant};

use fleetgauge_proto::catalog::FamilyKind;
use fleetgauge_proto::message::{
    Acknowledge, Catalog, Column, Family, Label, Message, Resend, Table, Welcome,
};
use fleetgauge_proto::{AgentId, capability};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

use super::*;
use crate::catalogs::Catalogs;
use crate::client::fake_collector::{FakeCollector, profile};
use crate::config::Config;
use crate::identity::{Host, IdSource};
use crate::report_log::LogLimits;
use crate::retry_log::RetryLog;
use crate::run::Agent;
use crate::run::connect::Connection;
use crate::run::control::Control;
use crate::run::credentials::Credentials;
use crate::run::fake_address::{self, Address, TEST_TIMEOUT};
use crate::run::sampling::{SamplingPlan, TimedSample};
use crate::run::session::Session;
use crate::run::socket::Socket;
use crate::run::transport::Transport;
use crate::tables::Sample;

/// Returns a catalog of a gauge with this label.
fn catalogs(label: &str) -> Catalogs {
    let family = Family { name: "load", kind: FamilyKind::Gauge as u8, unit: "", help: "" };
    let labels = vec![Label { name: label, value: "x" }];
    let column = Column { family: 0, width: 1, decimals: 0, parameters: vec![], labels };
    let table = Table { row_labels: vec![], columns: vec![column] };
    let families = vec![family];
    Catalogs::try_new(vec![Catalog { stream: 0, slot: 0, families, tables: vec![table] }]).unwrap()
}

fn sample(value: f64) -> Sample {
    Sample { rows: vec![Arc::default()], values: vec![value] }
}

/// An agent that samples and is in a session, and its collector.
struct Ends {
    agent: Agent,
    recorder: Arc<Recorder>,
    newest: watch::Sender<Option<TimedSample>>,
    stream: TcpStream,
    collector: FakeCollector,
}

impl Ends {
    /// Samples this value.
    fn sample(&self, value: f64) {
        let (taken, metrics, terms) =
            (Instant::now(), self.agent.metrics.clone(), Terms::default());
        let (catalogs, sample) = (catalogs("dc"), sample(value));
        self.recorder.record(taken, &sample, &catalogs);
        self.newest.send_replace(Some(TimedSample { taken, metrics, terms, catalogs, sample }));
    }

    async fn send(&mut self, message: Message<'_>) {
        fake_address::send(&mut self.stream, &message).await;
    }

    async fn resend(&mut self, first: u64, reports: u32) {
        self.send(Message::Resend(Resend { stream: 1, first, reports })).await;
    }

    /// Receives until the collector has this many reports of both streams.
    async fn receive(&mut self, live: usize, replayed: usize) {
        let mut buffer = [0; 4096];
        while self.live().len() < live || self.replayed().len() < replayed {
            let read = timeout(TEST_TIMEOUT, self.stream.read(&mut buffer)).await;
            let read = read.expect("no report").unwrap();
            assert_ne!(read, 0, "the agent closed the connection");
            self.collector.receive(&buffer[..read]);
        }
        assert_eq!((self.live().len(), self.replayed().len()), (live, replayed));
    }

    /// Returns the sequence numbers of the reports of stream 0.
    fn live(&self) -> Vec<u64> {
        self.collector.reports.iter().map(|(sequence, _)| *sequence).collect()
    }

    /// Returns the sequence numbers of the reports of stream 1.
    fn replayed(&self) -> Vec<u64> {
        let reports = self.collector.replay.iter().flat_map(|replay| &replay.reports);
        reports.map(|(sequence, _)| *sequence).collect()
    }
}

/// Runs `test` with an agent that took these samples before it connected to a collector with these
/// capabilities.
async fn in_session(samples: &[f64], capabilities: u64, test: impl AsyncFnOnce(Ends)) {
    let id = IdSource::Given(AgentId::try_new("web-1").unwrap());
    let mut agent = Agent::new(&Config { id, ..Config::default() }, &Host::default()).unwrap();
    agent.profile = Arc::new(profile(catalogs("dc")));
    let address = Address::bind().await;
    // Small, so that a long replay does not fit.
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_send_buffer_size(8 * 1024).unwrap();
    let stream = socket.connect(address.at()).await.unwrap();
    let transport = Transport::Plain(Socket::new(stream));
    let (stream, _) = address.0.accept().await.unwrap();
    let recorder = Arc::new(Recorder::new(agent.log, Instant::now(), Duration::ZERO));
    let (newest, mut receiver) = watch::channel(None);
    let (recorder_of_session, collector) = (Arc::clone(&recorder), FakeCollector::default());
    let mut ends = Ends { agent: agent.clone(), recorder, newest, stream, collector };
    samples.iter().for_each(|value| ends.sample(*value));
    let Message::Welcome(welcome) = fake_address::welcome() else { unreachable!() };
    ends.send(Message::Welcome(Welcome { capabilities, ..welcome })).await;

    let address = SocketAddr::from(([127, 0, 0, 1], 1));
    let connection = Connection { transport, address, token: None };
    let (credentials, mut client) = (Credentials::default(), Client::default());
    let (endpoint, mut log) = (&crate::config::Endpoint::default(), RetryLog::new(false));
    let recorder = &recorder_of_session;
    let mut session =
        Session::new(connection, endpoint, &agent, &credentials, &mut client, recorder, &mut log);
    let (id, interval) = (agent.profile.id.clone(), agent.profile.interval);
    let plan =
        SamplingPlan { id, interval, metrics: agent.metrics.clone(), terms: Terms::default() };
    let plan = watch::channel(plan).0;
    let shutdown = pin!(std::future::pending());
    let mut control = Control::new(shutdown, None);
    tokio::select! {
        _ = session.run(&mut receiver, &plan, &mut control) => panic!("the session ended"),
        () = test(ends) => {}
    }
}

#[tokio::test]
async fn reports_of_an_outage_are_sent_after_the_newest() {
    in_session(&[1.0, 2.0, 3.0], capability::LOG, async |mut ends| {
        ends.receive(1, 0).await;
        assert_eq!((ends.collector.log, ends.live()), (Some(1), vec![3]));
        ends.resend(1, 2).await;
        ends.receive(1, 2).await;
        assert_eq!(ends.replayed(), [1, 2]);
        assert_eq!(ends.collector.replay.as_ref().unwrap().sample(), sample(2.0));
        assert_eq!(ends.collector.sample(), sample(3.0), "the newest values");
        // A later request continues.
        ends.resend(1, 1).await;
        ends.receive(1, 3).await;
        assert_eq!(ends.replayed(), [1, 2, 3]);
        assert_eq!(ends.collector.replay.as_ref().unwrap().reports[2], ends.collector.reports[0]);
    })
    .await;
}

#[tokio::test]
async fn no_more_reports_are_sent_than_the_collector_asked_for() {
    in_session(&[1.0, 2.0, 3.0], capability::LOG, async |mut ends| {
        ends.receive(1, 0).await;
        ends.resend(1, 1).await;
        ends.receive(1, 1).await;
        for value in 4..8_u32 {
            ends.sample(value.into());
            ends.receive(value as usize - 2, 1).await;
        }
        assert_eq!((ends.live(), ends.replayed()), (vec![3, 4, 5, 6, 7], vec![1]));
    })
    .await;
}

#[tokio::test]
async fn rest_of_a_request_is_used_for_later_reports() {
    in_session(&[1.0], capability::LOG, async |mut ends| {
        ends.receive(1, 0).await;
        ends.resend(0, 3).await;
        ends.receive(1, 1).await;
        for more in 1..=3 {
            ends.sample(2.0);
            ends.receive(1 + more, 1 + more.min(2)).await;
        }
        assert_eq!((ends.live(), ends.replayed()), (vec![1, 2, 3, 4], vec![1, 2, 3]));
    })
    .await;
}

#[tokio::test]
async fn acknowledged_reports_are_not_sent_again() {
    in_session(&[1.0, 2.0, 3.0, 4.0], capability::LOG, async |mut ends| {
        ends.receive(1, 0).await;
        ends.send(Message::Acknowledge(Acknowledge { stream: 1, sequence: 2, unix_ms: 0 })).await;
        ends.resend(1, 2).await;
        ends.receive(1, 2).await;
        assert_eq!(ends.replayed(), [3, 4]);
        assert_eq!(ends.recorder.offer(), Some(3));
    })
    .await;
}

#[tokio::test]
async fn newest_acknowledged_report_is_sent_if_the_collector_asks_for_it() {
    in_session(&[1.0, 2.0, 3.0, 4.0], capability::LOG, async |mut ends| {
        ends.receive(1, 0).await;
        ends.send(Message::Acknowledge(Acknowledge { stream: 1, sequence: 2, unix_ms: 0 })).await;
        ends.resend(2, 2).await;
        ends.receive(1, 2).await;
        ends.resend(3, 1).await;
        ends.receive(1, 3).await;
        assert_eq!(ends.replayed(), [2, 3, 4]);
    })
    .await;
}

#[tokio::test]
async fn gap_that_the_collector_does_not_need_is_skipped() {
    in_session(&[1.0, 2.0, 3.0, 4.0], capability::LOG, async |mut ends| {
        ends.receive(1, 0).await;
        ends.resend(1, 1).await;
        ends.receive(1, 1).await;
        ends.resend(4, 1).await;
        ends.receive(1, 2).await;
        assert_eq!(ends.replayed(), [1, 4]);
    })
    .await;
}

#[tokio::test]
async fn newest_values_do_not_wait_for_a_long_replay() {
    let samples: Vec<_> = (0..20_000).map(f64::from).collect();
    in_session(&samples, capability::LOG, async |mut ends| {
        ends.receive(1, 0).await;
        ends.resend(1, u32::MAX).await;
        let mut buffer = [0; 1024];
        while ends.replayed().is_empty() {
            let read = timeout(TEST_TIMEOUT, ends.stream.read(&mut buffer)).await;
            let read = read.expect("no report").unwrap();
            ends.collector.receive(&buffer[..read]);
        }
        // The rest does not fit the buffers of the sockets.
        ends.sample(-1.0);
        while ends.live().len() < 2 {
            let read = timeout(TEST_TIMEOUT, ends.stream.read(&mut buffer)).await;
            let read = read.expect("no report").unwrap();
            ends.collector.receive(&buffer[..read]);
        }
        let replayed = ends.replayed().len();
        assert!(replayed < samples.len(), "the replay ended before");
    })
    .await;
}

#[tokio::test]
async fn collector_without_a_log_gets_numbers_without_gaps() {
    in_session(&[1.0, 2.0, 3.0], 0, async |mut ends| {
        ends.receive(1, 0).await;
        ends.sample(4.0);
        ends.receive(2, 0).await;
        assert_eq!((ends.collector.log, ends.live()), (Some(1), vec![1, 2]));
        assert!(ends.recorder.with_log(crate::report_log::ReportLog::is_empty));
    })
    .await;
}

#[test]
fn logged_reports_that_break_the_terms_are_skipped() {
    let recorder = Recorder::new(LogLimits::default(), Instant::now(), Duration::ZERO);
    for label in ["tenant", "dc", "tenant", "dc"] {
        recorder.record(Instant::now(), &sample(1.0), &catalogs(label));
    }
    let terms = Terms { pinned_labels: [Box::from("tenant")].into(), ..Terms::default() };
    let (mut client, mut out) = (Client::default(), Vec::new());
    let mut collector = FakeCollector::welcome(&mut client, &profile(catalogs("dc")));
    let mut replay = Replay::new(Arc::new(recorder));
    replay.resend(1, 2);
    replay.send(&mut client, &terms, &mut out).unwrap();
    collector.receive(&out);
    let reports = &collector.replay.as_ref().unwrap().reports;
    assert_eq!(reports.iter().map(|(sequence, _)| *sequence).collect::<Vec<_>>(), [2, 4]);
    assert!(!replay.is_ready());
}
