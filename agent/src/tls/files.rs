//! What the files hold, and what rustls makes of it.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, Error, InconsistentKeys, RootCertStore, version};

use super::validity::Validity;
use super::{BadTls, Identity, TlsSettings, bad};
use crate::secret_file::{self, read_public};

/// Most bytes of a file: some thousand certificates.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// The bytes of all files, and the system's authorities where no file has others.
#[derive(PartialEq, Eq)]
pub(super) struct Material {
    authorities: Authorities,
    certificate: Option<Vec<u8>>,
    key: Option<Vec<u8>>,
}

/// Trusted certificate authorities.
enum Authorities {
    File(Vec<u8>),
    /// As this system has them now.
    System(Arc<RootCertStore>),
}

impl PartialEq for Authorities {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(own), Self::File(theirs)) => own == theirs,
            (Self::System(own), Self::System(theirs)) => own.roots == theirs.roots,
            _ => false,
        }
    }
}

impl Eq for Authorities {}

/// Not shown: there is a key in it.
impl std::fmt::Debug for Material {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Material")
    }
}

impl Material {
    pub(super) fn read(settings: &TlsSettings) -> Result<Self, BadTls> {
        let TlsSettings { ca, identity, .. } = settings;
        let certificate = identity.as_ref().map(|identity| &identity.certificate);
        let key = identity.as_ref().map(|identity| &identity.key);
        Ok(Self {
            authorities: match ca {
                Some(path) => Authorities::File(read("tls_ca", path, read_public)?),
                None => Authorities::System(Arc::new(system_roots()?)),
            },
            certificate: certificate
                .map(|path| read("tls_certificate", path, read_public))
                .transpose()?,
            key: key.map(|path| read("tls_key", path, secret_file::read)).transpose()?,
        })
    }

    pub(super) fn client_config(
        &self,
        settings: &TlsSettings,
    ) -> Result<Arc<ClientConfig>, BadTls> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = [&version::TLS13, &version::TLS12];
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)
            .map_err(|error| bad("tls", error.to_string()))?
            .with_root_certificates(self.roots(settings)?);
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

    /// When the agent's own certificate is valid, as far as that can be told.
    pub(super) fn validity(&self) -> Option<Validity> {
        let chain = CertificateDer::pem_slice_iter(self.certificate.as_ref()?);
        Validity::of_chain(&chain.collect::<Result<Vec<_>, _>>().ok()?)
    }

    fn roots(&self, settings: &TlsSettings) -> Result<Arc<RootCertStore>, BadTls> {
        let (path, pem) = match (&settings.ca, &self.authorities) {
            (_, Authorities::System(roots)) => return Ok(Arc::clone(roots)),
            (path, Authorities::File(pem)) => (path.as_deref().unwrap_or(Path::new("")), pem),
        };
        let mut roots = RootCertStore::empty();
        for root in certificates("tls_ca", path, pem)? {
            roots.add(root).map_err(|error| {
                bad("tls_ca", format!("{} cannot be an authority: {error}", path.display()))
            })?;
        }
        Ok(Arc::new(roots))
    }
}

fn system_roots() -> Result<RootCertStore, BadTls> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // A system's store may hold what is no authority.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
        let problem = format!(
            "this system trusts no authority{why}. Install its ca-certificates, or name a file"
        );
        return Err(bad("tls_ca", problem));
    }
    Ok(roots)
}

/// A file, read by one of the ways to read one.
fn read(
    setting: &'static str,
    path: &Path,
    read: fn(&Path, u64) -> Result<Vec<u8>, String>,
) -> Result<Vec<u8>, BadTls> {
    read(path, MAX_FILE_BYTES)
        .map_err(|problem| bad(setting, format!("{}: {problem}", path.display())))
}

fn certificates(
    setting: &'static str,
    path: &Path,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, BadTls> {
    let path = path.display();
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| bad(setting, format!("{path} is not PEM: {error}")))?;
    if found.is_empty() {
        let problem = format!("{path} holds no certificate in PEM: -----BEGIN CERTIFICATE-----");
        return Err(bad(setting, problem));
    }
    Ok(found)
}

fn private_key(path: &Path, pem: &[u8]) -> Result<PrivateKeyDer<'static>, BadTls> {
    let path = path.display();
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        pem::Error::NoItemsFound => {
            let right = "one in PEM that is not encrypted: -----BEGIN PRIVATE KEY-----";
            bad("tls_key", format!("{path} holds no private key; it takes {right}"))
        }
        _ => bad("tls_key", format!("{path} is not PEM")),
    })
}

fn unusable(identity: &Identity, error: &Error) -> BadTls {
    let (certificate, key) = (identity.certificate.display(), identity.key.display());
    let problem = match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            format!("{key} is not the key of the certificate in {certificate}")
        }
        other => format!("{key} cannot be used with {certificate}: {other}"),
    };
    bad("tls_key", problem)
}
