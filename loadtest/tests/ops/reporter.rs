//! A session of an agent whose rows and values the test chooses.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use fleetgauge_agent::client::{Baseline, Client, Event, ReportId};
use fleetgauge_agent::profile::Profile;
use fleetgauge_agent::tables::Sample;
use fleetgauge_proto::stream;

/// Maximum time until the collector answers.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A welcomed agent. Pages show it from its first report until this is dropped.
#[derive(Debug)]
pub(crate) struct Reporter {
    profile: Profile,
    client: Client,
    baseline: Baseline,
    stream: TcpStream,
    begun: Instant,
}

impl Reporter {
    /// Connects and waits for Welcome.
    pub(crate) fn connect(profile: Profile, collector: &str) -> Self {
        let stream = TcpStream::connect(collector).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        let (client, baseline) = (Client::default(), Baseline::default());
        let mut reporter = Self { profile, client, baseline, stream, begun: Instant::now() };
        let mut hello = Vec::new();
        reporter.client.start(&reporter.profile, None, &mut hello);
        reporter.stream.write_all(&hello).unwrap();
        while !reporter.client.is_welcomed() {
            assert!(reporter.read(), "no Welcome");
        }
        reporter
    }

    /// Sends a report, and the changes of rows before it. Answers the collector's Pings.
    pub(crate) fn report(&mut self, sample: &Sample) {
        self.answer();
        let (mut out, now) = (Vec::new(), self.begun.elapsed());
        self.baseline.report(&mut self.client, &self.profile, sample, now, &mut out).unwrap();
        self.stream.write_all(&out).unwrap();
    }

    /// Like [`Self::report`], with this sequence number and time.
    pub(crate) fn report_at(&mut self, sample: &Sample, sequence: u64, unix_ms: u64) {
        self.answer();
        let mut out = Vec::new();
        let id = ReportId { stream: stream::LIVE, sequence, unix_ms };
        let (client, catalogs) = (&mut self.client, &self.profile.catalogs);
        self.baseline.report_as(client, id, catalogs, sample, &mut out).unwrap();
        self.stream.write_all(&out).unwrap();
    }

    /// Processes what the collector has sent.
    fn answer(&mut self) {
        self.stream.set_nonblocking(true).unwrap();
        while self.read() {}
        self.stream.set_nonblocking(false).unwrap();
    }

    /// Reads once and processes what came. Returns whether anything did.
    fn read(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let len = loop {
            match self.stream.read(&mut buffer) {
                // A signal interrupted the read, or the machine was suspended for a moment.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                read => break read.unwrap(),
            }
        };
        assert!(len > 0, "the collector has closed the connection");
        let (mut input, mut answers) = (&buffer[..len], Vec::new());
        let now = self.begun.elapsed();
        while let Some(event) =
            self.client.received(&self.profile, now, &mut input, &mut answers).unwrap()
        {
            assert!(matches!(event, Event::Welcomed { catalogs_sent: Ok(_), .. }), "{event:?}");
        }
        self.stream.write_all(&answers).unwrap();
        true
    }
}
