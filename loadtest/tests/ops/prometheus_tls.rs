//! A real Prometheus with the shipped configuration for TLS and tokens, and with certificates and
//! tokens made by the documented commands.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::certificates::{commands, run};
use super::programs::{Collector, agent_with, built, repository, wait_for};
use super::prometheus::Prometheus;

const SHIPPED: &str = "deploy/prometheus/prometheus-tls.yml";

fn read(path: &str) -> String {
    std::fs::read_to_string(repository(path)).unwrap()
}

/// Returns the lines of a configuration without connection settings and comments.
fn without_connections(config: &str) -> Vec<String> {
    let about = ["#", "scheme:", "tls_config:", "authorization:"];
    let kept = |line: &&str| !about.iter().any(|word| line.trim_start().starts_with(word));
    let lines = config.lines().filter(|line| !line.trim().is_empty()).filter(kept);
    lines.map(str::to_owned).collect()
}

/// Scrape and relabel configuration must not depend on TLS.
#[test]
fn both_shipped_configurations_scrape_the_same() {
    let plain = read("deploy/prometheus/prometheus.yml");
    let plain = plain.replace("http://127.0.0.1", "https://collector.example.com");
    let plain = plain.replace("127.0.0.1", "collector.example.com");
    assert_eq!(without_connections(&plain), without_connections(&read(SHIPPED)));
}

/// Creates a certificate authority, the collector's certificate, and a token for Prometheus with
/// its entry in a credentials file.
fn secrets() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    run(&commands("# The authority."), folder.path());
    let token = folder.path().join("token");
    let mut make = Command::new(built("fleetgauge-collector"));
    make.args(["token", "--user", "prometheus", "--write"]).arg(token);
    let made = make.output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let readers = folder.path().join("readers.toml");
    std::fs::write(&readers, made.stdout).unwrap();
    run("chmod 600 readers.toml", folder.path());
    folder
}

/// Starts a collector that uses TLS for HTTP and requires a token.
fn collector(folder: &Path) -> Collector {
    let flags = [
        ("http-tls-certificate", "collector.pem"),
        ("http-tls-key", "collector.key"),
        ("http-credentials", "readers.toml"),
    ];
    let flags = flags.map(|(flag, file)| format!("--{flag}={}", folder.join(file).display()));
    Collector::start(&flags.each_ref().map(String::as_str))
}

/// The shipped Prometheus configuration for TLS, with this collector and these files, and intervals
/// of a second.
fn shipped(collector: &Collector, folder: &Path) -> String {
    let config = read(SHIPPED);
    let folder = format!("{}/", folder.display());
    let changes = [
        ("collector.example.com:1234", 3, &*collector.http),
        ("/etc/prometheus/fleetgauge/", 2, &folder),
        ("_interval: 15s", 3, "_interval: 1s"),
    ];
    changes.into_iter().fold(config, |config, (from, count, to)| {
        assert_eq!(config.matches(from).count(), count, "{from} in {SHIPPED}");
        config.replace(from, to)
    })
}

#[test]
#[ignore = "needs prometheus and openssl"]
fn tls_configuration_scrapes_every_job() {
    let folder = secrets();
    let collector = collector(folder.path());
    let _agent = agent_with("web-1", &collector, &["--interval", "1s"]);
    let prometheus = Prometheus::with(&shipped(&collector, folder.path()));
    wait_for("four parts of the page, the roster and the collector's own", 60, || {
        (prometheus.instances("up == 1") == [collector.http.as_str(); 6]).then_some(())
    });
    wait_for("the agent's series", 60, || {
        (prometheus.instances("host_memory_used_bytes") == ["web-1"]).then_some(())
    });
    // The first evaluation may precede the first scrape.
    wait_for("no alert", 60, || prometheus.alerts().is_empty().then_some(()));
}

/// Without `tls_config`, service discovery finds no target, so no `up` is 0. The alert for jobs
/// without targets must fire instead.
#[test]
#[ignore = "needs prometheus and openssl"]
fn service_discovery_without_tls_config_raises_an_alert() {
    let folder = secrets();
    let collector = collector(folder.path());
    let config = shipped(&collector, folder.path());
    let config = config.replace("        tls_config: *tls\n", "");
    let prometheus = Prometheus::with(&config);
    wait_for("the roster and the collector's own page", 60, || {
        let up = prometheus.jobs_up();
        let [roster, own] = ["fleetgauge-roster", "fleetgauge-collector"].map(|job| up.get(job));
        (roster == Some(&1.0) && own == Some(&1.0)).then_some(())
    });
    // The alert is pending now, and fires after two minutes.
    let alert = "ALERTS{alertname='FleetgaugeJobHasNoTargets', job='fleetgauge-agents'}";
    wait_for("an alert", 60, || (prometheus.query(alert).len() == 1).then_some(()));
    assert_eq!(prometheus.jobs_up().get("fleetgauge-agents"), None);
}
