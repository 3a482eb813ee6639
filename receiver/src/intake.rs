//! Checks of a request, and its way into the ledger.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use prost::Message;

use crate::faults::EngineRules;
use crate::findings::FindingKind;
use crate::labels;
use crate::ledger::Ledger;
use crate::samples::{Detail, Place, Sample};
use crate::scan::{self, Part, Undecodable};
use crate::wire::MetricMetadata;

/// Longest metadata of a metric family, in bytes: help texts have a few lines.
const MAX_METADATA: usize = 16 << 10;

/// Answer other than success, and its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) reason: String,
}

impl Refusal {
    pub(crate) fn new(status: u16, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into() }
    }
}

impl From<Undecodable> for Refusal {
    fn from(error: Undecodable) -> Self {
        Self::new(400, error.0)
    }
}

/// A request whose series are known, with its samples in one vector.
#[derive(Default)]
struct Plan {
    series: Vec<(u32, Range<usize>)>,
    samples: Vec<Sample>,
    metadata: Vec<MetricMetadata>,
    malformed: bool,
}

impl Ledger {
    /// Stores a decompressed `WriteRequest`, all of it or nothing. Returns the number of samples.
    pub(crate) fn take(&mut self, message: &[u8], rules: &EngineRules) -> Result<usize, Refusal> {
        let plan = self.plan(message).inspect_err(|refusal| {
            let kind = match refusal.status {
                503 => FindingKind::OverLimit,
                _ => FindingKind::Undecodable,
            };
            self.findings.note(kind, || refusal.reason.clone());
        })?;
        if plan.malformed {
            return Err(Refusal::new(400, "labels are not legal, see the receiver's findings"));
        }
        self.check_poison(&plan, rules)?;
        if let Some(status) = rules.in_order_only {
            self.check_order(&plan, status)?;
        }
        self.store(&plan);
        for metadata in plan.metadata {
            self.metadata.insert(metadata.metric_family_name.clone(), metadata);
        }
        Ok(plan.samples.len())
    }

    /// Decodes a request and adds the series that are new, without samples.
    fn plan(&mut self, message: &[u8]) -> Result<Plan, Refusal> {
        let mut plan = Plan::default();
        self.decoded = self.decoded.wrapping_add(1);
        for part in scan::request(message) {
            match part? {
                Part::Series(message) => self.plan_series(message, &mut plan)?,
                Part::Metadata(message) => {
                    if plan.metadata.len() >= self.limits.families {
                        return Err(Refusal::new(503, "too many metric families"));
                    }
                    if message.len() > MAX_METADATA {
                        return Err(Refusal::new(503, "metadata of a family is too long"));
                    }
                    let metadata = MetricMetadata::decode(message)
                        .map_err(|_| Undecodable("metadata is not decodable"))?;
                    plan.metadata.push(metadata);
                }
            }
        }
        let samples = u64::try_from(plan.samples.len()).unwrap_or(u64::MAX);
        if self.totals.samples.saturating_add(samples) > self.limits.samples {
            return Err(Refusal::new(503, "too many samples"));
        }
        self.check_times(&plan.samples)?;
        self.check_families(&plan.metadata)?;
        Ok(plan)
    }

    fn check_times(&self, samples: &[Sample]) -> Result<(), Refusal> {
        let has = |sample: &Sample| self.epoch.has(sample.unix_ms);
        match self.limits.detail {
            Detail::Hashes { .. } if !samples.iter().all(has) => {
                Err(Refusal::new(503, "a sample is too far from the present"))
            }
            _ => Ok(()),
        }
    }

    fn check_families(&self, metadata: &[MetricMetadata]) -> Result<(), Refusal> {
        let new = |own: &&MetricMetadata| !self.metadata.contains_key(&own.metric_family_name);
        let families = self.metadata.len().saturating_add(metadata.iter().filter(new).count());
        if families > self.limits.families {
            return Err(Refusal::new(503, "too many metric families"));
        }
        Ok(())
    }

    fn plan_series(&mut self, message: &[u8], plan: &mut Plan) -> Result<(), Refusal> {
        let first = plan.samples.len();
        let encoded = scan::series(message, &mut plan.samples)?;
        let range = first..plan.samples.len();
        let Some(id) = self.id(&encoded)? else {
            plan.malformed = true;
            return Ok(());
        };
        let request = self.decoded;
        if let Some(history) = self.table.get_mut(id) {
            if history.request == request {
                let text = || history.labels().to_string();
                self.findings.note(FindingKind::DuplicateSeries, text);
            }
            history.request = request;
            if range.is_empty() {
                self.findings.note(FindingKind::EmptySeries, || history.labels().to_string());
            }
        }
        plan.series.push((id, range));
        Ok(())
    }

