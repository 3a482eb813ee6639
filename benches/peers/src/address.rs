//! Loopback addresses of simulated hosts.
//!
//! Each host has its own address, as in a real network. So local ports do not run out, and all
//! hosts can serve their pages on the same port.

use std::net::Ipv4Addr;

/// Prefix of the addresses 127.10.x.y; x.y is the number of the host in two bytes.
const NETWORK: u32 = u32::from_be_bytes([127, 10, 0, 0]);

/// Maximum number of hosts: the number of addresses 127.10.x.y.
pub const MAX_HOSTS: usize = 1 << 16;

/// The address of a host.
#[must_use]
pub fn of(host: usize) -> Ipv4Addr {
    Ipv4Addr::from(NETWORK | (host % MAX_HOSTS) as u32)
}

/// Number of the host that has an address.
#[must_use]
pub fn host(address: Ipv4Addr) -> usize {
    u32::from(address) as usize % MAX_HOSTS
}
