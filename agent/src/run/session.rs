//! Drives a [`Client`] over one socket.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use fleetgauge_proto::message::ByeReason;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{sleep_until, timeout};
use tracing::{debug, info};

use super::Agent;
use super::connect::Dialled;
use super::control::{Control, Told};
use super::credentials::Credentials;
use super::printable::printable;
use super::quiet::{Quiet, Silence};
use super::sampling::{Plan, Sample};
use super::stream::Stream;
use crate::client::{Client, ClientError, Event};
use crate::config::{Endpoint, Token};
use crate::retry_log::RetryLog;
use crate::supervisor;
use crate::tls::Tls;

/// How long a collector may take to answer Hello.
const WELCOME_WITHIN: Duration = Duration::from_secs(10);
/// How long a collector may take to take what it is sent; a report fits any socket buffer.
const WRITE_WITHIN: Duration = Duration::from_secs(10);
/// How long saying Bye may take, and then the other end's close.
const BYE_WITHIN: Duration = Duration::from_secs(1);
/// Receive buffer, in bytes: a collector sends a few dozen at a time.
const READ_BYTES: usize = 1024;

/// How a record of TLS begins that refuses (an alert of version 3), and no frame does.
const TLS_RECORD: [u8; 2] = [0x15, 0x03];

/// How a session ended.
pub(super) enum Ended {
    /// We were told to stop, or to use other settings.
    Told(Told),
    /// The collector's Drain was obeyed.
    Drained {
        /// How much of the delay was left when the collector closed before it was over.
        early: Duration,
        /// Where to go, unchecked.
        target: Option<Box<str>>,
    },
    /// The collector's Reject.
    Rejected { code: u16, text: Box<str>, retry_after: Option<Duration> },
    /// It broke.
    Lost(Lost),
}

