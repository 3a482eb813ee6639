//! An agent whose page is open.

use fleetgauge_proto::AgentId;

use super::profile::{AgentSeries, Profile};
use super::trail::Trail;
use crate::clock::Millis;
use crate::state::CollectorState;

/// An agent whose page is open, with its values since then.
#[derive(Debug)]
pub(crate) struct OpenAgent {
    pub(crate) id: AgentId,
    /// Text by which its series are filtered.
    filter: String,
    trail: Trail,
    /// Its series, and the report that they are from: they change only with the next one.
    series: Option<(Millis, AgentSeries)>,
}

/// What the page of a connected agent shows.
#[derive(Debug)]
pub(crate) struct AgentView<'a> {
    pub(crate) profile: Profile,
    pub(crate) series: &'a AgentSeries,
    pub(crate) trail: &'a Trail,
    pub(crate) filter: &'a str,
}

impl OpenAgent {
    pub(crate) fn new(id: AgentId, filter: String) -> Self {
        Self { id, filter, trail: Trail::default(), series: None }
    }

    /// Returns what the page shows now; `None` if the agent is not connected.
    pub(crate) fn look(&mut self, collector: &CollectorState) -> Option<AgentView<'_>> {
        let profile = Profile::of(&self.id, collector)?;
        let reported = profile.reported;
        if self.series.as_ref().is_none_or(|(then, _)| *then != reported) {
            let mut series = AgentSeries::of(&self.id, &self.filter, collector)?;
            self.trail.add(reported, profile.headlines, &mut series.devices);
            self.series = Some((reported, series));
        }
        let series = &self.series.as_ref()?.1;
        Some(AgentView { profile, series, trail: &self.trail, filter: &self.filter })
    }
}
