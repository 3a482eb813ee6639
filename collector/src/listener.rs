//! Accepting agents: who is let in, and how those who are not are told.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fleetgauge_proto::Code;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OwnedSemaphorePermit;
use tracing::debug;

use crate::clock::{Millis, ROUNDED};
use crate::connection::{self, Connection};
use crate::ending::{Ending, Refusal};
use crate::proxy::{self, BadHeader, Origin};
use crate::refused;
use crate::session::{HELLO_TIMEOUT, Handshake, Session};
use crate::shared::Shared;
use crate::transport::Transport;
use crate::untold::log_count;

/// Connections that the kernel keeps until they are accepted: a returning fleet's worth.
const BACKLOG: i32 = 4096;
/// Quiet time after which the kernel asks whether the peer is there, and between its three questions.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// How long sent bytes may stay unacknowledged before the kernel gives the connection up.
const USER_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause after a failure to accept, such as running out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listening socket that could not be made.
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
                "; another program has the port. {port} lies in Linux's ephemeral range, so that may be any outgoing \
                 connection: reserve it with sysctl net.ipv4.ip_local_reserved_ports={port} (see deploy/sysctl), or \
                 choose another port",
                port = address.port()
            )
        } else if in_use {
            "; another program has the port: stop it or choose another".to_owned()
        } else {
            String::new()
        };
        Self { address, cause, hint }
    }
}

/// A listening socket with the backlog of a fleet.
///
/// # Errors
/// [`BindError`] with the address and, where there is one, a way out.
pub(crate) fn bind(address: SocketAddr) -> Result<std::net::TcpListener, BindError> {
    let open = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // On Windows this option would let another program take the port.
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

/// Accepts agents until `stop` is done.
pub(crate) async fn accept(
    listener: TcpListener,
    shared: Arc<Shared>,
    stop: impl Future<Output = ()>,
) {
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => admit(stream, address, &shared),
            Err(error) => {
                shared.metrics.accept_errors.inc();
                let kind = ("cannot accept", "");
                log_count!(shared, kind, warn, "cannot accept a connection; trying again", %error);
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A connection that was accepted.
struct Arrival {
    stream: TcpStream,
    /// Whom it is counted for.
    address: SocketAddr,
    at: Instant,
    /// The same on the collector's clock.
    now: Millis,
}

/// Looks at a connection: its address first, which costs nothing, then whether there is room for its handshake. Whoever is
/// refused has been told before anything was spent on it.
fn admit(stream: TcpStream, address: SocketAddr, shared: &Arc<Shared>) {
    shared.metrics.connected();
    let arrival = Arrival { stream, address, at: Instant::now(), now: shared.clock.now() };
    let proxied = shared.config.bounds.proxies.contain(address.ip());
    let known = if proxied { Ok(()) } else { shared.addresses.check(address.ip(), arrival.now) };
    match known.and_then(|()| shared.handshake()) {
        Ok(place) if proxied => await_header(arrival, place, shared),
        Ok(place) => begin(arrival, place, shared),
        Err(refusal) => refuse(arrival, &refusal, shared),
    }
}

/// Begins the session of a connection.
fn begin(arrival: Arrival, place: OwnedSemaphorePermit, shared: &Arc<Shared>) {
    if let Err(error) = prepare(&arrival.stream) {
        debug!(%error, address = %arrival.address, "cannot set socket options");
    }
    let began = arrival.now + ROUNDED;
    let peer = match shared.admit(arrival.address, began + HELLO_TIMEOUT) {
        Ok(peer) => peer,
        Err(code) => return refuse(arrival, &Refusal::of(code), shared),
    };
    let tls = shared.trust.read().tls.clone();
    match Transport::over(arrival.stream, tls.as_ref(), &shared.budget) {
        Ok(transport) => {
            let handshake = Handshake { accepted: Some(arrival.at), place, certificate: None };
            let session = Session::new(Arc::clone(shared), peer, handshake, began);
            shared.tasks.spawn(Connection::new(transport, session));
        }
        Err(stream) => {
            shared.dismiss(&peer);
            refuse(Arrival { stream, ..arrival }, &Refusal::of(Code::CollectorFull), shared);
        }
    }
}

/// Begins the session of a connection that a balancer passes on, once it has said whose that is. Until then it is
/// counted as the balancer's.
fn await_header(arrival: Arrival, place: OwnedSemaphorePermit, shared: &Arc<Shared>) {
    let waiting = match shared.admit(arrival.address, Millis::MAX) {
        Ok(waiting) => waiting,
        Err(code) => return refuse(arrival, &Refusal::of(code), shared),
    };
    let (tasks, shared) = (shared.tasks.clone(), Arc::clone(shared));
    tasks.spawn(async move {
        let mut arrival = arrival;
        let time = Duration::from_millis(HELLO_TIMEOUT);
        let header = tokio::time::timeout(time, proxy::read(&mut arrival.stream)).await;
        shared.dismiss(&waiting);
        match header {
            Ok(Ok(Origin::Balancer)) => begin(arrival, place, &shared),
            Ok(Ok(Origin::Peer(address))) => {
                arrival.address = address;
                match shared.addresses.check(address.ip(), arrival.now) {
                    Ok(()) => begin(arrival, place, &shared),
                    Err(refusal) => refuse(arrival, &refusal, &shared),
                }
            }
            Ok(Err(BadHeader::Nothing)) => shared.metrics.closed(Ending::Closed.reason()),
            Ok(Err(bad)) => {
                let (kind, address) = (("bad PROXY header", ""), arrival.address);
                log_count!(shared, kind, warn, "bad PROXY header", %address, %bad);
                shared.metrics.closed(Ending::BadProxyHeader.reason());
            }
            Err(_) => refuse(arrival, &Refusal::of(Code::HelloTimeout), &shared),
        }
    });
}

/// Nagle's delay off; the kernel finds peers that vanished without a word.
fn prepare(stream: &TcpStream) -> std::io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL);
    #[cfg(target_os = "linux")]
    let keepalive = keepalive.with_retries(3);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    Ok(())
}

/// Tells a connection that is not let in why; if too many are being told, closes it at once.
fn refuse(arrival: Arrival, refusal: &Refusal, shared: &Arc<Shared>) {
    let Arrival { stream, address, .. } = arrival;
    let code = refusal.code;
    refused::log(shared, refusal, address, None);
    shared.metrics.rejected(code);
    let mut reject = Vec::new();
    refusal.write(u64::from(address.port()), &mut reject);
    // A fresh socket's send buffer takes a Reject whole.
    let told = stream.try_write(&reject).is_ok_and(|written| written == reject.len());
    let Some(place) = shared.linger(code).filter(|_| told) else {
        shared.metrics.lingers_skipped.inc();
        shared.metrics.closed(code.reason());
        return;
    };
    let tasks = shared.tasks.clone();
    let shared = Arc::clone(shared);
    tasks.spawn(async move {
        connection::linger(stream, place).await;
        shared.metrics.closed(code.reason());
    });
}