    /// Returns the id of a series, added if it is new, or none if its labels are not legal.
    fn id(&mut self, encoded: &[u8]) -> Result<Option<u32>, Refusal> {
        // Illegal labels are never added, so what is found here needs no check.
        if let Some(id) = self.table.find(encoded) {
            return Ok(Some(id));
        }
        let Some(canonical) = labels::checked(encoded, &mut self.findings)? else {
            return Ok(None);
        };
        if let Some(id) = self.table.find(&canonical) {
            return Ok(Some(id));
        }
        let bytes = self.table.label_bytes().saturating_add(canonical.len());
        let room = self.table.len() < self.limits.series && bytes <= self.limits.label_bytes;
        let added =
            room.then(|| self.table.add(canonical, self.limits.detail, self.epoch)).flatten();
        added.map(Some).ok_or_else(|| Refusal::new(503, "too many series"))
    }

    fn check_poison(&self, plan: &Plan, rules: &EngineRules) -> Result<(), Refusal> {
        let Some((predicate, status)) = &rules.poison else { return Ok(()) };
        for (id, _) in &plan.series {
            if let Some(history) = self.table.get(*id)
                && predicate(history.labels())
            {
                let reason = format!("series refused: {}", history.labels());
                return Err(Refusal::new(*status, reason));
            }
        }
        Ok(())
    }

    /// Refuses what Prometheus without an out-of-order window refuses.
    fn check_order(&mut self, plan: &Plan, status: u16) -> Result<(), Refusal> {
        // Newest samples of series within this request, as far as they changed.
        let mut newest = BTreeMap::new();
        for (id, range) in &plan.series {
            let Some(history) = self.table.get(*id) else { continue };
            for &sample in plan.samples.get(range.clone()).unwrap_or_default() {
                let before = newest.get(id).map(|before: &Sample| before.unix_ms);
                let before = before.or_else(|| history.newest_unix_ms());
                let differs = || match newest.get(id) {
                    Some(before) => sample.bits != before.bits,
                    None => history.place(sample) != Place::Repeated,
                };
                let is_older = before.is_some_and(|before| sample.unix_ms < before);
                if is_older || (before == Some(sample.unix_ms) && differs()) {
                    let before = before.unwrap_or(0);
                    let reason = format!(
                        "sample at {} ms, newest at {before} ms: {}",
                        sample.unix_ms,
                        history.labels(),
                    );
                    self.findings.note(FindingKind::OrderRefused, || reason.clone());
                    return Err(Refusal::new(status, reason));
                }
                newest.insert(*id, sample);
            }
        }
        Ok(())
    }

    fn store(&mut self, plan: &Plan) {
        let arrival = self.start.elapsed();
        for (id, range) in &plan.series {
            for &sample in plan.samples.get(range.clone()).unwrap_or_default() {
                self.store_sample(*id, sample, arrival);
            }
        }
        let markers = plan.samples.iter().filter(|sample| sample.is_stale_marker()).count();
        self.totals.stored_requests = self.totals.stored_requests.saturating_add(1);
        if markers > 0 && markers < plan.samples.len() {
            self.totals.mixed_requests = self.totals.mixed_requests.saturating_add(1);
        }
    }

    fn store_sample(&mut self, id: u32, sample: Sample, arrival: Duration) {
        let Some(history) = self.table.get_mut(id) else { return };
        let place = history.place(sample);
        let (kind, count) = match place {
            Place::Newest => (None, None),
            Place::Between(_) => (Some(FindingKind::OutOfOrder), Some(&mut history.out_of_order)),
            Place::Repeated => (Some(FindingKind::Repeated), Some(&mut history.repeated)),
            Place::Conflicting => (Some(FindingKind::Conflicting), Some(&mut history.conflicting)),
        };
        if let Some(count) = count {
            *count = count.saturating_add(1);
        }
        if let Some(kind) = kind {
            self.findings.note(kind, || {
                let labels = history.labels();
                let newest = history.newest_unix_ms().unwrap_or(0);
                let Sample { unix_ms, bits } = sample;
                format!("{labels}: {bits:#018x} at {unix_ms} ms, newest at {newest} ms: {place:?}")
            });
        }
        if matches!(place, Place::Newest | Place::Between(_)) {
            self.totals.samples = self.totals.samples.saturating_add(1);
            let marker = u64::from(sample.is_stale_marker());
            self.totals.markers = self.totals.markers.saturating_add(marker);
            history.store(sample, place, arrival);
        }
    }
}
