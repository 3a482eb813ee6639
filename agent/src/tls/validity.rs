//! When the agent's own certificate is valid. The collector judges it; here it is only told what is wrong.

use std::time::SystemTime;

use rustls::pki_types::CertificateDer;
use x509_cert::Certificate;
use x509_cert::der::{DateTime, Decode};

/// From when until when all of a chain are valid.
#[derive(Debug, Clone, Copy)]
pub(super) struct Validity {
    begins: DateTime,
    expires: DateTime,
}

impl Validity {
    /// `None` if there is none in the chain, or what is not a certificate.
    pub(super) fn of_chain(chain: &[CertificateDer<'_>]) -> Option<Self> {
        let chain = chain.iter().map(Self::read).collect::<Option<Vec<_>>>()?;
        let begins = chain.iter().map(|validity| validity.begins).max()?;
        let expires = chain.iter().map(|validity| validity.expires).min()?;
        Some(Self { begins, expires })
    }

    fn read(certificate: &CertificateDer<'_>) -> Option<Self> {
        let validity = Certificate::from_der(certificate).ok()?.tbs_certificate.validity;
        let (begins, expires) = (validity.not_before, validity.not_after);
        Some(Self { begins: begins.to_date_time(), expires: expires.to_date_time() })
    }

    /// What is wrong at `now`, and what to do.
    pub(super) fn problem(&self, now: SystemTime) -> Option<String> {
        let now = DateTime::from_system_time(now).ok()?;
        let Self { begins, expires } = self;
        if *expires < now {
            Some(format!("expired on {expires}; have it renewed"))
        } else if *begins > now {
            Some(format!("is not valid before {begins}; is this host's clock right?"))
        } else {
            None
        }
    }
}
