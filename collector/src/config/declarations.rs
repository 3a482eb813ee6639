//! The declarations of all settings.

use fleetgauge_common::log::LogFormat;
use fleetgauge_common::settings::{Kind, Program, Setting, names, setting};
use fleetgauge_proto::limits::{MAX_HELLO_BYTES, MAX_PAYLOAD_BYTES};

use super::headings::{
    ADDRESSES, AGENT_LIMITS, AUTHENTICATION, HTTP_TLS, LIMITS, LISTENING, PRESENCE, RUNNING, TLS,
};
use super::{RESERVED_FDS, parse, remote_write};
use crate::tls::Version;

/// Maximum value of each setting that is a size in bytes: 1 TiB.
const MAX_SIZE: u64 = 1 << 40;

/// The collector's settings, as declared to the settings library.
pub(super) const PROGRAM: Program = Program {
    settings: &SETTINGS,
    other: names::AGENT,
    hints: &[("token", "tokens belong in the file that credentials names, as SHA-256 digests")],
};

const SETTINGS: [Setting; 55] = [
    setting("config", Kind::Path, "FILE", "Read settings from a TOML file")
        .details(
            "The keys are the option names with _ instead of -. Options and environment \
             variables override the file.",
        )
        .not_in_file(),
    setting("listen", Kind::Text(parse::is_address), "ADDR", "Listen for agents on ADDR")
        .under(LISTENING)
        .details("IP:PORT. Port 0 selects a free port, which is logged.")
        .default("127.0.0.1:45678")
        .list(),
    setting("http_listen", Kind::Text(parse::is_address), "ADDR", "Serve HTTP on ADDR")
        .under(LISTENING)
        .details("IP:PORT. Port 0 selects a free port, which is logged.")
        .default("127.0.0.1:1234"),
    setting(
        "advertise",
        Kind::Text(parse::is_target),
        "HOST:PORT",
        "Address of this collector in HTTP service discovery",
    )
    .under(LISTENING)
    .details("The address at which Prometheus reaches the HTTP port, as listed by /sd.")
    .default_note("Host header of the request"),
    setting(
        "proxy_protocol_from",
        Kind::Text(parse::is_prefix),
        "PREFIX",
        "Require a PROXY protocol header from load balancers in PREFIX",
    )
    .under(LISTENING)
    .details("Version 2 of the protocol. PREFIX is an address or a prefix, such as 10.0.0.0/8.")
    .list(),
    setting(
        "insecure",
        Kind::Switch,
        "BOOL",
        "Allow non-loopback listeners without authentication or TLS",
    )
    .under(LISTENING)
    .details(
        "On addresses that other hosts reach, any host could then report as any agent, read every \
         metric, or read credentials on the wire.",
    )
    .default("false")
    .reloads(),
    setting("credentials", Kind::Path, "FILE", "Read the tokens of agents from FILE")
        .under(AUTHENTICATION)
        .details(
            "Each entry maps an agent id or an id pattern to tokens and labels. Without this \
             file and --tls-client-ca, any agent may claim any free id.",
        )
        .reloads(),
    setting("http_credentials", Kind::Path, "FILE", "Read the tokens of HTTP users from FILE")
        .under(AUTHENTICATION)
        .details(
            "Without this file and --http-tls-client-ca, anyone who reaches the HTTP port can \
             read every page.",
        )
        .reloads(),
    setting("allow_labels", Kind::Text(parse::is_label), "NAME", "Allow agents to set label NAME")
        .under(AUTHENTICATION)
        .details("An empty NAME allows none.")
        .default_note("any label")
        .list()
        .reloads(),
    setting("tls_certificate", Kind::Path, "FILE", "PEM certificate chain, leaf first")
        .under(TLS)
        .details("Enables TLS on the agent port. Needs --tls-key.")
        .reloads(),
    setting("tls_key", Kind::Path, "FILE", "PEM private key, not world-readable")
        .under(TLS)
        .details("The key of --tls-certificate, without a passphrase.")
        .reloads(),
    setting(
        "tls_client_ca",
        Kind::Path,
        "FILE",
        "Require client certificates issued by a CA in FILE",
    )
    .under(TLS)
    .details("PEM. The names in an agent's certificate decide which id it may have.")
    .reloads(),
    setting("tls_crl", Kind::Path, "FILE", "PEM revocation lists (CRLs) of the client CAs")
        .under(TLS)
        .details("Each CA in --tls-client-ca needs a list.")
        .reloads(),
    setting("tls_min_version", Kind::choice::<Version>(), "VERSION", "Minimum TLS version")
        .under(TLS)
        .default("1.3")
        .reloads(),
    setting(
        "tls_client_name",
        Kind::Text(parse::is_name_pattern),
        "PATTERN",
        "Name required in an agent's certificate; {id} is the agent id",
    )
    .under(TLS)
    .details("Such as {id}.agents.example.com or spiffe://example.com/agent/{id}.")
    .default("{id}")
    .reloads(),
    setting("http_tls_certificate", Kind::Path, "FILE", "PEM certificate chain, leaf first")
        .under(HTTP_TLS)
        .details("Enables TLS on the HTTP port. Needs --http-tls-key.")
        .reloads(),
    setting("http_tls_key", Kind::Path, "FILE", "PEM private key, not world-readable")
        .under(HTTP_TLS)
        .details("The key of --http-tls-certificate, without a passphrase.")
        .reloads(),
    setting(
        "http_tls_client_ca",
        Kind::Path,
        "FILE",
        "Require client certificates issued by a CA in FILE",
    )
    .under(HTTP_TLS)
    .details("PEM. Any client certificate issued by one of these CAs gives access to every page.")
    .reloads(),
    setting("http_tls_crl", Kind::Path, "FILE", "PEM revocation lists (CRLs) of the client CAs")
        .under(HTTP_TLS)
        .details("Each CA in --http-tls-client-ca needs a list.")
        .reloads(),
    setting("http_tls_min_version", Kind::choice::<Version>(), "VERSION", "Minimum TLS version")
        .under(HTTP_TLS)
        .default("1.3")
        .reloads(),
    setting("state_dir", Kind::Path, "DIR", "Keep presence state in DIR across restarts")
        .under(PRESENCE)
        .details("Created if it does not exist. Two collectors must not share it."),
    setting(
        "state_interval",
        Kind::seconds(1, 3600),
        "DURATION",
        "Interval of saves to --state-dir",
    )
    .under(PRESENCE)
    .details("Nothing is written while no agent connects or disconnects.")
    .default("30s"),
    setting("journal_size", Kind::Size(0, MAX_SIZE), "SIZE", "Maximum size of the journal")
        .under(PRESENCE)
        .details("In --state-dir: which series engines have, to end them after a kill. 0B: none.")
        .default("64MiB"),
    setting("expected_agents", Kind::Path, "FILE", "Report absent agents listed in FILE as down")
        .under(PRESENCE)
        .details("One id per line; # starts a comment.")
        .reloads(),
    setting(
        "return_timeout",
        Kind::seconds(1, 3600),
        "DURATION",
        "Wait this long after a start before an agent counts as missing",
    )
    .under(PRESENCE)
    .details("Uses two report intervals of the agent if that is longer.")
    .default("30s"),
    setting(
        "departed_retention",
        Kind::seconds(3600, 8760 * 3600),
        "DURATION",
        "Remember departed agents for this long",
    )
    .under(PRESENCE)
    .default("72h"),
    setting("max_departed", Kind::Number(0, 1_000_000), "N", "Maximum departed agents remembered")
        .under(PRESENCE)
        .details("Expected agents do not count.")
        .default("100000"),
    setting("max_connections", Kind::Number(1, u64::MAX), "N", "Maximum agent connections")
        .under(LIMITS)
        .details(
            "Cannot exceed the default. To raise both, raise the limit of open files: ulimit -n or \
             LimitNOFILE=.",
        )
        .default_note("limit of open files - 256"),
    setting(
        "max_handshakes",
        Kind::Number(1, u64::MAX),
        "N",
        "Maximum agent connections that have not reported yet",
    )
    .under(LIMITS)
    .details("The collector tells an agent over the limit when to retry.")
    .default("1024"),
    setting("max_memory", Kind::Size(1, MAX_SIZE), "SIZE", "Maximum memory for agents")
        .under(LIMITS)
        .details(
            "Counts connections, values, labels, rows, catalogs and incomplete frames. Each scrape \
             needs an additional copy of all values.",
        )
        .default("1GiB"),
    setting("max_catalogs", Kind::Number(1, 1 << 20), "N", "Maximum catalogs, in use or not")
        .under(LIMITS)
        .details("Agents that can report the same metrics share a catalog.")
        .default("1024"),
    setting("max_catalogs_size", Kind::Size(1, MAX_SIZE), "SIZE", "Maximum size of all catalogs")
        .under(LIMITS)
        .default("64MiB"),
    setting(
        "max_http_connections",
        Kind::Number(1, RESERVED_FDS / 2 - 32),
        "N",
        "Maximum HTTP connections",
    )
    .under(LIMITS)
    .default("64"),
    setting("max_scrapes", Kind::Number(1, 64), "N", "Maximum concurrent scrapes")
        .under(LIMITS)
        .details("Each holds a copy of all values.")
        .default("4"),
    setting(
        "max_connections_per_address",
        Kind::Number(1, u64::MAX),
        "N",
        "Maximum agent connections from one address",
    )
    .under(ADDRESSES)
    .details("Lower it if agents do not connect through a NAT or a load balancer.")
    .default_note("--max-connections"),
    setting(
        "max_handshakes_per_address",
        Kind::Number(1, 1000),
        "N",
        "Maximum new connections per second from one address",
    )
    .under(ADDRESSES)
    .details("Allows bursts of ten times this number.")
    .default("100"),
    setting(
        "max_failures_per_address",
        Kind::Number(1, 10_000),
        "N",
        "Maximum failed connections per minute from one address",
    )
    .under(ADDRESSES)
    .details("A further failure blocks the address for --failure-pause.")
    .default("20"),
    setting(
        "failure_pause",
        Kind::seconds(1, 3600),
        "DURATION",
        "Time to block an address that exceeds --max-failures-per-address",
    )
    .under(ADDRESSES)
    .default("60s"),
    setting(
        "exempt_addresses",
        Kind::Text(parse::is_prefix),
        "PREFIX",
        "Exempt PREFIX from the limits per address",
    )
    .under(ADDRESSES)
    .details("An address or a prefix, such as that of a NAT. An empty PREFIX exempts none.")
    .default("127.0.0.0/8,::1")
    .list(),
    setting("max_interval", Kind::seconds(1, 300), "DURATION", "Maximum report interval")
        .under(AGENT_LIMITS)
        .details("The collector removes a silent agent after three of its intervals.")
        .default("5m"),
    setting(
        "max_reports_per_interval",
        Kind::Number(1, 1_000_000),
        "N",
        "Maximum frames of an agent per interval",
    )
    .under(AGENT_LIMITS)
    .details("Allows bursts of twenty times this number.")
    .default("5"),
    setting(
        "max_row_changes",
        Kind::Number(1, 1_000_000),
        "N",
        "Maximum rows that an agent adds and removes per second",
    )
    .under(AGENT_LIMITS)
    .details(
        "Rows change with devices, mounts and containers. Allows bursts of max_series rows, \
         because an agent adds all its rows when it connects.",
    )
    .default("200"),
    setting(
        "max_payload",
        Kind::Size(MAX_HELLO_BYTES as u64, MAX_PAYLOAD_BYTES as u64),
        "SIZE",
        "Maximum payload of a frame",
    )
    .under(AGENT_LIMITS)
    .default("1MiB"),
    setting("max_families", Kind::Number(1, 1 << 16), "N", "Maximum metric families of a catalog")
        .under(AGENT_LIMITS)
        .default("1000"),
    setting("max_series", Kind::Number(1, 1 << 20), "N", "Maximum series of an agent")
        .under(AGENT_LIMITS)
        .default("50000"),
    setting("max_values", Kind::Number(1, 1 << 20), "N", "Maximum values in a report")
        .under(AGENT_LIMITS)
        .details("A histogram series has one value per bucket, a count and a sum.")
        .default("100000"),
    setting(
        "max_labels_size",
        Kind::Size(1, MAX_PAYLOAD_BYTES as u64),
        "SIZE",
        "Maximum size of an agent's labels",
    )
    .under(AGENT_LIMITS)
    .details(
        "Applies to the label names and values of a catalog, and separately to those of all rows \
         and of the agent.",
    )
    .default("512KiB"),
    setting(
        "max_page_size_per_agent",
        Kind::Size(1, MAX_SIZE),
        "SIZE",
        "Maximum size that one agent may add to a page",
    )
    .under(AGENT_LIMITS)
    .details("Uncompressed. The agent's labels count on each of its lines.")
    .default("16MiB"),
    setting("types", Kind::Table(parse::is_type), "FAMILY=TYPE", "Set the type of a metric family")
        .under("Pages")
        .details(
            "TYPE is gauge, counter, histogram, summary, info, unknown or counter_as_named. \
             Applies if agents declare different types for a family. By default, the type \
             declared first applies.",
        ),
    setting(
        "classic",
        Kind::Switch,
        "BOOL",
        "Add the label client_no and the metric clients_connected",
    )
    .under("Pages")
    .details(
        "For dashboards of the Python server that fleetgauge replaces. client_no is the \
             agent's source port.",
    )
    .default("false"),
    setting("remote_write", Kind::Tables(&remote_write::TABLES), "TABLES", "Forward to engines"),
    setting(
        "drain_timeout",
        Kind::seconds(0, 600),
        "DURATION",
        "Maximum time for agents to disconnect at shutdown",
    )
    .under(RUNNING)
    .default("5s"),
    setting(
        "coalesce_delay",
        Kind::Duration(std::time::Duration::ZERO, std::time::Duration::from_millis(100)),
        "DURATION",
        "Delay reports to process several at once",
    )
    .under(RUNNING)
    .details(
        "Reduces CPU use, but values appear up to this much later. Use 1ms for a large fleet \
         with a short interval.",
    )
    .default("0s"),
    setting("log", Kind::Text(parse::is_log_filter), "FILTER", "Log level or filter directives")
        .under("Logging")
        .details(
            "error, warn, info, debug, trace or off, or directives such as \
             info,fleetgauge_collector=debug. Logs go to standard error.",
        )
        .default("info"),
    setting("log_format", Kind::choice::<LogFormat>(), "FORMAT", "Format of log lines")
        .under("Logging")
        .default("text"),
];

#[cfg(test)]
#[path = "declarations_tests.rs"]
mod tests;
