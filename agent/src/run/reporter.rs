//! The connection loop: rounds of attempts, sessions, and the delays between them.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{error, info};

use super::Agent;
use super::candidates::{Candidate, Candidates};
use super::connect;
use super::control::{Command, Control, LoadedSettings};
use super::credentials::Credentials;
use super::failure::{Failure, Retry};
use super::failure_log::log_fields;
use super::lost::Lost;
use super::paused_addresses::PausedAddresses;
use super::recorder::Recorder;
use super::resolver::Resolver;
use super::sampling::{SamplingPlan, TimedSample};
use super::sanitize::sanitize;
use super::session::{Session, SessionEnd};
use crate::backoff::Backoff;
use crate::client::{Client, ClientError};
use crate::config::{Collector, Endpoint};
use crate::identity;
use crate::profile::Profile;
use crate::retry_log::{MAX_SILENCE, RetryLog};

/// Connects to a collector, reports, and reconnects.
pub(super) struct Reporter {
    pub(super) agent: Agent,
    credentials: Credentials,
    client: Client,
    /// Has the client's clock and the log.
    recorder: Arc<Recorder>,
    resolver: Resolver,
    /// Target of a Drain. The next round tries it first; later ones only the configured collectors.
    redirect: Option<Endpoint>,
    pub(super) backoff: Backoff,
    pub(super) paused: PausedAddresses,
    /// Address of the last lost session. The next round tries it last.
    last_lost: Option<Candidate>,
    /// Rate limiter for log lines about failed rounds. A session resets it.
    pub(super) round_log: RetryLog,
    /// Rate limiter for log lines about sessions. A long session resets it.
    session_log: RetryLog,
    /// Rate limiter for log lines about failed addresses. A long session resets it.
    pub(super) address_log: RetryLog,
    samples: watch::Receiver<Option<TimedSample>>,
    plan: watch::Sender<SamplingPlan>,
}

/// The delay before the next round.
pub(super) struct RetryDelay {
    pub(super) duration: Duration,
    /// Whether the delay ends early if the credentials change.
    pub(super) ends_on_new_credentials: bool,
}

impl RetryDelay {
    const fn fixed(duration: Duration) -> Self {
        Self { duration, ends_on_new_credentials: false }
    }
}

impl Reporter {
    pub(super) fn new(
        agent: Agent,
        samples: watch::Receiver<Option<TimedSample>>,
        plan: watch::Sender<SamplingPlan>,
        recorder: Arc<Recorder>,
    ) -> Self {
        let on_terminal = std::io::stderr().is_terminal();
        Self {
            agent,
            credentials: Credentials::default(),
            client: Client::default(),
            recorder,
            resolver: Resolver::default(),
            redirect: None,
            backoff: backoff(),
            paused: PausedAddresses::default(),
            last_lost: None,
            round_log: RetryLog::new(on_terminal),
            session_log: RetryLog::new(on_terminal),
            address_log: RetryLog::new(on_terminal),
            samples,
            plan,
        }
    }

    /// Reports until the command to stop.
    pub(super) async fn run(mut self, mut control: Control<'_>) {
        loop {
            let result = match self.run_round(&mut control).await {
                Ok(delay) => self.wait(delay, &mut control).await,
                Err(command) => Err(command),
            };
            match result {
                Ok(()) => {}
                Err(Command::Stop) => return,
                Err(Command::Reload(loaded)) => self.apply_settings(*loaded),
            }
        }
    }

    /// Tries the addresses one by one until a session has ended or all failed. Returns the delay
    /// before the next round.
    async fn run_round(&mut self, control: &mut Control<'_>) -> Result<RetryDelay, Command> {
        let Candidates { all, unresolved } = match self.prepare_round(control).await? {
            Ok(candidates) => candidates,
            Err(failure) => return Ok(self.round_failed(&failure)),
        };
        let mut available = self.paused.available(&all, Instant::now());
        let last_lost = self.last_lost.take();
        available.sort_by_key(|candidate| Some(candidate) == last_lost.as_ref());
        let mut available = available.into_iter().peekable();
        let mut failures = self.paused.failures(&all);
        for (name, error) in unresolved {
            failures.push(name, Failure::new(error));
        }
        while let Some(candidate) = available.next() {
            let failure = match self.attempt(&candidate, control).await? {
                Attempt::Failed(failure) => failure,
                Attempt::Session { lasted, logged, mut failure } => {
                    let logged = logged.then_some(lasted);
                    self.record_failure(&all, &candidate, &failure);
                    self.set_retry(&all, &mut failure);
                    let delay = self.connection_lost(&candidate.endpoint, logged, &failure);
                    self.last_lost = (!failure.ends_round).then_some(candidate);
                    return Ok(delay);
                }
                Attempt::Drained(delay) => return Ok(delay),
            };
            let logged = self.record_failure(&all, &candidate, &failure);
            let is_last = failure.ends_round || available.peek().is_none();
            if !(is_last || logged) {
                self.address_failed(&candidate, &failure);
            }
            failures.push(&candidate, failure);
            if is_last {
                break;
            }
        }
        let mut summary = failures.summary();
        self.set_retry(&all, &mut summary);
        Ok(self.round_failed(&summary))
    }

