//! A simulated fleetgauge agent that keeps a log, as the real one does.
//!
//! It samples on schedule whether or not it is connected, and reconnects with the backoff of the
//! real agent. The values of a report can be computed from its sequence number, so the log stores
//! times only.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use fleetgauge_agent::backoff::Backoff;
use fleetgauge_agent::client::{Baseline, Client, Event, ReportId};
use fleetgauge_agent::profile::Profile;
use fleetgauge_agent::tables::Sample;
use fleetgauge_proto::rows::TableRows;
use fleetgauge_proto::stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, sleep_until};

use super::offered::Offered;
use crate::address;
use crate::fleet_kind::FleetKind;
use crate::reading::{self, Reading};

/// Size of the read buffer, in bytes.
const READ_BYTES: usize = 1024;
/// Reports of the log are sent in batches of this many bytes.
const REPLAY_BATCH_BYTES: usize = 64 * 1024;

/// Zero of the monotonic clock of all agents.
static ZERO: LazyLock<Instant> = LazyLock::new(Instant::now);

/// An agent.
pub(super) struct Agent {
    host: usize,
    kind: FleetKind,
    /// Collectors to connect to, in the order of the attempts.
    collectors: Vec<SocketAddr>,
    backoff: Backoff,
    offered: Arc<Offered>,
    interval: Duration,
    /// When the next sample is due, and its time in milliseconds since 1970 UTC.
    next: (tokio::time::Instant, u64),
    profile: Profile,
    rows: Vec<Arc<TableRows>>,
    client: Client,
    /// All reports up to this sequence number are acknowledged.
    acknowledged: u64,
}

/// A connection, and what the collector has asked for on it.
struct Session {
    stream: TcpStream,
    out: Vec<u8>,
    live: Baseline,
    replay: Baseline,
    /// Next report to send on stream 1; `None` before the first Resend.
    cursor: Option<u64>,
    credit: u32,
    /// Sequence number of the last live report; 0 before the first.
    reported: u64,
    /// When the collector accepted the session.
    welcomed: Option<Instant>,
}

impl Agent {
    /// Creates an agent that takes its first sample at `first`.
    pub(super) fn new(
        host: usize,
        kind: FleetKind,
        collectors: Vec<SocketAddr>,
        offered: Arc<Offered>,
        interval: Duration,
        first: tokio::time::Instant,
    ) -> anyhow::Result<Self> {
        let profile = crate::session::profile(kind, host, interval)?;
        let rows = kind.rows(&profile.catalogs, host)?;
        let from_now = first.saturating_duration_since(tokio::time::Instant::now());
        let next = (first, reading::unix_ms() + from_now.as_millis() as u64);
        let (client, acknowledged) = (Client::default(), 0);
        Ok(Self {
            host,
            kind,
            collectors,
            backoff: Backoff::new(fastrand::Rng::new()),
            offered,
            interval,
            next,
            profile,
            rows,
            client,
            acknowledged,
        })
    }

    /// Reports until the collector refuses the agent. Connects again when a connection is lost.
    pub(super) async fn run(mut self) -> anyhow::Error {
        sleep_until(self.next.0).await;
        loop {
            if let Err(refused) = self.round().await {
                return refused;
            }
            let delay = self.backoff.next_delay();
            self.sample_until(sleep(delay)).await;
        }
    }

    /// Tries the collectors one by one until a session has ended or all have failed. The next round
    /// begins with another collector than the one whose session has ended.
    ///
    /// # Errors
    /// If the collector refuses the agent or grants no log.
    async fn round(&mut self) -> anyhow::Result<()> {
        for index in 0..self.collectors.len() {
            let Some(collector) = self.collectors.get(index).copied() else { break };
            let Ok(stream) = self.sample_until(dial(self.host, collector)).await else { continue };
            if let Some(lasted) = self.session(stream).await? {
                self.backoff.session_ended(lasted, self.interval);
                self.collectors.rotate_left(index + 1);
                break;
            }
        }
        Ok(())
    }

    /// Awaits `future`, and takes the samples that are due meanwhile.
    async fn sample_until<T>(&mut self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        loop {
            tokio::select! {
                biased;
                () = sleep_until(self.next.0) => self.sample(),
                output = &mut future => return output,
            }
        }
    }

    /// Takes the samples that are due.
    fn sample(&mut self) {
        while self.next.0 <= tokio::time::Instant::now() {
            self.offered.push(self.host, self.next.1);
            self.next.0 += self.interval;
            self.next.1 += self.interval.as_millis() as u64;
        }
    }

