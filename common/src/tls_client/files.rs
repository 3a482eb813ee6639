//! Reads the TLS files and builds the rustls configuration.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, Error, InconsistentKeys, RootCertStore, version};

use super::validity::Validity;
use super::{Identity, TlsFileError, TlsSettings, bad};
use crate::secret_file::{self, FileError, read_public};

/// Maximum size of a file, in bytes: about a thousand certificates.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// The contents of all TLS files, and the system's trust store if no CA file is set.
#[derive(PartialEq, Eq)]
pub(super) struct Material {
    roots: TrustedRoots,
    certificate: Option<Vec<u8>>,
    key: Option<Vec<u8>>,
}

/// Trusted CA certificates.
enum TrustedRoots {
    File(Vec<u8>),
    /// The system's trust store.
    System(Arc<RootCertStore>),
}

impl PartialEq for TrustedRoots {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(this), Self::File(that)) => this == that,
            (Self::System(this), Self::System(that)) => this.roots == that.roots,
            _ => false,
        }
    }
}

impl Eq for TrustedRoots {}

/// Prints nothing: the material includes a private key.
impl std::fmt::Debug for Material {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Material")
    }
}

impl Material {
    /// Reads the TLS files that `settings` name, and the system's trust store if no CA file is set.
    pub(super) fn read(settings: &TlsSettings) -> Result<Self, TlsFileError> {
        let TlsSettings { ca, identity, .. } = settings;
        let certificate = identity.as_ref().map(|identity| &identity.certificate);
        let key = identity.as_ref().map(|identity| &identity.key);
        Ok(Self {
            roots: match ca {
                Some(path) => TrustedRoots::File(read("tls_ca", path, read_public)?),
                None => TrustedRoots::System(Arc::new(system_roots()?)),
            },
            certificate: certificate
                .map(|path| read("tls_certificate", path, read_public))
                .transpose()?,
            key: key.map(|path| read("tls_key", path, secret_file::read)).transpose()?,
        })
    }

    /// Builds the rustls client configuration.
    pub(super) fn client_config(
        &self,
        settings: &TlsSettings,
    ) -> Result<Arc<ClientConfig>, TlsFileError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = [&version::TLS13, &version::TLS12];
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)
            .map_err(|error| bad("tls", error.to_string()))?
            .with_root_certificates(self.root_store(settings)?);
        let config = match (&settings.identity, &self.certificate, &self.key) {
            (Some(identity), Some(certificate), Some(key)) => {
                let chain = certificates("tls_certificate", &identity.certificate, certificate)?;
                let key = private_key(&identity.key, key)?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| unusable(identity, &error))?
            }
            _ => builder.with_no_client_auth(),
        };
        Ok(Arc::new(config))
    }

    /// Returns the validity of the client certificate; `None` if it cannot be parsed.
    pub(super) fn validity(&self) -> Option<Validity> {
        let chain = CertificateDer::pem_slice_iter(self.certificate.as_ref()?);
        Validity::of_chain(&chain.collect::<Result<Vec<_>, _>>().ok()?)
    }

    /// Returns the trusted CA certificates.
    fn root_store(&self, settings: &TlsSettings) -> Result<Arc<RootCertStore>, TlsFileError> {
        let (path, pem) = match (&settings.ca, &self.roots) {
            (_, TrustedRoots::System(roots)) => return Ok(Arc::clone(roots)),
            (path, TrustedRoots::File(pem)) => (path.as_deref().unwrap_or(Path::new("")), pem),
        };
        let mut roots = RootCertStore::empty();
        for root in certificates("tls_ca", path, pem)? {
            roots.add(root).map_err(|error| {
                bad("tls_ca", format!("{} has an unusable CA certificate: {error}", path.display()))
            })?;
        }
        Ok(Arc::new(roots))
    }
}

/// Reads the system's trust store.
fn system_roots() -> Result<RootCertStore, TlsFileError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // A trust store may contain certificates that are not CA certificates.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let cause = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
        let problem = format!(
            "the system's trust store is empty{cause}; install ca-certificates or set a CA file"
        );
        return Err(bad("tls_ca", problem));
    }
    Ok(roots)
}

/// Reads the file of a setting with `read`.
fn read(
    setting: &'static str,
    path: &Path,
    read: fn(&Path, u64) -> Result<Vec<u8>, FileError>,
) -> Result<Vec<u8>, TlsFileError> {
    read(path, MAX_FILE_BYTES).map_err(|error| bad(setting, error.to_string()))
}

/// Parses the certificates of a PEM file.
fn certificates(
    setting: &'static str,
    path: &Path,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, TlsFileError> {
    let path = path.display();
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| bad(setting, format!("{path} is not PEM: {error}")))?;
    if found.is_empty() {
        let problem = format!("{path} has no PEM certificate (-----BEGIN CERTIFICATE-----)");
        return Err(bad(setting, problem));
    }
    Ok(found)
}

/// Parses the private key of a PEM file.
fn private_key(path: &Path, pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsFileError> {
    let path = path.display();
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        pem::Error::NoItemsFound => {
            let missing = "no unencrypted PEM private key (-----BEGIN PRIVATE KEY-----)";
            bad("tls_key", format!("{path} contains {missing}"))
        }
        _ => bad("tls_key", format!("{path} is not PEM")),
    })
}

/// Returns the error for a certificate and key that rustls rejects.
fn unusable(identity: &Identity, error: &Error) -> TlsFileError {
    let (certificate, key) = (identity.certificate.display(), identity.key.display());
    let problem = match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            format!("{key} is not the key of the certificate in {certificate}")
        }
        other => format!("cannot use {key} with {certificate}: {other}"),
    };
    bad("tls_key", problem)
}
