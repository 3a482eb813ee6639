//! Headings of the settings in the help.

pub(super) const LISTENING: &str = "Listening";
pub(super) const AUTHENTICATION: &str = "Authentication";
pub(super) const TLS: &str = "TLS for agents";
pub(super) const HTTP_TLS: &str = "TLS for HTTP";
pub(super) const PRESENCE: &str = "Presence";
pub(super) const ADDRESSES: &str = "Limits per address";
pub(super) const LIMITS: &str = "Limits";
pub(super) const AGENT_LIMITS: &str = "Limits per agent";
pub(super) const RUNNING: &str = "Running";
