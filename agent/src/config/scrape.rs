//! The setting `scrape`: local exporters.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use fleetgauge_common::http_client::HttpAuth;
use fleetgauge_common::settings::{Entry, Layers};
use fleetgauge_common::tls_client::server_name;
use fleetgauge_proto::StaticLabels;
use fleetgauge_proto::limits::MAX_LABEL_VALUE_BYTES;

use super::labels;
use super::scrape_url::ScrapeUrl;
use crate::tls::{Identity, TlsClient, TlsSettings};

/// Maximum number of tables `[[scrape]]`: more than exporters run on one host, and few enough to
/// scrape all of them within an interval.
pub const MAX_SCRAPES: usize = 64;
/// Default of `timeout`, as in Prometheus. A shorter interval limits it.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// Default of `path`, as in Prometheus.
const DEFAULT_PATH: &str = "/metrics";
/// Keys that are valid only with an https:// url.
const TLS_KEYS: [&str; 4] = ["tls_ca", "tls_certificate", "tls_key", "tls_server_name"];

/// A local exporter, which the agent scrapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScrapeSettings {
    /// Where the exporter listens.
    pub target: ScrapeTarget,
    /// Value of the label `job`, not empty.
    pub job: Box<str>,
    /// Value of the label `instance`, not empty.
    pub instance: Box<str>,
    /// Interval between scrapes, 1 s to 1 h.
    pub interval: Duration,
    /// Maximum duration of a scrape, at most the interval.
    pub timeout: Duration,
    /// Labels of all series of the exporter.
    pub labels: StaticLabels,
    /// Authentication to the exporter.
    pub auth: HttpAuth,
    /// Maximum samples of a page. A page with more is rejected as a whole.
    pub max_samples: usize,
    /// Maximum size of a page, in bytes. A larger page is rejected as a whole.
    pub max_size: u64,
}

/// Where an exporter listens.
#[derive(Clone, PartialEq, Eq)]
pub enum ScrapeTarget {
    /// A TCP port.
    Tcp {
        /// Host name or IP address, without brackets.
        host: Box<str>,
        /// Port, never 0.
        port: u16,
        /// Path and query of the page: visible ASCII that starts with a slash.
        path: Box<str>,
        /// TLS settings; `None`: no TLS.
        tls: Option<TlsSettings>,
    },
    /// A Unix socket.
    Unix {
        /// Absolute path of the socket, at most 107 bytes.
        socket: PathBuf,
        /// Path and query of the page: visible ASCII that starts with a slash.
        path: Box<str>,
    },
}

/// Leaves out the path: its query may have secrets.
impl fmt::Debug for ScrapeTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port, path: _, tls } => f
                .debug_struct("Tcp")
                .field("host", host)
                .field("port", port)
                .field("tls", tls)
                .finish_non_exhaustive(),
            Self::Unix { socket, path: _ } => {
                f.debug_struct("Unix").field("socket", socket).finish_non_exhaustive()
            }
        }
    }
}

/// Returns the valid tables `[[scrape]]`, and rejects the others. `agent_interval` is the default
/// of `interval`.
pub(super) fn scrapes(layers: &mut Layers, agent_interval: Duration) -> Vec<ScrapeSettings> {
    let mut scrapes: Vec<(Entry, ScrapeSettings)> = Vec::new();
    for entry in layers.tables("scrape") {
        let Some(scrape) = scrape(layers, &entry, agent_interval) else { continue };
        match scrapes.iter().find(|(_, other)| same_series(other, &scrape)) {
            Some((other, _)) => {
                let other = other.label();
                let problem = format!(
                    "is the same as in {other}, and so are instance and labels; change one of them"
                );
                layers.reject(entry.error("job", problem));
            }
            None => scrapes.push((entry, scrape)),
        }
    }
    scrapes.into_iter().map(|(_, scrape)| scrape).collect()
}

/// Returns whether series of both exporters could have the same labels.
fn same_series(one: &ScrapeSettings, other: &ScrapeSettings) -> bool {
    one.job == other.job && one.instance == other.instance && one.labels == other.labels
}

fn scrape(layers: &mut Layers, entry: &Entry, agent_interval: Duration) -> Option<ScrapeSettings> {
    // Read everything before giving up, to report all errors.
    let labels = labels::of_entry(layers, entry);
    let auth = auth(layers, entry);
    let (interval, timeout) = times(layers, entry, agent_interval);
    let url = ScrapeUrl::parse(entry.text("url")?).ok()?;
    let target = target(layers, entry, &url);
    let instance = entry.text("instance").unwrap_or(url.instance()).into();
    Some(ScrapeSettings {
        target: target?,
        job: entry.text("job")?.into(),
        instance,
        interval,
        timeout,
        labels,
        auth: auth?,
        max_samples: usize::try_from(entry.number("max_samples")).unwrap_or(usize::MAX),
        max_size: entry.size("max_size"),
    })
}

fn times(layers: &mut Layers, entry: &Entry, agent_interval: Duration) -> (Duration, Duration) {
    let is_set = ["interval", "timeout"].map(|key| entry.is_set(key));
    let [given_interval, given_timeout] = ["interval", "timeout"].map(|key| entry.duration(key));
    let interval = if is_set[0] { given_interval } else { agent_interval };
    let timeout = if is_set[1] { given_timeout } else { DEFAULT_TIMEOUT };
    if is_set == [true, true] && timeout > interval && !interval.is_zero() {
        layers.reject(entry.error("timeout", "must be at most the interval of this table"));
    }
    (interval, timeout.min(interval))
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

fn target(layers: &mut Layers, entry: &Entry, url: &ScrapeUrl) -> Option<ScrapeTarget> {
    let is_tls = matches!(url, ScrapeUrl::Http(url) if url.is_tls());
    if !is_tls {
        for key in TLS_KEYS.into_iter().filter(|key| entry.is_set(key)) {
            layers.reject(entry.error(key, "requires an https:// url; change url, or remove it"));
        }
    }
    match url {
        ScrapeUrl::Http(url) => {
            if entry.is_set("path") {
                let problem = "is only for a unix:// url; write the path into url";
                layers.reject(entry.error("path", problem));
            }
            let tls = if is_tls { Some(tls(layers, entry)?) } else { None };
            let (host, port) = (url.endpoint().host().into(), url.endpoint().port());
            Some(ScrapeTarget::Tcp { host, port, path: url.path().into(), tls })
        }
        ScrapeUrl::Unix(_) if cfg!(not(unix)) => {
            layers.reject(entry.error("url", "must not be a Unix socket on this system"));
            None
        }
        ScrapeUrl::Unix(socket) => {
            let path = entry.text("path").unwrap_or(DEFAULT_PATH).into();
            Some(ScrapeTarget::Unix { socket: PathBuf::from(&**socket), path })
        }
    }
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

/// Checks the keys `job` and `instance`: values of labels.
pub(super) fn is_label_value(text: &str) -> Result<(), String> {
    match text.len() {
        0 => Err("must not be empty".to_owned()),
        1..=MAX_LABEL_VALUE_BYTES => Ok(()),
        length => Err(format!("has {length} bytes; at most {MAX_LABEL_VALUE_BYTES} are allowed")),
    }
}

#[cfg(test)]
#[path = "scrape_tests.rs"]
mod tests;
