//! A port that stays free for one listener while nothing listens on it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpSocket;

/// An address that is kept for a listener, which may be of another process, and may close and
/// listen again. Until the value is dropped, no outgoing connection gets the port, and no listener
/// that asks for any free port. Connections to it are refused while nothing listens.
///
/// The listener must set `SO_REUSEADDR`, as servers do. Only Linux lets it bind the port as well;
/// on other systems nothing is kept.
#[derive(Debug)]
pub struct ReservedAddress {
    address: SocketAddr,
    /// Bound, and never listens.
    _socket: Option<TcpSocket>,
}

impl ReservedAddress {
    /// Keeps this address. Port 0 chooses a free port.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub fn new(address: SocketAddr) -> io::Result<Self> {
        let socket = bind(address)?;
        let address = socket.local_addr()?;
        Ok(Self { address, _socket: cfg!(target_os = "linux").then_some(socket) })
    }

    /// Keeps a free port of 127.0.0.1.
    ///
    /// # Errors
    /// If there is no free port.
    pub fn on_loopback() -> io::Result<Self> {
        Self::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }

    /// The address, with its port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Binds without listening. On Linux, several sockets may be bound to a port until one of them
/// listens.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}
