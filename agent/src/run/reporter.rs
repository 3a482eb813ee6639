//! Keeps the connection: rounds of attempts, the session that comes of one, and the waits between.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{error, info, warn};

use super::Agent;
use super::connect::{self, Resolver};
use super::control::{Control, Loaded, Told};
use super::credentials::Credentials;
use super::printable::printable;
use super::round::{Failure, Pause, Paused};
use super::sampling::{Plan, Sample};
use super::session::{Ended, Lost, Session};
use crate::backoff::Backoff;
use crate::client::{Client, ClientError};
use crate::config::Endpoint;
use crate::identity;
use crate::profile::Profile;
use crate::retry_log::{RetryLog, STEADY_EVERY};
use crate::supervisor;

/// Keeps the connection.
pub(super) struct Reporter {
    agent: Agent,
    credentials: Credentials,
    client: Client,
    resolver: Resolver,
    /// Where a Drain has sent us: tried once, then it is the configured collector's turn again.
    redirect: Option<Endpoint>,
    backoff: Backoff,
    paused: Paused,
    /// Where the last session broke: it gives way to the other addresses.
    lost_at: Option<SocketAddr>,
    log: RetryLog,
    /// Of sessions, each of which may be short: a long one starts the count over.
    session_log: RetryLog,
    /// Of addresses that gave way to the next: a long session starts the count over.
    skipped_log: RetryLog,
    samples: watch::Receiver<Option<Sample>>,
    plan: watch::Sender<Plan>,
}

/// The time before the next round.
struct Wait {
    time: Duration,
    /// It ends when the agent's files give other credentials.
    mendable: bool,
}

impl Wait {
    const fn of(time: Duration) -> Self {
        Self { time, mendable: false }
    }
}

impl Reporter {
    pub(super) fn new(
        agent: Agent,
        samples: watch::Receiver<Option<Sample>>,
        plan: watch::Sender<Plan>,
    ) -> Self {
        let watched = std::io::stderr().is_terminal();
        Self {
            agent,
            credentials: Credentials::default(),
            client: Client::default(),
            resolver: Resolver::default(),
            redirect: None,
            backoff: backoff(),
            paused: Paused::default(),
            lost_at: None,
            log: RetryLog::new(watched),
            session_log: RetryLog::new(watched),
            skipped_log: RetryLog::new(watched),
            samples,
            plan,
        }
    }

    /// Reports until it is told to stop.
    pub(super) async fn run(mut self, mut control: Control<'_>) {
        loop {
            let told = match self.round(&mut control).await {
                Ok(wait) => self.wait(wait, &mut control).await,
                Err(told) => Err(told),
            };
            match told {
                Ok(()) => {}
                Err(Told::Stop) => return,
                Err(Told::Reload(loaded)) => self.adopt(*loaded),
            }
        }
    }

    /// Tries one address after the other, until a session has begun and ended or all have failed.
    async fn round(&mut self, control: &mut Control<'_>) -> Result<Wait, Told> {
        let to = self.redirect.take().unwrap_or_else(|| self.agent.collector.clone());
        let before = self.credentials.tls.as_ref().map(|(tls, _)| tls.clone());
        let read = Credentials::read_aside(&self.agent, before);
        match control.unless_told(read).await? {
            Ok(credentials) => {
                if !credentials.changes(&self.credentials).is_empty() {
                    self.paused.mended();
                }
                self.credentials = credentials;
            }
            Err(problem) => return Ok(self.failed(&to, &Failure::new(problem))),
        }
        let addresses = match control.unless_told(self.resolver.resolve(&to)).await? {
            Ok(addresses) => addresses,
            Err(error) => return Ok(self.failed(&to, &Failure::new(error))),
        };
        let mut due = self.paused.due(&addresses, Instant::now());
        let lost_at = self.lost_at.take();
        due.sort_by_key(|address| Some(*address) == lost_at);
        let mut due = due.into_iter().peekable();
        let mut failures = self.paused.failures(&addresses);
        while let Some(address) = due.next() {
            let failure = match self.attempt(&to, address, control).await? {
                Attempt::Failed(failure) => failure,
                Attempt::Session { lasted, logged, mut failure } => {
                    let logged = logged.then_some(lasted);
                    self.lost_at = (!failure.concerns_agent).then_some(address);
                    self.note(&to, &addresses, address, &failure);
                    self.wait_for_first(&addresses, &mut failure);
                    return Ok(self.lost(&to, logged, &failure));
                }
                Attempt::Drained(wait) => return Ok(wait),
            };
            let logged = self.note(&to, &addresses, address, &failure);
            let over = failure.concerns_agent || due.peek().is_none();
            if !(over || logged) {
                self.skipped(&to, address, &failure);
            }
            failures.push(address, failure);
            if over {
                break;
            }
        }
        let mut whole = failures.whole();
        self.wait_for_first(&addresses, &mut whole);
        Ok(self.failed(&to, &whole))
    }

