//! Texts of `--help` that are not those of an option.

pub(super) const ABOUT: &str = "Receive the reports of agents and expose them to Prometheus";

pub(super) const LONG_ABOUT: &str = "\
Receive the reports of agents and expose them to Prometheus

Agents connect to --listen; Prometheus scrapes --http-listen. Every option can also be set by \
FLEETGAUGE_<NAME> in the environment (--max-scrapes by FLEETGAUGE_MAX_SCRAPES), or by its name as \
a key of the file of --config (max_scrapes). Options override variables, and variables override \
the file.

DURATION is a whole number and ms, s, m, h or d. SIZE is a whole number and B, KiB, MiB, GiB or \
TiB. For several values of a list, repeat the option or separate them by commas.";

pub(super) const AFTER: &str = "\
Every option can be set by FLEETGAUGE_<NAME> or in the file of --config. See more with '--help'";

pub(super) const AFTER_LONG: &str = "\
Examples:
  Collect from agents on this host:
    fleetgauge-collector

  Collect from other hosts, with TLS and tokens:
    fleetgauge-collector --listen 0.0.0.0:45678 --credentials credentials.toml \\
      --tls-certificate collector.pem --tls-key collector.key

  Check a file of settings and show where each value comes from:
    fleetgauge-collector --config /etc/fleetgauge/collector.toml --check

  Make a token for an agent:
    fleetgauge-collector token --agent web-1 --write web-1.token >> credentials.toml

Exit codes: 0 after a stop, 1 after a failure, 64 if a setting is invalid.

See docs/configuration.md for all settings and docs/operate.md for tasks.";
