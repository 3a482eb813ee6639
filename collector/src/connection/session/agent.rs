//! The agent of a session: its registration, its catalogs and rows, and its rate limits.

use std::borrow::Cow;
use std::sync::Arc;

use fleetgauge_proto::limits::MIN_INTERVAL_MS;
use fleetgauge_proto::message::{Hello, Report, Rows};
use fleetgauge_proto::{AgentId, Catalog, Code, Fingerprint, Frame, StaticLabels, Violation};

use super::forwarding::Forwarding;
use super::rate_limits::RateLimits;
use super::{FIRST_REPORT_TIMEOUT, SILENT_INTERVALS};
use crate::clock::Millis;
use crate::config::Config;
use crate::exposition::write_labels;
use crate::peers::handle::{ConnectionHandle, HelloInfo};
use crate::peers::refusal::Refusal;
use crate::registry::{
    CatalogPin, ChangeError, Layout, MeasuredCatalog, PendingAgent, PendingValues, RegisteredAgent,
};
use crate::state::CollectorState;
use crate::telemetry::log_limiter::log_if;

/// Maximum family names in a log line. A catalog can have a thousand, of 200 bytes each.
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
    /// Catalogs, rows and values that the next Report makes visible; `None` if neither catalogs nor
    /// rows have changed since the last one.
    pending: Option<Box<PendingValues>>,
    /// One bit for each slot whose catalog Welcome asked for and the agent has not sent.
    pub(super) missing: u16,
    /// Sequence number of the last Report; unused before it.
    pub(super) sequence: u64,
    pub(super) rate_limits: RateLimits,
    /// Forwarding to engines; `None` if the collector forwards nothing.
    pub(super) forwarding: Option<Box<Forwarding>>,
    /// A challenge is pending. The agent's next frame is the answer.
    pub(super) challenged: bool,
    /// Drain has been sent.
    pub(super) was_asked_to_leave: bool,
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
        let mut missing = 0;
        let mut values = PendingValues::empty();
        let policy = collector.auth.current();
        for (slot, fingerprint) in hello.catalogs.iter().enumerate() {
            // Welcome names the labels that the agent must not use; it sends another catalog.
            let is_allowed = |known: &CatalogPin| {
                let catalogs = std::iter::once(known.entry().catalog());
                policy.check_series(&pending.id, handle.credential(), catalogs).is_ok()
            };
            match collector.registry.catalogs().find(fingerprint).filter(is_allowed) {
                Some(known) => {
                    collector.registry.set_catalog(&mut values, slot, known).map_err(Refusal::of)?
                }
                None => missing |= 1 << slot,
            }
        }
        values.check_catalogs(&config.bounds.limits)?;
        check_page(values.page_bytes(&pending.labels), config)?;
        Ok(Self {
            registration: Registration::Pending(Box::new(pending)),
            pending: Some(Box::new(values)),
            missing,
            sequence: 0,
            rate_limits: RateLimits::default(),
            forwarding: Forwarding::new(hello, collector),
            challenged: false,
            was_asked_to_leave: false,
        })
    }

    /// Returns the agent's id.
    pub(super) fn id(&self) -> &AgentId {
        match &self.registration {
            Registration::Pending(pending) => &pending.id,
            Registration::Registered(registered) => registered.id(),
        }
    }

    fn handle(&self) -> &ConnectionHandle {
        match &self.registration {
            Registration::Pending(pending) => &pending.handle,
            Registration::Registered(registered) => registered.handle(),
        }
    }

    /// Forwards a report that was stored.
    pub(super) fn forward(
        &mut self,
        report: &Report<'_>,
        handle: &Arc<ConnectionHandle>,
        collector: &CollectorState,
        now: Millis,
        out: &mut Vec<u8>,
    ) {
        if let (Registration::Registered(agent), Some(forwarding)) =
            (&self.registration, &mut self.forwarding)
        {
            forwarding.reported(agent, handle, report, collector, now, out);
        }
    }

    /// Whether the policy in force allows the labels of the agent's series.
    pub(super) fn has_allowed_labels(&self, collector: &CollectorState) -> bool {
        let is_allowed =
            |layout: &Layout| check_labels(self.id(), self.handle(), layout, collector).is_ok();
        let pending = self.pending.as_ref().is_none_or(|pending| is_allowed(pending.layout()));
        let current = self.registered().and_then(RegisteredAgent::layout);
        pending && current.is_none_or(|layout| is_allowed(&layout))
    }

    /// Returns the agent's registration; `None` before the first Report.
    pub(super) fn registered(&self) -> Option<&RegisteredAgent> {
        match &self.registration {
            Registration::Pending(_) => None,
            Registration::Registered(registered) => Some(registered),
        }
    }

    /// Returns the labels as written between the braces of the agent's series; empty if another
    /// connection has taken over the id.
    pub(super) fn labels(&self) -> Cow<'_, str> {
        match &self.registration {
            Registration::Pending(pending) => Cow::from(&*pending.labels),
            Registration::Registered(registered) => {
                registered.labels().unwrap_or_default().into_string().into()
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

    /// Handles a Catalog frame.
    pub(super) fn declare(
        &mut self,
        frame: Frame<'_>,
        collector: &CollectorState,
    ) -> Result<(), Refusal> {
        let fingerprint = Fingerprint::of_payload(frame.payload)?;
        let (slot, catalog) = Catalog::try_from_frame(frame, &collector.config.bounds.limits)?;
        let bytes = frame.payload.len();
        let catalog = interned(fingerprint, catalog, bytes, &self.labels(), collector)?;
        self.set_catalog(slot, catalog, collector)?;
        self.missing &= !(1 << slot);
        Ok(())
    }

    fn set_catalog(
        &mut self,
        slot: usize,
        catalog: CatalogPin,
        collector: &CollectorState,
    ) -> Result<(), Refusal> {
        let mut pending = self.take_pending(collector)?;
        collector.registry.set_catalog(&mut pending, slot, catalog).map_err(Refusal::of)?;
        pending.check_catalogs(&collector.config.bounds.limits)?;
        check_labels(self.id(), self.handle(), pending.layout(), collector)?;
        check_page(pending.page_bytes(&self.labels()), &collector.config)?;
        self.pending = Some(pending);
        Ok(())
    }

    /// Handles a Rows frame.
    pub(super) fn change_rows(
        &mut self,
        rows: &Rows<'_>,
        now: Millis,
        collector: &CollectorState,
    ) -> Result<(), Refusal> {
        if rows.changes.is_empty() {
            return Ok(());
        }
        let mut pending = self.take_pending(collector)?;
        let changed = pending.changed_rows(&rows.changes);
        self.rate_limits.charge_rows(changed, now, &collector.config.bounds)?;
        let limits = &collector.config.bounds.limits;
        let changed = collector.registry.change_rows(&mut pending, &rows.changes, limits);
        changed.map_err(not_changed)?;
        check_page(pending.page_bytes(&self.labels()), &collector.config)?;
        self.pending = Some(pending);
        Ok(())
    }

    /// Takes the pending values, or a copy of the current ones.
    fn take_pending(&mut self, collector: &CollectorState) -> Result<Box<PendingValues>, Refusal> {
        if let Some(pending) = self.pending.take() {
            return Ok(pending);
        }
        let Some(agent) = self.registered() else { return Err(Refusal::of(Code::Superseded)) };
        let current = collector.registry.pending_values_of(agent).map_err(Refusal::of)?;
        current.map(Box::new).ok_or_else(|| Refusal::of(Code::Superseded))
    }

    /// Stores a report. Returns the number of its values, absent ones included.
    pub(super) fn report(
        &mut self,
        report: &Report<'_>,
        collector: &CollectorState,
        now: Millis,
    ) -> Result<usize, Refusal> {
        let previous = self.sequence;
        if self.registered().is_some() && report.sequence <= previous {
            return Err(Violation::SequenceNotRising { sequence: report.sequence, previous }.into());
        }
        let stored = match self.pending.take() {
            Some(mut pending) => {
                let applied = collector.registry.apply(&mut pending, &report.values);
                applied.map_err(not_changed)?;
                self.show(*pending, collector, now)?
            }
            None => match self.registered() {
                Some(agent) => agent.store(&report.values)?,
                None => None,
            },
        };
        let samples = stored.ok_or_else(|| Refusal::of(Code::Superseded))?;
        self.sequence = report.sequence;
        Ok(samples)
    }

    /// Makes values visible, and registers the agent if they are its first. Returns their number;
    /// `None` if another connection has taken over the id.
    fn show(
        &mut self,
        values: PendingValues,
        collector: &CollectorState,
        now: Millis,
    ) -> Result<Option<usize>, Refusal> {
        let cells = values.layout().cells();
        let suppressed = match &self.registration {
            Registration::Registered(agent) => {
                let replaced = collector.registry.replace(agent, values);
                let Some(suppressed) = replaced.map_err(Refusal::of)? else { return Ok(None) };
                suppressed
            }
            Registration::Pending(pending) => {
                let series = values.layout().series();
                let arrived = || {
                    collector.roster.arrived(&pending.id);
                    let now = collector.clock.moment().unix;
                    collector.web.presence.add(&pending.id, now, None);
                };
                let entered = collector.registry.enter_then(pending, values, now, arrived);
                let entered = entered.map_err(Refusal::of)?;
                let (id, address) = (&pending.id, pending.handle.address());
                log_if!(
                    collector.may_log("agent connected", id, address.ip()), info,
                    agent = %id, %address, series, "agent connected"
                );
                self.registration = Registration::Registered(entered.agent);
                entered.suppressed
            }
        };
        self.log_suppressed(&suppressed, collector);
        Ok(Some(cells))
    }

    fn log_suppressed(&self, suppressed: &[Box<str>], collector: &CollectorState) {
        let Some(agent) = self.registered().filter(|_| !suppressed.is_empty()) else { return };
        collector.telemetry.metrics.family_conflicts.inc_by(suppressed.len() as u64);
        let (id, address) = (agent.id(), agent.handle().address());
        let families = suppressed.len();
        let first = suppressed[..families.min(FAMILIES_NAMED)].join(" ");
        log_if!(
            collector.may_log("families suppressed", id, address.ip()), warn,
            agent = %id, families, first, "families suppressed"
        );
    }
}

pub(super) fn not_changed(why: ChangeError) -> Refusal {
    match why {
        ChangeError::Violation(violation) => Refusal::from(violation),
        ChangeError::Full(code) => Refusal::of(code),
    }
}

/// Stores a catalog, or returns the equal one that is stored. `labels` are those of the agent.
pub(super) fn interned(
    fingerprint: Fingerprint,
    catalog: Catalog,
    bytes: usize,
    labels: &str,
    collector: &CollectorState,
) -> Result<CatalogPin, Refusal> {
    let catalogs = collector.registry.catalogs();
    if let Some(known) = catalogs.find(&fingerprint) {
        return Ok(known);
    }
    let skipped = catalog.families.iter().filter(|family| family.kind.is_none()).count();
    collector.telemetry.metrics.families_skipped.inc_by(skipped as u64);
    let measured = MeasuredCatalog::from(catalog);
    // A refused catalog must not evict others from the store.
    check_page(measured.page_bytes_without_rows(labels), &collector.config)?;
    catalogs.intern(fingerprint, measured, bytes).map_err(Refusal::of)
}

/// Checks that no label of the catalogs has the name of one that the agent's credential pins.
pub(super) fn check_labels(
    id: &AgentId,
    handle: &ConnectionHandle,
    layout: &Layout,
    collector: &CollectorState,
) -> Result<(), Refusal> {
    let catalogs = layout.catalogs().map(|catalog| catalog.catalog());
    collector.auth.current().check_series(id, handle.credential(), catalogs)
}

/// Checks the size of an agent's lines on a page.
pub(super) fn check_page(bytes: usize, config: &Config) -> Result<(), Refusal> {
    let max = config.bounds.page_bytes_per_agent;
    if bytes > max {
        let detail = format!(
            "the agent's samples can take {bytes} bytes of a page; the limit is {max} \
             (max_page_size_per_agent). Shorten its labels or report fewer series"
        );
        return Err(Refusal { detail, ..Refusal::of(Code::PageTooLarge) });
    }
    Ok(())
}
