//! One connection of a simulated agent: the agent's own state machine, driven over a socket, with a ledger.

use std::borrow::Cow;
use std::io;
use std::ops::ControlFlow;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fleetgauge_agent::client::{Event, code_reason};
use fleetgauge_proto::message::ByeReason;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{sleep_until, timeout};

use crate::fleet::Stage;
use crate::member::{Member, Over};
use crate::tally::{add, get};

/// How long Welcome may take: what an agent would wait.
const WELCOME_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a write may make no progress.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// One report in so many is followed by a Ping, whose Pong says that the report has been taken in.
const REPORTS_PER_PING: u64 = 64;
/// Room for what comes from the collector, in bytes: its frames are small.
const READ_BYTES: usize = 1024;
/// What is kept between frames of the buffer they are written to, in bytes: a report's worth.
const KEPT_BYTES: usize = 256;

/// How an agent leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Bye, then FIN.
    Bye(ByeReason),
    /// RST, and no word: what remains of a process that was killed with data under way.
    Reset,
}

/// Why a session is over.
enum Ending {
    /// The agent leaves and comes back.
    Leave(Manner),
    /// The run is over.
    Finish,
    /// The connection has failed, or the other end has broken the protocol.
    Lost(Cow<'static, str>),
    /// The collector has sent the agent away.
    Rejected { code: u16, retry_after: Option<Duration> },
}

/// A connection and what is next on it.
pub(crate) struct Session<'a> {
    member: &'a mut Member,
    stream: TcpStream,
    out: Vec<u8>,
    connecting_since: Instant,
    /// What Welcome said; zero before it.
    interval: Duration,
    /// When the next report is due; before Welcome, until when that is awaited.
    due: Instant,
    /// Since when that has been waited for: the generator cannot be late for what was due before.
    waiting_since: Instant,
    leave: Option<(Instant, Manner)>,
    /// The token of a Ping under way and when the report before it was begun.
    asked: Option<(u64, Instant)>,
}

impl<'a> Session<'a> {
    /// On a fresh connection.
    pub(crate) fn new(
        member: &'a mut Member,
        stream: TcpStream,
        connecting_since: Instant,
    ) -> Self {
        let now = Instant::now();
        Self {
            member,
            stream,
            out: Vec::new(),
            connecting_since,
            interval: Duration::ZERO,
            due: now + WELCOME_TIMEOUT,
            waiting_since: now,
            leave: None,
            asked: None,
        }
    }

    /// Reports until something ends the session.
    pub(crate) async fn run(mut self) -> Over {
        self.member.client.start(&mut self.out);
        loop {
            if let ControlFlow::Break(ending) = self.step().await {
                return self.end(ending).await;
            }
        }
    }

    async fn step(&mut self) -> ControlFlow<Ending> {
        if let Err(error) = self.flush().await {
            return lost(&error);
        }
        if *self.member.stage.borrow() == Stage::Leave {
            return ControlFlow::Break(Ending::Finish);
        }
        let wake = self.leave.map_or(self.due, |(at, _)| at.min(self.due));
        tokio::select! {
            ready = self.stream.readable() => match ready {
                Ok(()) => self.read(),
                Err(error) => lost(&error),
            },
            () = sleep_until(wake.into()) => self.woken().await,
            changed = self.member.stage.changed() => {
                if changed.is_ok() && self.member.client.is_welcomed() {
                    self.draw_departure();
                }
                ControlFlow::Continue(())
            }
        }
    }

