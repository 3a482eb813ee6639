//! The setting `remote_write`: engines that the collector forwards to.

mod checks;
mod keys;

use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use fleetgauge_common::http_client::{HttpAuth, HttpUrl};
use fleetgauge_common::settings::{Entry, Layers};
use fleetgauge_common::tls_client::{Identity, TlsClient, TlsSettings, server_name};
use hyper::HeaderMap;

use crate::remote_write::{RuleSet, Rules};

pub(super) use keys::TABLES;

/// Maximum number of tables `[[remote_write]]`: each encodes every sample again.
pub const MAX_DESTINATIONS: usize = 8;
/// Maximum number of headers of a destination. Engines use one or two, for the tenant and a key.
const MAX_HEADERS: usize = 32;
/// Keys that are valid only with an https:// url.
const TLS_KEYS: [&str; 4] = ["tls_ca", "tls_certificate", "tls_key", "tls_server_name"];

/// Version of the remote write protocol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// Version 1.0
    #[default]
    #[value(name = "1.0")]
    V1,
    /// Version 2.0, which is experimental
    #[value(name = "2.0")]
    V2,
}

/// Compression of requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Compression {
    /// zstd, and snappy for an engine that refuses it
    #[default]
    Auto,
    /// Snappy block format, which every engine accepts
    Snappy,
    /// zstd, which some engines accept
    Zstd,
}

/// An engine that the collector forwards to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationSettings {
    /// Name in logs and metrics: unique, not empty, without control characters.
    pub name: Box<str>,
    /// Where the engine receives remote write.
    pub url: HttpUrl,
    /// TLS settings; `None`: no TLS.
    pub tls: Option<TlsSettings>,
    /// Authentication to the engine.
    pub auth: HttpAuth,
    /// Further headers of requests. Their values are marked as sensitive.
    pub headers: HeaderMap,
    /// Version of the protocol.
    pub protocol: Protocol,
    /// Compression of requests.
    pub compression: Compression,
    /// What is forwarded, and under which names.
    pub rules: Arc<Rules>,
    /// Whether agents keep their reports until this engine has accepted them.
    pub durable: bool,
    /// Whether the engine accepts samples that are older than its newest.
    pub out_of_order: bool,
    /// Number of lanes, 1 to 64: each has one request in flight.
    pub lanes: usize,
    /// Maximum samples of a request, at least 1.
    pub max_samples: usize,
    /// Maximum memory of the entries in all lanes, in bytes.
    pub max_queue_bytes: usize,
    /// Maximum time that the first sample of a request waits for others.
    pub flush_delay: Duration,
    /// Maximum duration of a request, with the connection attempt.
    pub timeout: Duration,
    /// Age beyond which samples are dropped instead of sent.
    pub max_age: Duration,
    /// Interval at which metadata is sent.
    pub metadata_interval: Duration,
    /// Whether the collector's own metrics are forwarded.
    pub own_metrics: bool,
    /// Label `instance` of the collector's own metrics; `None`: name of the host and HTTP port.
    pub own_instance: Option<Box<str>>,
}

/// Returns the valid tables `[[remote_write]]`, and rejects the others.
pub(super) fn destinations(layers: &mut Layers) -> Vec<DestinationSettings> {
    let mut found: Vec<(Entry, DestinationSettings)> = Vec::new();
    for entry in layers.tables("remote_write") {
        let Some(destination) = destination(layers, &entry) else { continue };
        match found.iter().find(|(_, other)| other.name == destination.name) {
            Some((other, _)) => {
                let other = other.label();
                let problem = format!("is the same as in {other}; set another name");
                layers.reject(entry.error("name", problem));
            }
            None => found.push((entry, destination)),
        }
    }
    found.into_iter().map(|(_, destination)| destination).collect()
}

