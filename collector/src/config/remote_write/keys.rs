//! The declarations of the keys of `[[remote_write]]`.

use std::time::Duration;

use fleetgauge_common::http_client::is_username;
use fleetgauge_common::settings::{Kind, Setting, Tables, setting};
use fleetgauge_common::tls_client::is_server_name;

use super::checks::{
    is_header, is_label, is_label_name, is_label_value, is_name, is_pattern, is_renamed_label,
    is_renamed_metric, is_url,
};
use super::{Compression, MAX_DESTINATIONS, Protocol};

/// Maximum of `max_samples`. A request of as many samples has about 100 MB before compression.
const MOST_SAMPLES: u64 = 1 << 20;
/// Maximum of `max_queue`, in bytes: 64 GiB, more than the memory of a collector.
const MOST_QUEUE_BYTES: u64 = 64 << 30;
/// Minimum of `max_queue`, in bytes: the reports of some agents in every lane.
const LEAST_QUEUE_BYTES: u64 = 1 << 20;
/// Bounds of `flush_delay`: without one, each report would be a request of its own.
const LEAST_FLUSH: Duration = Duration::from_millis(1);
const MOST_FLUSH: Duration = Duration::from_secs(60);
/// Maximum of `max_age`, in seconds: 30 days.
const MOST_AGE: u64 = 30 * 86_400;

/// Hints for the names of Prometheus.
const SECRET_HINT: &str = "put the secret into a file and name it with password_file or \
                           bearer_token_file";
const RELABEL_HINT: &str = "use keep_metrics, drop_metrics, rename_metrics, drop_labels and \
                            rename_labels";
const QUEUE_HINT: &str = "use lanes, max_samples, max_queue, flush_delay and max_age";
const TLS_HINT: &str = "use tls_ca, tls_certificate, tls_key and tls_server_name";

/// Destinations of remote write.
pub(in crate::config) const TABLES: Tables = Tables {
    keys: &KEYS,
    max_tables: MAX_DESTINATIONS,
    hints: &[
        ("remote_timeout", "the name of this key is timeout"),
        ("protobuf_message", "the name of this key is protocol"),
        ("write_relabel_configs", RELABEL_HINT),
        ("queue_config", QUEUE_HINT),
        ("max_shards", "the name of this key is lanes"),
        ("shards", "the name of this key is lanes"),
        ("max_samples_per_send", "the name of this key is max_samples"),
        ("batch_send_deadline", "the name of this key is flush_delay"),
        ("sample_age_limit", "the name of this key is max_age"),
        ("capacity", "the name of this key is max_queue"),
        ("metadata_config", "use metadata_interval"),
        ("tls_config", TLS_HINT),
        ("labels", "the name of this key is external_labels"),
        ("basic_auth", "use username and password_file"),
        ("authorization", "use bearer_token_file"),
        ("password", SECRET_HINT),
        ("bearer_token", SECRET_HINT),
        ("token", SECRET_HINT),
    ],
};

const KEYS: [Setting; 30] = [
    setting("url", Kind::Text(is_url), "URL", "Where the engine receives remote write").required(),
    setting("name", Kind::Text(is_name), "NAME", "Name in logs and metrics")
        .default_note("host and port of the url"),
    setting("protocol", Kind::choice::<Protocol>(), "VERSION", "Version of remote write")
        .default("1.0"),
    setting("compression", Kind::choice::<Compression>(), "CODING", "Compression of requests")
        .default("auto"),
    setting("username", Kind::Text(is_username), "NAME", "User name"),
    setting("password_file", Kind::Path, "FILE", "Password, not world-readable"),
    setting("bearer_token_file", Kind::Path, "FILE", "Bearer token, not world-readable"),
    setting("tls_ca", Kind::Path, "FILE", "PEM CA certificates to verify the engine")
        .default_note("trust store of the system"),
    setting("tls_certificate", Kind::Path, "FILE", "PEM certificate chain, leaf first"),
    setting("tls_key", Kind::Path, "FILE", "PEM private key, not world-readable"),
    setting("tls_server_name", Kind::Text(is_server_name), "NAME", "Name in the certificate")
        .default_note("host of the url"),
    // Headers such as X-Api-Key are secrets: their values are never printed.
    setting("headers", Kind::Table(is_header), "NAME=VALUE", "Headers of requests").secret(),
    setting("external_labels", Kind::Table(is_label), "NAME=VALUE", "Labels of all series"),
    setting("keep_metrics", Kind::Text(is_pattern), "PATTERN", "Forward only these metrics")
        .default_note("all metrics")
        .list(),
    setting("drop_metrics", Kind::Text(is_pattern), "PATTERN", "Do not forward these metrics")
        .list(),
    setting("rename_metrics", Kind::Table(is_renamed_metric), "OLD=NEW", "Rename metrics"),
    setting("drop_labels", Kind::Text(is_label_name), "NAME", "Remove these labels").list(),
    setting("rename_labels", Kind::Table(is_renamed_label), "OLD=NEW", "Rename labels"),
    setting("durable", Kind::Switch, "BOOL", "Agents keep reports until the engine has them")
        .default("true"),
    setting("out_of_order", Kind::Switch, "BOOL", "The engine has an out-of-order window")
        .default("false"),
    setting("agent_up", Kind::Switch, "BOOL", "Add fleetgauge_agent_up for every agent")
        .default("true"),
    setting("lanes", Kind::Number(1, 64), "N", "Concurrent requests").default("4"),
    setting("max_samples", Kind::Number(1, MOST_SAMPLES), "N", "Maximum samples of a request")
        .default("10000"),
    setting(
        "max_queue",
        Kind::Size(LEAST_QUEUE_BYTES, MOST_QUEUE_BYTES),
        "SIZE",
        "Maximum memory of queued reports",
    )
    .default("64MiB"),
    setting(
        "flush_delay",
        Kind::Duration(LEAST_FLUSH, MOST_FLUSH),
        "DURATION",
        "Maximum time to fill a request",
    )
    .default("250ms"),
    setting("timeout", Kind::seconds(1, 600), "DURATION", "Maximum duration of a request")
        .default("30s"),
    setting("max_age", Kind::seconds(60, MOST_AGE), "DURATION", "Drop samples that are older")
        .default("6h"),
    setting("metadata_interval", Kind::seconds(10, 86_400), "DURATION", "Interval of metadata")
        .default("1m"),
    setting("own_metrics", Kind::Switch, "BOOL", "Forward the collector's own metrics")
        .default("false"),
    setting("own_instance", Kind::Text(is_label_value), "TEXT", "Label instance of own metrics")
        .default_note("host name and port of http_listen, or advertise"),
];
