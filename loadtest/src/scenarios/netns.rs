//! A link to a network namespace. It can be cut: then all packets are lost, and no end gets an
//! error.
//!
//! ```text
//!     host, the collector                namespace, some agents
//!     198.18.x.y/30   veth ─────────────── far   198.18.x.y+1/30
//!                                           ✂
//! ```

use std::net::Ipv4Addr;

use anyhow::{Context, bail};
use tokio::process::Command;

/// Network for benchmarks (RFC 2544).
const TEST_NETWORK: u32 = u32::from_be_bytes([198, 18, 0, 0]);
/// Number of subnets of four addresses in [`TEST_NETWORK`].
const SUBNETS: u32 = 1 << 15;

/// A link to a network namespace; both are removed on drop.
pub(super) struct NetnsLink {
    namespace: String,
    host_address: Ipv4Addr,
}

impl NetnsLink {
    /// Creates the link. Requires root and iproute2.
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

    /// Address of the host's end.
    pub(super) const fn host_address(&self) -> Ipv4Addr {
        self.host_address
    }

    /// Command line prefix that runs a program in the namespace.
    pub(super) fn exec_prefix(&self) -> Vec<String> {
        ["ip", "netns", "exec", &self.namespace].map(ToOwned::to_owned).to_vec()
    }

    /// Drops all packets from now on.
    pub(super) async fn cut(&self) -> anyhow::Result<()> {
        ip(&format!("-n {} link set far down", self.namespace)).await
    }
}

impl Drop for NetnsLink {
    fn drop(&mut self) {
        // Deletes the link, too: closing connections keep the namespace, and so the link.
        for what in ["link", "netns"] {
            let _ = std::process::Command::new("ip").args([what, "del", &self.namespace]).output();
        }
    }
}

async fn ip(arguments: &str) -> anyhow::Result<()> {
    let output = Command::new("ip")
        .args(arguments.split(' '))
        .output()
        .await
        .context("cannot run ip; install iproute2")?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("ip {arguments}: {}", stderr.trim());
    }
    Ok(())
}