fn destination(layers: &mut Layers, entry: &Entry) -> Option<DestinationSettings> {
    // Read everything before giving up, to report all errors.
    let (auth, headers) = (auth(layers, entry), headers(layers, entry));
    let (protocol, compression) = protocol(layers, entry);
    let rules = rules(layers, entry);
    layers.accept(entry.requires("own_instance", "own_metrics"));
    let url = checks::url(entry.text("url")?).ok()?;
    let tls = if url.is_tls() {
        Some(tls(layers, entry)?)
    } else {
        for key in TLS_KEYS.into_iter().filter(|key| entry.is_set(key)) {
            layers.reject(entry.error(key, "requires an https:// url; change url, or remove it"));
        }
        None
    };
    let to_usize = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    Some(DestinationSettings {
        name: entry.text("name").unwrap_or(url.authority()).into(),
        url,
        tls,
        auth: auth?,
        headers,
        protocol,
        compression,
        rules: Arc::new(rules?),
        durable: entry.switch("durable"),
        out_of_order: entry.switch("out_of_order"),
        lanes: to_usize(entry.number("lanes")),
        max_samples: to_usize(entry.number("max_samples")),
        max_queue_bytes: to_usize(entry.size("max_queue")),
        flush_delay: entry.duration("flush_delay"),
        timeout: entry.duration("timeout"),
        max_age: entry.duration("max_age"),
        metadata_interval: entry.duration("metadata_interval"),
        own_metrics: entry.switch("own_metrics"),
        own_instance: entry.text("own_instance").map(Into::into),
    })
}

/// Returns the version and the compression, which remote write 2.0 does not leave open.
fn protocol(layers: &mut Layers, entry: &Entry) -> (Protocol, Compression) {
    let (protocol, compression) = (entry.choice("protocol"), entry.choice("compression"));
    match (protocol, compression) {
        (Protocol::V2, Compression::Zstd) => {
            let problem = "must be auto or snappy: remote write 2.0 has no other compression";
            layers.reject(entry.error("compression", problem));
            (protocol, compression)
        }
        (Protocol::V2, _) => (protocol, Compression::Snappy),
        (Protocol::V1, _) => (protocol, compression),
    }
}

fn auth(layers: &mut Layers, entry: &Entry) -> Option<HttpAuth> {
    let rules = [
        entry.requires("username", "password_file"),
        entry.requires("password_file", "username"),
        entry.excludes("bearer_token_file", "username"),
    ];
    let broken = rules.into_iter().filter_map(Result::err).map(|error| layers.reject(error));
    if broken.count() > 0 {
        return None;
    }
    let (key, auth) = if let Some(token_file) = entry.path("bearer_token_file") {
        ("bearer_token_file", HttpAuth::Bearer { token_file })
    } else if let Some(password_file) = entry.path("password_file") {
        let username = entry.text("username")?.into();
        ("password_file", HttpAuth::Basic { username, password_file })
    } else {
        return Some(HttpAuth::None);
    };
    let result = auth.authorization().map_err(|problem| entry.error(key, problem));
    layers.accept(result).map(|_| auth)
}

fn headers(layers: &mut Layers, entry: &Entry) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let texts = entry.list("headers");
    if texts.len() > MAX_HEADERS {
        let problem = format!("has {} headers; at most {MAX_HEADERS} are allowed", texts.len());
        layers.reject(entry.error("headers", problem));
        return headers;
    }
    for (name, value) in texts.iter().filter_map(|text| checks::header(text).ok()) {
        if headers.contains_key(&name) {
            let problem = format!("has {name} twice; names do not differ by case");
            layers.reject(entry.error("headers", problem));
        }
        headers.insert(name, value);
    }
    headers
}

fn rules(layers: &mut Layers, entry: &Entry) -> Option<Rules> {
    let pairs = |key| {
        let texts = entry.list(key);
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        texts.iter().map(|text| owned(checks::pair(text))).collect()
    };
    let rules = Rules::try_new(&RuleSet {
        external_labels: pairs("external_labels"),
        keep_metrics: entry.list("keep_metrics"),
        drop_metrics: entry.list("drop_metrics"),
        rename_metrics: pairs("rename_metrics"),
        drop_labels: entry.list("drop_labels"),
        rename_labels: pairs("rename_labels"),
        agent_up: entry.switch("agent_up"),
    });
    layers.accept(rules.map_err(|bad| entry.error(bad.list(), bad.to_string())))
}

/// Returns the TLS settings and checks the files.
fn tls(layers: &mut Layers, entry: &Entry) -> Option<TlsSettings> {
    layers.accept(entry.requires("tls_certificate", "tls_key"));
    layers.accept(entry.requires("tls_key", "tls_certificate"));
    let identity = match (entry.path("tls_certificate"), entry.path("tls_key")) {
        (Some(certificate), Some(key)) => Some(Identity { certificate, key }),
        _ => None,
    };
    let server_name = entry.text("tls_server_name").and_then(|text| server_name(text).ok());
    let settings = TlsSettings { ca: entry.path("tls_ca"), identity, server_name };
    let connector = TlsClient::new(settings.clone()).connector();
    let connector = connector.map_err(|error| entry.error(error.setting(), error.problem()));
    layers.accept(connector).map(|_| settings)
}

#[cfg(test)]
mod tests;
