//! A certificate authority for one test. It issues certificates to collectors and agents.

use std::fs::Permissions;
use std::path::PathBuf;

use anyhow::Context;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

/// The test's certificate authority (CA) with its private key. Workers issue agent certificates
/// with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestCa {
    /// Certificate of the CA, in PEM.
    certificate: String,
    /// Private key of the CA, in PEM.
    key: String,
}

/// The CA, and the certificate files of the collectors.
pub struct TestPki {
    ca: TestCa,
    files: TempDir,
}

/// Parameters of the CA's certificate.
fn ca_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.distinguished_name.push(DnType::CommonName, "load test");
    params
}

fn key() -> anyhow::Result<KeyPair> {
    Ok(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?)
}

impl TestPki {
    /// Creates a CA, and a certificate for the collectors.
    ///
    /// # Errors
    /// If a system call fails.
    pub fn new() -> anyhow::Result<Self> {
        let issuer = CertifiedIssuer::self_signed(ca_params(), key()?)?;
        let collector = key()?;
        let mut params = CertificateParams::default();
        params.subject_alt_names = ["127.0.0.1", "::1"]
            .map(|address| address.parse().map(SanType::IpAddress))
            .into_iter()
            .collect::<Result<_, _>>()?;
        let certificate = params.signed_by(&collector, &issuer)?;
        let ca = TestCa { certificate: issuer.pem(), key: issuer.key().serialize_pem() };
        let pki = Self { ca, files: tempfile::tempdir()? };
        pki.write("ca.pem", &pki.ca.certificate)?;
        pki.write("own.pem", &certificate.pem())?;
        pki.write("own.key", &collector.serialize_pem())?;
        Ok(pki)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.path(name);
        std::fs::write(&path, text)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        }
        Ok(())
    }

    /// Collector flags that enable TLS with the files of this test.
    #[must_use]
    pub fn flags(&self) -> Vec<String> {
        [("certificate", "own.pem"), ("key", "own.key"), ("client-ca", "ca.pem")]
            .map(|(flag, file)| format!("--tls-{flag}={}", self.path(file).display()))
            .to_vec()
    }

    /// Returns a copy of the CA, for workers.
    #[must_use]
    pub fn ca(&self) -> TestCa {
        self.ca.clone()
    }
}

/// Issues client certificates to agents, all for the same key.
pub struct CertificateIssuer {
    issuer: Issuer<'static, KeyPair>,
    key: KeyPair,
}

impl CertificateIssuer {
    /// Creates an issuer that signs with this CA's key.
    ///
    /// # Errors
    /// If the certificate or the key is invalid.
    pub fn new(ca: &TestCa) -> anyhow::Result<Self> {
        let issuer = Issuer::new(ca_params(), KeyPair::from_pem(&ca.key)?);
        Ok(Self { issuer, key: key()? })
    }

    /// Private key that all agents share.
    #[must_use]
    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.key.serialize_der().into())
    }

    /// Issues a certificate to an agent.
    ///
    /// # Errors
    /// If the name cannot be part of a certificate.
    pub fn certificate(&self, name: &str) -> anyhow::Result<CertificateDer<'static>> {
        let params = CertificateParams::new([name.to_owned()])?;
        Ok(params.signed_by(&self.key, &self.issuer)?.der().clone())
    }
}

impl TestCa {
    /// Certificate of the CA, in DER.
    ///
    /// # Errors
    /// If the certificate is invalid.
    pub fn root(&self) -> anyhow::Result<CertificateDer<'static>> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes())
            .context("the PEM contains no certificate")
    }
}
