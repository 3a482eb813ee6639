//! Verification of client certificates against CA certificates and revocation lists.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ProducesTickets, WebPkiClientVerifier};
use rustls::{CertificateError, Error, RootCertStore};

use super::certificate::Certificate;
use super::files::{Content, Files, provider};
use super::opaque_errors::OpaqueErrorVerifier;
use super::tickets;
use fleetgauge_common::settings::SettingError;

/// The verifier of a port's client certificates. It has its own session tickets, so a resumed
/// session was verified against the same CA certificates and revocation lists.
#[derive(Debug)]
pub struct ClientVerifier {
    /// The rustls verifier; `None` if clients present no certificate.
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    tickets: Arc<dyn ProducesTickets>,
    ca: Option<Vec<u8>>,
    crl: Option<Vec<u8>>,
}

/// The certificate chain of a client, and its last verifier.
#[derive(Debug, Clone, Copy)]
pub struct PresentedChain<'a> {
    /// The verifier that has accepted the chain.
    pub verified_by: &'a Arc<ClientVerifier>,
    /// The client's certificate chain, leaf first; `None` if no certificate was requested.
    pub chain: Option<&'a [CertificateDer<'static>]>,
}

/// The result of a successful verification.
#[derive(Debug)]
pub struct Verified {
    /// The verifier that accepted the certificate.
    pub verifier: Arc<ClientVerifier>,
    /// Generation of the authorization policy that was in force at the verification.
    pub generation: u32,
    /// End of the result's validity: the last valid second, in unix seconds.
    pub expires: u64,
}

impl ClientVerifier {
    pub(super) fn of(files: &Files, content: &Content) -> Result<Self, SettingError> {
        let tickets = tickets::short_lived().map_err(|error| files.unusable(&error))?;
        let (ca, crl) = (content.client_ca.clone(), content.crl.clone());
        Ok(Self { verifier: verifier(files, content)?, tickets, ca, crl })
    }

    /// Whether this verifier was built from files with this content.
    pub(super) fn is_of(&self, content: &Content) -> bool {
        (&self.ca, &self.crl) == (&content.client_ca, &content.crl)
    }

    pub(super) fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        match &self.verifier {
            Some(verifier) => OpaqueErrorVerifier::new(verifier),
            None => WebPkiClientVerifier::no_client_auth(),
        }
    }

    pub(super) fn tickets(&self) -> Arc<dyn ProducesTickets> {
        Arc::clone(&self.tickets)
    }

    /// Whether clients must present a certificate.
    #[must_use]
    pub fn is_required(&self) -> bool {
        self.verifier.is_some()
    }

    /// Verifies a client's chain at `now`, in unix seconds. Returns the client's certificate;
    /// `None` if clients present none. A chain that this verifier has accepted is only checked for
    /// expiry.
    ///
    /// # Errors
    /// The chain is missing, expired, revoked or not issued by one of the CAs.
    pub fn verify(
        self: &Arc<Self>,
        presented: PresentedChain<'_>,
        now: u64,
    ) -> Result<Option<Certificate>, Error> {
        let Some(verifier) = &self.verifier else { return Ok(None) };
        let chain = presented.chain.ok_or(Error::NoCertificatesPresented)?;
        let (own, others) = chain.split_first().ok_or(Error::NoCertificatesPresented)?;
        let certificate = Certificate::of_chain(chain).ok_or(CertificateError::BadEncoding)?;
        if certificate.expires < now {
            return Err(CertificateError::Expired.into());
        }
        if !Arc::ptr_eq(self, presented.verified_by) {
            let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
            verifier.verify_client_cert(own, others, now)?;
        }
        Ok(Some(certificate))
    }
}

fn verifier(
    files: &Files,
    content: &Content,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, SettingError> {
    let Some(authorities) = files.client_authorities(content)? else { return Ok(None) };
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority).map_err(|error| files.no_authority(&error))?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
        .with_crls(files.revoked(content)?)
        .build()
        .map_err(|error| files.bad_crl(&error))?;
    Ok(Some(verifier))
}
