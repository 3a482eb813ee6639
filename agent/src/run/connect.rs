//! Finds a collector's addresses and connects to one, so that the kernel notices when the
//! connection is dead.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::debug;

use super::credentials::Credentials;
use super::round::Failure;
use super::stream::Stream;
use super::{Agent, secure};
use crate::config::{Endpoint, Token, UNENCRYPTED};

/// How long a name may take to be resolved, then an address to answer, and then TLS. A collector
/// that a whole fleet comes back to needs this long to get through. With Welcome an address has 30
/// s before the next one's turn.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Most addresses of a name that one round tries.
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

/// Finds a collector's addresses.
#[derive(Debug, Default)]
pub(super) struct Resolver {
    /// Has not ended within [`CONNECT_TIMEOUT`]. Its thread hangs in the system's resolver, so the
    /// next round awaits it instead of taking one more thread.
    pending: Option<Lookup>,
    /// These, whatever the name.
    #[cfg(test)]
    fixed: Vec<SocketAddr>,
}

/// The system's resolver at work.
#[derive(Debug)]
struct Lookup {
    name: Endpoint,
    found: JoinHandle<io::Result<Vec<SocketAddr>>>,
}

impl Lookup {
    fn start(name: &Endpoint) -> Self {
        let (host, port) = (name.host().to_owned(), name.port());
        let found = tokio::spawn(async move {
            lookup_host((host, port)).await.map(|addresses| addresses.collect())
        });
        Self { name: name.clone(), found }
    }

    async fn found(&mut self) -> io::Result<Vec<SocketAddr>> {
        (&mut self.found).await.unwrap_or_else(|panicked| Err(io::Error::other(panicked)))
    }
}

impl Resolver {
    /// The addresses of `to`, at least one, in the order in which they are to be tried.
    pub(super) async fn resolve(&mut self, to: &Endpoint) -> Result<Vec<SocketAddr>, ConnectError> {
        #[cfg(test)]
        if !self.fixed.is_empty() {
            return Ok(self.fixed.clone());
        }
        let found = self.look_up(to, CONNECT_TIMEOUT).await?;
        let mut addresses = Vec::new();
        for address in found {
            if addresses.len() < MAX_ADDRESSES && !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        if addresses.is_empty() { Err(ConnectError::NoAddress) } else { Ok(addresses) }
    }

    async fn look_up(
        &mut self,
        to: &Endpoint,
        within: Duration,
    ) -> Result<Vec<SocketAddr>, ConnectError> {
        let mut late = self.pending.take().filter(|lookup| lookup.name == *to);
        if let Some(lookup) = &mut late
            && lookup.found.is_finished()
        {
            if let Ok(found) = lookup.found().await {
                return Ok(found);
            }
            // The failure may be over.
            late = None;
        }
        let lookup = self.pending.insert(late.unwrap_or_else(|| Lookup::start(to)));
        let found =
            timeout(within, lookup.found()).await.map_err(|_| ConnectError::LookupTimeout)?;
        self.pending = None;
        found.map_err(ConnectError::Lookup)
    }
}

#[cfg(test)]
impl From<Vec<SocketAddr>> for Resolver {
    fn from(fixed: Vec<SocketAddr>) -> Self {
        Self { pending: None, fixed }
    }
}

/// A connection on which a session may begin.
pub(super) struct Dialled<'a> {
    pub(super) stream: Stream,
    pub(super) address: SocketAddr,
    /// To be shown there.
    pub(super) token: Option<&'a Token>,
}

/// Connects to one of the collector's addresses, with TLS where that is set.
pub(super) async fn dial<'a>(
    agent: &Agent,
    credentials: &'a Credentials,
    to: &Endpoint,
    address: SocketAddr,
) -> Result<Dialled<'a>, Failure> {
    let token = credentials
        .token_for(agent, address.ip())
        .map_err(|exposed| Failure::hopeless(exposed, UNENCRYPTED))?;
    let stream = connect(address).await.map_err(Failure::new)?;
    let stream = match &credentials.tls {
        None => Stream::Plain(stream),
        Some((tls, connector)) => {
            secure::secure(stream, to, tls, connector).await.map_err(|error| match error {
                ConnectError::Refused { code, text, wait } => {
                    Failure::rejected(code, &text, Some(wait))
                }
                other => Failure::new(other),
            })?
        }
    };
    Ok(Dialled { stream, address, token })
}

/// Connects to `address`.
async fn connect(address: SocketAddr) -> Result<TcpStream, ConnectError> {
    let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(address))
        .await
        .map_err(|_| ConnectError::ConnectTimeout(address))?
        .map_err(|error| ConnectError::Connect(address, error))?;
    if let Err(error) = prepare(&stream) {
        debug!(%error, "the connection lacks an option");
    }
    Ok(stream)
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
        let stream = connect(listener.local_addr().unwrap()).await.unwrap();
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
        let error = connect(at).await.unwrap_err();
        assert!(error.to_string().starts_with(&format!("{at}: Connection refused")), "{error}");
    }

    #[tokio::test]
    async fn a_lookup_that_hangs_is_awaited_again_instead_of_starting_another() {
        // RFC 6761: no resolver finds this name.
        let name = Endpoint::parse("collector.invalid:45678").unwrap();
        let (answer, answered) = tokio::sync::oneshot::channel();
        let found = tokio::spawn(async { Ok(answered.await.unwrap()) });
        let pending = Some(Lookup { name: name.clone(), found });
        let mut resolver = Resolver { pending, ..Resolver::default() };
        for _ in 0..2 {
            let error = resolver.look_up(&name, Duration::from_millis(1)).await.unwrap_err();
            assert!(matches!(error, ConnectError::LookupTimeout), "{error}");
        }
        let address = SocketAddr::from(([192, 0, 2, 1], 45678));
        answer.send(vec![address]).unwrap();
        assert_eq!(resolver.resolve(&name).await.unwrap(), [address]);
        assert!(resolver.pending.is_none());
    }
}
