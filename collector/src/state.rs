//! The state of a collector, shared by all of its tasks.

use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fleetgauge_common::endpoint::Endpoint;
use fleetgauge_proto::AgentId;
use parking_lot::Mutex;
use prometheus_client::registry::Registry as MetricsRegistry;
use tokio_util::task::TaskTracker;

use crate::admission::Admission;
use crate::admission::address_limits::SessionOutcome;
use crate::auth::AuthPolicy;
use crate::auth::active_policy::ActivePolicy;
use crate::clock::{Clock, Millis, millis};
use crate::config::Config;
use crate::limits::memory_budget::MemoryBudget;
use crate::peers::agent_versions::AgentVersions;
use crate::peers::challenges::Challenges;
use crate::peers::close_reason::CloseReason;
use crate::peers::drain_request::{DrainRequest, Share};
use crate::peers::handle::{ConnectionHandle, Signal};
use crate::registry::{FleetShard, Registry};
use crate::remote_write::{Forwarder, Leave};
use crate::roster::Roster;
use crate::telemetry::Telemetry;
use crate::telemetry::log_limiter::{Kind, log_if};
use crate::web::WebState;

/// Client certificates that are verified in one batch after the CA certificates or revocation lists
/// have changed. In the pause between two batches, reports are handled.
const VERIFIED_AT_ONCE: usize = 500;
const VERIFICATION_PAUSE: Duration = Duration::from_millis(100);

/// The state of a collector.
#[derive(Debug)]
pub struct CollectorState {
    /// Configuration at the start. A reload does not change it.
    pub config: Config,
    /// The collector's clock.
    pub clock: Clock,
    /// Open connections and the limits of new ones.
    pub admission: Admission,
    /// Authorization policy in force.
    pub auth: ActivePolicy,
    /// Connected agents and their newest values.
    pub registry: Registry,
    /// Agents that are expected or have departed.
    pub roster: Roster,
    /// Interned versions of the agents.
    pub versions: AgentVersions,
    /// Pending challenges between agents that claim the same id.
    pub challenges: Challenges,
    /// The collector's own metrics and the rate limiter of its log.
    pub telemetry: Telemetry,
    /// Forwards reports to engines; `None` without destinations.
    pub forwarder: Option<Forwarder>,
    /// What the pages for people keep.
    pub(crate) web: WebState,
    /// Tasks of all connections.
    pub tasks: TaskTracker,
    draining: AtomicBool,
    /// The last drain that an operator has requested.
    drain_request: Mutex<Option<Arc<DrainRequest>>>,
}

impl CollectorState {
    /// Creates the state of a collector without agents. Registers its own metrics in `metrics`.
    #[must_use]
    pub fn new(config: Config, metrics: &mut MetricsRegistry) -> Self {
        let budget = Arc::new(MemoryBudget::new(config.bounds.memory));
        let (catalogs, configured_kinds) =
            (config.bounds.catalogs, config.configured_kinds.clone());
        let forwarder = Forwarder::new(&config.remote_write, metrics);
        let forwarder = if config.state.keeps_journal() {
            forwarder.map(|forwarder| forwarder.with_journal(metrics))
        } else {
            forwarder
        };
        Self {
            clock: Clock::default(),
            admission: Admission::new(&config.bounds, Arc::clone(&budget)),
            auth: ActivePolicy::new(Arc::clone(&config.auth)),
            registry: Registry::new(catalogs, configured_kinds, budget),
            roster: Roster::new(config.roster.clone()),
            versions: AgentVersions::default(),
            challenges: Challenges::default(),
            telemetry: Telemetry::new(metrics),
            forwarder,
            web: WebState::default(),
            tasks: TaskTracker::new(),
            draining: AtomicBool::new(false),
            drain_request: Mutex::new(None),
            config,
        }
    }

    /// Counts the end of a session against its source address. `reported`: the agent had reported.
    pub fn session_ended(&self, handle: &ConnectionHandle, reported: bool, reason: CloseReason) {
        let address = handle.address().ip();
        let outcome = SessionOutcome { reported, failed: reason.is_failure(reported) };
        let pause = self.admission.addresses.ended(address, outcome, self.clock.now());
        if let Some(pause) = pause {
            self.telemetry.metrics.address_pauses.inc();
            let (reason, seconds) = (reason.reason(), pause / 1_000);
            log_if!(
                self.may_log("address paused", address, address), warn,
                %address, reason, seconds, "address paused"
            );
        }
    }

