//! Who may be whom: the rules in force.
//!
//! They come from the settings and the files that those name, are read at the start, and read anew (`reload`)
//! while the collector runs. [`Trust`] is whole and unchanging; what is in force is one of them, swapped for another.

mod digest;
mod entries;
mod labels;
mod new_token;
mod readers;
pub(crate) mod secret_file;
#[cfg(test)]
mod tests;
mod tokens;

use std::sync::Arc;

use fleetgauge_proto::message::Secret;
use fleetgauge_proto::{AgentId, StaticLabels};

use crate::tls::{Certificate, NamePattern, PortTls};
pub use labels::Labels;
pub use new_token::NewToken;
pub use readers::{Reader, Readers, Unread};
pub use secret_file::BadFile;
pub use tokens::Credentials;

/// The rules.
#[derive(Debug, Default)]
pub struct Trust {
    /// What gives agents their ids beside their certificates; `None`: whoever gets so far may have any.
    pub agents: Option<Credentials>,
    /// The tokens by which pages are read; `None`: whoever reaches the port may read them.
    pub readers: Option<Readers>,
    /// The labels that agents may set.
    pub labels: Labels,
    /// TLS of the agents' port; `None`: it speaks none.
    pub tls: Option<Arc<PortTls>>,
    /// TLS of the HTTP port.
    pub http_tls: Option<Arc<PortTls>>,
    /// How an agent's id is found in its certificate's name.
    pub certificate_name: NamePattern,
}

/// What an agent shows for itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Shown<'a> {
    /// The token in its Hello.
    pub token: Option<Secret<'a>>,
    /// The certificate of its connection, which has been found good.
    pub certificate: Option<&'a Certificate>,
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
    /// Its token is not for this id.
    WrongToken,
    /// Its certificate is not for this id.
    WrongCertificate,
}

impl Denied {
    /// Every cause.
    pub const ALL: [Self; 4] =
        [Self::NoCredential, Self::UnknownAgent, Self::WrongToken, Self::WrongCertificate];

    /// The name under which it is logged and counted.
    #[must_use]
    pub const fn cause(self) -> &'static str {
        match self {
            Self::NoCredential => "no_credential",
            Self::UnknownAgent => "unknown_agent",
            Self::WrongToken => "wrong_token",
            Self::WrongCertificate => "wrong_certificate",
        }
    }
}

impl Trust {
    /// What an agent of this id that shows this is given. Where both are asked for, certificate and token must be right;
    /// an id without an entry in the file of credentials is nobody's, whatever its certificate.
    ///
    /// # Errors
    /// The id is not its own.
    pub fn admit(&self, id: &AgentId, shown: Shown<'_>) -> Result<Grant, Denied> {
        let certified = self.asks_for_certificates();
        if certified {
            let certificate = shown.certificate.ok_or(Denied::NoCredential)?;
            if !self.is_named(id, certificate) {
                return Err(Denied::WrongCertificate);
            }
        }
        match &self.agents {
            None => Ok(Grant::default()),
            Some(agents) => agents.admit(id, shown.token.map_or(&[], |secret| secret.0), certified),
        }
    }

    /// Whether agents must show certificates.
    #[must_use]
    pub fn asks_for_certificates(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.clients().are_asked())
    }

    /// Whether a certificate is that of the agent of this id.
    #[must_use]
    pub fn is_named(&self, id: &AgentId, certificate: &Certificate) -> bool {
        let is_id = |name: &String| self.certificate_name.id(name) == Some(id.as_str());
        certificate.names.iter().any(is_id)
    }

    /// Whether an agent that came by the credential of this number, and has labels of these names, may stay as it is.
    pub fn still_allows<'a>(
        &self,
        id: &AgentId,
        credential: u32,
        labels: impl Iterator<Item = &'a str>,
    ) -> bool {
        let none = StaticLabels::default();
        let pinned = match &self.agents {
            // What was pinned to whoever came by a credential is not any more.
            None => (credential == 0).then_some(&none),
            Some(agents) => agents.still_pinned(id, credential),
        };
        pinned.is_some_and(|pinned| self.labels.still_allow(labels, pinned))
    }
}
