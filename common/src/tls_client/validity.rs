//! Validity of the client certificate. The server verifies it; the client only explains errors.

use std::time::SystemTime;

use rustls::pki_types::CertificateDer;
use x509_cert::Certificate;
use x509_cert::der::{DateTime, Decode};

/// The period in which all certificates of a chain are valid.
#[derive(Debug, Clone, Copy)]
pub(super) struct Validity {
    begins: DateTime,
    expires: DateTime,
}

impl Validity {
    /// Returns the validity of a chain; `None` if it is empty or not parsable.
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

    /// Returns what is wrong with the client certificate at `now`, and what to do; `None` if it is
    /// valid.
    pub(super) fn problem(&self, now: SystemTime) -> Option<String> {
        let now = DateTime::from_system_time(now).ok()?;
        let Self { begins, expires } = self;
        if *expires < now {
            Some(format!("expired on {expires}; renew it"))
        } else if *begins > now {
            Some(format!("is not valid before {begins}; check the clock of this host"))
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn certificate(from: i32, until: i32) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().into()
    }

    #[test]
    fn chain_is_valid_while_all_its_certificates_are() {
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let problem = |chain: &[_]| Validity::of_chain(chain).unwrap().problem(now);
        let (good, old) = (certificate(2020, 2030), certificate(2000, 2010));
        let early = certificate(2025, 2040);
        assert_eq!(problem(&[good.clone(), good.clone()]), None);
        let expired = Some("expired on 2010-01-01T00:00:00Z; renew it".to_owned());
        assert_eq!(problem(&[good.clone(), old.clone()]), expired);
        assert_eq!(problem(&[old, good.clone()]), expired);
        assert!(problem(&[good, early]).unwrap().starts_with("is not valid before 2025-01-01"));
    }

    #[test]
    fn invalid_or_empty_chain_has_no_validity() {
        assert!(Validity::of_chain(&[CertificateDer::from(vec![1, 2, 3])]).is_none());
        assert!(Validity::of_chain(&[]).is_none());
    }
}