    /// Whether the log limits allow a line about this agent or address, caused by `source`. If not,
    /// the caller logs it at level debug.
    pub(crate) fn may_log(&self, line: &'static str, subject: impl Hash, source: IpAddr) -> bool {
        self.telemetry.log_limiter.may_log(line, subject, source, self.clock.now())
    }

    /// Counts an event of this kind. Returns the number of events since the last log line if one is
    /// due.
    pub(crate) fn log_due(&self, kind: Kind) -> Option<u64> {
        self.telemetry.log_limiter.add(kind, self.clock.now())
    }

    /// Frees idle capacity of the collector's maps, for example after a fleet has disconnected.
    pub fn shrink(&self) {
        self.admission.shrink();
        self.registry.shrink();
    }

    /// Removes the series of an agent whose session has ended, and records its departure. Returns
    /// `false` if another connection holds its id.
    pub fn agent_left(&self, id: &AgentId, handle: &ConnectionHandle, reason: CloseReason) -> bool {
        self.registry.leave_after(id, handle.session(), || {
            let interval_ms = handle.hello().interval_ms;
            // An agent that an operator has moved is not awaited after the next start.
            let is_moved = reason == CloseReason::Drained && !self.draining();
            let noted = if is_moved { CloseReason::Bye } else { reason };
            let now = self.clock.moment();
            self.roster.departed(id, interval_ms, noted, now);
            self.web.presence.add(id, now.unix, Some(reason.reason()));
            if let Some(forwarder) = &self.forwarder {
                let interval = Duration::from_millis(interval_ms.into());
                let leave = match reason {
                    CloseReason::Drained => Leave::Agreed,
                    _ if reason.was_asked_to_leave() => Leave::Asked,
                    _ => Leave::Ended,
                };
                forwarder.left(id, interval, leave);
            }
        })
    }

    /// Replaces the authorization policy in force, and wakes every session. A session that the new
    /// policy does not allow ends. If client certificates must be verified again, sessions are
    /// woken in batches, and the call blocks until all are woken.
    pub fn reload(&self, policy: Arc<AuthPolicy>) {
        let verifier =
            |policy: &AuthPolicy| policy.tls.as_ref().map(|tls| Arc::clone(tls.clients()));
        let after = verifier(&policy);
        let before = verifier(&self.auth.replace(policy));
        let same = match (before, after) {
            (Some(before), Some(after)) => Arc::ptr_eq(&before, &after),
            _ => true,
        };
        let connections = self.admission.connections.iter();
        let connections: Vec<_> = connections.map(|handle| Arc::clone(&handle)).collect();
        for batch in connections.chunks(VERIFIED_AT_ONCE) {
            for handle in batch {
                handle.raise(Signal::Revoked);
            }
            if !same && connections.len() > VERIFIED_AT_ONCE {
                std::thread::sleep(VERIFICATION_PAUSE);
            }
        }
    }

    /// Asks a share of the agents to leave for `target`, or else for the collector that they
    /// choose. They leave within `over`, or longer: not faster than a collector can accept them.
    /// Returns their number and the time over which they leave.
    pub(crate) fn ask_to_leave(
        &self,
        share: Share,
        target: Option<Endpoint>,
        over: Duration,
    ) -> (usize, Duration) {
        let agents = self.registry.present(FleetShard::ALL).into_iter().map(|(id, _)| id);
        let agents = agents.filter(|id| share.has(id));
        let agents: Vec<_> = agents.filter_map(|id| self.registry.find(&id)).collect();
        let paced = self.admission.pacer.time_for(agents.len());
        let span: Millis = millis(over).max(paced);
        let span_ms = u32::try_from(span).unwrap_or(u32::MAX);
        *self.drain_request.lock() = Some(Arc::new(DrainRequest { target, span_ms }));
        for agent in &agents {
            agent.handle().raise(Signal::Drain);
        }
        (agents.len(), Duration::from_millis(span_ms.into()))
    }

    /// Returns the drain that an operator has requested; `None` if there was none, or if the
    /// collector is shutting down.
    pub(crate) fn drain_request(&self) -> Option<Arc<DrainRequest>> {
        if self.draining() { None } else { self.drain_request.lock().clone() }
    }

    /// Whether the collector is shutting down.
    pub fn draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Marks the collector as shutting down.
    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }
}
