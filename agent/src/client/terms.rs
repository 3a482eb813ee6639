//! What a collector requires of the samples of an agent.

use std::sync::Arc;

use fleetgauge_proto::Limits;
use fleetgauge_proto::message::Welcome;

/// What Welcome requires of the samples of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Terms {
    /// Limits of the collector.
    pub limits: Limits,
    /// Names of the labels that the collector sets for this agent. The agent's series must not have
    /// labels of these names.
    pub pinned_labels: Arc<[Box<str>]>,
}

impl Terms {
    pub(super) fn of(welcome: &Welcome<'_>) -> Self {
        let pinned_labels = welcome.pinned_labels().map(Box::from).collect();
        Self { limits: welcome.limits, pinned_labels }
    }
}
