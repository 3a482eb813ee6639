//! The PEM files of a port's TLS.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use fleetgauge_common::secret_file;
use fleetgauge_common::settings::SettingError;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::VerifierBuilderError;
use rustls::{CipherSuite, Error, InconsistentKeys, SupportedProtocolVersion, version};
use x509_cert::der::DateTime;

use super::certificate::Certificate;

/// Maximum file size. A list of a million revoked certificates has 50 MB.
const MAX_FILE_BYTES: u64 = 128 << 20;

/// The minimum TLS version of a port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Version {
    /// TLS 1.2 and 1.3
    #[value(name = "1.2")]
    Tls12,
    /// TLS 1.3 only
    #[default]
    #[value(name = "1.3")]
    Tls13,
}

impl Version {
    pub(super) fn protocols(self) -> &'static [&'static SupportedProtocolVersion] {
        static BOTH: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];
        match self {
            Self::Tls12 => &BOTH,
            Self::Tls13 => &BOTH[..1],
        }
    }
}

/// The paths of a port's TLS files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// Prefix of the names of the port's TLS settings.
    pub prefix: &'static str,
    /// Certificate chain of the port, leaf first.
    pub certificate: PathBuf,
    /// Private key of the port.
    pub key: PathBuf,
    /// CA certificates that client certificates are verified against; `None` if clients present
    /// none.
    pub client_ca: Option<PathBuf>,
    /// Certificate revocation lists of the CAs.
    pub crl: Option<PathBuf>,
    /// Minimum TLS version.
    pub version: Version,
}

/// The contents of the files.
#[derive(PartialEq, Eq)]
pub(super) struct Content {
    certificate: Vec<u8>,
    key: Vec<u8>,
    pub(super) client_ca: Option<Vec<u8>>,
    pub(super) crl: Option<Vec<u8>>,
}

/// Hides the contents, among them a private key.
impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Content")
    }
}

/// A port's certificate chain and key.
pub(super) struct Own {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
    pub(super) expires: u64,
}

/// Returns the crypto provider. Its cheapest cipher suite is first.
pub(super) fn provider() -> Arc<CryptoProvider> {
    let mut provider = rustls::crypto::ring::default_provider();
    // CPUs accelerate SHA-256 but hardly any SHA-384, which costs a tenth of a handshake.
    provider
        .cipher_suites
        .sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    Arc::new(provider)
}

impl Files {
    /// Returns the paths.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let own = [&self.certificate, &self.key].into_iter();
        own.chain(&self.client_ca).chain(&self.crl).map(PathBuf::as_path)
    }

    pub(super) fn read(&self) -> Result<Content, SettingError> {
        let read = |setting, path: &PathBuf| {
            secret_file::read_public(path, MAX_FILE_BYTES)
                .map_err(|bad| self.bad(setting, bad.to_string()))
        };
        let key = secret_file::read(&self.key, MAX_FILE_BYTES);
        Ok(Content {
            certificate: read("certificate", &self.certificate)?,
            key: key.map_err(|bad| self.bad("key", bad.to_string()))?,
            client_ca: self.client_ca.as_ref().map(|path| read("client_ca", path)).transpose()?,
            crl: self.crl.as_ref().map(|path| read("crl", path)).transpose()?,
        })
    }

    /// Parses the port's certificate and key, and checks that the certificate is valid at `now`.
    pub(super) fn own(&self, content: &Content, now: u64) -> Result<Own, SettingError> {
        let (path, pem) = (self.certificate.display(), &content.certificate);
        let chain = self.items("certificate", &self.certificate, pem, "CERTIFICATE")?;
        let bad = |problem: String| self.bad("certificate", format!("{path} {problem}"));
        let own = Certificate::of_chain(&chain)
            .ok_or_else(|| bad("is not an X.509 certificate; reissue it".to_owned()))?;
        if own.expires < now {
            return Err(bad(format!("expired on {}; renew it", date(own.expires))));
        }
        if own.begins > now {
            let begins = date(own.begins);
            return Err(bad(format!("is not valid before {begins}; check this host's clock")));
        }
        Ok(Own { chain, key: self.private_key(content)?, expires: own.expires })
    }

    fn private_key(&self, content: &Content) -> Result<PrivateKeyDer<'static>, SettingError> {
        let path = self.key.display();
        PrivateKeyDer::from_pem_slice(&content.key).map_err(|error| {
            let problem = match error {
                pem::Error::NoItemsFound => {
                    "contains no unencrypted PEM private key (-----BEGIN PRIVATE KEY-----)"
                }
                _ => "is not PEM",
            };
            self.bad("key", format!("{path} {problem}"))
        })
    }

    /// Parses the CA certificates that client certificates are verified against; `None` if
    /// `client_ca` is not set.
    pub(super) fn client_authorities(
        &self,
        content: &Content,
    ) -> Result<Option<Vec<CertificateDer<'static>>>, SettingError> {
        let file = self.client_ca.as_ref().zip(content.client_ca.as_ref());
        file.map(|(path, pem)| self.items("client_ca", path, pem, "CERTIFICATE")).transpose()
    }

    /// Parses the revocation lists.
    pub(super) fn revoked(
        &self,
        content: &Content,
    ) -> Result<Vec<CertificateRevocationListDer<'static>>, SettingError> {
        let file = self.crl.as_ref().zip(content.crl.as_ref());
        let lists = file.map(|(path, pem)| self.items("crl", path, pem, "X509 CRL"));
        Ok(lists.transpose()?.unwrap_or_default())
    }

    /// Parses all PEM items of a kind in a file. A file without any is an error.
    fn items<T: PemObject>(
        &self,
        setting: &str,
        path: &Path,
        pem: &[u8],
        kind: &str,
    ) -> Result<Vec<T>, SettingError> {
        let bad = |problem: String| self.bad(setting, format!("{} {problem}", path.display()));
        let items: Vec<T> = T::pem_slice_iter(pem)
            .collect::<Result<_, _>>()
            .map_err(|error| bad(format!("is not PEM: {error}")))?;
        if items.is_empty() {
            return Err(bad(format!("contains no -----BEGIN {kind}----- block")));
        }
        Ok(items)
    }

    /// Converts a rustls error about the port's certificate and key to a [`SettingError`].
    pub(super) fn unusable(&self, error: &Error) -> SettingError {
        let (certificate, key) = (self.certificate.display(), self.key.display());
        match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                self.bad("key", format!("{key} is not the key of the certificate in {certificate}"))
            }
            other => self.bad("key", format!("{key} cannot be used with {certificate}: {other}")),
        }
    }

    /// Converts a rustls error about a CA certificate to a [`SettingError`].
    pub(super) fn no_authority(&self, error: &Error) -> SettingError {
        let path = self.client_ca.as_deref().unwrap_or(Path::new("")).display();
        self.bad("client_ca", format!("{path} contains an unusable CA certificate: {error}"))
    }

    /// Converts a rustls error about a revocation list to a [`SettingError`].
    pub(super) fn bad_crl(&self, error: &VerifierBuilderError) -> SettingError {
        let path = self.crl.as_deref().unwrap_or(Path::new("")).display();
        self.bad("crl", format!("{path} cannot be used: {error}"))
    }

    fn bad(&self, setting: &str, problem: String) -> SettingError {
        SettingError::new(format!("{}tls_{setting}", self.prefix), problem)
    }
}

/// Formats a time in unix seconds.
fn date(unix: u64) -> String {
    let date = DateTime::from_unix_duration(Duration::from_secs(unix));
    date.map_or_else(|_| unix.to_string(), |date| date.to_string())
}
