use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use fleetgauge_proto::{AgentId, Limits};
use tokio::net::TcpStream;

use super::*;
use crate::client::fake_collector::FakeCollector;
use crate::config::Config;
use crate::identity::{Host, IdSource};
use crate::metrics::Selection;
use crate::profile::Profile;
use crate::run::fake_address::{self, Address, TEST_TIMEOUT};
use crate::run::socket::Socket;
use crate::sampler::controlled::{ReadResult, SourceControl, controlled, shown};
use crate::sampler::{Sampler, SourceError, table_set};
use crate::tables::Sample;

/// More bytes than the socket buffers of both ends hold.
const MANY_BYTES: usize = 64 << 20;

fn agent() -> Agent {
    let id = IdSource::Given(AgentId::try_new("web-1").unwrap());
    Agent::new(&Config { id, ..Config::default() }, &Host::default()).unwrap()
}

/// Runs a session. `queued` bytes of zeros are sent before Hello. Returns how it ended.
async fn run(
    agent: &Agent,
    transport: Transport,
    samples: &mut watch::Receiver<Option<TimedSample>>,
    shutdown: Pin<&mut dyn Future<Output = ()>>,
    queued: usize,
) -> SessionEnd {
    let address = SocketAddr::from(([127, 0, 0, 1], 1));
    let connection = Connection { transport, address, token: None };
    let (credentials, mut client) = (Credentials::default(), Client::default());
    let (endpoint, mut log) = (&Endpoint::default(), RetryLog::new(false));
    let recorder = Arc::new(Recorder::new(agent.log, Instant::now(), Duration::ZERO));
    let mut session =
        Session::new(connection, endpoint, agent, &credentials, &mut client, &recorder, &mut log);
    session.out.frames = vec![0; queued];
    let plan = SamplingPlan {
        id: agent.profile.id.clone(),
        interval: agent.profile.interval,
        metrics: agent.metrics.clone(),
        terms: Terms::default(),
    };
    let plan = watch::channel(plan).0;
    session.run(samples, &plan, &mut Control::new(shutdown, None)).await
}

/// Returns the agent's and the collector's end of a connection.
async fn connected() -> (Transport, TcpStream) {
    let address = Address::bind().await;
    let stream = TcpStream::connect(address.at()).await.unwrap();
    let peer = address.0.accept().await.unwrap().0;
    (Transport::Plain(Socket::new(stream)), peer)
}

