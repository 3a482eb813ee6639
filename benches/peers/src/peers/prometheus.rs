//! Prometheus: as the receiver of remote write, and as what it is first of all, pulling every host.

use std::path::Path;

use serde_json::json;
use tokio::process::Command;

use crate::address;
use crate::peer::{Dialect, Link, MISSED, Peer, Place, Product};
use crate::protobuf;
use crate::reading::{self, TELLING};

/// Connections beside those of the hosts: the default limit.
const CONNECTIONS: usize = 512;

static PRODUCT: Product = Product {
    name: "Prometheus",
    program: "prometheus",
    package: "prometheus",
    ready: "/-/ready",
    page: "/federate?match[]=%7B__name__%3D~%22host_.%2B%22%7D",
    page_is: "`/federate`",
    look: "/api/v1/query?query=host_memory_used_bytes",
    telling: TELLING,
};

/// Written to.
pub(super) struct RemoteWrite {
    setting: &'static str,
    link: Link,
    shown: bool,
    /// Queries look back no further than three intervals.
    looks_back: bool,
}

/// All ways to write to it, the default first.
#[must_use]
pub(super) fn remote_write() -> Vec<RemoteWrite> {
    let write = Dialect::Request(protobuf::remote_write);
    let way = |setting, link| RemoteWrite { setting, link, shown: false, looks_back: false };
    let relayed = Link { together: 100, ..Link::kept(write) };
    vec![
        way("default: remote write, a connection a report", Link::fresh(write)),
        RemoteWrite {
            shown: true,
            ..way(
                "remote write, kept connections, `--web.max-connections` raised",
                Link::kept(write),
            )
        },
        way("remote write, 100 hosts a request", relayed),
        RemoteWrite {
            looks_back: true,
            ..way("remote write, `--query.lookback-delta` set", Link::kept(write))
        },
    ]
}

/// What both have in common.
fn start(program: &Path, place: &Place, config: &serde_json::Value) -> anyhow::Result<Command> {
    // JSON is YAML.
    let file = place.dir.join("prometheus.yml");
    std::fs::write(&file, config.to_string())?;
    let mut command = Command::new(program);
    command.arg(format!("--config.file={}", file.display()));
    command.arg(format!("--storage.tsdb.path={}", place.dir.join("data").display()));
    command.arg(format!("--web.listen-address={}", place.http));
    Ok(command)
}

impl Peer for RemoteWrite {
    fn product(&self) -> &'static Product {
        &PRODUCT
    }

    fn setting(&self) -> &'static str {
        self.setting
    }

    fn command(&self, program: &Path, place: &Place) -> anyhow::Result<Command> {
        let mut command = start(program, place, &json!({}))?;
        command.arg("--web.enable-remote-write-receiver");
        if self.link.kept {
            command.arg(format!("--web.max-connections={}", place.hosts + CONNECTIONS));
        }
        if self.looks_back {
            let lookback = (place.interval * MISSED).as_millis();
            command.arg(format!("--query.lookback-delta={lookback}ms"));
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
            Self { shown: true, .. } => Some("the look back of a query, by default 5 min"),
            _ => None,
        }
    }
}

/// Pulling.
pub(super) struct Pull;

impl Peer for Pull {
    fn product(&self) -> &'static Product {
        &PRODUCT
    }

    fn setting(&self) -> &'static str {
        "default: pulls, a target a host"
    }

    fn command(&self, program: &Path, place: &Place) -> anyhow::Result<Command> {
        let targets = (0..place.hosts).map(|host| {
            let target = format!("{}:{}", address::of(host), place.targets);
            json!({"targets": [target], "labels": {"instance": reading::id(host)}})
        });
        let interval = format!("{}ms", place.interval.as_millis());
        let config = json!({"scrape_configs": [{
            "job_name": "fleet",
            "scrape_interval": interval,
            "scrape_timeout": interval,
            "static_configs": targets.collect::<Vec<_>>(),
        }]});
        start(program, place, &config)
    }

    fn link(&self) -> Link {
        Link::kept(Dialect::Pulled)
    }

    fn departure(&self) -> Option<&'static str> {
        Some("the first scrape that fails")
    }
}
