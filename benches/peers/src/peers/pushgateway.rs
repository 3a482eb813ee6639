//! Pushgateway: a group per host, replaced by each push.

use std::path::Path;

use bytes::Bytes;
use hyper::Request;
use tokio::process::Command;

use crate::peer::{LaunchOptions, Peer, Product, Protocol, ReportMode};
use crate::protobuf;
use crate::reading::{self, Reading};

static PRODUCT: Product = Product {
    name: "Pushgateway",
    program: "prometheus-pushgateway",
    package: "prometheus-pushgateway",
    ready: "/-/ready",
    page: "/metrics",
    page_name: "",
    presence: "/metrics",
    renamed_gauge: None,
    relay: None,
};

/// Pushgateway as installed, or tuned for cheap pushes.
pub(super) struct Pushgateway {
    /// Whether to use persistent connections, protobuf and no consistency check.
    pub(super) tuned: bool,
}

fn request(reading: &Reading, content_type: &str, body: Vec<u8>) -> anyhow::Result<Request<Bytes>> {
    let path = format!("/metrics/job/fleet/agent/{}", reading::id(reading.host));
    let request = Request::put(path).header("Content-Type", content_type);
    Ok(request.body(body.into())?)
}

fn text(readings: &[Reading]) -> anyhow::Result<Request<Bytes>> {
    let body = readings.iter().map(|reading| reading.text()).collect::<String>();
    request(&readings[0], "text/plain; version=0.0.4", body.into())
}

fn protobuf(readings: &[Reading]) -> anyhow::Result<Request<Bytes>> {
    const CONTENT_TYPE: &str = "application/vnd.google.protobuf; \
        proto=io.prometheus.client.MetricFamily; encoding=delimited";
    request(&readings[0], CONTENT_TYPE, protobuf::families(readings[0]))
}

impl Peer for Pushgateway {
    fn product(&self) -> &'static Product {
        &PRODUCT
    }

    fn setting(&self) -> &'static str {
        if self.tuned {
            "kept connections, protobuf, `--push.disable-consistency-check`"
        } else {
            "default: a connection per push, text"
        }
    }

    fn command(&self, program: &Path, options: &LaunchOptions) -> anyhow::Result<Command> {
        let mut command = Command::new(program);
        command.arg(format!("--web.listen-address={}", options.http));
        command.args(["--persistence.file="]);
        if self.tuned {
            command.arg("--push.disable-consistency-check");
        }
        Ok(command)
    }

    fn report_mode(&self) -> ReportMode {
        if self.tuned {
            ReportMode::keep_alive(Protocol::Request(protobuf))
        } else {
            ReportMode::per_report(Protocol::Request(text))
        }
    }

    fn is_scraped(&self) -> bool {
        self.tuned
    }

    fn staleness_rule(&self) -> Option<&'static str> {
        let decided_by = "nothing: the operator deletes them";
        self.tuned.then_some(decided_by)
    }
}
