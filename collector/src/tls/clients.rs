//! Which clients' certificates are good: authorities, and what they have revoked.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ProducesTickets, WebPkiClientVerifier};
use rustls::{CertificateError, Error, RootCertStore};

use super::certificate::Certificate;
use super::files::{Content, Files, provider};
use super::tickets;
use super::verifier::Discreet;
use crate::config::BadSetting;

/// How clients are judged. Their tickets live and die with it, so that a client that comes by a ticket is one that was
/// found good by the same authorities and lists.
#[derive(Debug)]
pub struct Clients {
    /// `None`: they show no certificate.
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    tickets: Arc<dyn ProducesTickets>,
    ca: Option<Vec<u8>>,
    crl: Option<Vec<u8>>,
}

/// What a client has shown for itself, and by whom it was found good.
#[derive(Debug, Clone, Copy)]
pub struct Proof<'a> {
    /// Who has judged it.
    pub judge: &'a Arc<Clients>,
    /// Its certificate and those behind it; `None` if it was not asked.
    pub chain: Option<&'a [CertificateDer<'static>]>,
}

/// That a client was found good.
#[derive(Debug)]
pub struct Verdict {
    /// By whom.
    pub judge: Arc<Clients>,
    /// The number of the rules that were in force.
    pub rules: u32,
    /// The last second in which it is, in unix time.
    pub expires: u64,
}

impl Clients {
    pub(super) fn of(files: &Files, content: &Content) -> Result<Self, BadSetting> {
        let tickets = tickets::short_lived().map_err(|error| files.unusable(&error))?;
        let (ca, crl) = (content.client_ca.clone(), content.crl.clone());
        Ok(Self { verifier: verifier(files, content)?, tickets, ca, crl })
    }

    /// Whether this is what would become of these files.
    pub(super) fn are_of(&self, content: &Content) -> bool {
        (&self.ca, &self.crl) == (&content.client_ca, &content.crl)
    }

    pub(super) fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        match &self.verifier {
            Some(verifier) => Discreet::over(verifier),
            None => WebPkiClientVerifier::no_client_auth(),
        }
    }

    pub(super) fn tickets(&self) -> Arc<dyn ProducesTickets> {
        Arc::clone(&self.tickets)
    }

    /// Whether clients must show a certificate.
    #[must_use]
    pub fn are_asked(&self) -> bool {
        self.verifier.is_some()
    }

    /// The client's certificate, if it must show one, and if that is good at `now`, in unix seconds.
    ///
    /// # Errors
    /// Why it is not.
    pub fn judge(
        self: &Arc<Self>,
        proof: Proof<'_>,
        now: u64,
    ) -> Result<Option<Certificate>, Error> {
        let Some(verifier) = &self.verifier else { return Ok(None) };
        let chain = proof.chain.ok_or(Error::NoCertificatesPresented)?;
        let (own, others) = chain.split_first().ok_or(Error::NoCertificatesPresented)?;
        let certificate = Certificate::of_chain(chain).ok_or(CertificateError::BadEncoding)?;
        if certificate.expires < now {
            return Err(CertificateError::Expired.into());
        }
        if !Arc::ptr_eq(self, proof.judge) {
            let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
            verifier.verify_client_cert(own, others, now)?;
        }
        Ok(Some(certificate))
    }
}

fn verifier(
    files: &Files,
    content: &Content,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, BadSetting> {
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
