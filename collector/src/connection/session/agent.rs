//! The agent of a session: registration, schema and rate limit.

use std::borrow::Cow;
use std::sync::Arc;

use fleetgauge_proto::limits::MIN_INTERVAL_MS;
use fleetgauge_proto::message::{Hello, Label, Report};
use fleetgauge_proto::report::Values;
use fleetgauge_proto::{AgentId, Code, Fingerprint, Frame, Kind, Schema, StaticLabels, Violation};

use super::{FIRST_REPORT_TIMEOUT, SILENT_INTERVALS};
use crate::clock::{MICROS, Millis};
use crate::config::Config;
use crate::exposition::{static_labels, write_labels};
use crate::limits::leaky_bucket::LeakyBucket;
use crate::peers::handle::{ConnectionHandle, HelloInfo};
use crate::peers::refusal::Refusal;
use crate::registry::{MeasuredSchema, PendingAgent, Pinned, RegisteredAgent};
use crate::state::CollectorState;
use crate::telemetry::log_limiter::log_if;

/// Maximum burst of frames, in report intervals. Bursts are allowed because frames that a frozen
/// collector or a network failure has delayed arrive at once.
const BURST_INTERVALS: Millis = 20;

/// Maximum number of family names in a log line. A schema can have a thousand families, with names
/// of 200 bytes.
const FAMILIES_NAMED: usize = 3;

/// Whether the agent is in the registry.
#[derive(Debug)]
enum Registration {
    /// The agent has not sent its first Report.
    Pending(Box<PendingAgent>),
    /// The agent was registered by its first Report. Another connection may have taken over the id
    /// since.
    Registered(Arc<RegisteredAgent>),
}

/// The agent of a session.
#[derive(Debug)]
pub(super) struct Agent {
    registration: Registration,
    /// The schema of the next Report; `None` if the agent must declare one first.
    pub(super) schema: Option<Pinned>,
    /// Whether the next Report registers the agent with its schema, and so must have all values.
    pub(super) full_due: bool,
    /// Sequence number of the last Report; not used before the first Report.
    pub(super) sequence: u64,
    /// Rate limit of the agent's frames; its level is in microseconds.
    sent: LeakyBucket,
    /// Whether a challenge is pending. The agent's next frame answers it.
    pub(super) challenged: bool,
}

impl Agent {
    /// Creates the agent of an authorized Hello.
    pub(super) fn from_hello(
        hello: &Hello<'_>,
        id: AgentId,
        labels: StaticLabels,
        handle: &Arc<ConnectionHandle>,
        collector: &CollectorState,
    ) -> Result<Self, Refusal> {
        let config = &collector.config;
        let max = config.bounds.limits.max_label_bytes;
        if labels.bytes() > max as usize {
            return Err(Violation::LabelsTooLong { bytes: labels.bytes(), max }.into());
        }
        let client_no = config.classic.then(|| handle.address().port());
        let written = write_labels(&id, &labels, client_no);
        let schema = collector.registry.schemas().find(&hello.schema);
        if let Some(schema) = &schema {
            check_labels(schema.entry().measured(), &labels, &written, config)?;
        }
        let pending = PendingAgent {
            labels: written,
            id,
            host_nonce: hello.host_nonce,
            handle: Arc::clone(handle),
        };
        let longest = u32::try_from(config.bounds.max_interval.as_millis()).unwrap_or(u32::MAX);
        handle.set_hello(HelloInfo {
            interval_ms: hello.interval_ms.clamp(MIN_INTERVAL_MS, longest),
            since: u32::try_from(collector.clock.moment().unix).unwrap_or(u32::MAX),
            version: collector.versions.intern(hello.agent_version),
        });
        Ok(Self {
            registration: Registration::Pending(Box::new(pending)),
            schema,
            full_due: true,
            sequence: 0,
            sent: LeakyBucket::default(),
            challenged: false,
        })
    }

    /// Returns the agent's id.
    pub(super) fn id(&self) -> &AgentId {
        match &self.registration {
            Registration::Pending(pending) => &pending.id,
            Registration::Registered(registered) => registered.id(),
        }
    }

    /// Returns the agent's registration; `None` before the first Report.
    pub(super) fn registered(&self) -> Option<&RegisteredAgent> {
        match &self.registration {
            Registration::Pending(_) => None,
            Registration::Registered(registered) => Some(registered),
        }
    }

