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
const SUBNETS: u32 = 1 << 15;

/// A cable; it is taken away when it is dropped.
pub(super) struct NetnsLink {
    namespace: String,
    host_address: Ipv4Addr,
}

impl NetnsLink {
    /// Lays one. Needs root and iproute2.
    pub(super) async fn create() -> anyhow::Result<Self> {
        let number = std::process::id();
        let subnet = TEST_NETWORK + (number % SUBNETS) * 4;
        let (host_address, far) = (Ipv4Addr::from(subnet + 1), Ipv4Addr::from(subnet + 2));
        ip(&format!("netns add fg-{number}")).await?;
        let link = Self { namespace: format!("fg-{number}"), host_address };
        let namespace = &link.namespace;
        ip(&format!("link add {namespace} type veth peer name far netns {namespace}")).await?;
        ip(&format!("address add {host_address}/30 dev {namespace}")).await?;
        ip(&format!("link set {namespace} up")).await?;
        ip(&format!("-n {namespace} address add {far}/30 dev far")).await?;
        ip(&format!("-n {namespace} link set lo up")).await?;
        ip(&format!("-n {namespace} link set far up")).await?;
        Ok(link)
    }

    /// The address at this end.
    pub(super) const fn host_address(&self) -> Ipv4Addr {
        self.host_address
    }

    /// What runs a program at the far end.
    pub(super) fn exec_prefix(&self) -> Vec<String> {
        ["ip", "netns", "exec", &self.namespace].map(ToOwned::to_owned).to_vec()
    }

    /// Loses all packets from now on.
    pub(super) async fn cut(&self) -> anyhow::Result<()> {
        ip(&format!("-n {} link set far down", self.namespace)).await
    }
}

impl Drop for NetnsLink {
    fn drop(&mut self) {
        // Both: a namespace lives on for as long as its last connections try to end, and would keep the cable.
        for what in ["link", "netns"] {
            let _ = std::process::Command::new("ip").args([what, "del", &self.namespace]).output();
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
