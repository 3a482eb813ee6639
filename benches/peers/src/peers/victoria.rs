//! VictoriaMetrics, single-node: Influx line protocol over TCP, JSON import, remote write.

use std::path::Path;

use bytes::Bytes;
use hyper::Request;
use tokio::process::Command;

use crate::peer::{LaunchOptions, MISSED_INTERVALS, Peer, Product, Protocol, ReportMode};
use crate::protobuf;
use crate::reading::{self, Reading, SEQUENCE_GAUGE};

/// Concurrent inserts to allow in addition to one per host.
const INSERTS: usize = 8;

static PRODUCT: Product = Product {
    name: "VictoriaMetrics",
    program: "victoria-metrics",
    package: "victoria-metrics",
    ready: "/health",
    page: "/federate?match[]=%7B__name__%3D~%22host_.%2B%22%7D",
    page_name: "`/federate`",
    presence: "/api/v1/query?query=host_memory_used_bytes",
    sequence_gauge: SEQUENCE_GAUGE,
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

/// All ways to report, the default first.
#[must_use]
pub(super) fn all() -> Vec<Victoria> {
    let way = |setting, report_mode| Victoria {
        setting,
        report_mode,
        insert_per_host: false,
        is_scraped: false,
        has_short_lookback: false,
    };
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
        Victoria {
            has_short_lookback: true,
            ..way(
                "`-search.maxStalenessInterval` and `-search.latencyOffset` set",
                ReportMode::keep_alive(write),
            )
        },
    ]
}

fn influx(readings: &[Reading]) -> Vec<u8> {
    let lines = readings.iter().map(|reading| {
        let fields = reading.gauges().map(|(name, value)| {
            // The name of a series is the measurement, "_" and the field.
            format!("{}={value}", name.trim_start_matches("host_"))
        });
        let fields = fields.collect::<Vec<_>>().join(",");
        format!("host,agent={} {fields}\n", reading::id(reading.host))
    });
    lines.collect::<String>().into_bytes()
}

fn import(readings: &[Reading]) -> anyhow::Result<Request<Bytes>> {
    let unix_ms = reading::unix_ms();
    let lines = readings.iter().flat_map(|reading| {
        let agent = reading::id(reading.host);
        reading.gauges().map(move |(name, value)| {
            format!(
                "{{\"metric\":{{\"__name__\":\"{name}\",\"agent\":\"{agent}\"}},\
                 \"values\":[{value}],\"timestamps\":[{unix_ms}]}}\n"
            )
        })
    });
    Ok(Request::post("/api/v1/import").body(lines.collect::<String>().into())?)
}

impl Peer for Victoria {
    fn product(&self) -> &'static Product {
        &PRODUCT
    }

    fn setting(&self) -> &'static str {
        self.setting
    }

    fn command(&self, program: &Path, options: &LaunchOptions) -> anyhow::Result<Command> {
        let mut command = Command::new(program);
        command.arg(format!("-httpListenAddr={}", options.http));
        command.arg(format!("-influxListenAddr={}", options.tcp));
        command.arg(format!("-storageDataPath={}", options.dir.join("data").display()));
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
        let request = import(&[Reading { host: 0, sequence: 1 }]).unwrap();
        let lines: Vec<serde_json::Value> = std::str::from_utf8(request.body())
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), reading::GAUGES);
        assert!(lines.iter().all(|line| line["metric"]["agent"] == reading::id(0)));
    }
}
