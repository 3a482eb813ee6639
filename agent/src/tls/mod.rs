//! TLS towards a collector: whom to believe, and by what to be known.
//!
//! The files are read anew for every connection, so that a certificate that was renewed is used from the next one on.

mod files;
mod problem;

use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;

use files::Material;
pub(crate) use problem::explain;

/// What is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// The authorities of the collector's certificate, in PEM; `None`: those that this system trusts.
    pub ca: Option<PathBuf>,
    /// By what this agent is known.
    pub identity: Option<Identity>,
    /// The name that the collector's certificate must have; `None`: the host of its address.
    pub server_name: Option<ServerName<'static>>,
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
    /// What was read last, and what was made of it: with it go the tickets by which the collector knows us again.
    made: Option<(Arc<Material>, TlsConnector)>,
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

    /// What connects by the files as they are now.
    ///
    /// # Errors
    /// The first file that will not do.
    pub fn connector(&mut self) -> Result<TlsConnector, BadTls> {
        let material = Material::read(&self.settings)?;
        if let Some((last, connector)) = &self.made
            && **last == material
        {
            return Ok(connector.clone());
        }
        let connector = TlsConnector::from(material.client_config(&self.settings)?);
        self.made = Some((Arc::new(material), connector.clone()));
        Ok(connector)
    }
}
