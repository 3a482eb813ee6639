//! The agent: samples on its schedule, keeps one connection, starts over when it is lost.
//!
//! Two tasks on one thread meet in two watch channels, which hold one value each: the newest sample, and the
//! interval that the collector wants. Nothing queues, however long a collector is away.

mod advice;
mod connect;
mod credential;
mod disk;
mod printable;
mod quiet;
mod sampling;
mod secure;
mod session;
mod stream;

use std::io::IsTerminal;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use advice::{advice, meaning};
use connect::ConnectError;
use credential::NoToken;
use fleetgauge_proto::Code;
use printable::printable;
use sampling::Sample;
use session::{Ended, Session};
use stream::Stream;
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::backoff::{Backoff, HOPELESS_WAIT};
use crate::client::{Client, ClientError, code_reason};
use crate::config::{BadSetting, Config, Endpoint, Token, TokenSource, UNENCRYPTED};
use crate::identity::{self, Host};
use crate::metrics::MetricSet;
use crate::profile::{EncodedSchema, Profile};
use crate::retry_log::RetryLog;
use crate::supervisor;
use crate::tls::{Tls, TlsSettings};

/// All that an agent needs to run.
#[derive(Debug, Clone)]
pub struct Agent {
    /// Where to report to.
    pub collector: Endpoint,
    /// What to report.
    pub metrics: MetricSet,
    /// What it says of itself. Its schema is that of `metrics`.
    pub profile: Arc<Profile>,
    /// What proves who it is.
    pub token: Option<TokenSource>,
    /// Whether that may be sent unencrypted to another host.
    pub insecure: bool,
    /// How it speaks TLS; `None`: not at all.
    pub tls: Option<TlsSettings>,
}

impl Agent {
    /// The agent that `config` describes, on `host`.
    ///
    /// # Errors
    /// When the host has no usable id.
    pub fn new(config: &Config, host: &Host) -> Result<Self, BadSetting> {
        let id = host.id(&config.id).map_err(|error| BadSetting::new("id", error.to_string()))?;
        let schema = EncodedSchema::of(config.metrics)
            .map_err(|error| BadSetting::new("metrics", error.to_string()))?;
        let profile = Profile {
            id,
            nonces: host.nonces(),
            labels: config.labels.clone(),
            interval: config.interval,
            agent_version: env!("CARGO_PKG_VERSION"),
            schema: Arc::new(schema),
        };
        Ok(Self {
            collector: config.collector.clone(),
            metrics: config.metrics,
            profile: Arc::new(profile),
            token: config.token.clone(),
            insecure: config.insecure,
            tls: config.tls.clone(),
        })
    }
}

/// Samples and reports until `shutdown` is done; then says Bye and returns within a few seconds.
///
/// Needs a tokio runtime with I/O and time; one thread is enough. A collector that is away, refuses, or
/// misbehaves is tried again for ever.
pub async fn run(agent: Agent, shutdown: impl Future<Output = ()>) {
    let (newest, samples) = watch::channel(None);
    let (wanted, interval) = watch::channel(agent.profile.interval);
    let sampling = sampling::sample_on_schedule(&agent.profile.id, agent.metrics, interval, newest);
    let reporting = Reporter {
        profile: agent.profile.clone(),
        client: Client::default(),
        collector: agent.collector,
        token: agent.token,
        insecure: agent.insecure,
        tls: agent.tls.map(Tls::new),
        redirect: None,
        backoff: Backoff::new(fastrand::Rng::with_seed(identity::random_seed())),
        log: RetryLog::new(std::io::stderr().is_terminal()),
        samples,
        wanted,
    };
    let shutdown = async {
        shutdown.await;
        supervisor::stopping();
    };
    supervisor::ready();
    tokio::select! {
        () = sampling => {}
        () = reporting.run(shutdown) => {}
        () = supervisor::pulse() => {}
    }
}

