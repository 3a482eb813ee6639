//! The declarations of the keys of `[[scrape]]` and `[[textfile]]`.

use fleetgauge_common::http_client::{is_path, is_username};
use fleetgauge_common::settings::{Kind, Setting, Tables, setting};
use fleetgauge_common::tls_client::is_server_name;

use super::scrape::{self, MAX_SCRAPES};
use super::textfile::{self, MAX_TEXTFILES};
use super::{labels, scrape_url};

/// Maximum of `max_samples` and, times 256 bytes, of `max_size`: what a host can report at most.
const MOST_SAMPLES: u64 = 1 << 20;
const MOST_BYTES: u64 = MOST_SAMPLES << 8;

/// Hints for the names of Prometheus.
const SECRET_HINT: &str = "put the secret into a file and name it with password_file or \
                           bearer_token_file";

/// Local exporters.
pub(super) const SCRAPE: Tables = Tables {
    keys: &SCRAPE_KEYS,
    max_tables: MAX_SCRAPES,
    hints: &[
        ("targets", "write one table [[scrape]] with a url for each target"),
        ("static_configs", "write one table [[scrape]] with a url for each target"),
        ("job_name", "the name of this key is job"),
        ("scrape_interval", "the name of this key is interval"),
        ("scrape_timeout", "the name of this key is timeout"),
        ("metrics_path", "write the path into url"),
        ("scheme", "write the scheme into url"),
        ("sample_limit", "the name of this key is max_samples"),
        ("body_size_limit", "the name of this key is max_size"),
        ("password", SECRET_HINT),
        ("bearer_token", SECRET_HINT),
        ("token", SECRET_HINT),
    ],
};

const SCRAPE_KEYS: [Setting; 16] = [
    setting("url", Kind::Text(scrape_url::is_url), "URL", "Page of the exporter").required(),
    setting("path", Kind::Text(is_path), "PATH", "Path of the page on a Unix socket")
        .default_note("/metrics"),
    setting("job", Kind::Text(scrape::is_label_value), "NAME", "Label job of all series")
        .required(),
    setting("instance", Kind::Text(scrape::is_label_value), "NAME", "Label instance of all series")
        .default_note("host and port of the url, or the socket"),
    setting("interval", Kind::seconds(1, 3600), "DURATION", "Interval between scrapes")
        .default_note("interval of the agent"),
    setting("timeout", Kind::seconds(1, 3600), "DURATION", "Maximum duration of a scrape")
        .default_note("10s, or the interval if it is shorter"),
    setting("labels", Kind::Table(labels::is_label), "NAME=VALUE", "Labels of all series"),
    setting("username", Kind::Text(is_username), "NAME", "User name"),
    setting("password_file", Kind::Path, "FILE", "Password, not world-readable"),
    setting("bearer_token_file", Kind::Path, "FILE", "Bearer token, not world-readable"),
    setting("tls_ca", Kind::Path, "FILE", "PEM CA certificates to verify the exporter")
        .default_note("trust store of the system"),
    setting("tls_certificate", Kind::Path, "FILE", "PEM certificate chain, leaf first"),
    setting("tls_key", Kind::Path, "FILE", "PEM private key, not world-readable"),
    setting("tls_server_name", Kind::Text(is_server_name), "NAME", "Name in the certificate")
        .default_note("host of the url"),
    setting("max_samples", Kind::Number(1, MOST_SAMPLES), "N", "Maximum samples of a page")
        .default("10000"),
    // 1.6 KiB for each of 10,000 samples: long lines of containers have less than 1 KiB.
    setting("max_size", Kind::Size(1, MOST_BYTES), "SIZE", "Maximum size of a page")
        .default("16MiB"),
];

/// Text files.
pub(super) const TEXTFILE: Tables = Tables {
    keys: &TEXTFILE_KEYS,
    max_tables: MAX_TEXTFILES,
    hints: &[
        ("directory", "set path to the files in it, such as DIRECTORY/*.prom"),
        ("url", "is a key of [[scrape]]; set path"),
        ("job", "is a key of [[scrape]]; files have only labels"),
    ],
};

const TEXTFILE_KEYS: [Setting; 4] = [
    setting("path", Kind::Text(textfile::is_glob), "FILES", "Files; * and ? in the name")
        .required(),
    setting("max_age", Kind::seconds(1, 366 * 86_400), "DURATION", "Skip files that are older")
        .default_note("any age"),
    // About 10,000 samples: more than a script writes.
    setting("max_size", Kind::Size(1, MOST_BYTES), "SIZE", "Maximum size of a file")
        .default("1MiB"),
    setting("labels", Kind::Table(labels::is_label), "NAME=VALUE", "Labels of all series"),
];
