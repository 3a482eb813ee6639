//! The contents of Hello and Schema: the agent's identity, labels, interval and schema.

use std::sync::Arc;
use std::time::Duration;

use fleetgauge_proto::limits::{MAX_INTERVAL_MS, MIN_INTERVAL_MS};
use fleetgauge_proto::message::{self, Hello, Label, Message, Secret};
use fleetgauge_proto::schema::{self, FamilyKind};
use fleetgauge_proto::{AgentId, Fingerprint, Limits, Schema, StaticLabels, VERSION, Violation};

use crate::identity::Nonces;
use crate::metrics::MetricSet;

/// The contents of Hello and Schema. All connections of an agent share one profile.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Agent id.
    pub id: AgentId,
    /// Nonces of the host's boot and of the process.
    pub nonces: Nonces,
    /// Static labels of the agent, added to all its series.
    pub labels: StaticLabels,
    /// Interval between reports that the agent asks the collector for.
    pub interval: Duration,
    /// Program version, at most 64 bytes.
    pub agent_version: &'static str,
    /// Schema of the reports. Several agents may share it.
    pub schema: Arc<EncodedSchema>,
}

impl Profile {
    /// Returns the interval in milliseconds, clamped to the limits of the protocol.
    #[must_use]
    pub fn interval_ms(&self) -> u32 {
        let interval = u32::try_from(self.interval.as_millis()).unwrap_or(u32::MAX);
        interval.clamp(MIN_INTERVAL_MS, MAX_INTERVAL_MS)
    }

    /// Returns the Hello message.
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

/// A validated schema, encoded as a Schema frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedSchema {
    frame: Box<[u8]>,
    fingerprint: Fingerprint,
    width: usize,
}

impl EncodedSchema {
    /// Validates and encodes `schema`.
    ///
    /// # Errors
    /// The schema is illegal or exceeds the default limits of a collector.
    pub fn try_new(schema: &message::Schema<'_>) -> Result<Self, Violation> {
        let width = Schema::try_new(schema, &Limits::default())?.width;
        let (frame, fingerprint) = schema::encode(schema)?;
        Ok(Self { frame: frame.into(), fingerprint, width })
    }

    /// Encodes the schema of a metric set: one gauge without labels for each metric.
    ///
    /// # Errors
    /// Never fails for the existing sets.
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

    /// Returns the Schema frame.
    #[must_use]
    pub const fn frame(&self) -> &[u8] {
        &self.frame
    }

    /// Returns the fingerprint of the schema, for Hello.
    #[must_use]
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Returns the number of values in a report.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.width
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_metric_sets_are_valid_schemas() {
        for set in [MetricSet::Basic, MetricSet::Classic] {
            assert_eq!(EncodedSchema::of(set).unwrap().width(), 6);
        }
    }

    #[test]
    fn metric_sets_have_different_fingerprints() {
        let basic = EncodedSchema::of(MetricSet::Basic).unwrap();
        let classic = EncodedSchema::of(MetricSet::Classic).unwrap();
        assert_ne!(basic.fingerprint(), classic.fingerprint());
        assert_eq!(basic, EncodedSchema::of(MetricSet::Basic).unwrap());
    }
}
