//! A session: drives a [`Client`] over one connection.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fleetgauge_proto::message::ByeReason;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{sleep_until, timeout};
use tracing::info;

use super::Agent;
use super::connect::Connection;
use super::control::{Command, Control};
use super::credentials::Credentials;
use super::keepalive::{Keepalive, KeepaliveAction};
use super::lost::{Lost, WELCOME_TIMEOUT};
use super::outbox::Outbox;
use super::recorder::Recorder;
use super::replay::Replay;
use super::sampling::{SamplingPlan, TimedSample};
use super::sanitize::sanitize;
use super::session_end::PendingDrain;
pub(super) use super::session_end::SessionEnd;
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

/// A connection from Hello to its end.
pub(super) struct Session<'a> {
    transport: Transport,
    agent: &'a Agent,
    /// The agent's profile, with the catalogs that the collector knows or is sent.
    profile: Arc<Profile>,
    credentials: &'a Credentials,
    token: Option<&'a Token>,
    client: &'a mut Client,
    /// Has the client's clock and the log.
    recorder: Arc<Recorder>,
    baseline: Baseline,
    /// Whether the collector asks for the log.
    has_log: bool,
    replay: Replay,
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
    /// There is a report to send again.
    Replay,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        connection: Connection<'a>,
        endpoint: &'a Endpoint,
        agent: &'a Agent,
        credentials: &'a Credentials,
        client: &'a mut Client,
        recorder: &Arc<Recorder>,
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
            recorder: Arc::clone(recorder),
            baseline: Baseline::default(),
            has_log: false,
            replay: Replay::new(Arc::clone(recorder)),
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
        let out = &mut self.out.frames;
        match self.recorder.offer() {
            Some(first) => self.client.start_with_log(&self.profile, credential, first, out),
            None => self.client.start(&self.profile, credential, out),
        }
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
                Step::Replay => {
                    self.replay.send(self.client, &self.terms, &mut self.out.frames)?;
                }
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
            // Last, so that a long replay delays neither reports nor answers.
            () = std::future::ready(()), if self.can_replay() => Step::Replay,
        }
    }

    /// Returns whether a report of the log can be sent: the newest values come first.
    fn can_replay(&self) -> bool {
        self.client.is_welcomed() && !self.client.is_new_session() && self.replay.is_ready()
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
        let now = self.recorder.elapsed(Instant::now());
        while let Some(event) =
            self.client.received(&self.profile, now, &mut bytes, &mut self.out.frames)?
        {
            match event {
                Event::Welcomed {
                    session_id,
                    interval,
                    catalogs_sent,
                    terms,
                    unix_ms,
                    has_log,
                } => {
                    self.take_time(unix_ms, has_log);
                    self.has_sent_catalogs = catalogs_sent.is_ok();
                    self.begin(interval, terms, plan);
                    self.log_welcome(session_id, interval, catalogs_sent.unwrap_or(0));
                    self.report(samples)?;
                }
                Event::Pong { .. } => {}
                Event::Acknowledged { sequence, unix_ms } => {
                    self.recorder.acknowledge(sequence, unix_ms, Instant::now());
                }
                Event::Resend { first, reports } => self.replay.resend(first, reports),
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

#[path = "session_report.rs"]
mod report;

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
