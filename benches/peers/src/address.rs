//! Where hosts are: each has an address of its own on the loopback, as it would have on a network. So no
//! connection meets another's port, and one port will do for all that serve a page.

use std::net::Ipv4Addr;

/// Of 127.10.x.y, the first two; the rest is the host's number.
const NETWORK: u32 = u32::from_be_bytes([127, 10, 0, 0]);

/// How many there are.
pub const MOST_HOSTS: usize = 1 << 16;

/// The address of a host.
#[must_use]
pub fn of(host: usize) -> Ipv4Addr {
    Ipv4Addr::from(NETWORK | (host % MOST_HOSTS) as u32)
}

/// The host at this address.
#[must_use]
pub fn host(address: Ipv4Addr) -> usize {
    u32::from(address) as usize % MOST_HOSTS
}
