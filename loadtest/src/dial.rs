//! Connecting, from several addresses of the loopback where the fleet is large.
//!
//! Linux gives outgoing connections every second port first. When those are used up for one pair of addresses,
//! at some 14,000, every further connect searches them all, for a millisecond or more, and the generator
//! stands still. So not many agents share a source address.
//!
//! Binding to an address takes a port of it for this connection alone. `IP_BIND_ADDRESS_NO_PORT` would let
//! connections to different collectors share it, but no crate offers that option to safe code, and with 65,536
//! addresses of 127.10.x.y there is no want of ports.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use mio::net::TcpStream;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// Agents that share a source address: with as many connections again that have just ended, still far from
/// where the search begins.
pub const AGENTS_PER_SOURCE: u32 = 5_000;

/// Begins to connect the agent with this number: on the loopback that is mostly all there is to it.
///
/// # Errors
/// The system's.
pub fn dial(agent: u32, collector: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(collector), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    if let Some(source) = source(agent, collector) {
        socket.bind(&SockAddr::from(SocketAddr::new(source.into(), 0)))?;
    }
    match socket.connect(&collector.into()) {
        Err(error) if !is_under_way(&error) => Err(error),
        _ => Ok(TcpStream::from_std(socket.into())),
    }
}

/// Whether connecting goes on though the call is over.
fn is_under_way(error: &io::Error) -> bool {
    #[cfg(unix)]
    if rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::INPROGRESS) {
        return true;
    }
    error.kind() == io::ErrorKind::WouldBlock
}

/// Whether there is more than one source address to connect from.
#[must_use]
pub const fn has_sources(collector: IpAddr) -> bool {
    // Elsewhere the loopback has one address unless somebody has added others.
    cfg!(target_os = "linux") && collector.is_ipv4() && collector.is_loopback()
}

/// The address to connect from; `None` for the usual one.
fn source(agent: u32, collector: SocketAddr) -> Option<Ipv4Addr> {
    let number = agent / AGENTS_PER_SOURCE;
    if number == 0 || !has_sources(collector.ip()) {
        return None;
    }
    let [_, _, high, low] = number.to_be_bytes();
    Some(Ipv4Addr::new(127, 10, high, low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_fleet_uses_several_loopback_addresses() {
        let collector = SocketAddr::from(([127, 0, 0, 1], 45678));
        assert_eq!(source(4_999, collector), None);
        let [one, last] = [5_000, 999_999].map(|agent| source(agent, collector));
        if cfg!(target_os = "linux") {
            assert_eq!(one, Some(Ipv4Addr::new(127, 10, 0, 1)));
            assert_eq!(last, Some(Ipv4Addr::new(127, 10, 0, 199)));
        }
        assert_eq!(source(5_000, SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, 1))), None);
    }
}
