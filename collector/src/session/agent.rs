//! What a session knows of its agent, and what it asks of the registry in its name.

use std::borrow::Cow;
use std::sync::Arc;

use fleetgauge_proto::limits::MIN_INTERVAL_MS;
use fleetgauge_proto::message::{Hello, Label, Report};
use fleetgauge_proto::report::Values;
use fleetgauge_proto::{AgentId, Code, Fingerprint, Frame, Kind, Schema, StaticLabels, Violation};

use super::{FIRST_REPORT_TIMEOUT, SILENT_INTERVALS};
use crate::bucket::Bucket;
use crate::clock::{MICROS, Millis};
use crate::config::Config;
use crate::ending::Refusal;
use crate::exposition::{static_labels, write_labels};
use crate::peer::{Introduction, Peer};
use crate::registry::{Holder, MeasuredSchema, Newcomer, Pinned};
use crate::shared::Shared;
use crate::untold::log_if;

/// For how many intervals' worth of frames an agent may be ahead of time: what has piled up behind a collector that was
/// frozen, or a network that was, comes at once, and is no flood.
const SENT_AHEAD_INTERVALS: Millis = 20;

/// Names of families that are left off in a log line; a schema may have a thousand, of 200 bytes each.
const FAMILIES_NAMED: usize = 3;

/// How the registry knows an agent.
#[derive(Debug)]
enum Standing {
    /// Until its first Report.
    Newcomer(Box<Newcomer>),
    /// From then on, even if another has taken its place.
    Holder(Arc<Holder>),
}

/// What a session knows of its agent.
#[derive(Debug)]
pub(super) struct Agent {
    standing: Standing,
    /// What its next Report follows.
    pub(super) schema: Option<Pinned>,
    /// The next Report must carry all values and gets a seat.
    pub(super) full_due: bool,
    /// Of its last Report; before the first it means nothing.
    pub(super) sequence: u64,
    /// What it has sent of late, in microseconds.
    sent: Bucket,
    /// A rival asks for it: its next frame is the answer.
    pub(super) challenged: bool,
}

impl Agent {
    /// The agent of a legal Hello, which has this id and these labels.
    pub(super) fn introduce(
        hello: &Hello<'_>,
        id: AgentId,
        labels: StaticLabels,
        peer: &Arc<Peer>,
        shared: &Shared,
    ) -> Result<Self, Refusal> {
        let config = &shared.config;
        let max = config.bounds.limits.max_label_bytes;
        if labels.bytes() > max as usize {
            return Err(Violation::LabelsTooLong { bytes: labels.bytes(), max }.into());
        }
        let client_no = config.classic.then(|| peer.address().port());
        let written = write_labels(&id, &labels, client_no);
        let schema = shared.registry.schemas().find(&hello.schema);
        if let Some(schema) = &schema {
            check_labels(schema.entry().measured(), &labels, &written, config)?;
        }
        let newcomer =
            Newcomer { labels: written, id, host_nonce: hello.host_nonce, peer: Arc::clone(peer) };
        let longest = u32::try_from(config.bounds.max_interval.as_millis()).unwrap_or(u32::MAX);
        peer.introduce(Introduction {
            interval_ms: hello.interval_ms.clamp(MIN_INTERVAL_MS, longest),
            since: u32::try_from(shared.clock.moment().unix).unwrap_or(u32::MAX),
            version: shared.versions.keep(hello.agent_version),
        });
        Ok(Self {
            standing: Standing::Newcomer(Box::new(newcomer)),
            schema,
            full_due: true,
            sequence: 0,
            sent: Bucket::default(),
            challenged: false,
        })
    }

    /// Who it is.
    pub(super) fn id(&self) -> &AgentId {
        match &self.standing {
            Standing::Newcomer(newcomer) => &newcomer.id,
            Standing::Holder(holder) => holder.id(),
        }
    }

    /// What it is known by since its first Report.
    pub(super) fn holder(&self) -> Option<&Holder> {
        match &self.standing {
            Standing::Newcomer(_) => None,
            Standing::Holder(holder) => Some(holder),
        }
    }

