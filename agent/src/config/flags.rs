//! The command line.

use std::path::PathBuf;

use clap::Parser;

/// Samples this host and reports to a fleetgauge collector.
///
/// Flags win over environment variables, those over the file given by --config.
#[derive(Debug, Default, Clone, Parser)]
#[command(version)]
pub struct Flags {
    /// TOML file with the settings below, - written as _ [env: FLEETGAUGE_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Where to report to [env: FLEETGAUGE_COLLECTOR] [default: 127.0.0.1:45678]
    #[arg(long, value_name = "HOST:PORT")]
    pub collector: Option<String>,

    /// Name of this host in the fleet, used for its series [env: FLEETGAUGE_ID]
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,

    /// Where the name comes from if none is given: hostname or machine-id [env: FLEETGAUGE_ID_FROM]
    /// [default: hostname]
    #[arg(long, value_name = "SOURCE")]
    pub id_from: Option<String>,

    /// Time between samples, 1s to 5m [env: FLEETGAUGE_INTERVAL] [default: 15s]
    #[arg(long, value_name = "DURATION")]
    pub interval: Option<String>,

    /// What to report: basic, or classic for the old names [env: FLEETGAUGE_METRICS] [default: basic]
    #[arg(long, value_name = "SET")]
    pub metrics: Option<String>,

    /// A label on all series; may be given several times [env: FLEETGAUGE_LABELS=k=v,k2=v2]
    #[arg(long, value_name = "NAME=VALUE")]
    pub label: Vec<String>,

    /// File with the token that proves who this agent is; the token itself may stand in FLEETGAUGE_TOKEN, never in a flag
    /// [env: FLEETGAUGE_TOKEN_FILE]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<String>,

    /// Send the token unencrypted to a collector on another host [env: FLEETGAUGE_INSECURE]
    #[arg(long)]
    pub insecure: bool,

    /// Speak TLS, and believe a collector whose certificate is of an authority that this system trusts [env: FLEETGAUGE_TLS]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub tls: Option<String>,

    /// Speak TLS, and believe a collector whose certificate is of an authority in this PEM file [env: FLEETGAUGE_TLS_CA]
    #[arg(long, value_name = "FILE")]
    pub tls_ca: Option<String>,

    /// Certificate by which this agent is known, PEM [env: FLEETGAUGE_TLS_CERTIFICATE]
    #[arg(long, value_name = "FILE")]
    pub tls_certificate: Option<String>,

    /// Its key, PEM; not readable by everybody [env: FLEETGAUGE_TLS_KEY]
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<String>,

    /// Name in the collector's certificate, if it is not the host it is reached by [env: FLEETGAUGE_TLS_SERVER_NAME]
    #[arg(long, value_name = "NAME")]
    pub tls_server_name: Option<String>,

    /// Check the settings, say what they come to, and exit
    #[arg(long)]
    pub check: bool,

    /// What is logged: off, error, warn, info, debug or trace [env: FLEETGAUGE_LOG] [default: info]
    #[arg(long, alias = "log-level", value_name = "LEVEL")]
    pub log: Option<String>,
}
