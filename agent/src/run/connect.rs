//! Connects to an address of the collector, with keepalive options so that the kernel detects a
//! dead connection.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::debug;

use super::candidates::Candidate;
use super::credentials::Credentials;
use super::failure::Failure;
use super::socket::Socket;
use super::srv::SrvError;
use super::transport::Transport;
use super::{Agent, tls_handshake};
use crate::config::{TOKEN_ENCRYPTION_ADVICE, Token};

/// Timeout for each of name resolution, TCP connect and TLS handshake. A collector can need this
/// long while a whole fleet reconnects. An address takes at most 30 s, including
/// the wait for Welcome, before the next one is tried.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Idle time after which the kernel sends a keepalive probe.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
/// Interval of keepalive probes.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(15);
/// TCP user timeout: the kernel closes a connection if sent data stays unacknowledged for this
/// long. By then, the collector has closed its side.
#[cfg(target_os = "linux")]
const USER_TIMEOUT: Duration = Duration::from_secs(60);

/// Why a connection to the collector could not be opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("cannot resolve the collector's name: {0}")]
    Lookup(#[source] io::Error),
    #[error("cannot look up the collectors' SRV records: {0}")]
    Srv(#[source] SrvError),
    #[error("the collector's name has no address")]
    NoAddress,
    #[error("resolving the collector's name timed out after {CONNECT_TIMEOUT:?}")]
    LookupTimeout,
    #[error("{0}: {1}")]
    Connect(SocketAddr, #[source] io::Error),
    #[error("{0}: connecting timed out after {CONNECT_TIMEOUT:?}")]
    ConnectTimeout(SocketAddr),
    #[error("{0}")]
    Tls(String),
    #[error("the TLS handshake timed out after {CONNECT_TIMEOUT:?}")]
    TlsTimeout,
    /// The collector sent a Reject before TLS: a limit is reached.
    #[error("{text:?}")]
    Rejected { code: u16, text: Box<str>, delay: Duration },
}

/// A connection that is ready for Hello.
pub(super) struct Connection<'a> {
    pub(super) transport: Transport,
    pub(super) address: SocketAddr,
    /// Token to send in Hello; `None`: no token.
    pub(super) token: Option<&'a Token>,
}

/// Connects to an address of the collector, with TLS if it is enabled.
pub(super) async fn connect<'a>(
    agent: &Agent,
    credentials: &'a Credentials,
    candidate: &Candidate,
) -> Result<Connection<'a>, Failure> {
    let address = candidate.address;
    let token = credentials
        .token_for(agent, address.ip())
        .map_err(|exposed| Failure::permanent(exposed, TOKEN_ENCRYPTION_ADVICE))?;
    let stream = Socket::new(connect_tcp(address).await.map_err(Failure::new)?);
    let transport = match &credentials.tls {
        None => Transport::Plain(stream),
        Some((tls, connector)) => {
            tls_handshake::handshake(stream, candidate.host(), tls, connector).await.map_err(
                |error| match error {
                    ConnectError::Rejected { code, text, delay } => {
                        Failure::rejected(code, &text, Some(delay))
                    }
                    other => Failure::new(other),
                },
            )?
        }
    };
    Ok(Connection { transport, address, token })
}

/// Opens a TCP connection.
async fn connect_tcp(address: SocketAddr) -> Result<TcpStream, ConnectError> {
    let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(address))
        .await
        .map_err(|_| ConnectError::ConnectTimeout(address))?
        .map_err(|error| ConnectError::Connect(address, error))?;
    if let Err(error) = set_options(&stream) {
        debug!(%error, "cannot set socket options");
    }
    Ok(stream)
}

fn set_options(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_EVERY);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connection_has_keepalive_options() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = connect_tcp(listener.local_addr().unwrap()).await.unwrap();
        assert!(stream.nodelay().unwrap());
        assert!(SockRef::from(&stream).keepalive().unwrap());
        #[cfg(target_os = "linux")]
        assert_eq!(SockRef::from(&stream).tcp_user_timeout().unwrap(), Some(USER_TIMEOUT));
    }

    #[tokio::test]
    async fn connection_refused_names_the_address() {
        // Bound but not listening.
        let silent = tokio::net::TcpSocket::new_v4().unwrap();
        silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let at = silent.local_addr().unwrap();
        let error = connect_tcp(at).await.unwrap_err();
        assert!(error.to_string().starts_with(&format!("{at}: Connection refused")), "{error}");
    }
}
