//! What an agent says of itself and what it reports, fixed for the life of its process.

use std::sync::Arc;
use std::time::Duration;

use fleetgauge_proto::limits::{MAX_INTERVAL_MS, MIN_INTERVAL_MS};
use fleetgauge_proto::message::{self, Hello, Label, Message, Secret};
use fleetgauge_proto::schema::{self, FamilyKind};
use fleetgauge_proto::{AgentId, Fingerprint, Limits, Schema, StaticLabels, VERSION, Violation};

use crate::identity::Nonces;
use crate::metrics::MetricSet;

/// Everything that goes into Hello and Schema. Made once, shared by all connections of an agent.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Who the agent is.
    pub id: AgentId,
    /// Which boot and which process it is.
    pub nonces: Nonces,
    /// Labels on all its series.
    pub labels: StaticLabels,
    /// The interval between reports that it asks for.
    pub interval: Duration,
    /// The program's version, at most 64 bytes.
    pub agent_version: &'static str,
    /// What its reports carry; many agents may share one.
    pub schema: Arc<EncodedSchema>,
}

impl Profile {
    /// The interval asked for, in milliseconds, within the protocol's bounds.
    #[must_use]
    pub fn interval_ms(&self) -> u32 {
        let asked = u32::try_from(self.interval.as_millis()).unwrap_or(u32::MAX);
        asked.clamp(MIN_INTERVAL_MS, MAX_INTERVAL_MS)
    }

    /// The agent's introduction, with what it shows for itself.
    pub(crate) fn hello<'a>(&'a self, credential: Option<Secret<'a>>) -> Message<'a> {
        Message::Hello(Hello {
            min_version: VERSION,
            max_version: VERSION,
            capabilities: 0,
            agent_id: self.id.as_str(),
            host_nonce: self.nonces.host,
            process_nonce: self.nonces.process,
            labels: self.labels.iter().map(|(name, value)| Label { name, value }).collect(),
            interval_ms: self.interval_ms(),
            agent_version: self.agent_version,
            schema: self.schema.fingerprint(),
            credential,
            extensions: Vec::new(),
        })
    }
}

/// A legal schema as the frame that declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedSchema {
    frame: Box<[u8]>,
    fingerprint: Fingerprint,
    width: usize,
}

impl EncodedSchema {
    /// Checks and encodes `schema`.
    ///
    /// # Errors
    /// What is illegal about it, or that it exceeds a collector's usual limits.
    pub fn try_new(schema: &message::Schema<'_>) -> Result<Self, Violation> {
        let width = Schema::try_new(schema, &Limits::default())?.width;
        let (frame, fingerprint) = schema::encode(schema)?;
        Ok(Self { frame: frame.into(), fingerprint, width })
    }

    /// The schema of a metric set: a gauge without labels for each of its metrics.
    ///
    /// # Errors
    /// None with the sets there are.
    pub fn of(set: MetricSet) -> Result<Self, Violation> {
        let families = set.metrics().iter().map(|metric| message::Family {
            name: metric.name,
            kind: FamilyKind::Gauge as u8,
            unit: metric.unit,
            help: metric.help,
        });
        let series = (0..).take(set.metrics().len()).map(|family| message::Series {
            family,
            width: 1,
            parameters: Vec::new(),
            labels: Vec::new(),
        });
        Self::try_new(&message::Schema {
            stream: 0,
            families: families.collect(),
            series: series.collect(),
        })
    }

    /// The whole Schema frame.
    #[must_use]
    pub const fn frame(&self) -> &[u8] {
        &self.frame
    }

    /// What Hello announces it by.
    #[must_use]
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Values in a report.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.width
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sets_are_legal_schemas() {
        for set in [MetricSet::Basic, MetricSet::Classic] {
            assert_eq!(EncodedSchema::of(set).unwrap().width(), 6);
        }
    }

    #[test]
    fn a_fingerprint_tells_the_sets_apart() {
        let basic = EncodedSchema::of(MetricSet::Basic).unwrap();
        let classic = EncodedSchema::of(MetricSet::Classic).unwrap();
        assert_ne!(basic.fingerprint(), classic.fingerprint());
        assert_eq!(basic, EncodedSchema::of(MetricSet::Basic).unwrap());
    }
}