    /// Runs a session until the connection is lost. Returns how long it lasted; `None` if the
    /// collector did not accept it.
    ///
    /// # Errors
    /// If the collector refuses the agent or grants no log.
    async fn session(&mut self, stream: TcpStream) -> anyhow::Result<Option<Duration>> {
        let mut session = Session::new(stream);
        let first = self.acknowledged + 1;
        self.client.start_with_log(&self.profile, None, first, &mut session.out);
        let mut buffer = [0; READ_BYTES];
        loop {
            self.report_newest(&mut session)?;
            let has_replayed = self.replay(&mut session)?;
            let Session { stream, out, .. } = &mut session;
            if self.sample_until(stream.write_all(out)).await.is_err() {
                break;
            }
            out.clear();
            if has_replayed {
                continue;
            }
            tokio::select! {
                biased;
                () = sleep_until(self.next.0) => self.sample(),
                read = session.stream.read(&mut buffer) => match read {
                    Ok(0) | Err(_) => break,
                    Ok(read) => self.receive(&mut session, &buffer[..read])?,
                }
            }
        }
        Ok(session.welcomed.map(|welcomed| welcomed.elapsed()))
    }

    fn receive(&mut self, session: &mut Session, mut bytes: &[u8]) -> anyhow::Result<()> {
        let (profile, now) = (&self.profile, ZERO.elapsed());
        while let Some(event) = self.client.received(profile, now, &mut bytes, &mut session.out)? {
            match event {
                Event::Welcomed { catalogs_sent, has_log, .. } => {
                    catalogs_sent?;
                    ensure!(has_log, "the collector does not ask for a log");
                    session.welcomed = Some(Instant::now());
                }
                Event::Acknowledged { sequence, .. } => {
                    self.acknowledged = self.acknowledged.max(sequence);
                }
                Event::Resend { first, reports } => session.resend(first, reports),
                Event::Rejected { text, .. } => bail!("the collector rejected an agent: {text}"),
                Event::Pong { .. } | Event::Drain { .. } => {}
            }
        }
        Ok(())
    }

    /// Queues a live report of the newest sample, if the session has not reported it.
    fn report_newest(&mut self, session: &mut Session) -> anyhow::Result<()> {
        let sequence = self.offered.newest(self.host);
        if session.welcomed.is_some() && sequence > session.reported {
            self.report(session, stream::LIVE, sequence)?;
            session.reported = sequence;
        }
        Ok(())
    }

    /// Queues reports of the log that the collector has asked for. Returns whether there was one.
    fn replay(&mut self, session: &mut Session) -> anyhow::Result<bool> {
        let mut has_sent = false;
        while session.credit > 0
            && session.out.len() < REPLAY_BATCH_BYTES
            && !self.client.is_new_session()
            && let Some(cursor) = session.cursor
        {
            let sequence = cursor.max(self.acknowledged + 1);
            if sequence > self.offered.newest(self.host) {
                break;
            }
            session.credit -= 1;
            session.cursor = Some(sequence + 1);
            self.report(session, stream::REPLAY, sequence)?;
            has_sent = true;
        }
        Ok(has_sent)
    }

    fn report(&mut self, session: &mut Session, stream: u32, sequence: u64) -> anyhow::Result<()> {
        let unix_ms = self.offered.time(self.host, sequence).context("a report without time")?;
        let reading = Reading { kind: self.kind, host: self.host, sequence };
        let sample = Sample { rows: self.rows.clone(), values: reading.values() };
        let id = ReportId { stream, sequence, unix_ms };
        let Session { live, replay, out, .. } = session;
        let baseline = if stream == stream::LIVE { live } else { replay };
        baseline.report_as(&mut self.client, id, &self.profile.catalogs, &sample, out)?;
        Ok(())
    }
}

impl Session {
    fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            out: Vec::new(),
            live: Baseline::default(),
            replay: Baseline::default(),
            cursor: None,
            credit: 0,
            reported: 0,
            welcomed: None,
        }
    }

    /// Handles a Resend. One of no reports ends the replay: the collector has forgotten what it was
    /// sent.
    fn resend(&mut self, first: u64, reports: u32) {
        if reports == 0 {
            (self.replay, self.credit) = (Baseline::default(), 0);
            return;
        }
        self.cursor = Some(self.cursor.map_or(first, |cursor| cursor.max(first)));
        self.credit = self.credit.saturating_add(reports);
    }
}

async fn dial(host: usize, collector: SocketAddr) -> anyhow::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((address::of(host), 0).into())?;
    let stream = socket.connect(collector).await.context("connecting")?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(test)]
#[path = "agent_tests.rs"]
mod tests;
