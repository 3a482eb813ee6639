//! A session: drives a [`Client`] over one connection.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fleetgauge_common::service_manager;
use fleetgauge_proto::message::ByeReason;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{sleep_until, timeout};
use tracing::{debug, info};

use super::Agent;
use super::connect::Connection;
use super::control::{Command, Control};
use super::credentials::Credentials;
use super::keepalive::{Keepalive, KeepaliveAction};
use super::lost::{Lost, WELCOME_TIMEOUT};
use super::outbox::Outbox;
use super::sampling::{SamplingPlan, TimedSample};
use super::sanitize::sanitize;
use super::transport::Transport;
use crate::client::{Baseline, Client, Event, Terms};
use crate::config::{Endpoint, Token};
use crate::profile::Profile;
use crate::retry_log::RetryLog;

/// Timeout for sending Bye and for the collector's close.
const BYE_TIMEOUT: Duration = Duration::from_secs(1);
/// Receive buffer, in bytes. A collector sends a few dozen bytes at a time.
const READ_BYTES: usize = 1024;

/// First bytes of a TLS alert record: content type 21, major version 3. No frame starts with them.
const TLS_ALERT: [u8; 2] = [0x15, 0x03];

/// How a connection ended.
pub(super) enum SessionEnd {
    /// A command: shut down or use new settings.
    Command(Command),
    /// The agent left because the collector sent Drain.
    Drained {
        /// Time until the end of the Drain's delay; not zero if the collector closed the connection
        /// early.
        remaining: Duration,
        /// Collector to connect to next, not validated; `None`: the configured one.
        target: Option<Box<str>>,
    },
    /// The collector sent Reject.
    Rejected { code: u16, text: Box<str>, retry_after: Option<Duration> },
    /// The connection was lost.
    Lost(Lost),
}

/// A connection from Hello to its end.
pub(super) struct Session<'a> {
    transport: Transport,
    agent: &'a Agent,
    /// The agent's profile, with the catalogs that the collector knows or is sent.
    profile: Arc<Profile>,
    credentials: &'a Credentials,
    token: Option<&'a Token>,
    client: &'a mut Client,
    /// Zero of the client's clock.
    clock_zero: Instant,
    baseline: Baseline,
    /// What the collector requires of samples.
    terms: Terms,
    /// Whether the catalogs of Hello meet these terms, so that the collector has them.
    has_sent_catalogs: bool,
    /// Rate limiter of the lines about sessions.
    log: &'a mut RetryLog,
    logged: bool,
    endpoint: &'a Endpoint,
    address: SocketAddr,
    started: Instant,
    welcomed: Option<Instant>,
    drain: Option<PendingDrain>,
    keepalive: Keepalive,
    out: Outbox,
}

/// What a session acts on next.
enum Step {
    Command(Command),
    /// A deadline has passed.
    Deadline,
    /// There is a new sample.
    Sampled,
    Received(io::Result<usize>),
    Sent(io::Result<()>),
}

