//! A cable to a network of the test's own, whose far end can be cut: packets are lost from then on, and nobody is
//! told.
//!
//! ```text
//!   here, the collector                namespace, some agents
//!   198.18.x.y/30   near ──────────────── far   198.18.x.y+1/30
//!                                          ✂
//! ```

use std::net::Ipv4Addr;

use anyhow::{Context, bail};
use tokio::process::Command;

/// The network set aside for tests of this kind (RFC 2544), whose quarters of four addresses are used.
const TEST_NETWORK: u32 = u32::from_be_bytes([198, 18, 0, 0]);
const QUARTERS: u32 = 1 << 15;

/// A cable; it is taken away when it is dropped.
pub(super) struct Wire {
    name: String,
    near: Ipv4Addr,
}

impl Wire {
    /// Lays one. Needs root and iproute2.
    pub(super) async fn lay() -> anyhow::Result<Self> {
        let number = std::process::id();
        let quarter = TEST_NETWORK + (number % QUARTERS) * 4;
        let (near, far) = (Ipv4Addr::from(quarter + 1), Ipv4Addr::from(quarter + 2));
        ip(&format!("netns add fg-{number}")).await?;
        let wire = Self { name: format!("fg-{number}"), near };
        let name = &wire.name;
        ip(&format!("link add {name} type veth peer name far netns {name}")).await?;
        ip(&format!("address add {near}/30 dev {name}")).await?;
        ip(&format!("link set {name} up")).await?;
        ip(&format!("-n {name} address add {far}/30 dev far")).await?;
        ip(&format!("-n {name} link set lo up")).await?;
        ip(&format!("-n {name} link set far up")).await?;
        Ok(wire)
    }

    /// The address at this end.
    pub(super) const fn near(&self) -> Ipv4Addr {
        self.near
    }

    /// What runs a program at the far end.
    pub(super) fn prefix(&self) -> Vec<String> {
        ["ip", "netns", "exec", &self.name].map(ToOwned::to_owned).to_vec()
    }

    /// Loses all packets from now on.
    pub(super) async fn cut(&self) -> anyhow::Result<()> {
        ip(&format!("-n {} link set far down", self.name)).await
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // Both: a namespace lives on for as long as its last connections try to end, and would keep the cable.
        for what in ["link", "netns"] {
            let _ = std::process::Command::new("ip").args([what, "del", &self.name]).output();
        }
    }
}

async fn ip(arguments: &str) -> anyhow::Result<()> {
    let done = Command::new("ip").args(arguments.split(' ')).output().await.context("ip")?;
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stderr);
        bail!("ip {arguments}: {}", said.trim());
    }
    Ok(())
}
