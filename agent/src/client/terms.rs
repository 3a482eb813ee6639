//! What a collector requires of the samples of an agent.

use std::sync::Arc;

use fleetgauge_proto::Limits;
use fleetgauge_proto::message::Welcome;

use super::{ClientError, limits};
use crate::catalogs::Catalogs;
use crate::profile::Profile;
use crate::tables::Sample;

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

    /// Checks the catalogs and labels of a profile.
    ///
    /// # Errors
    /// [`ClientError::OverLimit`] or [`ClientError::PinnedLabel`].
    pub fn check(&self, profile: &Profile) -> Result<(), ClientError> {
        limits::check_profile(profile, &self.limits)?;
        self.check_labels(&profile.catalogs)
    }

    /// Checks the catalogs, rows and values of a sample that may have been made for other terms.
    ///
    /// # Errors
    /// [`ClientError::OverLimit`] or [`ClientError::PinnedLabel`].
    pub fn check_sample(&self, catalogs: &Catalogs, sample: &Sample) -> Result<(), ClientError> {
        self.check_labels(catalogs)?;
        sample.check_limits(catalogs, &self.limits)
    }

    fn check_labels(&self, catalogs: &Catalogs) -> Result<(), ClientError> {
        for name in &*self.pinned_labels {
            if catalogs.by_slot().iter().any(|catalog| catalog.has_label(name)) {
                return Err(ClientError::PinnedLabel(name.clone()));
            }
        }
        Ok(())
    }
}
