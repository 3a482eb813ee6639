//! The TLS settings.

use std::time::SystemTime;

use fleetgauge_common::settings::{Layers, SettingErrors};
use fleetgauge_common::tls_client::server_name;

use crate::tls::{Identity, TlsClient, TlsFileError, TlsSettings};

/// Returns the TLS settings and checks the files; `None` without TLS. If `tls` is not set, any
/// other TLS setting enables TLS.
pub(super) fn settings(layers: &mut Layers) -> Option<TlsSettings> {
    layers.requires("tls_certificate", "tls_key");
    layers.requires("tls_key", "tls_certificate");
    let others = ["tls_ca", "tls_certificate", "tls_key", "tls_server_name"];
    let is_default = others.iter().any(|name| layers.is_set(name));
    layers.set_default("tls", is_default.to_string());
    if !layers.switch("tls") {
        return None;
    }
    let identity = match (layers.path("tls_certificate"), layers.path("tls_key")) {
        (Some(certificate), Some(key)) => Some(Identity { certificate, key }),
        _ => None,
    };
    let server_name = layers.text("tls_server_name").and_then(|text| server_name(text).ok());
    let settings = TlsSettings { ca: layers.path("tls_ca"), identity, server_name };
    if let Err(error) = TlsClient::new(settings.clone()).connector() {
        layers.reject(error.into_setting_error());
    }
    Some(settings)
}

/// Checks that the client certificate is valid at `now`.
pub(super) fn check_validity(
    settings: Option<&TlsSettings>,
    now: SystemTime,
) -> Result<(), SettingErrors> {
    let Some(settings) = settings else { return Ok(()) };
    let mut tls = TlsClient::new(settings.clone());
    tls.connector().map_err(TlsFileError::into_setting_error)?;
    tls.check_validity(now).map_or(Ok(()), |error| Err(error.into_setting_error().into()))
}
