//! Pages for people: the fleet, a list of its agents, one agent.
//!
//! `fleet` copies what they show from the registry and the roster, at most once a second. From the
//! copy, `overview` computes the figures of the whole fleet, and `listing` the agents that a search
//! finds. `html` renders them; `http::web` serves them, and the same as JSON.
//! `changes` finds the lines that an open page lacks; `http::watch` sends them.

mod changes;
mod devices;
mod fleet;
mod headline;
mod history;
pub(crate) mod html;
pub(crate) mod listing;
pub(crate) mod open_agent;
pub(crate) mod overview;
mod presence_log;
pub(crate) mod profile;
mod trail;

pub(crate) use changes::ShownLines;
use fleet::AgentRow;
pub(crate) use fleet::{FleetCache, FleetCopy};
pub(crate) use headline::HEADLINES;
pub(crate) use history::{History, Point};
use presence_log::PresenceLog;

#[cfg(test)]
mod cost_tests;

/// What the pages keep: nothing that grows with the fleet, unless somebody looks at it.
#[derive(Debug, Default)]
pub(crate) struct WebState {
    /// Copy of the fleet for those who look now.
    pub(crate) fleet: FleetCache,
    /// Figures of the last hour.
    pub(crate) history: History,
    /// The newest arrivals and departures.
    pub(crate) presence: PresenceLog,
}
