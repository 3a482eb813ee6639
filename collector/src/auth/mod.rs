//! Authorization: which credential may claim which agent id, with which labels, and who may read.
//!
//! An [`AuthPolicy`] is immutable. It is built from the settings and the files that they name; a
//! reload replaces the [`ActivePolicy`](active_policy::ActivePolicy).

pub mod active_policy;
pub mod credential_id;
mod credentials_file;
mod digest;
mod http_users;
mod labels;
mod new_token;
#[cfg(test)]
mod tests;
mod tokens;

use std::sync::Arc;

use fleetgauge_proto::message::Secret;
use fleetgauge_proto::{AgentId, Catalog, StaticLabels};

use crate::peers::refusal::Refusal;
use crate::tls::{Certificate, NamePattern, PortTls};
use credential_id::CredentialId;

pub use http_users::{ReadDenied, Reader, Readers};
pub use labels::Labels;
pub use new_token::NewToken;
pub use tokens::Credentials;

/// An authorization policy: credentials, HTTP users, allowed labels, and TLS of both ports.
#[derive(Debug, Default)]
pub struct AuthPolicy {
    /// Credentials of the agents. `None` if no credentials file is set: then every id is allowed
    /// or, if client certificates are required, every id that the agent's certificate names.
    pub agents: Option<Credentials>,
    /// Users of the HTTP port. `None` if requests need no credential.
    pub readers: Option<Readers>,
    /// Labels that agents may set.
    pub labels: Labels,
    /// TLS of the agent port; `None` without TLS.
    pub tls: Option<Arc<PortTls>>,
    /// TLS of the HTTP port; `None` without TLS.
    pub http_tls: Option<Arc<PortTls>>,
    /// Pattern that extracts the agent id from a name in a client certificate.
    pub client_name: NamePattern,
}

/// The credentials that an agent presents.
#[derive(Debug, Clone, Copy, Default)]
pub struct PresentedCredentials<'a> {
    /// The token in the agent's Hello.
    pub token: Option<Secret<'a>>,
    /// The verified client certificate of the agent's connection.
    pub certificate: Option<&'a Certificate>,
}

/// The result of a successful authorization.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grant {
    /// The credential that was used; [`CredentialId::NONE`] without one.
    pub credential: CredentialId,
    /// Labels that the credential pins.
    pub pinned: StaticLabels,
}

/// Why an agent may not use the id that it claims. It is logged and counted, and never sent to the
/// peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// The agent presented no credential, or only one of two that are required.
    NoCredential,
    /// No entry of the credentials file allows this id.
    UnknownAgent,
    /// The token is not valid for this id.
    WrongToken,
    /// The certificate is not valid for this id.
    WrongCertificate,
}

impl Denied {
    /// Every cause.
    pub const ALL: [Self; 4] =
        [Self::NoCredential, Self::UnknownAgent, Self::WrongToken, Self::WrongCertificate];

    /// Returns the name of this cause in logs and metrics.
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

impl AuthPolicy {
    /// Authorizes an agent to use this id. If certificates and tokens are configured, both must be
    /// valid, and an id without an entry in the credentials file is denied.
    ///
    /// # Errors
    /// [`Denied`]
    pub fn authorize(
        &self,
        id: &AgentId,
        presented: PresentedCredentials<'_>,
    ) -> Result<Grant, Denied> {
        let certified = self.requires_certificates();
        if certified {
            let certificate = presented.certificate.ok_or(Denied::NoCredential)?;
            if !self.is_named(id, certificate) {
                return Err(Denied::WrongCertificate);
            }
        }
        match &self.agents {
            None => Ok(Grant::default()),
            Some(agents) => {
                agents.authorize(id, presented.token.map_or(&[], |secret| secret.0), certified)
            }
        }
    }

    /// Whether agents must present certificates.
    #[must_use]
    pub fn requires_certificates(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.clients().is_required())
    }

    /// Whether a certificate names this agent id.
    #[must_use]
    pub fn is_named(&self, id: &AgentId, certificate: &Certificate) -> bool {
        let is_id = |name: &String| self.client_name.id(name) == Some(id.as_str());
        certificate.names.iter().any(is_id)
    }

    /// Whether an agent that was authorized by this credential may keep its id and its labels,
    /// which have these names.
    pub fn still_allows<'a>(
        &self,
        id: &AgentId,
        credential: CredentialId,
        labels: impl Iterator<Item = &'a str>,
    ) -> bool {
        let none = StaticLabels::default();
        let pinned = match &self.agents {
            // The agent's credential may have pinned labels, and this policy has no credentials to
            // pin them.
            None => (credential == CredentialId::NONE).then_some(&none),
            Some(agents) => agents.still_pinned(id, credential),
        };
        pinned.is_some_and(|pinned| self.labels.still_allow(labels, pinned))
    }

    /// Returns the names of the labels that an agent's credential pins.
    pub fn pinned_names(
        &self,
        id: &AgentId,
        credential: CredentialId,
    ) -> impl Iterator<Item = &str> {
        let pinned = self.agents.as_ref().and_then(|agents| agents.still_pinned(id, credential));
        pinned.into_iter().flat_map(StaticLabels::iter).map(|(name, _)| name)
    }

    /// Checks that no label of an agent's series has the name of a label that its credential pins.
    /// The series would show the agent's value under that name.
    ///
    /// # Errors
    /// [`Code::LabelNotAllowed`](fleetgauge_proto::Code::LabelNotAllowed), with the name.
    pub fn check_series<'a>(
        &self,
        id: &AgentId,
        credential: CredentialId,
        catalogs: impl Iterator<Item = &'a Catalog> + Clone,
    ) -> Result<(), Refusal> {
        for name in self.pinned_names(id, credential) {
            if catalogs.clone().any(|catalog| catalog.has_label(name)) {
                return Err(labels::not_allowed(name, labels::PINNED));
            }
        }
        Ok(())
    }
}