    /// Notes what `address` has asked for. Logs a refusal, and returns true, if another of `all`
    /// may be tried earlier: otherwise the whole round is a refusal.
    fn note(
        &mut self,
        to: &Endpoint,
        all: &[SocketAddr],
        address: SocketAddr,
        failure: &Failure,
    ) -> bool {
        let now = Instant::now();
        self.paused.note(address, failure, now);
        let Pause::Mended(retry_in) = failure.pause else { return false };
        let whole = matches!(self.paused.soonest(all, now), Pause::Mended(_));
        if whole || failure.concerns_agent {
            return false;
        }
        let (cause, advice) = told(failure);
        error!(collector = %to, %address, %cause, advice, ?retry_in, "refused");
        true
    }

    /// Lets the next round begin when the first of `all` may be tried again. After a failure that
    /// concerns the agent it begins when that failure says.
    fn wait_for_first(&self, all: &[SocketAddr], failure: &mut Failure) {
        if !failure.concerns_agent {
            let now = Instant::now();
            failure.pause = self.paused.soonest(all, now);
            failure.turn = self.paused.next_turn(all, now);
        }
    }

    async fn attempt(
        &mut self,
        to: &Endpoint,
        address: SocketAddr,
        control: &mut Control<'_>,
    ) -> Result<Attempt, Told> {
        let dialled = connect::dial(&self.agent, &self.credentials, to, address);
        let dialled = match control.unless_told(dialled).await? {
            Ok(dialled) => dialled,
            Err(failure) => return Ok(Attempt::Failed(failure)),
        };
        let (agent, credentials) = (&self.agent, &self.credentials);
        let mut session =
            Session::new(dialled, to, agent, credentials, &mut self.client, &mut self.session_log);
        let ended = session.run(&mut self.samples, &self.plan, control).await;
        let (lasted, logged) = (session.lasted(), session.is_logged());
        self.ended(to, ended, lasted, logged)
    }

    /// What is to be done about the end of a session, or that none has begun.
    fn ended(
        &mut self,
        to: &Endpoint,
        ended: Ended,
        lasted: Option<Duration>,
        logged: bool,
    ) -> Result<Attempt, Told> {
        let interval = self.plan.borrow().interval;
        let proven = lasted.is_some_and(|lasted| self.backoff.session_ended(lasted, interval));
        if lasted.is_some() {
            self.log.succeeded();
        }
        if lasted.is_some_and(|lasted| lasted >= STEADY_EVERY) {
            self.session_log.succeeded();
            self.skipped_log.succeeded();
        }
        let failure = match ended {
            Ended::Told(told) => {
                if matches!(told, Told::Stop) {
                    info!(collector = %to, "stopped");
                }
                return Err(told);
            }
            Ended::Drained { early, target } => {
                if logged {
                    let target = target.as_deref().map(printable);
                    info!(collector = %to, target, "left, as the collector asked");
                }
                self.redirect = target.and_then(|target| Endpoint::parse(&target).ok());
                self.backoff.obey(early);
                // The collector has spread its agents' leaving, so that they need not wait once
                // more.
                let at_once = proven && early.is_zero();
                let wait = if at_once { Duration::ZERO } else { self.backoff.next_wait() };
                return Ok(Attempt::Drained(Wait::of(wait)));
            }
            Ended::Rejected { code, text, retry_after } => {
                Failure::rejected(code, &text, retry_after)
            }
            Ended::Lost(Lost::Client(error @ ClientError::OverLimit { .. })) => {
                Failure::hopeless(error, "raise the collector's limits or report less")
            }
            Ended::Lost(cause) => {
                let tls = self.credentials.tls.as_ref().map(|(tls, _)| tls);
                Failure::new(cause.explained(tls))
            }
        };
        Ok(match lasted {
            Some(lasted) => Attempt::Session { lasted, logged, failure },
            None => Attempt::Failed(failure),
        })
    }

    /// The wait that `failure` asks for, after our own waits so far.
    fn next_wait(&mut self, failure: &Failure) -> Wait {
        if let Some(turn) = failure.turn {
            self.backoff.wait_no_longer_than(turn);
        }
        match failure.pause {
            Pause::Own => {}
            Pause::Turn(turn) => self.backoff.take_turn(turn),
            Pause::Named(wait) | Pause::Mended(wait) => self.backoff.obey(wait),
        }
        Wait { time: self.backoff.next_wait(), mendable: self.paused.is_mendable() }
    }

