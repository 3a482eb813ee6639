//! Where hosts are: each has an address of its own on the loopback, as it would have on a network. So no
//! connection meets another's port, and one port will do for all that serve a page.

use std::net::Ipv4Addr;

/// Of 127.10.x.y, the first two; the rest is the host's number.
const NETWORK: u32 = u32::from_be_bytes([127, 10, 0, 0]);

/// The address of a host, of up to 65,536.
#[must_use]
pub fn of(host: usize) -> Ipv4Addr {
    Ipv4Addr::from(NETWORK | (host & 0xffff) as u32)
}

/// The host at this address.
#[must_use]
pub fn host(address: Ipv4Addr) -> usize {
    (u32::from(address) & 0xffff) as usize
}
