//! The declarations of all settings.

use fleetgauge_common::log::{self, LogFormat};
use fleetgauge_common::settings::{Kind, Program, Setting, names, setting};
use fleetgauge_common::tls_client::is_server_name;

use super::collectors::Collector;
use super::id::{self, IdFrom};
use super::token::Token;
use super::{labels, metrics, table_declarations};
use crate::metrics::MetricSet;

/// Largest `log_size`, in bytes. A day of many series fits; more is a mistake.
const MAX_LOG_BYTES: u64 = 1 << 30;

const REPORTING: &str = "Reporting";
const HOST_METRICS: &str = "Host metrics";
const AUTHENTICATION: &str = "Authentication";
const TLS: &str = "TLS";
const LOGGING: &str = "Logging";

/// The agent's settings.
pub(super) const PROGRAM: Program = Program {
    settings: &SETTINGS,
    other: names::COLLECTOR,
    hints: &[(
        "token",
        "the token belongs in the file that token_file names, or in FLEETGAUGE_TOKEN",
    )],
};

const SETTINGS: [Setting; 29] = [
    setting("config", Kind::Path, "FILE", "Read settings from a TOML file")
        .details(
            "The keys are the option names with _ instead of -; labels are the table [labels]. \
             Options and environment variables override the file.",
        )
        .not_in_file(),
    setting(
        "collector",
        Kind::Text(is_collector),
        "HOST:PORT",
        "Report to the collector at HOST:PORT",
    )
    .under(REPORTING)
    .details(
        "Several collectors are separated by commas. srv+NAME stands for those that SRV records \
         name. Names are resolved at every attempt. The agent tries all addresses, in an order \
         that depends on its id.",
    )
    .default("127.0.0.1:45678")
    .words()
    .reloads(),
    setting("id", Kind::Text(id::is_id), "ID", "Agent id, unique in the fleet")
        .under(REPORTING)
        .details(
            "The label agent of all series has this value. 1 to 128 characters from A-Z, a-z, 0-9 \
             and . _ : - are allowed. Cannot be combined with --id-from.",
        )
        .reloads(),
    setting("id_from", Kind::choice::<IdFrom>(), "SOURCE", "Source of the agent id")
        .under(REPORTING)
        .details("A host name that many hosts have, such as localhost, is an error.")
        .default("hostname")
        .reloads(),
    setting("interval", Kind::seconds(1, 300), "DURATION", "Interval between reports")
        .under(REPORTING)
        .details("The collector may require a different interval.")
        .default("15s")
        .reloads(),
    setting("log_size", Kind::Size(0, MAX_LOG_BYTES), "SIZE", "Memory for reports of an outage")
        .under(REPORTING)
        .details(
            "The agent keeps reports until a collector that forwards them has acknowledged them, \
             and drops the oldest beyond this size. 0B: keep none.",
        )
        .default("4MiB")
        .reloads(),
    setting("log_age", Kind::seconds(60, 86_400), "DURATION", "Maximum age of reports to keep")
        .under(REPORTING)
        .details("Databases refuse samples that are too old.")
        .default("6h")
        .reloads(),
    setting("log_file", Kind::Path, "FILE", "Keep these reports in FILE too")
        .under(REPORTING)
        .details(
            "They survive a restart of the agent. FILE takes up to twice --log-size; FILE.lock and \
             FILE.new are beside it.",
        ),
    setting("metrics", Kind::choice::<MetricSet>(), "SETS", "Metrics to report")
        .under(REPORTING)
        .details("Several sets are separated by commas: --metrics=basic,node.")
        .default("basic,node")
        .words()
        .reloads(),
    setting("labels", Kind::Table(labels::is_label), "NAME=VALUE", "Add a label to all series")
        .flag("label")
        .under(REPORTING)
        .details(
            "At most 32 labels and 8192 bytes of names and values. In the environment: \
             FLEETGAUGE_LABELS=dc=fra,rack=b12.",
        )
        .reloads(),
    setting(
        "scrape",
        Kind::Tables(&table_declarations::SCRAPE),
        "TABLES",
        "Report the metrics of local exporters",
    )
    .reloads(),
    setting(
        "textfile",
        Kind::Tables(&table_declarations::TEXTFILE),
        "TABLES",
        "Report the metrics in text files",
    )
    .reloads(),
    setting("collectors", Kind::Text(metrics::is_collector), "LIST", "Collectors of host metrics")
        .under(HOST_METRICS)
        .details(
            "default, then +NAME to add a collector or -NAME to remove one: \
             --collectors=default,+NAME.",
        )
        .default("default")
        .words()
        .reloads(),
    setting("node", Kind::Table(metrics::is_option), "NAME=VALUE", "Set an option of a collector")
        .under(HOST_METRICS)
        .details(
            "The names are those of the flags of node_exporter, without --collector. In the file \
             they need quotes.",
        )
        .reloads(),
    setting("peaks", Kind::Switch, "BOOL", "Report the peaks between two samples")
        .under(HOST_METRICS)
        .details(
            "CPU usage and the throughput of disks and network interfaces are sampled every \
             second. Their maximum since the last report is reported as host_cpu_usage_peak_ratio \
             and so on.",
        )
        .default("false")
        .reloads(),
    setting("path_procfs", Kind::Path, "DIR", "Mount point of procfs")
        .flag("path.procfs")
        .under(HOST_METRICS)
        .default("/proc")
        .reloads(),
    setting("path_sysfs", Kind::Path, "DIR", "Mount point of sysfs")
        .flag("path.sysfs")
        .under(HOST_METRICS)
        .default("/sys")
        .reloads(),
    setting("path_rootfs", Kind::Path, "DIR", "Root of the host's file system")
        .flag("path.rootfs")
        .under(HOST_METRICS)
        .default("/")
        .reloads(),
    setting("path_udev_data", Kind::Path, "DIR", "Database of udev")
        .flag("path.udev.data")
        .under(HOST_METRICS)
        .default("/run/udev/data")
        .reloads(),
    setting("token_file", Kind::Path, "FILE", "Read the token of this agent from FILE")
        .under(AUTHENTICATION)
        .details(
            "One line, not world-readable. Read for every connection. FLEETGAUGE_TOKEN can hold \
             the token itself; there is no option for it, because every user can read a command \
             line.",
        )
        .reloads(),
    setting("token", Kind::Text(is_token), "TOKEN", "Token of this agent")
        .secret_variable()
        .reloads(),
    setting(
        "insecure",
        Kind::Switch,
        "BOOL",
        "Allow sending the token to another host without TLS",
    )
    .under(AUTHENTICATION)
    .details("Any host on the way could read it.")
    .default("false")
    .reloads(),
    setting("tls", Kind::Switch, "BOOL", "Use TLS")
        .under(TLS)
        .details("Verifies the collector's certificate by --tls-ca or the system's trust store.")
        .default_note("true with any other --tls option")
        .reloads(),
    setting("tls_ca", Kind::Path, "FILE", "PEM CA certificates to verify the collector")
        .under(TLS)
        .default_note("trust store of the system")
        .reloads(),
    setting(
        "tls_certificate",
        Kind::Path,
        "FILE",
        "PEM certificate chain of this agent, leaf first",
    )
    .under(TLS)
    .details("For a collector that requires client certificates. Needs --tls-key.")
    .reloads(),
    setting("tls_key", Kind::Path, "FILE", "PEM private key, not world-readable")
        .under(TLS)
        .details("The key of --tls-certificate, without a passphrase.")
        .reloads(),
    setting(
        "tls_server_name",
        Kind::Text(is_server_name),
        "NAME",
        "Name in the collector's certificate",
    )
    .under(TLS)
    .details("A host name or an IP address.")
    .default_note("host of --collector")
    .reloads(),
    setting("log", Kind::Text(is_log_filter), "FILTER", "Log level or filter directives")
        .under(LOGGING)
        .details(
            "error, warn, info, debug, trace or off, or directives such as \
             info,fleetgauge_agent::run=debug. Logs go to standard error.",
        )
        .default("info")
        .reloads(),
    setting("log_format", Kind::choice::<LogFormat>(), "FORMAT", "Format of log lines")
        .under(LOGGING)
        .default("text"),
];

fn is_collector(text: &str) -> Result<(), String> {
    Collector::parse(text).map(drop)
}

fn is_token(text: &str) -> Result<(), String> {
    Token::parse(text).map(drop)
}

fn is_log_filter(text: &str) -> Result<(), String> {
    log::parse_filter(text).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_list_of_names_is_complete() {
        let declared: Vec<_> = SETTINGS.iter().map(|setting| setting.name).collect();
        assert_eq!(declared, names::AGENT);
    }

    #[test]
    fn help_is_short_and_without_full_stop() {
        for setting in &SETTINGS {
            assert!(setting.help.len() <= 64 && !setting.help.ends_with('.'), "{}", setting.name);
            assert!(setting.details.is_empty() || setting.details.ends_with('.'));
        }
    }
}