/// A received Drain whose delay has not passed.
struct PendingDrain {
    leave: Instant,
    target: Option<Box<str>>,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        connection: Connection<'a>,
        endpoint: &'a Endpoint,
        agent: &'a Agent,
        credentials: &'a Credentials,
        client: &'a mut Client,
        clock_zero: Instant,
        log: &'a mut RetryLog,
    ) -> Self {
        let Connection { transport, address, token } = connection;
        let started = Instant::now();
        let keepalive = Keepalive::new(started);
        let (welcomed, drain, out) = (None, None, Outbox::default());
        Self {
            transport,
            agent,
            profile: Arc::clone(&agent.profile),
            credentials,
            token,
            client,
            clock_zero,
            baseline: Baseline::default(),
            terms: Terms::default(),
            has_sent_catalogs: false,
            log,
            logged: false,
            endpoint,
            address,
            started,
            welcomed,
            drain,
            keepalive,
            out,
        }
    }

    /// Returns the time since Welcome; `None` before Welcome.
    pub(super) fn duration(&self) -> Option<Duration> {
        self.welcomed.map(|welcomed| welcomed.elapsed())
    }

    /// Returns whether this session is logged. Many short sessions are not.
    pub(super) const fn is_logged(&self) -> bool {
        self.logged
    }

    /// Runs until the connection ends. Sends interval and terms of Welcome to `plan`.
    pub(super) async fn run(
        &mut self,
        samples: &mut watch::Receiver<Option<TimedSample>>,
        plan: &watch::Sender<SamplingPlan>,
        control: &mut Control<'_>,
    ) -> SessionEnd {
        match self.run_loop(samples, plan, control).await {
            Ok(SessionEnd::Lost(_)) | Err(_) if self.drain.is_some() => self.drained(),
            Ok(end) => end,
            Err(lost) => SessionEnd::Lost(lost),
        }
    }

    async fn run_loop(
        &mut self,
        samples: &mut watch::Receiver<Option<TimedSample>>,
        plan: &watch::Sender<SamplingPlan>,
        control: &mut Control<'_>,
    ) -> Result<SessionEnd, Lost> {
        if let Some(newest) = &*samples.borrow()
            && newest.metrics == self.agent.metrics
        {
            Arc::make_mut(&mut self.profile).catalogs = newest.catalogs.clone();
        }
        let credential = self.token.map(Token::secret);
        self.client.start(&self.profile, credential, &mut self.out.frames);
        let mut buffer = [0; READ_BYTES];
        loop {
            match self.next_step(samples, control, &mut buffer).await {
                Step::Command(command) => {
                    let Some(reason) = self.bye_reason(&command) else { continue };
                    self.leave(reason).await;
                    return Ok(SessionEnd::Command(command));
                }
                Step::Deadline => {
                    if let Some(end) = self.deadline_passed().await? {
                        return Ok(end);
                    }
                }
                Step::Sampled => self.report(samples)?,
                Step::Received(Ok(0)) => return Err(Lost::Closed),
                Step::Received(read) => {
                    let read = read.map_err(Lost::Read)?;
                    if let Some(end) = self.receive(&buffer[..read], samples, plan)? {
                        return Ok(end);
                    }
                }
                Step::Sent(Ok(())) => {}
                Step::Sent(Err(error)) => {
                    // An unread Reject may explain why the collector closed the connection.
                    let read = self.transport.read_now(&mut buffer).await;
                    let end = self.receive(&buffer[..read], samples, plan)?;
                    return end.ok_or(Lost::Write(error));
                }
            }
        }
    }

    /// Waits for what the session acts on next.
    async fn next_step(
        &mut self,
        samples: &mut watch::Receiver<Option<TimedSample>>,
        control: &mut Control<'_>,
        buffer: &mut [u8],
    ) -> Step {
        let deadline = sleep_until(self.next_deadline().into());
        if !self.out.is_empty() {
            // No report and no answer is queued behind unsent bytes, so their number is bounded.
            return tokio::select! {
                biased;
                command = control.next_command() => Step::Command(command),
                () = deadline => Step::Deadline,
                sent = self.out.flush(&mut self.transport) => Step::Sent(sent),
            };
        }
        tokio::select! {
            biased;
            command = control.next_command() => Step::Command(command),
            Ok(()) = samples.changed(), if self.client.is_welcomed() => Step::Sampled,
            () = deadline => Step::Deadline,
            read = self.transport.read(buffer) => Step::Received(read),
        }
    }

    /// Returns the reason of the Bye for `command`; `None` if a reload changed nothing that affects
    /// the session.
    fn bye_reason(&self, command: &Command) -> Option<ByeReason> {
        match command {
            Command::Stop => Some(ByeReason::Stopping),
            Command::Reload(loaded) if loaded.changes(self.agent, self.credentials).is_empty() => {
                loaded.log(Vec::new());
                None
            }
            Command::Reload(_) => Some(ByeReason::Reconfigured),
        }
    }

    /// Processes received bytes. Returns how the connection ended, if it did.
    fn receive(
        &mut self,
        mut bytes: &[u8],
        samples: &mut watch::Receiver<Option<TimedSample>>,
        plan: &watch::Sender<SamplingPlan>,
    ) -> Result<Option<SessionEnd>, Lost> {
        // The client would report this TLS alert only as a frame with a bad magic.
        if self.welcomed.is_none() && bytes.starts_with(&TLS_ALERT) {
            return Err(Lost::TlsRequired);
        }
        self.keepalive = Keepalive::new(Instant::now());
        let now = self.clock_zero.elapsed();
        while let Some(event) =
            self.client.received(&self.profile, now, &mut bytes, &mut self.out.frames)?
        {
            match event {
                Event::Welcomed { session_id, interval, catalogs_sent, terms } => {
                    self.welcomed = Some(Instant::now());
                    self.has_sent_catalogs = catalogs_sent.is_ok();
                    self.terms = terms.clone();
                    // Keep the schedule across reconnects unless something changes.
                    plan.send_if_modified(|plan| {
                        let has_changed = (plan.interval, &plan.terms) != (interval, &terms);
                        (plan.interval, plan.terms) = (interval, terms);
                        has_changed
                    });
                    self.log_welcome(session_id, interval, catalogs_sent.unwrap_or(0));
                    self.report(samples)?;
                }
                Event::Pong { .. } => {}
                Event::Drain { delay, target } => {
                    // Log one Drain per session: a collector may send many.
                    if self.drain.is_none() && self.logged {
                        let target = target.as_deref().map(sanitize);
                        info!(?delay, target, "drain requested");
                    }
                    self.drain = Some(PendingDrain { leave: Instant::now() + delay, target });
                }
                Event::Rejected { code, text, retry_after } => {
                    return Ok(Some(SessionEnd::Rejected { code, text, retry_after }));
                }
            }
        }
        Ok(None)
    }

    fn log_welcome(&mut self, session_id: u64, interval: Duration, catalogs_sent: usize) {
        self.logged = self.log.failed(Instant::now()).is_some();
        if self.logged {
            let (collector, address) = (self.endpoint, self.address);
            info!(%collector, %address, session_id, ?interval, catalogs_sent, "connected");
        }
        service_manager::status(&format!("reporting to {}", self.endpoint));
    }

    /// Queues a report of the newest sample, if there is one of the agent's metrics that was taken
    /// for the collector's terms.
    fn report(&mut self, samples: &mut watch::Receiver<Option<TimedSample>>) -> Result<(), Lost> {
        let newest = samples.borrow_and_update();
        // After a reload the newest sample may be one of other metrics.
        if let Some(newest) = &*newest
            && newest.metrics == self.agent.metrics
            && newest.terms == self.terms
        {
            let of_hello = self.has_sent_catalogs.then(|| self.profile.catalogs.clone());
            if newest.catalogs != self.profile.catalogs {
                Arc::make_mut(&mut self.profile).catalogs = newest.catalogs.clone();
            }
            let (profile, sample) = (&self.profile, &newest.sample);
            self.terms.check(profile)?;
            sample.check_limits(&profile.catalogs, &self.terms.limits)?;
            // Later in a session the baseline sends new catalogs.
            if self.client.is_new_session() {
                let (sent, out) = (of_hello.as_ref(), &mut self.out.frames);
                self.client.send_new_catalogs(sent, &profile.catalogs, out);
            }
            let taken = newest.taken.saturating_duration_since(self.clock_zero);
            let sequence =
                self.baseline.report(self.client, profile, sample, taken, &mut self.out.frames)?;
            debug!(sequence, values = sample.values.len(), "report");
        }
        Ok(())
    }

    /// Returns the next deadline: the timeout for Welcome, the keepalive or the end of a Drain's
    /// delay.
    fn next_deadline(&self) -> Instant {
        if self.welcomed.is_none() {
            return self.started + WELCOME_TIMEOUT;
        }
        let keepalive = self.keepalive.due();
        self.drain.as_ref().map_or(keepalive, |drain| drain.leave.min(keepalive))
    }

    /// Acts on a deadline that passed: sends a Ping, or leaves after a Drain. Returns how the
    /// connection ended, if it did. Fails if Welcome or Pong is missing.
    async fn deadline_passed(&mut self) -> Result<Option<SessionEnd>, Lost> {
        if self.welcomed.is_none() {
            return Err(Lost::NoWelcome);
        }
        let now = Instant::now();
        if self.drain.as_ref().is_some_and(|drain| now >= drain.leave) {
            self.leave(ByeReason::Drained).await;
            return Ok(Some(self.drained()));
        }
        match self.keepalive.next_action(now) {
            KeepaliveAction::SendPing => self.client.ping(0, &mut self.out.frames),
            KeepaliveAction::Close => return Err(Lost::Silent),
        }
        Ok(None)
    }

    /// Returns how a closed session ended: `Drained` if a Drain was pending, otherwise `Lost`.
    fn drained(&mut self) -> SessionEnd {
        self.drain.take().map_or(SessionEnd::Lost(Lost::Closed), |drain| SessionEnd::Drained {
            remaining: drain.leave.saturating_duration_since(Instant::now()),
            target: drain.target,
        })
    }

    /// Sends Bye and waits for the collector's close: closing with unread input could discard Bye.
    async fn leave(&mut self, reason: ByeReason) {
        self.client.bye(reason, &mut self.out.frames);
        let close = async {
            self.out.flush(&mut self.transport).await?;
            self.transport.shutdown().await?;
            let mut rest = [0; READ_BYTES];
            while self.transport.read(&mut rest).await? > 0 {}
            io::Result::Ok(())
        };
        // Leave even if Bye did not arrive.
        let _ = timeout(BYE_TIMEOUT, close).await;
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