/// What broke a session.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    #[error("the collector closed the connection")]
    Closed,
    #[error("reading failed: {0}")]
    Read(#[source] io::Error),
    #[error("writing failed: {0}")]
    Write(#[source] io::Error),
    #[error("the collector has taken nothing for {WRITE_WITHIN:?}")]
    Stalled,
    #[error("no Welcome within {WELCOME_WITHIN:?}")]
    NoWelcome,
    #[error("the collector does not answer a Ping")]
    Silent,
    #[error("the port speaks TLS alone: set tls, or tls_ca to the file of its authority")]
    SpeaksTls,
    #[error("{reason}: {0}", reason = .0.reason())]
    Client(#[from] ClientError),
}

impl Lost {
    /// What broke it, in words: of `tls`, where that was spoken.
    pub(super) fn explained(&self, tls: Option<&Tls>) -> String {
        match (self, tls) {
            (Self::Read(error), Some(tls)) => format!("reading failed: {}", tls.explain(error)),
            (Self::Write(error), Some(tls)) => format!("writing failed: {}", tls.explain(error)),
            _ => self.to_string(),
        }
    }
}

/// One connection, from Hello to its end.
pub(super) struct Session<'a> {
    stream: Stream,
    agent: &'a Agent,
    credentials: &'a Credentials,
    token: Option<&'a Token>,
    client: &'a mut Client,
    /// Of sessions that have begun.
    log: &'a mut RetryLog,
    logged: bool,
    to: &'a Endpoint,
    address: SocketAddr,
    begun: Instant,
    welcomed: Option<Instant>,
    drain: Option<Draining>,
    quiet: Quiet,
    out: Vec<u8>,
}

struct Draining {
    leave: Instant,
    target: Option<Box<str>>,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        dialled: Dialled<'a>,
        to: &'a Endpoint,
        agent: &'a Agent,
        credentials: &'a Credentials,
        client: &'a mut Client,
        log: &'a mut RetryLog,
    ) -> Self {
        let Dialled { stream, address, token } = dialled;
        let begun = Instant::now();
        let quiet = Quiet::new(begun);
        let (welcomed, drain, out) = (None, None, Vec::new());
        Self {
            stream,
            agent,
            credentials,
            token,
            client,
            log,
            logged: false,
            to,
            address,
            begun,
            welcomed,
            drain,
            quiet,
            out,
        }
    }

    /// How long it is since Welcome; `None` if none came.
    pub(super) fn lasted(&self) -> Option<Duration> {
        self.welcomed.map(|welcomed| welcomed.elapsed())
    }

    /// Whether this session is worth lines in the log: not each of many short ones.
    pub(super) const fn is_logged(&self) -> bool {
        self.logged
    }

    /// Runs until it ends. The interval that the collector asks for goes into `plan`.
    pub(super) async fn run(
        &mut self,
        samples: &mut watch::Receiver<Option<Sample>>,
        plan: &watch::Sender<Plan>,
        control: &mut Control<'_>,
    ) -> Ended {
        match self.converse(samples, plan, control).await {
            Ok(Ended::Lost(_)) | Err(_) if self.drain.is_some() => self.drained(),
            Ok(ended) => ended,
            Err(lost) => Ended::Lost(lost),
        }
    }

    async fn converse(
        &mut self,
        samples: &mut watch::Receiver<Option<Sample>>,
        plan: &watch::Sender<Plan>,
        control: &mut Control<'_>,
    ) -> Result<Ended, Lost> {
        let credential = self.token.map(Token::secret);
        self.client.start(&self.agent.profile, credential, &mut self.out);
        self.flush().await?;
        let mut buffer = [0; READ_BYTES];
        loop {
            let due = self.due().into();
            tokio::select! {
                biased;
                told = control.told() => {
                    let Some(reason) = self.reason_to_leave(&told) else { continue };
                    self.leave(reason).await;
                    return Ok(Ended::Told(told));
                }
                Ok(()) = samples.changed(), if self.client.is_welcomed() => self.report(samples)?,
                () = sleep_until(due) => {
                    if let Some(ended) = self.deadline().await? {
                        return Ok(ended);
                    }
                }
                read = self.stream.read(&mut buffer) => {
                    let read = match read.map_err(Lost::Read)? {
                        0 => return Err(Lost::Closed),
                        read => read,
                    };
                    if let Some(ended) = self.heard(&buffer[..read], samples, plan)? {
                        return Ok(ended);
                    }
                }
            }
            if let Err(lost) = self.flush().await {
                // Why the other end has closed may lie here unread: a Reject.
                let read = self.stream.read_now(&mut buffer).await;
                return self.heard(&buffer[..read], samples, plan)?.ok_or(lost);
            }
        }
    }

    /// Why to leave after what we were told: for other settings only if they are others.
    fn reason_to_leave(&self, told: &Told) -> Option<ByeReason> {
        match told {
            Told::Stop => Some(ByeReason::Stopping),
            Told::Reload(loaded) if loaded.changes(self.agent, self.credentials).is_empty() => {
                loaded.log(Vec::new());
                None
            }
            Told::Reload(_) => Some(ByeReason::Reconfigured),
        }
    }

    /// The collector has spoken.
    fn heard(
        &mut self,
        mut bytes: &[u8],
        samples: &mut watch::Receiver<Option<Sample>>,
        plan: &watch::Sender<Plan>,
    ) -> Result<Option<Ended>, Lost> {
        // Before its first frame the client has nothing to say about what this is.
        if self.welcomed.is_none() && bytes.starts_with(&TLS_RECORD) {
            return Err(Lost::SpeaksTls);
        }
        self.quiet = Quiet::new(Instant::now());
        while let Some(event) =
            self.client.received(&self.agent.profile, &mut bytes, &mut self.out)?
        {
            match event {
                Event::Welcomed { session_id, interval, schema_known } => {
                    self.logged = self.log.failed(Instant::now()).is_some();
                    if self.logged {
                        let (to, address) = (self.to, self.address);
                        info!(
                            collector = %to, %address, session_id, ?interval, schema_known,
                            "connected"
                        );
                    }
                    supervisor::status(format_args!("reporting to {}", self.to));
                    self.welcomed = Some(Instant::now());
                    // The schedule survives reconnects: only another interval disturbs it.
                    plan.send_if_modified(|plan| {
                        std::mem::replace(&mut plan.interval, interval) != interval
                    });
                    self.report(samples)?;
                }
                Event::Pong { .. } => {}
                Event::Drain { delay, target } => {
                    // A collector may say it as often as it likes: one line a session.
                    if self.drain.is_none() && self.logged {
                        let target = target.as_deref().map(printable);
                        info!(?delay, target, "the collector asks us to leave");
                    }
                    self.drain = Some(Draining { leave: Instant::now() + delay, target });
                }
                Event::Rejected { code, text, retry_after } => {
                    return Ok(Some(Ended::Rejected { code, text, retry_after }));
                }
            }
        }
        Ok(None)
    }

    /// Writes a report of the newest sample, if there is one.
    fn report(&mut self, samples: &mut watch::Receiver<Option<Sample>>) -> Result<(), Lost> {
        let newest = samples.borrow_and_update();
        if let Some(sample) = &*newest {
            let values = sample.values(self.agent.metrics);
            let (profile, out) = (&self.agent.profile, &mut self.out);
            let sequence = self.client.report(profile, &values, sample.unix_ms, out)?;
            debug!(sequence, ?values, "report");
        }
        Ok(())
    }

    /// When something is to be done though nothing happens.
    fn due(&self) -> Instant {
        if self.welcomed.is_none() {
            return self.begun + WELCOME_WITHIN;
        }
        let quiet = self.quiet.due();
        self.drain.as_ref().map_or(quiet, |drain| drain.leave.min(quiet))
    }

    /// It is due.
    async fn deadline(&mut self) -> Result<Option<Ended>, Lost> {
        if self.welcomed.is_none() {
            return Err(Lost::NoWelcome);
        }
        let now = Instant::now();
        if self.drain.as_ref().is_some_and(|drain| now >= drain.leave) {
            self.leave(ByeReason::Drained).await;
            return Ok(Some(self.drained()));
        }
        match self.quiet.broken(now) {
            Silence::Ask => self.client.ping(0, &mut self.out),
            Silence::GiveUp => return Err(Lost::Silent),
        }
        Ok(None)
    }

    fn drained(&mut self) -> Ended {
        self.drain.take().map_or(Ended::Lost(Lost::Closed), |drain| Ended::Drained {
            early: drain.leave.saturating_duration_since(Instant::now()),
            target: drain.target,
        })
    }

    async fn flush(&mut self) -> Result<(), Lost> {
        if self.out.is_empty() {
            return Ok(());
        }
        let within = match self.welcomed {
            Some(_) => WRITE_WITHIN,
            None => (self.begun + WELCOME_WITHIN).saturating_duration_since(Instant::now()),
        };
        let written = timeout(within, self.stream.write_all(&self.out)).await;
        self.out.clear();
        written.map_err(|_| Lost::Stalled)?.map_err(Lost::Write)
    }

    /// Says Bye and closes so that it arrives: closing with unread input would take it back.
    async fn leave(&mut self, reason: ByeReason) {
        self.client.bye(reason, &mut self.out);
        let close = async {
            self.stream.write_all(&self.out).await?;
            self.stream.shutdown().await?;
            let mut rest = [0; READ_BYTES];
            while self.stream.read(&mut rest).await? > 0 {}
            io::Result::Ok(())
        };
        // Whether it has arrived or not, we go.
        let _ = timeout(BYE_WITHIN, close).await;
        self.out.clear();
    }
}
