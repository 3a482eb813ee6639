//! Prometheus: as a receiver of remote write, and scraping every host.

use std::path::Path;

use serde_json::json;
use tokio::process::Command;

use crate::address;
use crate::fleet_kind::FleetKind;
use crate::peer::{LaunchOptions, MISSED_INTERVALS, Peer, Product, Protocol, ReportMode};
use crate::protobuf;
use crate::reading;

/// Connections to allow besides those of the hosts: as many as Prometheus allows by default.
const CONNECTIONS: usize = 512;

static PRODUCT: Product = Product {
    name: "Prometheus",
    program: "prometheus",
    package: "prometheus",
    ready: "/-/ready",
    page: "/federate?match[]=%7B__name__%3D~%22%28host%7Cnode%29_.%2B%22%7D",
    page_name: "`/federate`",
    presence: "/api/v1/query?query=%7B__name__%3D~%22host_memory_used_bytes%7C\
               node_memory_MemFree_bytes%22%7D",
    renamed_gauge: None,
    relay: None,
};

/// Prometheus as a receiver of remote write.
pub(super) struct RemoteWrite {
    setting: &'static str,
    report_mode: ReportMode,
    /// Whether the cost of the page is measured.
    is_scraped: bool,
    /// Whether the lookback of queries is set to three intervals.
    has_short_lookback: bool,
}

/// All settings for remote write, the default first.
#[must_use]
pub(super) fn remote_write(kind: FleetKind) -> Vec<RemoteWrite> {
    let write = Protocol::Request(protobuf::remote_write);
    let way = |setting, report_mode| RemoteWrite {
        setting,
        report_mode,
        is_scraped: false,
        has_short_lookback: false,
    };
    let (batch, relayed) = match kind {
        FleetKind::Basic => (100, "remote write, 100 hosts per request"),
        FleetKind::Wide => (10, "remote write, 10 hosts per request"),
    };
    let batches = ReportMode { batch, ..ReportMode::keep_alive(write) };
    vec![
        way("default: remote write, a connection per report", ReportMode::per_report(write)),
        RemoteWrite {
            is_scraped: true,
            ..way(
                "remote write, kept connections, `--web.max-connections` raised",
                ReportMode::keep_alive(write),
            )
        },
        way(relayed, batches),
        RemoteWrite {
            has_short_lookback: true,
            ..way("remote write, `--query.lookback-delta` set", ReportMode::keep_alive(write))
        },
    ]
}

/// Returns the command that starts Prometheus with this configuration.
fn start(
    program: &Path,
    options: &LaunchOptions,
    config: &serde_json::Value,
) -> anyhow::Result<Command> {
    // JSON is valid YAML.
    let file = options.dir.join("prometheus.yml");
    std::fs::write(&file, config.to_string())?;
    let mut command = Command::new(program);
    command.arg(format!("--config.file={}", file.display()));
    command.arg(format!("--storage.tsdb.path={}", options.dir.join("data").display()));
    command.arg(format!("--web.listen-address={}", options.http));
    Ok(command)
}

impl Peer for RemoteWrite {
    fn product(&self) -> &'static Product {
        &PRODUCT
    }

    fn setting(&self) -> &'static str {
        self.setting
    }

    fn command(&self, program: &Path, options: &LaunchOptions) -> anyhow::Result<Command> {
        let mut command = start(program, options, &json!({}))?;
        command.arg("--web.enable-remote-write-receiver");
        if self.report_mode.keep_alive {
            command.arg(format!("--web.max-connections={}", options.hosts + CONNECTIONS));
        }
        if self.has_short_lookback {
            let lookback = (options.interval * MISSED_INTERVALS).as_millis();
            command.arg(format!("--query.lookback-delta={lookback}ms"));
        }
        Ok(command)
    }

    fn report_mode(&self) -> ReportMode {
        self.report_mode
    }

    fn is_scraped(&self) -> bool {
        self.is_scraped
    }

    fn is_measured(&self) -> bool {
        !self.has_short_lookback
    }

    fn staleness_rule(&self) -> Option<&'static str> {
        match self {
            Self { has_short_lookback: true, .. } => {
                Some("the lookback of queries, set to three intervals")
            }
            Self { is_scraped: true, .. } => Some("the lookback of queries, 5 min by default"),
            _ => None,
        }
    }
}

/// Label `job` of the scraped series.
pub(crate) const JOB: &str = "fleet";

/// The configuration that scrapes every host.
pub(crate) fn scrape_config(options: &LaunchOptions) -> serde_json::Value {
    let targets = (0..options.hosts).map(|host| {
        let target = format!("{}:{}", address::of(host), options.target_port);
        json!({"targets": [target], "labels": {"instance": reading::id(host)}})
    });
    let interval = format!("{}ms", options.interval.as_millis());
    json!({"scrape_configs": [{
        "job_name": JOB,
        "scrape_interval": interval,
        "scrape_timeout": interval,
        "static_configs": targets.collect::<Vec<_>>(),
    }]})
}

/// Prometheus that scrapes every host.
pub(super) struct Pull;

impl Peer for Pull {
    fn product(&self) -> &'static Product {
        &PRODUCT
    }

    fn setting(&self) -> &'static str {
        "default: scrapes, a target per host"
    }

    fn command(&self, program: &Path, options: &LaunchOptions) -> anyhow::Result<Command> {
        start(program, options, &scrape_config(options))
    }

    fn report_mode(&self) -> ReportMode {
        ReportMode::keep_alive(Protocol::Pulled)
    }

    fn staleness_rule(&self) -> Option<&'static str> {
        Some("the first failed scrape")
    }
}
