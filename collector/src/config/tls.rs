//! TLS settings of the ports.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use fleetgauge_common::settings::Layers;

use crate::tls::{Files, NamePattern, PortTls};

/// The names of the TLS settings of one port.
struct Port {
    prefix: &'static str,
    certificate: &'static str,
    key: &'static str,
    client_ca: &'static str,
    crl: &'static str,
    min_version: &'static str,
}

const AGENTS: Port = Port {
    prefix: "",
    certificate: "tls_certificate",
    key: "tls_key",
    client_ca: "tls_client_ca",
    crl: "tls_crl",
    min_version: "tls_min_version",
};

const HTTP: Port = Port {
    prefix: "http_",
    certificate: "http_tls_certificate",
    key: "http_tls_key",
    client_ca: "http_tls_client_ca",
    crl: "http_tls_crl",
    min_version: "http_tls_min_version",
};

/// Returns the TLS files of the agent port; `None` without TLS.
pub(super) fn agents(layers: &mut Layers) -> Option<Files> {
    AGENTS.files(layers)
}

/// Returns the TLS files of the HTTP port; `None` without TLS.
pub(super) fn http(layers: &mut Layers) -> Option<Files> {
    HTTP.files(layers)
}

/// Loads the TLS files. Parts that have not changed since `before` are reused.
pub(super) fn load(
    layers: &mut Layers,
    files: Option<&Files>,
    before: Option<&Arc<PortTls>>,
) -> Option<Arc<PortTls>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    layers.accept(PortTls::load(files?, now, before))
}

/// Returns the pattern that extracts agent ids from the names in client certificates.
pub(super) fn client_name(layers: &mut Layers) -> NamePattern {
    layers.requires("tls_client_name", "tls_client_ca");
    let pattern = layers.text("tls_client_name").and_then(|text| NamePattern::parse(text).ok());
    pattern.unwrap_or_default()
}

impl Port {
    /// Returns the TLS files; `None` without TLS. Rejects other TLS settings without a certificate,
    /// because the operator expects TLS.
    fn files(&self, layers: &mut Layers) -> Option<Files> {
        layers.requires(self.certificate, self.key);
        for name in [self.key, self.client_ca, self.min_version] {
            layers.requires(name, self.certificate);
        }
        layers.requires(self.crl, self.client_ca);
        let (certificate, key) = (layers.path(self.certificate)?, layers.path(self.key)?);
        Some(Files {
            prefix: self.prefix,
            certificate,
            key,
            client_ca: layers.path(self.client_ca),
            crl: layers.path(self.crl),
            version: layers.choice(self.min_version),
        })
    }
}