    /// How it introduces itself, for the first time or again.
    pub(super) fn newcomer(&self) -> Result<Cow<'_, Newcomer>, Refusal> {
        match &self.standing {
            Standing::Newcomer(newcomer) => Ok(Cow::Borrowed(newcomer)),
            Standing::Holder(holder) => {
                holder.newcomer().map(Cow::Owned).ok_or_else(|| Refusal::of(Code::Superseded))
            }
        }
    }

    /// When it has been silent for too long.
    pub(super) fn silent_at(&self, peer: &Peer) -> Millis {
        let patience = SILENT_INTERVALS * Millis::from(peer.introduction().interval_ms);
        let patience =
            if self.holder().is_none() { patience.min(FIRST_REPORT_TIMEOUT) } else { patience };
        peer.reported() + patience
    }

    /// Lets it send a frame, unless there were too many. A schema is worth as much as all reports of an interval.
    pub(super) fn spend(
        &mut self,
        kind: Kind,
        now: Millis,
        peer: &Peer,
        shared: &Shared,
    ) -> Result<(), Refusal> {
        let interval_ms = Millis::from(peer.introduction().interval_ms);
        let reports = shared.config.bounds.reports_per_interval;
        let interval = interval_ms * MICROS;
        let worth = if kind == Kind::Schema { interval } else { interval / reports };
        if self.sent.try_pour(now * MICROS, worth, SENT_AHEAD_INTERVALS * interval) {
            return Ok(());
        }
        let detail = format!(
            "{kind} frames come faster than {reports} an interval of {interval_ms} ms, {SENT_AHEAD_INTERVALS} intervals' \
             worth ahead"
        );
        Err(Refusal { detail, ..Refusal::of(Code::TooManyReports) })
    }

    /// Takes the schema that its next reports follow.
    pub(super) fn declare(&mut self, frame: Frame<'_>, shared: &Shared) -> Result<(), Refusal> {
        let fingerprint = Fingerprint::of_payload(frame.payload)?;
        let (schemas, config) = (shared.registry.schemas(), &shared.config);
        let schema = if let Some(known) = schemas.find(&fingerprint) {
            self.check_labels(known.entry().measured(), config)?;
            known
        } else {
            let schema = Schema::try_from_frame(frame, &config.bounds.limits)?;
            let skipped = schema.families.iter().filter(|family| family.kind.is_none()).count();
            shared.metrics.families_skipped.inc_by(skipped as u64);
            let measured = MeasuredSchema::from(schema);
            // Before it takes memory, and the place of another.
            self.check_labels(&measured, config)?;
            schemas.intern(fingerprint, measured, frame.payload.len()).map_err(Refusal::of)?
        };
        self.schema = Some(schema);
        self.full_due = true;
        Ok(())
    }

    /// Checks that its labels agree with a schema that it declares.
    fn check_labels(&self, schema: &MeasuredSchema, config: &Config) -> Result<(), Refusal> {
        let newcomer = self.newcomer()?;
        let labels: Vec<_> = static_labels(&newcomer.labels).collect();
        let labels = labels.iter().map(|(name, value)| Label { name, value });
        let labels = StaticLabels::try_new(&labels.collect::<Vec<_>>())?;
        check_labels(schema, &labels, &newcomer.labels, config)
    }

    /// Whether the report may follow the one before.
    pub(super) fn check(&self, report: &Report<'_>) -> Result<(), Violation> {
        let width = self.schema.as_ref().map_or(0, |schema| schema.entry().schema().width);
        let previous = self.sequence;
        if self.holder().is_some() && report.sequence <= previous {
            return Err(Violation::SequenceNotRising { sequence: report.sequence, previous });
        }
        if self.full_due && !matches!(report.values, Values::All(_)) {
            return Err(Violation::FullReportRequired);
        }
        report.values.check(width)
    }

    /// Shows it, with the values of this report, from now on.
    pub(super) fn enter(
        &mut self,
        report: &Report<'_>,
        shared: &Shared,
        now: Millis,
    ) -> Result<(), Refusal> {
        let Some(schema) = &self.schema else { return Ok(()) };
        let newcomer = self.newcomer()?;
        let entered = shared
            .registry
            .enter_then(&newcomer, schema.entry(), &report.values, now, || {
                shared.roster.arrived(&newcomer.id);
            })
            .map_err(Refusal::of)?;
        let (id, address) = (&newcomer.id, newcomer.peer.address());
        if !entered.left_off.is_empty() {
            shared.metrics.family_conflicts.inc_by(entered.left_off.len() as u64);
            let families = entered.left_off.len();
            let first = entered.left_off[..families.min(FAMILIES_NAMED)].join(" ");
            log_if!(
                shared.may_tell("families left off", id, address.ip()), warn,
                agent = %id, families, first, "families left off"
            );
        }
        if self.holder().is_none() {
            let series = schema.entry().schema().series;
            log_if!(
                shared.may_tell("agent reports", id, address.ip()), info,
                agent = %id, %address, series, "agent reports"
            );
        }
        self.standing = Standing::Holder(entered.holder);
        self.full_due = false;
        Ok(())
    }
}

/// Checks that an agent's labels, `written` on each of its lines, agree with a schema and leave its page small enough.
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
            "its lines would take up to {bytes} bytes of a page, over the {max} allowed here; \
             shorten its labels, or report less"
        );
        return Err(Refusal { detail, ..Refusal::of(Code::PageTooLarge) });
    }
    Ok(())
}
