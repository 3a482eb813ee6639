//! TLS towards a collector: whom to believe, and by what to be known.
//!
//! The files are read anew for every round of attempts, and the system's authorities with them, so
//! that a certificate that was renewed is used from the next one on. Reading some 150 authorities
//! of a system takes 3 ms of CPU; a round comes once a second at most, and every minute while a
//! collector is away.

mod files;
mod problem;
mod validity;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;

use files::Material;
use validity::Validity;

/// What is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// The authorities of the collector's certificate, in PEM; `None`: those that this system
    /// trusts.
    pub ca: Option<PathBuf>,
    /// By what this agent is known.
    pub identity: Option<Identity>,
    /// The name that the collector's certificate must have; `None`: the host of its address.
    pub server_name: Option<ServerName<'static>>,
}

impl TlsSettings {
    /// The files that are set.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        let identity = self.identity.iter();
        let own = identity.flat_map(|identity| [&identity.certificate, &identity.key]);
        self.ca.iter().chain(own).map(PathBuf::as_path)
    }
}

/// A certificate and its key, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate, and those that lead from it to its authority.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// A file that will not do: which one, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {problem}")]
pub struct BadTls {
    setting: &'static str,
    problem: String,
}

impl BadTls {
    /// The setting that names the file.
    #[must_use]
    pub const fn setting(&self) -> &'static str {
        self.setting
    }

    /// What is wrong with it, and what would be right.
    #[must_use]
    pub fn problem(&self) -> &str {
        &self.problem
    }
}

/// Makes connections of TLS.
#[derive(Clone)]
pub struct Tls {
    settings: TlsSettings,
    made: Option<Made>,
}

/// What was read last, and what was made of it.
#[derive(Clone)]
struct Made {
    material: Arc<Material>,
    /// With it go the tickets by which the collector knows us again.
    connector: TlsConnector,
    /// Of the agent's own certificate.
    validity: Option<Validity>,
}

impl Tls {
    /// Nothing is read yet.
    #[must_use]
    pub const fn new(settings: TlsSettings) -> Self {
        Self { settings, made: None }
    }

    /// What is set.
    #[must_use]
    pub const fn settings(&self) -> &TlsSettings {
        &self.settings
    }

    /// What connects by the files as they are now. Reads them, which may take long.
    ///
    /// # Errors
    /// The first file that will not do.
    pub fn connector(&mut self) -> Result<TlsConnector, BadTls> {
        let material = Material::read(&self.settings)?;
        if let Some(made) = &self.made
            && *made.material == material
        {
            return Ok(made.connector.clone());
        }
        let connector = TlsConnector::from(material.client_config(&self.settings)?);
        let validity = material.validity();
        let made = Made { material: Arc::new(material), connector: connector.clone(), validity };
        self.made = Some(made);
        Ok(connector)
    }

    /// Whether both have read the same.
    pub(crate) fn reads_as(&self, other: &Self) -> bool {
        match (&self.made, &other.made) {
            (Some(own), Some(theirs)) => own.material == theirs.material,
            (own, theirs) => own.is_none() && theirs.is_none(),
        }
    }

    /// What is wrong at `now` with the dates of the agent's own certificate, as it was read last.
    /// No reason not to connect: it may be renewed at any time.
    #[must_use]
    pub fn out_of_date(&self, now: SystemTime) -> Option<BadTls> {
        let path = self.settings.identity.as_ref()?.certificate.display();
        let problem = self.made.as_ref()?.validity?.problem(now)?;
        Some(bad("tls_certificate", format!("{path} {problem}")))
    }
}

fn bad(setting: &'static str, problem: String) -> BadTls {
    BadTls { setting, problem }
}
