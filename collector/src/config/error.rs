//! The error of an invalid setting.

/// An invalid setting: its name, and what would be valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {problem}")]
pub struct BadSetting {
    /// Name of the setting.
    pub setting: String,
    /// What is wrong and what would be valid.
    pub problem: String,
}

impl BadSetting {
    pub(crate) fn new(setting: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { setting: setting.into(), problem: problem.into() }
    }
}
