//! An agent that is stopped and started with a log file.

use std::path::Path;

use fleetgauge_proto::message::{Acknowledge, Message, Resend, Welcome};
use fleetgauge_proto::{AgentId, capability};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::fake_address::{self, Address, TEST_TIMEOUT};
use super::{Agent, run};
use crate::client::fake_collector::FakeCollector;
use crate::config::{Config, Endpoint};
use crate::identity::{Host, IdSource};
use crate::metrics::{MetricSet, Selection};
use crate::test_log::Log;

/// A connection to the collector.
struct Connection {
    stream: TcpStream,
    collector: FakeCollector,
}

impl Connection {
    async fn accept(address: &Address) -> Self {
        let accepted = timeout(TEST_TIMEOUT, address.0.accept()).await;
        let (mut stream, _) = accepted.expect("no connection").unwrap();
        let Message::Welcome(welcome) = fake_address::welcome() else { unreachable!() };
        let welcome = Welcome { capabilities: capability::LOG, ..welcome };
        fake_address::send(&mut stream, &Message::Welcome(welcome)).await;
        Self { stream, collector: FakeCollector::default() }
    }

    async fn send(&mut self, message: Message<'_>) {
        fake_address::send(&mut self.stream, &message).await;
    }

    /// Returns sequence numbers and times of the first reports of stream 0.
    async fn live(&mut self, count: usize) -> Vec<(u64, u64)> {
        while self.collector.reports.len() < count {
            self.receive().await;
        }
        self.collector.reports.clone()
    }

    /// Returns sequence numbers and times of the first reports of stream 1.
    async fn replayed(&mut self, count: usize) -> Vec<(u64, u64)> {
        loop {
            let reports = self.collector.replay.as_ref().map(|replay| replay.reports.clone());
            match reports.filter(|reports| reports.len() >= count) {
                Some(reports) => return reports,
                None => self.receive().await,
            }
        }
    }

    async fn receive(&mut self) {
        let mut buffer = [0; 4096];
        let read = timeout(TEST_TIMEOUT, self.stream.read(&mut buffer)).await;
        let read = read.expect("no report").unwrap();
        assert_ne!(read, 0, "the agent closed the connection");
        self.collector.receive(&buffer[..read]);
    }
}

fn agent(address: &Address, file: &Path) -> Agent {
    let config = Config {
        collector: Endpoint::parse(&address.at().to_string()).unwrap().into(),
        id: IdSource::Given(AgentId::try_new("web-1").unwrap()),
        metrics: Selection::of(MetricSet::Basic),
        log_file: Some(file.to_owned()),
        ..Config::default()
    };
    Agent::new(&config, &Host::default()).unwrap()
}

/// Runs an agent until `test` has completed, and stops it.
async fn while_running<T>(agent: Agent, test: impl Future<Output = T>) -> T {
    let (stop, stopped) = oneshot::channel::<()>();
    let run = run(agent, async {
        let _ = stopped.await;
    });
    let test = async {
        let result = test.await;
        stop.send(()).unwrap();
        result
    };
    let both = async { tokio::join!(run, test).1 };
    timeout(TEST_TIMEOUT, both).await.expect("the agent did not stop")
}

#[tokio::test]
async fn reports_that_are_not_acknowledged_are_replayed_by_the_next_process() {
    let directory = tempfile::tempdir().unwrap();
    let (address, file) = (Address::bind().await, directory.path().join("log"));
    let sent = while_running(agent(&address, &file), async {
        let mut first = Connection::accept(&address).await;
        let sent = first.live(3).await;
        let acknowledge = Acknowledge { stream: 1, sequence: sent[0].0, unix_ms: 0 };
        first.send(Message::Acknowledge(acknowledge)).await;
        // The connection ends while reports follow that only the log has.
        drop(first);
        let mut second = Connection::accept(&address).await;
        second.live(1).await;
        assert_eq!(second.collector.log, Some(sent[0].0 + 1));
        [sent, second.collector.reports].concat()
    })
    .await;
    let first = sent[0].0 + 1;

    while_running(agent(&address, &file), async {
        let mut connection = Connection::accept(&address).await;
        let newest = connection.live(1).await[0];
        assert_eq!(connection.collector.log, Some(first));
        assert!(sent.iter().all(|sent| sent.0 < newest.0 && sent.1 < newest.1), "{sent:?}");
        connection.send(Message::Resend(Resend { stream: 1, first, reports: 100 })).await;
        let count = (newest.0 - first + 1) as usize;
        let replayed = connection.replayed(count).await;
        let sequences: Vec<_> = replayed.iter().map(|(sequence, _)| *sequence).collect();
        assert_eq!(sequences[..count], (first..=newest.0).collect::<Vec<_>>());
        assert!(replayed.is_sorted_by(|a, b| a.1 < b.1), "{replayed:?}");
        // Reports have the times with which they were sent before.
        assert!(sent[1..].iter().all(|sent| replayed.contains(sent)), "{sent:?} {replayed:?}");
    })
    .await;
}

#[tokio::test]
async fn agent_whose_log_file_is_in_use_reports_and_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let (address, file) = (Address::bind().await, directory.path().join("log"));
    let lock = crate::report_log::file::LogFile::lock(&file).unwrap();
    let log = Log::default();
    let _logging = log.install();
    while_running(agent(&address, &file), async {
        let mut connection = Connection::accept(&address).await;
        connection.live(1).await;
        let line = log.line_with("cannot use log file").await;
        assert!(line.contains("in use by another agent"), "{line}");
    })
    .await;
    assert!(!file.exists());
    drop(lock);
}

#[tokio::test]
async fn damaged_log_file_is_logged_and_read_up_to_the_damage() {
    let directory = tempfile::tempdir().unwrap();
    let (address, file) = (Address::bind().await, directory.path().join("log"));
    while_running(agent(&address, &file), async {
        Connection::accept(&address).await.live(2).await;
    })
    .await;
    let mut bytes = std::fs::read(&file).unwrap();
    bytes.extend_from_slice(b"torn");
    std::fs::write(&file, &bytes).unwrap();
    let log = Log::default();
    let _logging = log.install();
    while_running(agent(&address, &file), async {
        let mut connection = Connection::accept(&address).await;
        let live = connection.live(1).await;
        assert_eq!(connection.collector.log, Some(1));
        assert!(live[0].0 > 2, "{live:?}");
        let line = log.line_with("log file damaged").await;
        assert!(line.contains("bytes=4"), "{line}");
    })
    .await;
}