    /// Reads all that is there. Its buffer is no part of the waiting task, of which there are thousands.
    fn read(&mut self) -> ControlFlow<Ending> {
        let mut buffer = [0; READ_BYTES];
        loop {
            let mut input = match self.stream.try_read(&mut buffer) {
                Ok(0) => return ControlFlow::Break(Ending::Lost("closed".into())),
                Ok(read) => &buffer[..read],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return ControlFlow::Continue(());
                }
                Err(error) => return lost(&error),
            };
            loop {
                match self.member.client.received(&mut input, &mut self.out) {
                    Ok(Some(event)) => self.hear(event)?,
                    Ok(None) => break,
                    Err(error) => return ControlFlow::Break(Ending::Lost(error.reason().into())),
                }
            }
        }
    }

    fn hear(&mut self, event: Event) -> ControlFlow<Ending> {
        let now = Instant::now();
        let shared = &self.member.shared;
        match event {
            Event::Welcomed { interval, .. } => {
                add(&shared.tally.welcomed);
                add(&shared.tally.present);
                shared.tally.times().connect.add(now - self.connecting_since);
                shared.ledger.record(self.member.number).welcomed(self.member.sequence + 1);
                self.interval = interval;
                (self.due, self.waiting_since) = (now, now);
                self.draw_departure();
            }
            Event::Pong { token } => {
                if let Some((_, since)) = self.asked.take_if(|(asked, _)| *asked == token) {
                    shared.tally.times().answer.add(now - since);
                }
            }
            Event::Drain { delay, .. } => {
                self.leave = Some((now + delay, Manner::Bye(ByeReason::Drained)));
            }
            Event::Rejected { code, retry_after, .. } => {
                return ControlFlow::Break(Ending::Rejected { code, retry_after });
            }
        }
        ControlFlow::Continue(())
    }

    /// In the steady part of a run with churn, says when the agent will leave: memoryless, so that the fleet
    /// loses the same share every second.
    fn draw_departure(&mut self) {
        let churn = self.member.shared.churn;
        if *self.member.stage.borrow() != Stage::Steady || churn <= 0.0 || self.leave.is_some() {
            return;
        }
        let seconds = -(1.0 - self.member.rng.f64()).ln() / churn;
        let wait = Duration::try_from_secs_f64(seconds.min(1e6)).unwrap_or(Duration::MAX);
        self.leave = Some((Instant::now() + wait, self.member.draw_manner()));
    }

    async fn woken(&mut self) -> ControlFlow<Ending> {
        let woke = Instant::now();
        // Who was sent home reports no more: a whole fleet's closing would count as lag.
        if *self.member.stage.borrow() == Stage::Leave {
            return ControlFlow::Break(Ending::Finish);
        }
        if let Some((_, manner)) = self.leave.filter(|(at, _)| *at <= woke) {
            return ControlFlow::Break(Ending::Leave(manner));
        }
        if !self.member.client.is_welcomed() {
            return ControlFlow::Break(Ending::Lost("no_welcome".into()));
        }
        if self.due <= woke { self.report(woke).await } else { ControlFlow::Continue(()) }
    }

    async fn report(&mut self, woke: Instant) -> ControlFlow<Ending> {
        let own = woke - self.due.max(self.waiting_since);
        let number = self.member.number;
        let sequence = self.member.sequence + 1;
        let values = self.member.source.values(sequence);
        let now = self.member.shared.ledger.now();
        self.member.shared.ledger.record(number).sending(sequence, now);
        match self.member.client.report(&values, unix_ms(), &mut self.out) {
            Ok(sent) => self.member.sequence = sent,
            Err(error) => return ControlFlow::Break(Ending::Lost(error.reason().into())),
        }
        if self.asked.is_none() && self.member.rng.u64(..REPORTS_PER_PING) == 0 {
            self.member.client.ping(sequence, &mut self.out);
            self.asked = Some((sequence, woke));
        }
        if let Err(error) = self.flush().await {
            return lost(&error);
        }
        let shared = &self.member.shared;
        shared.ledger.record(number).written(shared.ledger.now());
        let written = Instant::now();
        shared.tally.report(written - self.due, own);
        self.member.has_reported();
        self.due = self.member.tick_after(self.due, self.interval);
        self.waiting_since = written;
        ControlFlow::Continue(())
    }

    /// Writes everything out.
    async fn flush(&mut self) -> io::Result<()> {
        let mut rest = &self.out[..];
        while !rest.is_empty() {
            match self.stream.try_write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    timeout(WRITE_TIMEOUT, self.stream.writable()).await??;
                }
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.out.shrink_to(KEPT_BYTES);
        Ok(())
    }

    /// Closes the connection as the ending asks for and says what comes after it.
    async fn end(mut self, ending: Ending) -> Over {
        let had_session = !self.interval.is_zero();
        let by_collector = matches!(ending, Ending::Lost(_) | Ending::Rejected { .. });
        let (shared, number) = (self.member.shared.clone(), self.member.number);
        if had_session {
            shared.ledger.record(number).leaving(shared.ledger.now(), by_collector);
        }
        let over = match ending {
            Ending::Finish => {
                let manner = self.member.draw_manner();
                self.leave(manner).await;
                Over::Finished
            }
            Ending::Leave(manner) => {
                self.leave(manner).await;
                Over::Away(self.member.draw_absence())
            }
            Ending::Lost(why) => {
                let causes = if had_session { &shared.tally.ended } else { &shared.tally.refused };
                causes.add(&why);
                Over::Away(self.member.draw_backoff(None))
            }
            Ending::Rejected { code, retry_after } => {
                let causes = if had_session { &shared.tally.ended } else { &shared.tally.refused };
                causes.add(code_reason(code));
                Over::Away(self.member.draw_backoff(Some(retry_after)))
            }
        };
        drop(self.stream);
        if had_session {
            shared.ledger.record(number).gone(shared.ledger.now());
            debug_assert!(get(&shared.tally.present) > 0, "who leaves was there");
            shared.tally.present.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
        }
        over
    }

    /// Says goodbye, or makes the closing a reset. A connection that fails at this is closed all the same.
    async fn leave(&mut self, manner: Manner) {
        match manner {
            Manner::Bye(reason) => {
                self.member.client.bye(reason, &mut self.out);
                let _ = self.flush().await;
                let _ = self.stream.shutdown().await;
            }
            Manner::Reset => {
                let _ = self.stream.set_zero_linger();
            }
        }
        if !self.interval.is_zero() {
            let tally = &self.member.shared.tally;
            add(if manner == Manner::Reset { &tally.resets } else { &tally.byes });
        }
    }
}

fn lost(error: &io::Error) -> ControlFlow<Ending> {
    ControlFlow::Break(Ending::Lost(error.kind().to_string().replace(' ', "_").into()))
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
