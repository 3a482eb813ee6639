//! Makes a TCP connection and tells the kernel how to notice that it is dead.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tracing::debug;

use crate::config::Endpoint;

/// How long a name may take to be resolved, then each address to answer, and then TLS. A collector that a whole fleet
/// comes back to needs this long to get through.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Most addresses of a name that one attempt tries.
const MAX_ADDRESSES: usize = 8;
/// Silence after which the kernel asks whether the peer is there.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
/// Time between its questions.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(15);
/// How long sent data may stay unacknowledged: the collector has given this agent up by then.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(60);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("cannot resolve the name: {0}")]
    Lookup(#[source] io::Error),
    #[error("the name has no address")]
    NoAddress,
    #[error("the name was not resolved within {CONNECT_TIMEOUT:?}")]
    LookupTimeout,
    #[error("{0}: {1}")]
    Connect(SocketAddr, #[source] io::Error),
    #[error("{0}: no answer within {CONNECT_TIMEOUT:?}")]
    ConnectTimeout(SocketAddr),
    #[error("{0}")]
    Tls(String),
    #[error("TLS was not established within {CONNECT_TIMEOUT:?}")]
    TlsTimeout,
    /// The collector has no room, and said so before TLS.
    #[error("{text:?}")]
    Refused { code: u16, text: Box<str>, wait: Duration },
}

/// Connects to the first address of `to` that answers.
pub(super) async fn connect(to: &Endpoint) -> Result<TcpStream, ConnectError> {
    let addresses = timeout(CONNECT_TIMEOUT, lookup_host((to.host(), to.port())))
        .await
        .map_err(|_| ConnectError::LookupTimeout)?
        .map_err(ConnectError::Lookup)?;
    let mut last = ConnectError::NoAddress;
    for address in addresses.take(MAX_ADDRESSES) {
        last = match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                if let Err(error) = prepare(&stream) {
                    debug!(%error, "the connection lacks an option");
                }
                return Ok(stream);
            }
            Ok(Err(error)) => ConnectError::Connect(address, error),
            Err(_) => ConnectError::ConnectTimeout(address),
        };
    }
    Err(last)
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_EVERY);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_notices_a_dead_peer() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap().to_string();
        let stream = connect(&Endpoint::parse(&at).unwrap()).await.unwrap();
        assert!(stream.nodelay().unwrap());
        assert!(SockRef::from(&stream).keepalive().unwrap());
        #[cfg(target_os = "linux")]
        assert_eq!(SockRef::from(&stream).tcp_user_timeout().unwrap(), Some(UNACKNOWLEDGED));
    }

    #[tokio::test]
    async fn a_refusal_names_the_address() {
        // Bound but not listening.
        let silent = tokio::net::TcpSocket::new_v4().unwrap();
        silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let at = silent.local_addr().unwrap();
        let error = connect(&Endpoint::parse(&at.to_string()).unwrap()).await.unwrap_err();
        assert!(error.to_string().starts_with(&format!("{at}: Connection refused")), "{error}");
    }
}