    /// Reads the credentials and resolves the collectors' names. Returns the addresses to try, or
    /// the failure of the round.
    async fn prepare_round(
        &mut self,
        control: &mut Control<'_>,
    ) -> Result<Result<Candidates, Failure>, Command> {
        let target = self.redirect.take();
        let before = self.credentials.tls.as_ref().map(|(tls, _)| tls.clone());
        let read = Credentials::read_on_thread(&self.agent, before);
        match control.run_until_command(read).await? {
            Ok(credentials) => {
                if !credentials.changes(&self.credentials).is_empty() {
                    self.paused.clear_permanent();
                }
                self.credentials = credentials;
            }
            Err(problem) => return Ok(Err(Failure::new(problem))),
        }
        let first = target.clone().map(Collector::Endpoint);
        let configured = self.agent.collector.iter().filter(|one| Some(*one) != first.as_ref());
        let all: Vec<_> = first.iter().chain(configured).cloned().collect();
        let resolutions = control.run_until_command(self.resolver.resolve(&all)).await?;
        Ok(Ok(Candidates::new(&self.agent.profile.id, target.as_ref(), resolutions)))
    }

    /// Pauses an address for as long as its failure requires. Logs a permanent failure unless it
    /// ends the round or all addresses need a fix: then one line about the round suffices. Returns
    /// whether it logged; if not, the caller logs the failure.
    fn record_failure(
        &mut self,
        all: &[Candidate],
        candidate: &Candidate,
        failure: &Failure,
    ) -> bool {
        let now = Instant::now();
        self.paused.record(candidate, failure, now);
        let Retry::AfterFix(retry_in) = failure.retry else { return false };
        let all_permanent = matches!(self.paused.next_retry(all, now), Retry::AfterFix(_));
        if all_permanent || failure.ends_round {
            return false;
        }
        let (cause, advice) = log_fields(failure);
        let Candidate { endpoint, address, .. } = candidate;
        error!(collector = %endpoint, %address, %cause, advice, ?retry_in, "connection rejected");
        true
    }

    /// Sets the retry of `failure` to the earliest retry of `all` addresses, unless `failure`
    /// ended the round.
    fn set_retry(&self, all: &[Candidate], failure: &mut Failure) {
        if !failure.ends_round {
            let now = Instant::now();
            failure.retry = self.paused.next_retry(all, now);
            failure.retry_slot = self.paused.next_retry_slot(all, now);
        }
    }

    /// Connects to an address and runs a session.
    async fn attempt(
        &mut self,
        candidate: &Candidate,
        control: &mut Control<'_>,
    ) -> Result<Attempt, Command> {
        let endpoint = &candidate.endpoint;
        let connect = connect::connect(&self.agent, &self.credentials, candidate);
        let connection = match control.run_until_command(connect).await? {
            Ok(connection) => connection,
            Err(failure) => return Ok(Attempt::Failed(failure)),
        };
        let mut session = Session::new(
            connection,
            endpoint,
            &self.agent,
            &self.credentials,
            &mut self.client,
            &self.recorder,
            &mut self.session_log,
        );
        let end = session.run(&mut self.samples, &self.plan, control).await;
        let (lasted, logged) = (session.duration(), session.is_logged());
        self.session_ended(endpoint, end, lasted, logged)
    }

