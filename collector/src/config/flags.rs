//! What may be set, and where: flags, environment variables and the keys of a file, declared once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Parser;
use clap::builder::BoolishValueParser;
use serde::Deserialize;

use super::BadSetting;

/// Declares numbers, and texts that need no more than a line, once: for flags, environment and file alike.
macro_rules! settings {
    (
        numbers { $($(#[$doc:meta])* $name:ident $env:literal;)* }
        texts { $($(#[$text_doc:meta])* $text:ident $text_env:literal $value:literal;)* }
    ) => {
        /// fleetgauge collector: takes the reports of agents and shows the newest values to Prometheus.
        #[derive(Debug, Clone, Default, Parser)]
        #[command(name = "fleetgauge-collector", version, about)]
        pub struct Flags {
            /// TOML file with settings; the keys are the flags' names with underscores.
            #[arg(long, env = "FLEETGAUGE_CONFIG", value_name = "FILE")]
            pub config: Option<PathBuf>,
            /// Address for agents; may be given several times. Port 0 takes a free one. [default: 127.0.0.1:45678]
            #[arg(long, env = "FLEETGAUGE_LISTEN", value_name = "ADDR", value_delimiter = ',')]
            pub listen: Vec<String>,
            /// Address for HTTP. [default: 127.0.0.1:1234]
            #[arg(long, env = "FLEETGAUGE_HTTP", value_name = "ADDR")]
            pub http: Option<String>,
            /// HOST:PORT at which Prometheus reaches HTTP here, for /sd. [default: what the request says]
            #[arg(long, env = "FLEETGAUGE_ADVERTISE", value_name = "HOST:PORT")]
            pub advertise: Option<String>,
            /// Add client_no with the peer's port to every series and expose clients_connected, as the old program did.
            #[arg(long, env = "FLEETGAUGE_CLASSIC", value_name = "BOOL", value_parser = BoolishValueParser::new(),
                num_args = 0..=1, require_equals = true, default_missing_value = "true")]
            pub classic: Option<bool>,
            /// File of the agents that may report, and the tokens by which they are known. See docs/operations.md.
            #[arg(long, env = "FLEETGAUGE_CREDENTIALS", value_name = "FILE")]
            pub credentials: Option<PathBuf>,
            /// File of the users who may read over HTTP, and the tokens by which they are known.
            #[arg(long, env = "FLEETGAUGE_HTTP_CREDENTIALS", value_name = "FILE")]
            pub http_credentials: Option<PathBuf>,
            /// A label that agents may set; may be given several times. [default: any]
            #[arg(long, env = "FLEETGAUGE_ALLOW_LABELS", value_name = "NAME", value_delimiter = ',')]
            pub allow_labels: Option<Vec<String>>,
            /// Allow addresses that are not loopback though anybody may report or read, or secrets are sent unencrypted.
            #[arg(long, env = "FLEETGAUGE_INSECURE", value_name = "BOOL", value_parser = BoolishValueParser::new(),
                num_args = 0..=1, require_equals = true, default_missing_value = "true")]
            pub insecure: Option<bool>,
            /// Addresses and prefixes whose connections are not bounded each, such as those of a NAT. [default: 127.0.0.0/8,::1]
            #[arg(long, env = "FLEETGAUGE_EXEMPT", value_name = "PREFIX", value_delimiter = ',')]
            pub exempt: Option<Vec<String>>,
            /// Addresses and prefixes of balancers that say by PROXY protocol 2 whose connections they pass on. [default: none]
            #[arg(long, env = "FLEETGAUGE_PROXY_FROM", value_name = "PREFIX", value_delimiter = ',')]
            pub proxy_from: Option<Vec<String>>,
            /// What to log: error, warn, info, debug or trace, or a filter such as fleetgauge_collector=debug. [default: info]
            #[arg(long, env = "FLEETGAUGE_LOG", value_name = "LEVEL")]
            pub log: Option<String>,
            /// Directory in which it is kept who is connected and who has gone, so that a restart does not forget them.
            #[arg(long, env = "FLEETGAUGE_STATE_DIR", value_name = "DIR")]
            pub state_dir: Option<PathBuf>,
            /// File that names the agents that must be there: an id a line, # for remarks.
            #[arg(long, env = "FLEETGAUGE_EXPECT", value_name = "FILE")]
            pub expect: Option<PathBuf>,
            /// Check the settings and exit.
            #[arg(long)]
            pub check: bool,
            $(
                $(#[$doc])*
                #[arg(long, env = $env, value_name = "N")]
                pub $name: Option<u64>,
            )*
            $(
                $(#[$text_doc])*
                #[arg(long, env = $text_env, value_name = $value)]
                pub $text: Option<String>,
            )*
        }

        #[derive(Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub(super) struct File {
            listen: Vec<String>,
            http: Option<String>,
            advertise: Option<String>,
            classic: Option<bool>,
            credentials: Option<PathBuf>,
            http_credentials: Option<PathBuf>,
            allow_labels: Option<Vec<String>>,
            insecure: Option<bool>,
            exempt: Option<Vec<String>>,
            proxy_from: Option<Vec<String>>,
            log: Option<String>,
            state_dir: Option<PathBuf>,
            expect: Option<PathBuf>,
            kinds: BTreeMap<String, String>,
            $($name: Option<u64>,)*
            $($text: Option<String>,)*
        }

        impl Flags {
            /// Lets the file's settings stand where no flag and no environment variable says otherwise.
            pub(super) fn or(mut self, file: File) -> (Self, BTreeMap<String, String>) {
                if self.listen.is_empty() {
                    self.listen = file.listen;
                }
                self.http = self.http.or(file.http);
                self.advertise = self.advertise.or(file.advertise);
                self.classic = self.classic.or(file.classic);
                self.credentials = self.credentials.or(file.credentials);
                self.http_credentials = self.http_credentials.or(file.http_credentials);
                self.allow_labels = self.allow_labels.or(file.allow_labels);
                self.insecure = self.insecure.or(file.insecure);
                self.exempt = self.exempt.or(file.exempt);
                self.proxy_from = self.proxy_from.or(file.proxy_from);
                self.log = self.log.or(file.log);
                self.state_dir = self.state_dir.or(file.state_dir);
                self.expect = self.expect.or(file.expect);
                $(self.$name = self.$name.or(file.$name);)*
                $(self.$text = self.$text.or(file.$text);)*
                (self, file.kinds)
            }
        }
    };
}

settings! {
    numbers {
        /// Most connections of agents. [default: the file limit, less 256]
        max_connections "FLEETGAUGE_MAX_CONNECTIONS";
        /// Most connections of agents from one address. [default: max_connections]
        max_connections_per_address "FLEETGAUGE_MAX_CONNECTIONS_PER_ADDRESS";
        /// Most new connections a second from one address, ten seconds' worth at once. [default: 100]
        max_handshakes_per_address "FLEETGAUGE_MAX_HANDSHAKES_PER_ADDRESS";
        /// Most failed connections a minute from one address; after one more it is paused. [default: 20]
        max_failures_per_address "FLEETGAUGE_MAX_FAILURES_PER_ADDRESS";
        /// How long an address is paused, in seconds. [default: 60]
        pause_seconds "FLEETGAUGE_PAUSE_SECONDS";
        /// Most frames of an agent an interval, twenty intervals' worth at once. [default: 5]
        max_reports_per_interval "FLEETGAUGE_MAX_REPORTS_PER_INTERVAL";
        /// Most connections that have not reported yet. [default: 1024]
        max_handshakes "FLEETGAUGE_MAX_HANDSHAKES";
        /// Most schemas. [default: 1024]
        max_schemas "FLEETGAUGE_MAX_SCHEMAS";
        /// Most bytes of all schemas together. [default: 67108864]
        max_schema_bytes "FLEETGAUGE_MAX_SCHEMA_BYTES";
        /// Longest payload an agent may send, in bytes. [default: 1048576]
        max_payload_bytes "FLEETGAUGE_MAX_PAYLOAD_BYTES";
        /// Most metric families of an agent. [default: 1000]
        max_families "FLEETGAUGE_MAX_FAMILIES";
        /// Most series of an agent. [default: 10000]
        max_series "FLEETGAUGE_MAX_SERIES";
        /// Most values in a report. [default: 50000]
        max_values "FLEETGAUGE_MAX_VALUES";
        /// Most bytes of an agent's labels. [default: 524288]
        max_label_bytes "FLEETGAUGE_MAX_LABEL_BYTES";
        /// Longest interval between reports that an agent is given, in seconds. [default: 300]
        max_interval_seconds "FLEETGAUGE_MAX_INTERVAL_SECONDS";
        /// Most HTTP connections. [default: 64]
        max_http_connections "FLEETGAUGE_MAX_HTTP_CONNECTIONS";
        /// Most bytes of memory for agents' connections, rows, schemas and unfinished frames. [default: 1073741824]
        max_memory_bytes "FLEETGAUGE_MAX_MEMORY_BYTES";
        /// Most scrapes at once; each holds a copy of all values. [default: 4]
        max_scrapes "FLEETGAUGE_MAX_SCRAPES";
        /// How long agents get to leave when the collector stops, in seconds. [default: 5]
        drain_seconds "FLEETGAUGE_DRAIN_SECONDS";
        /// Let reports wait for each other this long, in milliseconds: less CPU, as much later on the page. [default: 0]
        coalesce_milliseconds "FLEETGAUGE_COALESCE_MILLISECONDS";
        /// Most agents that have gone and are remembered. [default: 100000]
        max_departed "FLEETGAUGE_MAX_DEPARTED";
        /// How long an agent that has gone is remembered, in hours. [default: 72]
        departed_hours "FLEETGAUGE_DEPARTED_HOURS";
        /// How long agents are awaited after a start at least, in seconds; two of their intervals if longer. [default: 30]
        return_seconds "FLEETGAUGE_RETURN_SECONDS";
        /// Time between two writes of the state file, in seconds. [default: 30]
        state_seconds "FLEETGAUGE_STATE_SECONDS";
    }
    texts {
        /// Certificate of the agents' port, PEM, those of the authorities between behind it; with it TLS is spoken there.
        tls_certificate "FLEETGAUGE_TLS_CERTIFICATE" "FILE";
        /// Its key, PEM; not readable by everybody.
        tls_key "FLEETGAUGE_TLS_KEY" "FILE";
        /// Authorities of agents' certificates, PEM; with it agents must show one.
        tls_client_ca "FLEETGAUGE_TLS_CLIENT_CA" "FILE";
        /// Those authorities' lists of revoked certificates, PEM.
        tls_crl "FLEETGAUGE_TLS_CRL" "FILE";
        /// Least version of TLS for agents: 1.3 or 1.2. [default: 1.3]
        tls_min_version "FLEETGAUGE_TLS_MIN_VERSION" "VERSION";
        /// What agents' certificates are named, {id} standing for the agent's id. [default: {id}]
        certificate_name "FLEETGAUGE_CERTIFICATE_NAME" "PATTERN";
        /// Certificate of the HTTP port, PEM; with it TLS is spoken there.
        http_tls_certificate "FLEETGAUGE_HTTP_TLS_CERTIFICATE" "FILE";
        /// Its key, PEM; not readable by everybody.
        http_tls_key "FLEETGAUGE_HTTP_TLS_KEY" "FILE";
        /// Authorities of HTTP clients' certificates, PEM; with it they must show one.
        http_tls_client_ca "FLEETGAUGE_HTTP_TLS_CLIENT_CA" "FILE";
        /// Those authorities' lists of revoked certificates, PEM.
        http_tls_crl "FLEETGAUGE_HTTP_TLS_CRL" "FILE";
        /// Least version of TLS for HTTP: 1.3 or 1.2. [default: 1.3]
        http_tls_min_version "FLEETGAUGE_HTTP_TLS_MIN_VERSION" "VERSION";
    }
}

impl File {
    /// The settings of a TOML file.
    ///
    /// # Errors
    /// It cannot be read, or is not TOML, or has a key that is no setting.
    pub(super) fn read(path: &Path) -> Result<Self, BadSetting> {
        let shown = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|error| BadSetting::new("config", format!("cannot read {shown}: {error}")))?;
        toml::from_str(&text)
            .map_err(|error| BadSetting::new("config", format!("{shown}: {error}")))
    }
}