/// Why no session can begin.
#[derive(Debug, thiserror::Error)]
enum NotReady {
    #[error(transparent)]
    NotConnected(#[from] connect::ConnectError),
    #[error(transparent)]
    NoToken(#[from] NoToken),
}

/// Keeps the connection.
struct Reporter {
    profile: Arc<Profile>,
    client: Client,
    collector: Endpoint,
    token: Option<TokenSource>,
    insecure: bool,
    tls: Option<Tls>,
    /// Where a Drain has sent us: tried once, then it is the configured collector's turn again.
    redirect: Option<Endpoint>,
    backoff: Backoff,
    log: RetryLog,
    samples: watch::Receiver<Option<Sample>>,
    wanted: watch::Sender<Duration>,
}

impl Reporter {
    async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        loop {
            let to = self.redirect.take().unwrap_or_else(|| self.collector.clone());
            let connected = tokio::select! {
                biased;
                () = &mut shutdown => return,
                connected = self.connect(&to) => connected,
            };
            let wait = match connected {
                Err(NotReady::NotConnected(ConnectError::Refused { code, text, wait })) => {
                    self.told_to_wait(&to, code, &text, wait, None)
                }
                Err(NotReady::NotConnected(error)) => self.failed(&to, &error),
                Err(NotReady::NoToken(error @ NoToken::Exposed(_))) => {
                    self.hopeless(&to, error, UNENCRYPTED)
                }
                Err(NotReady::NoToken(error)) => self.failed(&to, &error),
                Ok((stream, token)) => {
                    let mut session =
                        Session::new(stream, &self.profile, token, &mut self.client, &to);
                    let ended =
                        session.run(&mut self.samples, &self.wanted, shutdown.as_mut()).await;
                    let lasted = session.lasted();
                    match self.ended(&to, ended, lasted) {
                        Some(wait) => wait,
                        None => return,
                    }
                }
            };
            tokio::select! {
                biased;
                () = &mut shutdown => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// A connection, and the token that is to be shown on it.
    async fn connect(&mut self, to: &Endpoint) -> Result<(Stream, Option<Token>), NotReady> {
        let stream = connect::connect(to).await?;
        let unreadable = self.insecure || self.tls.is_some();
        let token = match &self.token {
            Some(source) => Some(credential::token(source, &stream, unreadable).await?),
            None => None,
        };
        let stream = match &mut self.tls {
            Some(tls) => secure::secure(stream, to, tls).await?,
            None => Stream::Plain(stream),
        };
        Ok((stream, token))
    }

    /// Logs how a session ended, or that none began; the wait before the next, `None` to stop.
    fn ended(&mut self, to: &Endpoint, ended: Ended, lasted: Option<Duration>) -> Option<Duration> {
        let interval = *self.wanted.borrow();
        let proven = lasted.is_some_and(|lasted| self.backoff.session_ended(lasted, interval));
        if lasted.is_some() {
            self.log.succeeded();
        }
        Some(match ended {
            Ended::Shutdown => {
                info!(collector = %to, "stopped");
                return None;
            }
            Ended::Drained { early, target } => {
                let logged = target.as_deref().map(printable);
                info!(collector = %to, target = logged, "left, as the collector asked");
                self.redirect = target.and_then(|target| redirect(&target));
                self.backoff.obey(early);
                // The collector has spread its agents' leaving, so that they need not wait once more.
                if proven && early.is_zero() { Duration::ZERO } else { self.backoff.next_wait() }
            }
            Ended::Rejected { code, text, retry_after: Some(wait) } => {
                self.told_to_wait(to, code, &text, wait, lasted)
            }
            Ended::Rejected { code, text, retry_after: None } => {
                let reason = code_reason(code);
                let advice = advice(code).unwrap_or_else(|| meaning(code));
                self.hopeless(to, format_args!("rejected, {reason}: {text:?}"), advice)
            }
            Ended::Lost(session::Lost::Client(error @ ClientError::OverLimit { .. })) => {
                self.hopeless(to, error, "raise the collector's limits or report less")
            }
            Ended::Lost(cause) => {
                let cause = cause.explained(self.tls.as_ref());
                self.lost_or_failed(to, lasted, cause)
            }
        })
    }

    /// The collector has said when to come again.
    fn told_to_wait(
        &mut self,
        to: &Endpoint,
        code: u16,
        text: &str,
        wait: Duration,
        lasted: Option<Duration>,
    ) -> Duration {
        if code == Code::HandshakesFull.to_u16() {
            self.backoff.take_turn(wait);
        } else {
            self.backoff.obey(wait);
        }
        let reason = code_reason(code);
        let advice = advice(code).map(|advice| format!("; {advice}")).unwrap_or_default();
        self.lost_or_failed(to, lasted, format_args!("rejected, {reason}: {text:?}{advice}"))
    }

    /// The connection was lost after Welcome, or the attempt failed before it.
    fn lost_or_failed(
        &mut self,
        to: &Endpoint,
        lasted: Option<Duration>,
        cause: impl std::fmt::Display,
    ) -> Duration {
        let Some(lasted) = lasted else { return self.failed(to, cause) };
        let cause = printable(cause);
        let wait = self.backoff.next_wait();
        supervisor::status(format_args!("connection to {to} lost: {cause}"));
        warn!(collector = %to, ?lasted, %cause, retry_in = ?rounded(wait), "connection lost");
        wait
    }

    /// An attempt has failed: the wait before the next.
    fn failed(&mut self, to: &Endpoint, cause: impl std::fmt::Display) -> Duration {
        let cause = printable(cause);
        let wait = self.backoff.next_wait();
        supervisor::status(format_args!("no connection to {to}: {cause}"));
        if let Some(attempt) = self.log.failed(Instant::now()) {
            warn!(collector = %to, attempt, %cause, retry_in = ?rounded(wait), "no connection");
        }
        wait
    }

    /// The same again will not help, yet somebody may mend the cause.
    fn hopeless(&mut self, to: &Endpoint, cause: impl std::fmt::Display, advice: &str) -> Duration {
        let cause = printable(cause);
        self.backoff.obey(HOPELESS_WAIT);
        let wait = self.backoff.next_wait();
        self.log.failed(Instant::now());
        supervisor::status(format_args!("refused by {to}: {cause}; {advice}"));
        error!(collector = %to, %cause, advice, retry_in = ?rounded(wait), "refused");
        wait
    }
}

fn redirect(target: &str) -> Option<Endpoint> {
    let endpoint = Endpoint::parse(target);
    if endpoint.is_err() {
        let target = printable(target);
        warn!(target, "the collector sent us to what is not an address");
    }
    endpoint.ok()
}

/// Milliseconds are enough for a log line.
fn rounded(wait: Duration) -> Duration {
    Duration::from_millis(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
}
