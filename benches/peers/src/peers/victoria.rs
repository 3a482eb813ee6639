//! VictoriaMetrics, single-node: Influx line protocol over TCP, JSON import, remote write.

use std::path::Path;

use bytes::Bytes;
use hyper::Request;
use tokio::process::Command;

use crate::fleet_kind::FleetKind;
use crate::peer::{LaunchOptions, MISSED_INTERVALS, Peer, Product, Protocol, ReportMode};
use crate::protobuf;
use crate::reading::{self, Reading};

/// Concurrent inserts to allow in addition to one per host.
const INSERTS: usize = 8;

pub(super) const PRODUCT: Product = Product {
    name: "VictoriaMetrics",
    program: "victoria-metrics",
    package: "victoria-metrics",
    ready: "/health",
    page: "/federate?match[]=%7B__name__%3D~%22%28host%7Cnode%29_.%2B%22%7D",
    page_name: "`/federate`",
    presence: "/api/v1/query?query=%7B__name__%3D~%22host_memory_used_bytes%7C\
               node_memory_MemFree_bytes%22%7D",
    renamed_gauge: None,
    relay: None,
};

/// VictoriaMetrics with one way to report.
pub(super) struct Victoria {
    setting: &'static str,
    report_mode: ReportMode,
    /// Whether to raise the limit on concurrent inserts to one per host.
    insert_per_host: bool,
    /// Whether the cost of the page is measured.
    is_scraped: bool,
    /// Whether queries look back three intervals and see samples after a second.
    has_short_lookback: bool,
}

/// One way to report, with default settings otherwise.
const fn way(setting: &'static str, report_mode: ReportMode) -> Victoria {
    Victoria {
        setting,
        report_mode,
        insert_per_host: false,
        is_scraped: false,
        has_short_lookback: false,
    }
}

/// All ways for hosts of this kind to report, the default first.
#[must_use]
pub(super) fn all(kind: FleetKind) -> Vec<Victoria> {
    match kind {
        FleetKind::Basic => basic(),
        FleetKind::Wide => wide(),
    }
}

fn wide() -> Vec<Victoria> {
    let write = ReportMode::keep_alive(Protocol::Request(protobuf::remote_write));
    vec![
        Victoria { is_scraped: true, ..way("remote write, kept connections", write) },
        way("remote write, 10 hosts per request", ReportMode { batch: 10, ..write }),
        short_lookback(write),
    ]
}

fn short_lookback(report_mode: ReportMode) -> Victoria {
    let setting = "`-search.maxStalenessInterval` and `-search.latencyOffset` set";
    Victoria { has_short_lookback: true, ..way(setting, report_mode) }
}

fn basic() -> Vec<Victoria> {
    let (influx, import, write) = (
        Protocol::Stream(influx),
        Protocol::Request(import),
        Protocol::Request(protobuf::remote_write),
    );
    let relayed = |protocol| ReportMode { batch: 100, ..ReportMode::keep_alive(protocol) };
    vec![
        way("default: `/api/v1/import`, a connection per report", ReportMode::per_report(import)),
        way("`/api/v1/import`, kept connections", ReportMode::keep_alive(import)),
        way("`/api/v1/import`, 100 hosts per request", relayed(import)),
        way("Influx over TCP, a connection per report", ReportMode::per_report(influx)),
        Victoria {
            insert_per_host: true,
            is_scraped: true,
            ..way(
                "Influx over TCP, kept connections, `-maxConcurrentInserts` raised",
                ReportMode::keep_alive(influx),
            )
        },
        way("remote write, kept connections", ReportMode::keep_alive(write)),
        way("remote write, 100 hosts per request", relayed(write)),
        short_lookback(ReportMode::keep_alive(write)),
    ]
}

/// Returns the command that starts VictoriaMetrics with default settings.
pub(super) fn start(program: &Path, options: &LaunchOptions) -> Command {
    let mut command = Command::new(program);
    command.arg(format!("-httpListenAddr={}", options.http));
    command.arg(format!("-influxListenAddr={}", options.tcp));
    command.arg(format!("-storageDataPath={}", options.dir.join("data").display()));
    command
}

/// Encodes the gauges of basic hosts, which have no labels.
fn influx(readings: &[Reading]) -> Vec<u8> {
    let lines = readings.iter().map(|reading| {
        let mut fields = Vec::new();
        reading.samples(|name, _, value| {
            // The name of a series is the measurement, "_" and the field.
            fields.push(format!("{}={value}", name.trim_start_matches("host_")));
        });
        format!("host,agent={} {}\n", reading::id(reading.host), fields.join(","))
    });
    lines.collect::<String>().into_bytes()
}

/// Encodes the gauges of basic hosts, which have no labels.
fn import(readings: &[Reading]) -> anyhow::Result<Request<Bytes>> {
    let unix_ms = reading::unix_ms();
    let mut lines = String::new();
    for reading in readings {
        let agent = reading::id(reading.host);
        reading.samples(|name, _, value| {
            lines.push_str(&format!(
                "{{\"metric\":{{\"__name__\":\"{name}\",\"agent\":\"{agent}\"}},\
                 \"values\":[{value}],\"timestamps\":[{unix_ms}]}}\n"
            ));
        });
    }
    Ok(Request::post("/api/v1/import").body(lines.into())?)
}

impl Peer for Victoria {
    fn product(&self) -> &'static Product {
        &PRODUCT
    }

    fn setting(&self) -> &'static str {
        self.setting
    }

    fn command(&self, program: &Path, options: &LaunchOptions) -> anyhow::Result<Command> {
        let mut command = start(program, options);
        if self.insert_per_host {
            command.arg(format!("-maxConcurrentInserts={}", options.hosts + INSERTS));
        }
        if self.has_short_lookback {
            let lookback = (options.interval * MISSED_INTERVALS).as_millis();
            command.arg(format!("-search.maxStalenessInterval={lookback}ms"));
            command.arg("-search.latencyOffset=1s");
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
            Self { is_scraped: true, .. } => Some(
                "the lookback of instant queries and `-search.latencyOffset`, 5.5 min by default",
            ),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn import_has_a_json_line_per_gauge() {
        let reading = Reading { kind: FleetKind::Basic, host: 0, sequence: 1 };
        let request = import(&[reading]).unwrap();
        let lines: Vec<serde_json::Value> = std::str::from_utf8(request.body())
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), reading::GAUGES);
        assert!(lines.iter().all(|line| line["metric"]["agent"] == reading::id(0)));
    }
}
