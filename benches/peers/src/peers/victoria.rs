//! VictoriaMetrics, a single node: Influx lines over TCP, JSON import, remote write.

use std::path::Path;

use bytes::Bytes;
use hyper::Request;
use tokio::process::Command;

use crate::peer::{Dialect, Link, MISSED, Peer, Place, Product};
use crate::protobuf;
use crate::reading::{self, Reading, TELLING};

/// Concurrent inserts beside those of the hosts: the default.
const INSERTS: usize = 8;

static PRODUCT: Product = Product {
    name: "VictoriaMetrics",
    program: "victoria-metrics",
    package: "victoria-metrics",
    ready: "/health",
    page: "/federate?match[]=%7B__name__%3D~%22host_.%2B%22%7D",
    page_is: "`/federate`",
    look: "/api/v1/query?query=host_memory_used_bytes",
    telling: TELLING,
};

/// One way in.
pub(super) struct Victoria {
    setting: &'static str,
    link: Link,
    /// Each connection may occupy a concurrent insert of its own.
    insert_each: bool,
    shown: bool,
    /// Queries look back no further than three intervals, and see what is a second old.
    looks_back: bool,
}

/// All ways in, the default first.
#[must_use]
pub(super) fn all() -> Vec<Victoria> {
    let way = |setting, link| Victoria {
        setting,
        link,
        insert_each: false,
        shown: false,
        looks_back: false,
    };
    let (influx, import, write) = (
        Dialect::Stream(influx),
        Dialect::Request(import),
        Dialect::Request(protobuf::remote_write),
    );
    let relayed = |dialect| Link { together: 100, ..Link::kept(dialect) };
    vec![
        way("default: `/api/v1/import`, a connection a report", Link::fresh(import)),
        way("`/api/v1/import`, kept connections", Link::kept(import)),
        way("`/api/v1/import`, 100 hosts a request", relayed(import)),
        way("Influx over TCP, a connection a report", Link::fresh(influx)),
        Victoria {
            insert_each: true,
            shown: true,
            ..way(
                "Influx over TCP, kept connections, `-maxConcurrentInserts` raised",
                Link::kept(influx),
            )
        },
        way("remote write, kept connections", Link::kept(write)),
        way("remote write, 100 hosts a request", relayed(write)),
        Victoria {
            looks_back: true,
            ..way(
                "`-search.maxStalenessInterval` and `-search.latencyOffset` set",
                Link::kept(write),
            )
        },
    ]
}

fn influx(readings: &[Reading]) -> Vec<u8> {
    let lines = readings.iter().map(|reading| {
        let fields = reading.gauges().map(|(name, value)| {
            // The measurement's name and "_" come before a field's.
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
                "{{\"metric\":{{\"__name__\":\"{name}\",\"agent\":\"{agent}\"}},\"values\":[{value}],\"timestamps\":[{unix_ms}]}}\n"
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

    fn command(&self, program: &Path, place: &Place) -> anyhow::Result<Command> {
        let mut command = Command::new(program);
        command.arg(format!("-httpListenAddr={}", place.http));
        command.arg(format!("-influxListenAddr={}", place.tcp));
        command.arg(format!("-storageDataPath={}", place.dir.join("data").display()));
        if self.insert_each {
            command.arg(format!("-maxConcurrentInserts={}", place.hosts + INSERTS));
        }
        if self.looks_back {
            let lookback = (place.interval * MISSED).as_millis();
            command.arg(format!("-search.maxStalenessInterval={lookback}ms"));
            command.arg("-search.latencyOffset=1s");
        }
        Ok(command)
    }

    fn link(&self) -> Link {
        self.link
    }

    fn is_scraped(&self) -> bool {
        self.shown
    }

    fn is_measured(&self) -> bool {
        !self.looks_back
    }

    fn departure(&self) -> Option<&'static str> {
        match self {
            Self { looks_back: true, .. } => {
                Some("the look back of a query, set to three intervals")
            }
            Self { shown: true, .. } => Some(
                "the look back of an instant query and `-search.latencyOffset`, 5.5 min by default",
            ),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_is_a_line_of_json_for_each_gauge() {
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
