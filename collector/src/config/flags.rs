//! What may be set, and where: flags, environment variables and the keys of a file, declared once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Parser;
use clap::builder::BoolishValueParser;
use serde::Deserialize;

use super::error::BadSetting;
use super::settings_file;
use crate::auth::secret_file;

/// Most bytes of a settings' file.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Declares every setting once: for flags, environment and file alike, and whether a reload looks
/// at it.
macro_rules! settings {
    (
        read_anew { $($(#[$meta:meta])* $name:ident: $type:ty, $env:literal $value:literal;)* }
        fixed {
            $($(#[$fixed_meta:meta])*
            $fixed:ident: $fixed_type:ty, $fixed_env:literal $fixed_value:literal;)*
        }
    ) => {
        /// fleetgauge collector: takes the reports of agents and shows the newest values to
        /// Prometheus.
        #[derive(Debug, Clone, Default, Parser)]
        #[command(name = "fleetgauge-collector", version, about)]
        pub struct Flags {
            /// TOML file with settings; the keys are the flags' names with underscores.
            #[arg(long, env = "FLEETGAUGE_CONFIG", value_name = "FILE")]
            pub config: Option<PathBuf>,
            /// Check the settings and exit.
            #[arg(long)]
            pub check: bool,
            /// What families are when agents disagree, by their names; in the file alone.
            #[arg(skip)]
            pub kinds: BTreeMap<String, String>,
            $(
                $(#[$meta])*
                #[arg(long, env = $env, value_name = $value)]
                pub $name: Option<$type>,
            )*
            $(
                $(#[$fixed_meta])*
                #[arg(long, env = $fixed_env, value_name = $fixed_value)]
                pub $fixed: Option<$fixed_type>,
            )*
        }

        #[derive(Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub(super) struct File {
            kinds: BTreeMap<String, String>,
            $($name: Option<$type>,)*
            $($fixed: Option<$fixed_type>,)*
        }

        impl Flags {
            /// Lets the file's settings stand where no flag and no environment variable says
            /// otherwise.
            pub(super) fn or(self, file: File) -> Self {
                Self {
                    kinds: file.kinds,
                    $($name: self.$name.or(file.$name),)*
                    $($fixed: self.$fixed.or(file.$fixed),)*
                    ..self
                }
            }

            /// Of the settings that are put in force at a start alone, those that are others in
            /// `new`, by their keys.
            pub(crate) fn fixed_that_differ(&self, new: &Self) -> Vec<&'static str> {
                let differ = [
                    ("kinds", self.kinds != new.kinds),
                    $((stringify!($fixed), self.$fixed != new.$fixed),)*
                ];
                differ.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
            }
        }
    };
}

settings! {
    read_anew {
        /// Address for agents; may be given several times. Port 0 takes a free one. [default:
        /// 127.0.0.1:45678]
        #[arg(value_delimiter = ',')]
        listen: Vec<String>, "FLEETGAUGE_LISTEN" "ADDR";
        /// Address for HTTP. [default: 127.0.0.1:1234]
        http: String, "FLEETGAUGE_HTTP" "ADDR";
        /// Allow addresses that are not loopback though anybody may report or read, or secrets are
        /// sent unencrypted.
        #[arg(value_parser = BoolishValueParser::new())]
        #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
        insecure: bool, "FLEETGAUGE_INSECURE" "BOOL";
        /// File of the agents that may report, and the tokens by which they are known. See
        /// docs/operations.md.
        credentials: PathBuf, "FLEETGAUGE_CREDENTIALS" "FILE";
        /// File of the users who may read over HTTP, and the tokens by which they are known.
        http_credentials: PathBuf, "FLEETGAUGE_HTTP_CREDENTIALS" "FILE";
        /// File that names the agents that must be there: an id a line, # for remarks.
        expect: PathBuf, "FLEETGAUGE_EXPECT" "FILE";
        /// A label that agents may set; may be given several times. [default: any]
        #[arg(value_delimiter = ',')]
        allow_labels: Vec<String>, "FLEETGAUGE_ALLOW_LABELS" "NAME";
        /// Certificate of the agents' port, PEM, those of the authorities between behind it; with
        /// it TLS is spoken there.
        tls_certificate: String, "FLEETGAUGE_TLS_CERTIFICATE" "FILE";
        /// Its key, PEM; not readable by everybody.
        tls_key: String, "FLEETGAUGE_TLS_KEY" "FILE";
        /// Authorities of agents' certificates, PEM; with it agents must show one.
        tls_client_ca: String, "FLEETGAUGE_TLS_CLIENT_CA" "FILE";
        /// Those authorities' lists of revoked certificates, PEM.
        tls_crl: String, "FLEETGAUGE_TLS_CRL" "FILE";
        /// Least version of TLS for agents: 1.3 or 1.2. [default: 1.3]
        tls_min_version: String, "FLEETGAUGE_TLS_MIN_VERSION" "VERSION";
        /// What agents' certificates are named, {id} standing for the agent's id. [default: {id}]
        certificate_name: String, "FLEETGAUGE_CERTIFICATE_NAME" "PATTERN";
        /// Certificate of the HTTP port, PEM; with it TLS is spoken there.
        http_tls_certificate: String, "FLEETGAUGE_HTTP_TLS_CERTIFICATE" "FILE";
        /// Its key, PEM; not readable by everybody.
        http_tls_key: String, "FLEETGAUGE_HTTP_TLS_KEY" "FILE";
        /// Authorities of HTTP clients' certificates, PEM; with it they must show one.
        http_tls_client_ca: String, "FLEETGAUGE_HTTP_TLS_CLIENT_CA" "FILE";
        /// Those authorities' lists of revoked certificates, PEM.
        http_tls_crl: String, "FLEETGAUGE_HTTP_TLS_CRL" "FILE";
        /// Least version of TLS for HTTP: 1.3 or 1.2. [default: 1.3]
        http_tls_min_version: String, "FLEETGAUGE_HTTP_TLS_MIN_VERSION" "VERSION";
    }
    fixed {
        /// HOST:PORT at which Prometheus reaches HTTP here, for /sd. [default: what the request
        /// says]
        advertise: String, "FLEETGAUGE_ADVERTISE" "HOST:PORT";
        /// Add client_no with the peer's port to every series and expose clients_connected, as the
        /// old program did.
        #[arg(value_parser = BoolishValueParser::new())]
        #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
        classic: bool, "FLEETGAUGE_CLASSIC" "BOOL";
        /// What to log: error, warn, info, debug or trace, or a filter such as
        /// fleetgauge_collector=debug. [default: info]
        log: String, "FLEETGAUGE_LOG" "LEVEL";
        /// Directory in which it is kept who is connected and who has gone, so that a restart does
        /// not forget them.
        state_dir: PathBuf, "FLEETGAUGE_STATE_DIR" "DIR";
        /// Addresses and prefixes whose connections are not bounded each, such as those of a NAT.
        /// [default: 127.0.0.0/8,::1]
        #[arg(value_delimiter = ',')]
        exempt: Vec<String>, "FLEETGAUGE_EXEMPT" "PREFIX";
        /// Addresses and prefixes of balancers that say by PROXY protocol 2 whose connections they
        /// pass on. [default: none]
        #[arg(value_delimiter = ',')]
        proxy_from: Vec<String>, "FLEETGAUGE_PROXY_FROM" "PREFIX";
        /// Most connections of agents. [default: the file limit, less 256]
        max_connections: u64, "FLEETGAUGE_MAX_CONNECTIONS" "N";
        /// Most connections of agents from one address. [default: max_connections]
        max_connections_per_address: u64, "FLEETGAUGE_MAX_CONNECTIONS_PER_ADDRESS" "N";
        /// Most new connections a second from one address, ten seconds' worth at once. [default:
        /// 100]
        max_handshakes_per_address: u64, "FLEETGAUGE_MAX_HANDSHAKES_PER_ADDRESS" "N";
        /// Most failed connections a minute from one address; after one more it is paused.
        /// [default: 20]
        max_failures_per_address: u64, "FLEETGAUGE_MAX_FAILURES_PER_ADDRESS" "N";
        /// How long an address is paused, in seconds. [default: 60]
        pause_seconds: u64, "FLEETGAUGE_PAUSE_SECONDS" "N";
        /// Most frames of an agent an interval, twenty intervals' worth at once. [default: 5]
        max_reports_per_interval: u64, "FLEETGAUGE_MAX_REPORTS_PER_INTERVAL" "N";
        /// Most connections that have not reported yet. [default: 1024]
        max_handshakes: u64, "FLEETGAUGE_MAX_HANDSHAKES" "N";
        /// Most schemas. [default: 1024]
        max_schemas: u64, "FLEETGAUGE_MAX_SCHEMAS" "N";
        /// Most bytes of all schemas together. [default: 67108864]
        max_schema_bytes: u64, "FLEETGAUGE_MAX_SCHEMA_BYTES" "N";
        /// Most bytes that one agent may add to a page. [default: 16777216]
        max_page_bytes_per_agent: u64, "FLEETGAUGE_MAX_PAGE_BYTES_PER_AGENT" "N";
        /// Longest payload an agent may send, in bytes. [default: 1048576]
        max_payload_bytes: u64, "FLEETGAUGE_MAX_PAYLOAD_BYTES" "N";
        /// Most metric families of an agent. [default: 1000]
        max_families: u64, "FLEETGAUGE_MAX_FAMILIES" "N";
        /// Most series of an agent. [default: 10000]
        max_series: u64, "FLEETGAUGE_MAX_SERIES" "N";
        /// Most values in a report. [default: 50000]
        max_values: u64, "FLEETGAUGE_MAX_VALUES" "N";
        /// Most bytes of an agent's labels. [default: 524288]
        max_label_bytes: u64, "FLEETGAUGE_MAX_LABEL_BYTES" "N";
        /// Longest interval between reports that an agent is given, in seconds. [default: 300]
        max_interval_seconds: u64, "FLEETGAUGE_MAX_INTERVAL_SECONDS" "N";
        /// Most HTTP connections. [default: 64]
        max_http_connections: u64, "FLEETGAUGE_MAX_HTTP_CONNECTIONS" "N";
        /// Most bytes of memory for agents' connections, rows, schemas and unfinished frames.
        /// [default: 1073741824]
        max_memory_bytes: u64, "FLEETGAUGE_MAX_MEMORY_BYTES" "N";
        /// Most scrapes at once; each holds a copy of all values. [default: 4]
        max_scrapes: u64, "FLEETGAUGE_MAX_SCRAPES" "N";
        /// How long agents get to leave when the collector stops, in seconds. [default: 5]
        drain_seconds: u64, "FLEETGAUGE_DRAIN_SECONDS" "N";
        /// Let reports wait for each other this long, in milliseconds: less CPU, as much later on
        /// the page. [default: 0]
        coalesce_milliseconds: u64, "FLEETGAUGE_COALESCE_MILLISECONDS" "N";
        /// Most agents that have gone and are remembered. [default: 100000]
        max_departed: u64, "FLEETGAUGE_MAX_DEPARTED" "N";
        /// How long an agent that has gone is remembered, in hours. [default: 72]
        departed_hours: u64, "FLEETGAUGE_DEPARTED_HOURS" "N";
        /// How long agents are awaited after a start at least, in seconds; two of their intervals
        /// if longer. [default: 30]
        return_seconds: u64, "FLEETGAUGE_RETURN_SECONDS" "N";
        /// Time between two writes of the state file, in seconds. [default: 30]
        state_seconds: u64, "FLEETGAUGE_STATE_SECONDS" "N";
    }
}

impl File {
    /// The settings of a TOML file.
    ///
    /// # Errors
    /// It cannot be read, or is not TOML, or has a key that is no setting.
    pub(super) fn read(path: &Path) -> Result<Self, BadSetting> {
        let bad = |problem| BadSetting::new("config", problem);
        let text = secret_file::read_public_text(path, MAX_FILE_BYTES)
            .map_err(|error| bad(error.to_string()))?;
        settings_file::parse(&text).map_err(|problem| bad(format!("{}: {problem}", path.display())))
    }
}
