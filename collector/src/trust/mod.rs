//! Who may be whom: the rules in force.
//!
//! They come from the settings and the files that those name, are read at the start, and read anew (`reload`)
//! while the collector runs. [`Trust`] is whole and unchanging; what is in force is one of them, swapped for another.

mod digest;
mod entries;
mod labels;
mod readers;
mod secret_file;
#[cfg(test)]
mod tests;
mod tokens;

use fleetgauge_proto::message::Secret;
use fleetgauge_proto::{AgentId, StaticLabels};

pub use labels::Labels;
pub use readers::{Readers, Unread};
pub use secret_file::BadFile;
pub use tokens::Credentials;

/// The rules.
#[derive(Debug, Default)]
pub struct Trust {
    /// The tokens that give agents their ids; `None`: whoever reaches the port may have any.
    pub agents: Option<Credentials>,
    /// The tokens by which pages are read; `None`: whoever reaches the port may read them.
    pub readers: Option<Readers>,
    /// The labels that agents may set.
    pub labels: Labels,
}

/// What an agent has been given by its credential.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grant {
    /// The credential's number, never used for another; 0 without one.
    pub credential: u32,
    /// The labels that it has whatever it says.
    pub pinned: StaticLabels,
}

/// Why an agent may not have the id that it claims: for the log and the counter, never for the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// It shows nothing.
    NoCredential,
    /// Nobody may have this id.
    UnknownAgent,
    /// What it shows is not for this id.
    WrongToken,
}

impl Denied {
    /// Every cause.
    pub const ALL: [Self; 3] = [Self::NoCredential, Self::UnknownAgent, Self::WrongToken];

    /// The name under which it is logged and counted.
    #[must_use]
    pub const fn cause(self) -> &'static str {
        match self {
            Self::NoCredential => "no_credential",
            Self::UnknownAgent => "unknown_agent",
            Self::WrongToken => "wrong_token",
        }
    }
}

impl Trust {
    /// What an agent of this id that shows this is given.
    ///
    /// # Errors
    /// The id is not its own.
    pub fn admit(&self, id: &AgentId, shown: Option<Secret<'_>>) -> Result<Grant, Denied> {
        match &self.agents {
            None => Ok(Grant::default()),
            Some(agents) => agents.admit(id, shown.map_or(&[], |secret| secret.0)),
        }
    }

    /// Whether an agent that came by the credential of this number may keep its id.
    #[must_use]
    pub fn still_allows(&self, id: &AgentId, credential: u32) -> bool {
        self.agents.as_ref().is_none_or(|agents| agents.still_allows(id, credential))
    }
}
