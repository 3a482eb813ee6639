//! TLS settings of the ports.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::Flags;
use super::error::BadSetting;
use crate::tls::{Files, NamePattern, PortTls, Version};

/// The unvalidated TLS settings of one port.
struct Given<'a> {
    prefix: &'static str,
    certificate: &'a Option<String>,
    key: &'a Option<String>,
    client_ca: &'a Option<String>,
    crl: &'a Option<String>,
    min_version: &'a Option<String>,
}

/// Returns the TLS files of the agent port.
pub(super) fn agents(flags: &Flags) -> Result<Option<Files>, BadSetting> {
    Given {
        prefix: "",
        certificate: &flags.tls_certificate,
        key: &flags.tls_key,
        client_ca: &flags.tls_client_ca,
        crl: &flags.tls_crl,
        min_version: &flags.tls_min_version,
    }
    .files()
}

/// Returns the TLS files of the HTTP port.
pub(super) fn http(flags: &Flags) -> Result<Option<Files>, BadSetting> {
    Given {
        prefix: "http_",
        certificate: &flags.http_tls_certificate,
        key: &flags.http_tls_key,
        client_ca: &flags.http_tls_client_ca,
        crl: &flags.http_tls_crl,
        min_version: &flags.http_tls_min_version,
    }
    .files()
}

/// Loads the TLS files. Parts that have not changed since `before` are reused.
pub(super) fn load(
    files: Option<&Files>,
    before: Option<&Arc<PortTls>>,
) -> Result<Option<Arc<PortTls>>, BadSetting> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    files.map(|files| PortTls::load(files, now, before)).transpose()
}

/// Returns the pattern of certificate names.
pub(super) fn certificate_name(flags: &Flags) -> Result<NamePattern, BadSetting> {
    let Some(text) = &flags.certificate_name else { return Ok(NamePattern::default()) };
    if flags.tls_client_ca.is_none() {
        let problem = "agents show no certificates: name their authorities as tls_client_ca";
        return Err(BadSetting::new("certificate_name", problem));
    }
    NamePattern::parse(text).map_err(|problem| BadSetting::new("certificate_name", problem))
}

impl Given<'_> {
    fn files(&self) -> Result<Option<Files>, BadSetting> {
        let version = self.version()?;
        let (certificate, key) = match (self.certificate, self.key) {
            (Some(certificate), Some(key)) => (certificate, key),
            (Some(_), None) => return Err(self.bad("certificate", "also takes its key", "key")),
            (None, Some(_)) => {
                return Err(self.bad("key", "also takes its certificate", "certificate"));
            }
            (None, None) => return self.nothing(),
        };
        if self.crl.is_some() && self.client_ca.is_none() {
            let problem = "also takes the authorities whose list it is";
            return Err(self.bad("crl", problem, "client_ca"));
        }
        let path = |text: &String| PathBuf::from(text);
        Ok(Some(Files {
            prefix: self.prefix,
            certificate: path(certificate),
            key: path(key),
            client_ca: self.client_ca.as_ref().map(path),
            crl: self.crl.as_ref().map(path),
            version,
        }))
    }

    /// Rejects other TLS settings without a certificate: the operator expects protection.
    fn nothing(&self) -> Result<Option<Files>, BadSetting> {
        let others =
            [("client_ca", self.client_ca), ("crl", self.crl), ("min_version", self.min_version)];
        match others.iter().find(|(_, given)| given.is_some()) {
            Some((name, _)) => {
                Err(self.bad(name, "also takes a certificate of this port", "certificate"))
            }
            None => Ok(None),
        }
    }

    fn version(&self) -> Result<Version, BadSetting> {
        match self.min_version.as_deref() {
            None | Some("1.3") => Ok(Version::Tls13),
            Some("1.2") => Ok(Version::Tls12),
            Some(other) => {
                let problem = format!("{other:?} is not a version of TLS; use 1.3 or 1.2");
                Err(BadSetting::new(self.name("min_version"), problem))
            }
        }
    }

    fn bad(&self, setting: &str, problem: &str, missing: &str) -> BadSetting {
        BadSetting::new(self.name(setting), format!("{problem}: set {}", self.name(missing)))
    }

    fn name(&self, setting: &str) -> String {
        format!("{}tls_{setting}", self.prefix)
    }
}
