//! The contents of Hello and Catalog: the agent's identity, labels, interval and catalogs.

use std::time::Duration;

use fleetgauge_proto::limits::{MAX_INTERVAL_MS, MIN_INTERVAL_MS};
use fleetgauge_proto::message::{Extension, Hello, Label, Message, Secret};
use fleetgauge_proto::{AgentId, StaticLabels, VERSION, capability};

use crate::catalogs::{Catalogs, EncodedCatalog};
use crate::identity::Nonces;

/// The contents of Hello and Catalog. All connections of an agent share one profile.
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
    /// Catalogs of the reports. Several agents may share them.
    pub catalogs: Catalogs,
}

impl Profile {
    /// Returns the interval in milliseconds, clamped to the limits of the protocol.
    #[must_use]
    pub fn interval_ms(&self) -> u32 {
        let interval = u32::try_from(self.interval.as_millis()).unwrap_or(u32::MAX);
        interval.clamp(MIN_INTERVAL_MS, MAX_INTERVAL_MS)
    }

    /// Returns the Hello message, with the extension of the log if the agent keeps one.
    pub(crate) fn hello<'a>(
        &'a self,
        credential: Option<Secret<'a>>,
        log: Option<Extension<'a>>,
    ) -> Message<'a> {
        let catalogs = self.catalogs.by_slot().iter().map(EncodedCatalog::fingerprint);
        Message::Hello(Hello {
            min_version: VERSION,
            max_version: VERSION,
            capabilities: if log.is_some() { capability::LOG } else { 0 },
            agent_id: self.id.as_str(),
            host_nonce: self.nonces.host,
            process_nonce: self.nonces.process,
            labels: self.labels.iter().map(|(name, value)| Label { name, value }).collect(),
            interval_ms: self.interval_ms(),
            agent_version: self.agent_version,
            catalogs: catalogs.collect(),
            credential,
            extensions: log.into_iter().collect(),
        })
    }
}
