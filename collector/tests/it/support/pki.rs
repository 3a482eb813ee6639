//! Authorities and certificates, made on the spot.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
    date_time_ymd,
};

/// An authority.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key, in PEM.
#[derive(Debug, Clone)]
pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// The contents of a certificate.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    params: CertificateParams,
}

/// A certificate for this DNS name.
pub(crate) fn named(name: &str) -> Wanted {
    Wanted { params: CertificateParams::new([name.to_owned()]).unwrap() }
}

/// When a certificate expires that is used at once, since the beginning of the epoch: late enough
/// for a busy machine.
pub(crate) fn soon() -> Duration {
    SystemTime::UNIX_EPOCH.elapsed().unwrap() + Duration::from_secs(12)
}

impl Wanted {
    /// Valid in these years alone.
    pub(crate) fn within(mut self, from: i32, until: i32) -> Self {
        self.params.not_before = date_time_ymd(from, 1, 1);
        self.params.not_after = date_time_ymd(until, 1, 1);
        self
    }

    /// Valid for so long from the beginning of the epoch.
    pub(crate) fn until(mut self, unix: Duration) -> Self {
        self.params.not_before = date_time_ymd(2020, 1, 1);
        self.params.not_after = date_time_ymd(1970, 1, 1) + unix;
        self
    }

    /// By this common name alone.
    pub(crate) fn by_common_name(mut self, name: &str) -> Self {
        self.params.subject_alt_names.clear();
        self.params.distinguished_name.push(DnType::CommonName, name);
        self
    }

    /// By this URI as well.
    pub(crate) fn with_uri(mut self, uri: &str) -> Self {
        self.params.subject_alt_names.push(SanType::URI(uri.try_into().unwrap()));
        self
    }

    /// Of this serial number.
    pub(crate) fn numbered(mut self, serial: u64) -> Self {
        self.params.serial_number = Some(SerialNumber::from(serial));
        self
    }
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        Self { issuer: CertifiedIssuer::self_signed(params, key).unwrap() }
    }

    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    pub(crate) fn issue(&self, wanted: Wanted) -> Issued {
        let key = KeyPair::generate().unwrap();
        let certificate = wanted.params.signed_by(&key, &self.issuer).unwrap();
        Issued { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// The list of these revoked serial numbers.
    pub(crate) fn revoke(&self, serials: &[u64]) -> String {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(2126, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let issuer: &Issuer<'static, KeyPair> = &self.issuer;
        list.signed_by(issuer).unwrap().pem().unwrap()
    }
}

/// A directory of private files.
pub(crate) struct Files(tempfile::TempDir);

impl Files {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes or replaces a file.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        let mut file = tempfile::NamedTempFile::new_in(self.0.path()).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.persist(&path).unwrap();
        path
    }
}

pub(crate) fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
