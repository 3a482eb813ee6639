//! Texts of `--help` that do not belong to an option.

pub(super) const ABOUT: &str = "Receive the reports of agents and expose them to Prometheus";

pub(super) const LONG_ABOUT: &str = "\
Receive the reports of agents and expose them to Prometheus

Agents connect to --listen; Prometheus scrapes --http-listen. Every setting can also be given by \
FLEETGAUGE_<NAME> in the environment (--max-scrapes by FLEETGAUGE_MAX_SCRAPES), or as a key in the \
--config file (max_scrapes). Only the file can name the engines to forward to ([[remote_write]]). \
Options override environment variables, which override the file.

DURATION is a whole number with a unit: ms, s, m, h or d. SIZE is a whole number with a unit: B, \
KiB, MiB, GiB or TiB. Repeat an option that takes a list, or separate its values with commas.";

pub(super) const AFTER: &str = "\
Every setting can also be given by FLEETGAUGE_<NAME> or in the --config file; see '--help'";

pub(super) const AFTER_LONG: &str = "\
Examples:
  Collect from agents on this host:
    fleetgauge-collector

  Collect from other hosts, with TLS and tokens:
    fleetgauge-collector --listen 0.0.0.0:45678 --credentials credentials.toml \\
      --tls-certificate collector.pem --tls-key collector.key

  Check a settings file and show where each value comes from:
    fleetgauge-collector --config /etc/fleetgauge/collector.toml --check

  Generate a token for an agent:
    fleetgauge-collector token --agent web-1 --write web-1.token >> credentials.toml

Exit codes: 0 after a graceful shutdown, 1 after a failure, 64 if a setting is invalid.

See docs/configuration.md for all settings and docs/operate.md for tasks.";