#[tokio::test]
async fn agent_stops_while_the_collector_accepts_no_bytes() {
    let (transport, _peer) = connected().await;
    // The session is polled a second time after it has written what the sockets hold.
    let mut polled = false;
    let shutdown = pin!(std::future::poll_fn(|cx| {
        if std::mem::replace(&mut polled, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }));
    let mut samples = watch::channel(None).1;
    let end = run(&agent(), transport, &mut samples, shutdown, MANY_BYTES).await;
    assert!(matches!(end, SessionEnd::Command(Command::Stop)));
}

/// The sources of an agent, and its collector.
struct Ends {
    sampler: Sampler,
    disks: SourceControl,
    mounts: SourceControl,
    newest: watch::Sender<Option<TimedSample>>,
    stream: TcpStream,
    collector: FakeCollector,
}

impl Ends {
    /// Receives until the collector has this many reports.
    async fn receive(&mut self, reports: usize) {
        let mut buffer = [0; READ_BYTES];
        while self.collector.frames[2] < reports {
            let read = timeout(TEST_TIMEOUT, self.stream.read(&mut buffer)).await;
            let read = read.expect("no report").unwrap();
            assert_ne!(read, 0, "the agent closed the connection");
            self.collector.receive(&buffer[..read]);
        }
    }

    /// Samples and reports. Returns what the collector then has.
    async fn report(&mut self) -> Vec<String> {
        let sample = self.sampler.sample(TEST_TIMEOUT, &Limits::default()).await;
        self.report_sample(sample).await
    }

    async fn report_sample(&mut self, sample: Sample) -> Vec<String> {
        let (taken, metrics, terms) = (Instant::now(), Selection::default(), Terms::default());
        let catalogs = self.sampler.catalogs().clone();
        let sample = TimedSample { taken, metrics, terms, catalogs, sample };
        self.newest.send_replace(Some(sample));
        self.receive(self.collector.frames[2] + 1).await;
        shown(&self.collector.sample())
    }

    /// Reports a round in which both sources answer.
    async fn round(&mut self, disks: ReadResult, mounts: ReadResult) -> Vec<String> {
        self.disks.answer.send(disks).unwrap();
        self.mounts.answer.send(mounts).unwrap();
        self.report().await
    }
}

/// Runs `test` with an agent in a session. Its sources are disks and mounts.
async fn in_session(test: impl AsyncFnOnce(Ends)) {
    let ((disks, disk_spec), (mounts, mount_spec)) = (controlled("disks"), controlled("mounts"));
    let sources = vec![disk_spec, mount_spec];
    let tables = table_set([], &sources).unwrap();
    let catalogs = tables.catalogs().clone();
    let mut agent = agent();
    agent.profile = Arc::new(Profile { catalogs, ..(*agent.profile).clone() });
    let (transport, mut stream) = connected().await;
    fake_address::send(&mut stream, &fake_address::welcome()).await;
    let (newest, mut samples) = watch::channel(None);
    let (sampler, collector) = (Sampler::new(&tables, sources), FakeCollector::default());
    let ends = Ends { sampler, disks, mounts, newest, stream, collector };
    let shutdown = pin!(std::future::pending());
    tokio::select! {
        _ = run(&agent, transport, &mut samples, shutdown, 0) => {
            panic!("the session ended")
        }
        () = test(ends) => {}
    }
}

#[tokio::test]
async fn session_reports_added_and_removed_rows_and_failed_sources() {
    in_session(async |mut ends| {
        let root = || Ok(vec![("/", 7.0)]);
        let failed = || Err(SourceError::new("permission denied"));
        assert_eq!(ends.round(Ok(vec![("sdb", 2.0)]), root()).await, ["sdb=2", "/=7"]);
        assert_eq!(ends.collector.frames, [1, 1, 1]);
        let two = Ok(vec![("sdb", 3.0), ("sda", 1.0)]);
        assert_eq!(ends.round(two, root()).await, ["sda=1 sdb=3", "/=7"]);
        assert_eq!(ends.round(failed(), root()).await, ["sda sdb", "/=7"]);
        assert_eq!(ends.round(Ok(vec![("sda", 4.0)]), failed()).await, ["sda=4", "/"]);
        assert_eq!(ends.round(Ok(vec![]), root()).await, ["", "/=7"]);
        assert_eq!(ends.collector.frames, [1, 4, 5], "rows are sent only if they changed");
    })
    .await;
}

#[tokio::test]
async fn session_reports_rows_of_a_source_that_hangs_as_absent_until_it_answers() {
    in_session(async |mut ends| {
        let answer = |control: &SourceControl, row| control.answer.send(Ok(vec![row])).unwrap();
        assert_eq!(
            ends.round(Ok(vec![("sda", 1.0)]), Ok(vec![("/", 2.0)])).await,
            ["sda=1", "/=2"]
        );
        let both_hang = ends.sampler.sample_without(&[0, 1]);
        assert_eq!(ends.report_sample(both_hang).await, ["sda", "/"]);
        // The first answer belongs to the read that hung, and is discarded. The second may take
        // some rounds to arrive.
        answer(&ends.disks, ("sda", 3.0));
        answer(&ends.disks, ("sda", 4.0));
        let mut said = ends.report().await;
        while said == ["sda", "/"] {
            said = ends.report().await;
        }
        assert_eq!(said, ["sda=4", "/"], "the mounts still hang");

        answer(&ends.mounts, ("/late", 5.0));
        answer(&ends.mounts, ("/home", 6.0));
        while said == ["sda=4", "/"] {
            answer(&ends.disks, ("sda", 4.0));
            said = ends.report().await;
        }
        assert_eq!(said, ["sda=4", "/home=6"]);
    })
    .await;
}

#[tokio::test]
async fn session_sends_the_catalogs_of_families_that_sources_find() {
    in_session(async |mut ends| {
        let root = || Ok(vec![("/", 7.0)]);
        let one = || Ok(vec![("sda", 1.0), ("found/a", 2.0)]);
        // Hello had the catalog of the declared tables only.
        assert_eq!(ends.round(one(), root()).await, ["sda=1", "/=7", "a=2"]);
        assert_eq!(ends.round(one(), root()).await, ["sda=1", "/=7", "a=2"]);
        assert_eq!(ends.collector.frames, [2, 1, 2], "catalogs are sent only if they changed");
        let two = Ok(vec![("found/b", 3.0), ("sda", 1.0), ("found/a", 2.0)]);
        assert_eq!(ends.round(two, root()).await, ["sda=1", "/=7", "a=2", "b=3"]);
        assert_eq!(ends.round(Ok(vec![("sda", 1.0)]), root()).await, ["sda=1", "/=7"]);
        assert_eq!(ends.round(one(), root()).await, ["sda=1", "/=7", "a=2"]);
        assert_eq!(ends.collector.frames[0], 5);
    })
    .await;
}