    /// A session has ended, and `logged` with how long it lasted if that is worth a line.
    fn lost(&mut self, to: &Endpoint, logged: Option<Duration>, failure: &Failure) -> Wait {
        if failure.is_refusal() {
            return self.refused(to, failure);
        }
        let wait = self.next_wait(failure);
        let (cause, advice) = told(failure);
        supervisor::status(format_args!("connection to {to} lost: {}", status(failure)));
        if let Some(lasted) = logged {
            let retry_in = rounded(wait.time);
            warn!(collector = %to, ?lasted, %cause, advice, ?retry_in, "connection lost");
        }
        wait
    }

    /// A round has failed.
    fn failed(&mut self, to: &Endpoint, failure: &Failure) -> Wait {
        if failure.is_refusal() {
            return self.refused(to, failure);
        }
        let wait = self.next_wait(failure);
        let (cause, advice) = told(failure);
        supervisor::status(format_args!("no connection to {to}: {}", status(failure)));
        if let Some(attempt) = self.log.failed(Instant::now()) {
            let retry_in = rounded(wait.time);
            warn!(collector = %to, attempt, %cause, advice, ?retry_in, "no connection");
        }
        wait
    }

    /// The same again will not help, but an operator may mend the cause.
    fn refused(&mut self, to: &Endpoint, failure: &Failure) -> Wait {
        let wait = self.next_wait(failure);
        self.log.failed(Instant::now());
        let (cause, advice) = told(failure);
        supervisor::status(format_args!("refused by {to}: {}", status(failure)));
        error!(collector = %to, %cause, advice, retry_in = ?rounded(wait.time), "refused");
        wait
    }

    /// An address gives way to the next.
    fn skipped(&mut self, to: &Endpoint, address: SocketAddr, failure: &Failure) {
        if let Some(attempt) = self.skipped_log.failed(Instant::now()) {
            let (cause, advice) = told(failure);
            warn!(collector = %to, %address, attempt, %cause, advice, "trying the next address");
        }
    }

    async fn wait(&mut self, wait: Wait, control: &mut Control<'_>) -> Result<(), Told> {
        let (agent, credentials) = (&self.agent, &mut self.credentials);
        let over = async {
            tokio::select! {
                () = sleep(wait.time) => false,
                () = credentials.changed(agent), if wait.mendable => true,
            }
        };
        if control.unless_told(over).await? {
            info!("the token or a file of TLS has changed; trying again");
            self.paused.mended();
        }
        Ok(())
    }

    /// Puts settings in force that were read anew. The process stays the same to the collector.
    fn adopt(&mut self, loaded: Loaded) {
        loaded.log(loaded.changes(&self.agent, &self.credentials));
        let Loaded { mut agent, credentials, .. } = loaded;
        let nonces = self.agent.profile.nonces;
        agent.profile = Arc::new(Profile { nonces, ..(*agent.profile).clone() });
        let (old, new) = (&self.agent.profile, &agent.profile);
        self.plan.send_if_modified(|plan| {
            // What a collector has asked for stays, unless the setting is another.
            if old.interval != new.interval {
                plan.interval = new.interval;
            }
            plan.id = new.id.clone();
            old.interval != new.interval || old.id != new.id
        });
        self.agent = agent;
        self.credentials = credentials;
        self.redirect = None;
        self.backoff = backoff();
        self.paused = Paused::default();
        self.lost_at = None;
        for log in [&mut self.log, &mut self.session_log, &mut self.skipped_log] {
            log.succeeded();
        }
    }
}

/// What came of an attempt.
enum Attempt {
    /// No session.
    Failed(Failure),
    /// One that has ended in this way.
    Session { lasted: Duration, logged: bool, failure: Failure },
    /// One that ended as the collector asked.
    Drained(Wait),
}

/// The cause and the advice of a failure, for a line of the log.
fn told(failure: &Failure) -> (String, Option<&str>) {
    (printable(&failure.cause), failure.advice.as_deref())
}

/// The same for the service manager.
fn status(failure: &Failure) -> String {
    let (cause, advice) = told(failure);
    advice.map_or_else(|| cause.clone(), |advice| format!("{cause}; {advice}"))
}

fn backoff() -> Backoff {
    Backoff::new(fastrand::Rng::with_seed(identity::random_seed()))
}

/// Milliseconds are enough for a log line.
fn rounded(wait: Duration) -> Duration {
    Duration::from_millis(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
#[path = "reporter_tests.rs"]
mod tests;
