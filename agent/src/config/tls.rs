//! Whether TLS is spoken, and by which files.

use std::time::SystemTime;

use rustls::pki_types::ServerName;

use super::{BadSetting, Config, Layers};
use crate::tls::{Identity, TlsClient, TlsFileError, TlsSettings};

impl Layers<'_> {
    /// TLS is spoken if `tls` says so, or else if anything that belongs to it is set. The files are
    /// looked at.
    pub(super) fn tls(&self) -> Result<Option<TlsSettings>, BadSetting> {
        let (flags, file) = (self.flags, self.file);
        let path = |text: &str| Ok(std::path::PathBuf::from(text));
        let in_file = file.tls.map(|tls| tls.to_string());
        let wanted = self.setting("tls", &flags.tls, &in_file, flag)?;
        let ca = self.setting("tls-ca", &flags.tls_ca, &file.tls_ca, path)?;
        let certificate =
            self.setting("tls-certificate", &flags.tls_certificate, &file.tls_certificate, path)?;
        let key = self.setting("tls-key", &flags.tls_key, &file.tls_key, path)?;
        let name = (&flags.tls_server_name, &file.tls_server_name);
        let server_name = self.setting("tls-server-name", name.0, name.1, server_name)?;
        let identity = match (certificate, key) {
            (Some(certificate), Some(key)) => Some(Identity { certificate, key }),
            (None, None) => None,
            (Some(_), None) => return Err(lacking("tls_certificate", "its key", "tls_key")),
            (None, Some(_)) => {
                return Err(lacking("tls_key", "its certificate", "tls_certificate"));
            }
        };
        let settings = TlsSettings { ca, identity, server_name };
        if !wanted.unwrap_or(settings != TlsSettings::default()) {
            return Ok(None);
        }
        TlsClient::new(settings.clone()).connector()?;
        Ok(Some(settings))
    }
}

impl Config {
    /// Whether the agent's own certificate is valid at `now`. An agent starts without: it may be
    /// renewed while that runs.
    ///
    /// # Errors
    /// The certificate's file, and since or until when it is not.
    pub fn in_date(&self, now: SystemTime) -> Result<(), BadSetting> {
        let Some(settings) = &self.tls else { return Ok(()) };
        let mut tls = TlsClient::new(settings.clone());
        tls.connector()?;
        tls.check_validity(now).map_or(Ok(()), |bad| Err(bad.into()))
    }
}

impl From<TlsFileError> for BadSetting {
    fn from(bad: TlsFileError) -> Self {
        Self::new(bad.setting(), bad.problem())
    }
}

fn lacking(setting: &str, what: &str, missing: &str) -> BadSetting {
    BadSetting::new(setting, format!("also takes {what}: set {missing}."))
}

fn flag(text: &str) -> Result<bool, String> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(format!("{text:?} is neither true nor false.")),
    }
}

fn server_name(text: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(text.to_owned()).map_err(|_| {
        format!("{text:?} is neither a name that a certificate can have nor an IP address.")
    })
}