    /// Returns the data to register the agent, for the first time or with another schema.
    pub(super) fn pending(&self) -> Result<Cow<'_, PendingAgent>, Refusal> {
        match &self.registration {
            Registration::Pending(pending) => Ok(Cow::Borrowed(pending)),
            Registration::Registered(registered) => {
                registered.to_pending().map(Cow::Owned).ok_or_else(|| Refusal::of(Code::Superseded))
            }
        }
    }

    /// Returns the time at which the session ends if no Report arrives before.
    pub(super) fn silent_at(&self, handle: &ConnectionHandle) -> Millis {
        let timeout = SILENT_INTERVALS * Millis::from(handle.hello().interval_ms);
        let timeout =
            if self.registered().is_none() { timeout.min(FIRST_REPORT_TIMEOUT) } else { timeout };
        handle.reported() + timeout
    }

    /// Charges a frame to the rate limit. A Schema costs as much as all Reports of an interval.
    pub(super) fn charge_frame(
        &mut self,
        kind: Kind,
        now: Millis,
        handle: &ConnectionHandle,
        collector: &CollectorState,
    ) -> Result<(), Refusal> {
        let interval_ms = Millis::from(handle.hello().interval_ms);
        let reports = collector.config.bounds.reports_per_interval;
        let interval = interval_ms * MICROS;
        let cost = if kind == Kind::Schema { interval } else { interval / reports };
        if self.sent.try_pour(now * MICROS, cost, BURST_INTERVALS * interval) {
            return Ok(());
        }
        let burst = reports * BURST_INTERVALS;
        let detail = format!(
            "too many frames; the last was a {kind}. The limit is {reports} per {interval_ms} ms, \
             and {burst} in a burst; a Schema counts as {reports}"
        );
        Err(Refusal { detail, ..Refusal::of(Code::TooManyReports) })
    }

    /// Handles a Schema frame.
    pub(super) fn declare(
        &mut self,
        frame: Frame<'_>,
        collector: &CollectorState,
    ) -> Result<(), Refusal> {
        let fingerprint = Fingerprint::of_payload(frame.payload)?;
        let (schemas, config) = (collector.registry.schemas(), &collector.config);
        let schema = if let Some(known) = schemas.find(&fingerprint) {
            self.check_labels(known.entry().measured(), config)?;
            known
        } else {
            let schema = Schema::try_from_frame(frame, &config.bounds.limits)?;
            let skipped = schema.families.iter().filter(|family| family.kind.is_none()).count();
            collector.telemetry.metrics.families_skipped.inc_by(skipped as u64);
            let measured = MeasuredSchema::from(schema);
            // Check before the schema takes memory or evicts another schema.
            self.check_labels(&measured, config)?;
            schemas.intern(fingerprint, measured, frame.payload.len()).map_err(Refusal::of)?
        };
        self.schema = Some(schema);
        self.full_due = true;
        Ok(())
    }

    /// Checks the agent's static labels against a schema that the agent declares.
    fn check_labels(&self, schema: &MeasuredSchema, config: &Config) -> Result<(), Refusal> {
        let pending = self.pending()?;
        let labels: Vec<_> = static_labels(&pending.labels).collect();
        let labels = labels.iter().map(|(name, value)| Label { name, value });
        let labels = StaticLabels::try_new(&labels.collect::<Vec<_>>())?;
        check_labels(schema, &labels, &pending.labels, config)
    }

    /// Checks the sequence number of a report, and its values against the schema.
    pub(super) fn check(&self, report: &Report<'_>) -> Result<(), Violation> {
        // `Session::unexpected` rejects a Report without a schema.
        let width = self.schema.as_ref().map_or(0, |schema| schema.entry().schema().width);
        let previous = self.sequence;
        if self.registered().is_some() && report.sequence <= previous {
            return Err(Violation::SequenceNotRising { sequence: report.sequence, previous });
        }
        if self.full_due && !matches!(report.values, Values::All(_)) {
            return Err(Violation::FullReportRequired);
        }
        report.values.check(width)
    }

    /// Registers the agent with the values of this report.
    pub(super) fn enter(
        &mut self,
        report: &Report<'_>,
        collector: &CollectorState,
        now: Millis,
    ) -> Result<(), Refusal> {
        // `Session::unexpected` rejects a Report without a schema.
        let Some(schema) = &self.schema else { return Ok(()) };
        let pending = self.pending()?;
        let entered = collector
            .registry
            .enter_then(&pending, schema.entry(), &report.values, now, || {
                collector.roster.arrived(&pending.id);
            })
            .map_err(Refusal::of)?;
        let (id, address) = (&pending.id, pending.handle.address());
        if !entered.suppressed.is_empty() {
            collector.telemetry.metrics.family_conflicts.inc_by(entered.suppressed.len() as u64);
            let families = entered.suppressed.len();
            let first = entered.suppressed[..families.min(FAMILIES_NAMED)].join(" ");
            log_if!(
                collector.may_log("families suppressed", id, address.ip()), warn,
                agent = %id, families, first, "families suppressed"
            );
        }
        if self.registered().is_none() {
            let series = schema.entry().schema().series;
            log_if!(
                collector.may_log("agent connected", id, address.ip()), info,
                agent = %id, %address, series, "agent connected"
            );
        }
        self.registration = Registration::Registered(entered.agent);
        self.full_due = false;
        Ok(())
    }
}

/// Checks that an agent's static labels do not conflict with a schema, and that its page is not too
/// large. `written` is the text of the labels on each line.
fn check_labels(
    schema: &MeasuredSchema,
    labels: &StaticLabels,
    written: &str,
    config: &Config,
) -> Result<(), Refusal> {
    schema.schema().check_static_labels(labels)?;
    let (bytes, max) = (schema.page_bytes(written.len()), config.bounds.page_bytes_per_agent);
    if bytes > max {
        let detail = format!(
            "the agent's samples can take {bytes} bytes of a page; the limit is {max} \
             (max_page_size_per_agent). Shorten its labels or report fewer series"
        );
        return Err(Refusal { detail, ..Refusal::of(Code::PageTooLarge) });
    }
    Ok(())
}