    /// Resets backoff and rate limiters after a session, and classifies its end. `lasted` is `None`
    /// if no session began.
    fn session_ended(
        &mut self,
        endpoint: &Endpoint,
        end: SessionEnd,
        lasted: Option<Duration>,
        logged: bool,
    ) -> Result<Attempt, Command> {
        let interval = self.plan.borrow().interval;
        let stable = lasted.is_some_and(|lasted| self.backoff.session_ended(lasted, interval));
        if lasted.is_some() {
            self.round_log.succeeded();
        }
        if lasted.is_some_and(|lasted| lasted >= MAX_SILENCE) {
            self.session_log.succeeded();
            self.address_log.succeeded();
        }
        let failure = match end {
            SessionEnd::Command(command) => return Err(command),
            SessionEnd::Drained { remaining, target } => {
                if logged {
                    let target = target.as_deref().map(sanitize);
                    info!(collector = %endpoint, target, "drained");
                }
                self.redirect = target.and_then(|target| Endpoint::parse(&target).ok());
                self.backoff.set_minimum(remaining);
                // The collector staggers its Drains, so a healthy agent needs no further delay.
                let immediately = stable && remaining.is_zero();
                let delay = if immediately { Duration::ZERO } else { self.backoff.next_delay() };
                return Ok(Attempt::Drained(RetryDelay::fixed(delay)));
            }
            SessionEnd::Rejected { code, text, retry_after } => {
                Failure::rejected(code, &text, retry_after)
            }
            SessionEnd::Lost(Lost::Client(error @ ClientError::PinnedLabel(_))) => {
                Failure::permanent(
                    error,
                    "pin another label in the collector's credentials, or report no series with \
                     this one",
                )
            }
            SessionEnd::Lost(Lost::Client(error @ ClientError::OverLimit { .. })) => {
                Failure::permanent(
                    error,
                    "raise this setting of the collector, or report fewer series or labels",
                )
            }
            SessionEnd::Lost(cause) => {
                let tls = self.credentials.tls.as_ref().map(|(tls, _)| tls);
                Failure::new(cause.explain(tls))
            }
        };
        Ok(match lasted {
            Some(lasted) => Attempt::Session { lasted, logged, failure },
            None => Attempt::Failed(failure),
        })
    }

    /// Waits for the delay. Returns early if the credentials change and `delay` allows it.
    async fn wait(&mut self, delay: RetryDelay, control: &mut Control<'_>) -> Result<(), Command> {
        let (agent, credentials) = (&self.agent, &mut self.credentials);
        let wait = async {
            tokio::select! {
                () = sleep(delay.duration) => false,
                () = credentials.changed(agent), if delay.ends_on_new_credentials => true,
            }
        };
        if control.run_until_command(wait).await? {
            info!("credentials changed; reconnecting");
            self.paused.clear_permanent();
        }
        Ok(())
    }

    /// Applies reloaded settings. Keeps the nonces, because the agent process is the same.
    fn apply_settings(&mut self, loaded: LoadedSettings) {
        loaded.log(loaded.changes(&self.agent, &self.credentials));
        let LoadedSettings { mut agent, credentials, .. } = loaded;
        let nonces = self.agent.profile.nonces;
        agent.profile = Arc::new(Profile { nonces, ..(*agent.profile).clone() });
        let (old, new) = (&self.agent.profile, &agent.profile);
        self.plan.send_if_modified(|plan| {
            // Keep the interval of the collector unless the setting changed.
            if old.interval != new.interval {
                plan.interval = new.interval;
            }
            plan.id = new.id.clone();
            plan.metrics = agent.metrics.clone();
            old.interval != new.interval || old.id != new.id || self.agent.metrics != agent.metrics
        });
        self.recorder.set_limits(agent.log);
        self.agent = agent;
        self.credentials = credentials;
        self.redirect = None;
        self.backoff = backoff();
        self.paused = PausedAddresses::default();
        self.last_lost = None;
        for log in [&mut self.round_log, &mut self.session_log, &mut self.address_log] {
            log.succeeded();
        }
    }
}

/// Result of an attempt to connect to an address and run a session.
enum Attempt {
    /// No session began.
    Failed(Failure),
    /// A session began and ended.
    Session { lasted: Duration, logged: bool, failure: Failure },
    /// The agent left because the collector sent Drain.
    Drained(RetryDelay),
}

/// Returns a backoff with a new random seed.
fn backoff() -> Backoff {
    Backoff::new(fastrand::Rng::with_seed(identity::random_seed()))
}

#[cfg(test)]
#[path = "reporter_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "failover_tests.rs"]
mod failover_tests;

#[cfg(test)]
#[path = "changed_terms_tests.rs"]
mod changed_terms_tests;
