//! TLS as a client: verification of the server's certificate, and the client certificate.
//!
//! Every round of connection attempts reads the files and the system's trust store again, so a
//! renewed certificate is used from the next round on. Reading the 150 CA certificates of a typical
//! system takes 3 ms of CPU time; rounds are at least a second apart.

mod files;
mod validity;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;

use files::Material;
use validity::Validity;

use crate::settings::SettingError;

/// TLS settings of a client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// CA certificates to verify the server, in PEM; `None`: the system's trust store.
    pub ca: Option<PathBuf>,
    /// Client certificate and key; `None`: no client certificate.
    pub identity: Option<Identity>,
    /// Name that the server's certificate must have; `None`: the host of the server's address.
    pub server_name: Option<ServerName<'static>>,
}

impl TlsSettings {
    /// Iterates over the paths of the configured TLS files.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let identity = self.identity.iter();
        let own = identity.flat_map(|identity| [&identity.certificate, &identity.key]);
        self.ca.iter().chain(own).map(PathBuf::as_path)
    }
}

/// A client certificate and its key, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Certificate chain, leaf first.
    pub certificate: PathBuf,
    /// Private key.
    pub key: PathBuf,
}

/// A TLS file is unusable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {problem}")]
pub struct TlsFileError {
    setting: &'static str,
    problem: String,
}

impl TlsFileError {
    /// Returns the setting that names the file.
    #[must_use]
    pub const fn setting(&self) -> &'static str {
        self.setting
    }

    /// Returns the error of the setting that names the file.
    #[must_use]
    pub fn into_setting_error(self) -> SettingError {
        SettingError::new(self.setting, self.problem)
    }

    /// Returns the problem and what to do.
    #[must_use]
    pub fn problem(&self) -> &str {
        &self.problem
    }
}

/// Creates TLS connectors from the files. Keeps the connector, with its session tickets, while the
/// files are the same.
#[derive(Clone)]
pub struct TlsClient {
    settings: TlsSettings,
    loaded: Option<Loaded>,
}

/// The files as last read, and their connector.
#[derive(Clone)]
struct Loaded {
    material: Arc<Material>,
    /// The connector made from the files. It holds the session tickets.
    connector: TlsConnector,
    /// Validity of the client certificate.
    validity: Option<Validity>,
}

impl TlsClient {
    /// Creates a client. Reads nothing yet.
    #[must_use]
    pub const fn new(settings: TlsSettings) -> Self {
        Self { settings, loaded: None }
    }

    /// Returns the settings.
    #[must_use]
    pub const fn settings(&self) -> &TlsSettings {
        &self.settings
    }

    /// Reads the files and returns a connector. May block.
    ///
    /// # Errors
    /// The first unusable file.
    pub fn connector(&mut self) -> Result<TlsConnector, TlsFileError> {
        let material = Material::read(&self.settings)?;
        if let Some(loaded) = &self.loaded
            && *loaded.material == material
        {
            return Ok(loaded.connector.clone());
        }
        let connector = TlsConnector::from(material.client_config(&self.settings)?);
        let validity = material.validity();
        let loaded =
            Loaded { material: Arc::new(material), connector: connector.clone(), validity };
        self.loaded = Some(loaded);
        Ok(connector)
    }

    /// Returns whether both clients last read the same file contents.
    #[must_use]
    pub fn has_same_files(&self, other: &Self) -> bool {
        match (&self.loaded, &other.loaded) {
            (Some(this), Some(that)) => this.material == that.material,
            (this, that) => this.is_none() && that.is_none(),
        }
    }

    /// Returns an error if the client certificate, as last read, is not valid at `now`.
    ///
    /// A client connects anyway: the file may be renewed at any time.
    #[must_use]
    pub fn check_validity(&self, now: SystemTime) -> Option<TlsFileError> {
        let path = self.settings.identity.as_ref()?.certificate.display();
        let problem = self.loaded.as_ref()?.validity?.problem(now)?;
        Some(bad("tls_certificate", format!("{path} {problem}")))
    }
}

/// Checks that `text` can be a TLS server name: a host name or an IP address.
///
/// # Errors
/// It cannot.
pub fn is_server_name(text: &str) -> Result<(), String> {
    server_name(text).map(drop)
}

/// Parses a TLS server name.
///
/// # Errors
/// The text is neither a host name nor an IP address.
pub fn server_name(text: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(text.to_owned())
        .map_err(|_| "must be a host name or an IP address".to_owned())
}

fn bad(setting: &'static str, problem: String) -> TlsFileError {
    TlsFileError { setting, problem }
}
