//! Opens connections, from several loopback addresses if the fleet is large.
//!
//! Linux assigns outgoing connections every second port first. When those are used up for a pair of
//! addresses, at about 14,000, every further connect searches all of them for a millisecond or
//! more, and the generator stalls. So only a limited number of agents share a source address.
//!
//! Binding to an address reserves a port of it for this connection alone. `IP_BIND_ADDRESS_NO_PORT`
//! would let connections to different collectors share it, but no crate offers that option to safe
//! code, and the 65,536 addresses of 127.10.x.y have enough ports.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use mio::net::TcpStream;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// Agents per source address. Even with as many further connections in TIME_WAIT, the number of
/// ports in use stays well below 14,000.
pub const AGENTS_PER_SOURCE: u32 = 5_000;

/// Starts to connect the agent with this number. On loopback the connection is usually established
/// at once.
///
/// # Errors
/// If a system call fails.
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

/// Whether the error means that the connection is still being established.
fn is_under_way(error: &io::Error) -> bool {
    #[cfg(unix)]
    if rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::INPROGRESS) {
        return true;
    }
    error.kind() == io::ErrorKind::WouldBlock
}

/// Whether agents connect to this collector from several source addresses.
#[must_use]
pub const fn has_sources(collector: IpAddr) -> bool {
    // Other systems have one loopback address unless more are configured.
    cfg!(target_os = "linux") && collector.is_ipv4() && collector.is_loopback()
}

/// Source address of an agent; `None` for the default one.
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
