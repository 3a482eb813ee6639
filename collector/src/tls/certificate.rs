//! Names and validity of a certificate.

use rustls::pki_types::CertificateDer;
use x509_cert::TbsCertificate;
use x509_cert::der::asn1::{Ia5String, PrintableStringRef, Utf8StringRef};
use x509_cert::der::oid::db::rfc4519::COMMON_NAME;
use x509_cert::der::{Any, Decode, Error};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::time::Time;

/// A parsed certificate. It is not verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// DNS names and URIs of the certificate, or else its common name.
    pub names: Vec<String>,
    /// Start of the validity, in unix seconds.
    pub begins: u64,
    /// End of the validity: the last valid second, in unix seconds.
    pub expires: u64,
}

impl Certificate {
    /// Parses the leaf of a chain. The validity is the period in which all certificates of the
    /// chain are valid. Returns `None` if a certificate is malformed.
    #[must_use]
    pub fn of_chain(chain: &[CertificateDer<'_>]) -> Option<Self> {
        let (own, others) = chain.split_first()?;
        others.iter().try_fold(Self::read(own).ok()?, |own, other| {
            let other = Self::read(other).ok()?;
            let begins = own.begins.max(other.begins);
            Some(Self { begins, expires: own.expires.min(other.expires), names: own.names })
        })
    }

    /// Parses a certificate. Its names are the DNS names and URIs of the subject alternative name,
    /// or else the common name.
    ///
    /// # Errors
    /// It is malformed.
    fn read(certificate: &CertificateDer<'_>) -> Result<Self, Error> {
        let certificate = x509_cert::Certificate::from_der(certificate)?.tbs_certificate;
        let unix = |time: Time| time.to_unix_duration().as_secs();
        Ok(Self {
            names: names(&certificate)?,
            begins: unix(certificate.validity.not_before),
            expires: unix(certificate.validity.not_after),
        })
    }
}

fn names(certificate: &TbsCertificate) -> Result<Vec<String>, Error> {
    let text = |text: &Ia5String| text.as_str().to_owned();
    let alternatives = certificate.get::<SubjectAltName>()?.map(|(_, names)| names.0);
    let names: Vec<_> = alternatives
        .iter()
        .flatten()
        .filter_map(|name| match name {
            GeneralName::DnsName(name) | GeneralName::UniformResourceIdentifier(name) => {
                Some(text(name))
            }
            _ => None,
        })
        .collect();
    Ok(if names.is_empty() { common_name(certificate).into_iter().collect() } else { names })
}

fn common_name(certificate: &TbsCertificate) -> Option<String> {
    let mut attributes = certificate.subject.0.iter().flat_map(|part| part.0.iter());
    let value = &attributes.rfind(|attribute| attribute.oid == COMMON_NAME)?.value;
    text(value)
}

/// Decodes a `UTF8String` or `PrintableString`.
fn text(value: &Any) -> Option<String> {
    let utf8 = Utf8StringRef::try_from(value).map(|text| text.as_str().to_owned());
    utf8.or_else(|_| PrintableStringRef::try_from(value).map(|text| text.as_str().to_owned())).ok()
}
