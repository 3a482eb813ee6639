//! This repository's collector: this program started again as the collector's own.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::peer::{Dialect, Link, Peer, Place, Product};
use crate::reading::TELLING;

/// The first argument that makes this program the collector.
pub const COLLECTOR: &str = "collector";

static PRODUCT: Product = Product {
    name: "fleetgauge",
    program: "fleetgauge-collector",
    package: "",
    ready: "/readyz",
    page: "/metrics/agents",
    page_is: "",
    look: "/metrics/agents",
    telling: TELLING,
};

/// A session a host.
pub(super) struct Fleetgauge {
    /// Reports wait for each other, for ten milliseconds at most.
    pub(super) coalescing: bool,
}

impl Peer for Fleetgauge {
    fn product(&self) -> &'static Product {
        &PRODUCT
    }

    fn setting(&self) -> &'static str {
        if self.coalescing { "`--coalesce-delay 10ms`" } else { "default" }
    }

    fn find(&self) -> Result<PathBuf, String> {
        std::env::current_exe()
            .map_err(|error| format!("this program does not find itself: {error}"))
    }

    fn command(&self, program: &Path, place: &Place) -> anyhow::Result<Command> {
        let mut command = Command::new(program);
        command.arg(COLLECTOR);
        command.args([
            "--listen",
            &place.tcp.to_string(),
            "--http-listen",
            &place.http.to_string(),
        ]);
        if self.coalescing {
            command.args(["--coalesce-delay", "10ms"]);
        }
        Ok(command)
    }

    fn link(&self) -> Link {
        Link::kept(Dialect::Session)
    }

    fn is_scraped(&self) -> bool {
        !self.coalescing
    }

    fn departure(&self) -> Option<&'static str> {
        let decided_by = "the end of the connection, else three intervals";
        (!self.coalescing).then_some(decided_by)
    }
}
