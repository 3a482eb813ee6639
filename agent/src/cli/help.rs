//! Parts of `--help` that describe the command as a whole, not a single option.

pub(super) const ABOUT: &str = "Sample this host and report to a fleetgauge collector";

pub(super) const LONG_ABOUT: &str = "\
Sample this host and report to a fleetgauge collector

Every setting can also be given by FLEETGAUGE_<NAME> in the environment (--interval by \
FLEETGAUGE_INTERVAL), or as a key in the --config file (interval); --label is FLEETGAUGE_LABELS \
and the table [labels]. Only the file can name local exporters ([[scrape]]) and text files \
([[textfile]]). Options override environment variables, which override the file.

DURATION is a whole number with a unit: ms, s, m, h or d.";

pub(super) const AFTER: &str = "\
Every setting can also be given by FLEETGAUGE_<NAME> or in the --config file; see '--help'";

pub(super) const AFTER_LONG: &str = "\
Examples:
  Report to a collector on this host:
    fleetgauge-agent

  Set up the installed service to report to another host:
    fleetgauge-agent join collector.example.com:45678

  Report to another host, with TLS and a token:
    fleetgauge-agent --collector collector.example.com:45678 --tls-ca ca.pem \\
      --token-file /etc/fleetgauge/token

  Add labels to all series:
    fleetgauge-agent --label dc=fra --label rack=b12

  Add a collector of host metrics, and set an option of another one:
    fleetgauge-agent --collectors default,+processes --node 'netdev.device-exclude=^veth'

  Check a settings file and show where each value comes from:
    fleetgauge-agent --config /etc/fleetgauge/agent.toml --check

Exit codes: 0 after a graceful shutdown, 1 after a failure, 64 if a setting is invalid.

See docs/configuration.md for all settings, docs/metrics.md for collectors and their options, and \
docs/operate.md for tasks.";
