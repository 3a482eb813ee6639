//! The listening sockets.

use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

use crate::config::Config;
use crate::systemd::socket_activation::ActivatedSockets;

/// Maximum connections that the kernel queues until they are accepted, as when a fleet returns.
const BACKLOG: i32 = 4096;

/// The listening sockets of a collector.
#[derive(Debug)]
pub struct Listeners {
    /// Sockets that accept agents.
    pub agents: Vec<TcpListener>,
    /// Socket that accepts HTTP clients.
    pub http: TcpListener,
}

impl Listeners {
    /// Binds the configured addresses.
    ///
    /// # Errors
    /// The first address that cannot be bound.
    pub fn bind(config: &Config) -> Result<Self, BindError> {
        Self::from_activated(ActivatedSockets::default(), config)
    }

    /// Uses the activated sockets, and binds the configured addresses of ports without one.
    ///
    /// # Errors
    /// The first address that cannot be bound.
    pub(crate) fn from_activated(
        activated: ActivatedSockets,
        config: &Config,
    ) -> Result<Self, BindError> {
        let bind = |address: &SocketAddr| bind(*address);
        let agents = match activated.agents {
            none if none.is_empty() => config.listen.iter().map(bind).collect::<Result<_, _>>()?,
            agents => agents,
        };
        Ok(Self { agents, http: activated.http.map_or_else(|| bind(&config.http), Ok)? })
    }

    /// Returns the addresses of the agent port.
    ///
    /// # Errors
    /// The operating system's.
    pub fn agent_addresses(&self) -> std::io::Result<Vec<SocketAddr>> {
        self.agents.iter().map(TcpListener::local_addr).collect()
    }
}

/// The error of an address that cannot be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {cause}{hint}")]
pub struct BindError {
    address: SocketAddr,
    cause: std::io::Error,
    hint: String,
}

impl BindError {
    fn new(address: SocketAddr, cause: std::io::Error) -> Self {
        let in_use = cause.kind() == std::io::ErrorKind::AddrInUse;
        let hint = if in_use && address.port() >= 32_768 {
            format!(
                "; stop the other process, or choose another port. {port} is in Linux's ephemeral \
                 range, so it can be in use by any outgoing connection: reserve it with sysctl \
                 net.ipv4.ip_local_reserved_ports={port} (see deploy/sysctl)",
                port = address.port()
            )
        } else if in_use {
            "; stop the other process, or choose another port".to_owned()
        } else {
            String::new()
        };
        Self { address, cause, hint }
    }
}

/// Binds a listening socket, with a backlog for a whole fleet.
///
/// # Errors
/// [`BindError`] with the address and a remedy, if one is known.
fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    let open = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // On Windows this option would let another program take over the port.
        #[cfg(unix)]
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(socket.into())
    };
    open().map_err(|cause| BindError::new(address, cause))
}
