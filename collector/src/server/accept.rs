//! The accept loop of the agent port. It admits or refuses connections, with the cheapest check
//! first.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fleetgauge_proto::Code;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::runtime::ConnectionRuntime;
use crate::admission::proxy_protocol::{self, BadHeader, Origin};
use crate::clock::{Millis, ROUNDED};
use crate::connection::session::{HELLO_TIMEOUT, Handshake, Session};
use crate::connection::transport::Transport;
use crate::connection::{self, Connection};
use crate::peers::close_reason::CloseReason;
use crate::peers::refusal::Refusal;
use crate::state::CollectorState;
use crate::telemetry::log_limiter::log_count;
use crate::telemetry::refusal_log;

/// Idle time before the first TCP keepalive probe, and between the three probes.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// Time after which the kernel closes a connection whose peer does not acknowledge sent data.
const USER_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause after `accept` has failed, for example because file descriptors ran out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections on these sockets until `stop` is cancelled. Dropping the returned tasks
/// aborts them.
pub(crate) fn start(
    listeners: Vec<std::net::TcpListener>,
    collector: &Arc<CollectorState>,
    runtime: &ConnectionRuntime,
    stop: &CancellationToken,
) -> io::Result<JoinSet<()>> {
    let mut tasks = JoinSet::new();
    for listener in listeners {
        info!(address = %listener.local_addr()?, "listening for agents");
        listener.set_nonblocking(true)?;
        let _within = runtime.handle().enter();
        let listener = TcpListener::from_std(listener)?;
        tasks.spawn(accept(listener, Arc::clone(collector), stop.clone().cancelled_owned()));
    }
    Ok(tasks)
}

/// Accepts connections of agents until `stop` completes.
async fn accept(
    listener: TcpListener,
    collector: Arc<CollectorState>,
    stop: impl Future<Output = ()>,
) {
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => admit(stream, address, &collector),
            Err(error) => {
                collector.telemetry.metrics.accept_errors.inc();
                log_count!(
                    collector,
                    ("cannot accept agent connection; retrying", ""),
                    warn,
                    "cannot accept agent connection; retrying",
                    %error
                );
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// An accepted connection that is not admitted yet.
struct Arrival {
    stream: TcpStream,
    /// Source address whose limits the connection counts against.
    address: SocketAddr,
    at: Instant,
    /// Time of arrival, as in `at`, on the collector's clock.
    now: Millis,
}

/// Checks the limits of the source address, then takes a handshake permit. A refused connection
/// allocates nothing.
fn admit(stream: TcpStream, address: SocketAddr, collector: &Arc<CollectorState>) {
    collector.telemetry.metrics.connected();
    let arrival = Arrival { stream, address, at: Instant::now(), now: collector.clock.now() };
    let proxied = collector.config.bounds.proxies.contain(address.ip());
    let admission = &collector.admission;
    let checked =
        if proxied { Ok(()) } else { admission.addresses.check(address.ip(), arrival.now) };
    match checked.and_then(|()| admission.begin_handshake(collector.clock.now())) {
        Ok(permit) if proxied => await_header(arrival, permit, collector),
        Ok(permit) => begin(arrival, permit, collector),
        Err(refusal) => refuse(arrival, &refusal, collector),
    }
}

/// Starts the session of a connection.
fn begin(arrival: Arrival, permit: OwnedSemaphorePermit, collector: &Arc<CollectorState>) {
    if let Err(error) = prepare(&arrival.stream) {
        debug!(%error, address = %arrival.address, "cannot set socket options");
    }
    let began = arrival.now + ROUNDED;
    let deadline = began + HELLO_TIMEOUT;
    let admission = &collector.admission;
    let handle = match admission.admit(arrival.address, deadline, collector.clock.now()) {
        Ok(handle) => handle,
        Err(code) => return refuse(arrival, &Refusal::of(code), collector),
    };
    let tls = collector.auth.lock().tls.clone();
    match Transport::over(arrival.stream, tls.as_ref(), &admission.budget) {
        Ok(transport) => {
            let handshake = Handshake { accepted: Some(arrival.at), permit, certificate: None };
            let session = Session::new(Arc::clone(collector), handle, handshake, began);
            collector.tasks.spawn(Connection::new(transport, session));
        }
        Err(stream) => {
            admission.dismiss(&handle, collector.clock.now());
            refuse(Arrival { stream, ..arrival }, &Refusal::of(Code::CollectorFull), collector);
        }
    }
}

/// Starts the session of a proxied connection when its PROXY header has arrived. Until then it
/// counts against the load balancer.
fn await_header(arrival: Arrival, permit: OwnedSemaphorePermit, collector: &Arc<CollectorState>) {
    let now = collector.clock.now();
    let waiting = match collector.admission.admit(arrival.address, Millis::MAX, now) {
        Ok(waiting) => waiting,
        Err(code) => return refuse(arrival, &Refusal::of(code), collector),
    };
    let (tasks, collector) = (collector.tasks.clone(), Arc::clone(collector));
    tasks.spawn(async move {
        let mut arrival = arrival;
        let time = Duration::from_millis(HELLO_TIMEOUT);
        let header = tokio::time::timeout(time, proxy_protocol::read(&mut arrival.stream)).await;
        collector.admission.dismiss(&waiting, collector.clock.now());
        match header {
            Ok(Ok(Origin::Balancer)) => begin(arrival, permit, &collector),
            Ok(Ok(Origin::Peer(address))) => {
                arrival.address = address;
                match collector.admission.addresses.check(address.ip(), arrival.now) {
                    Ok(()) => begin(arrival, permit, &collector),
                    Err(refusal) => refuse(arrival, &refusal, &collector),
                }
            }
            Ok(Err(BadHeader::Nothing)) => {
                collector.telemetry.metrics.closed(CloseReason::Closed.reason());
            }
            Ok(Err(error)) => {
                let (kind, address) = (("invalid PROXY header", ""), arrival.address);
                log_count!(collector, kind, warn, "invalid PROXY header", %address, %error);
                collector.telemetry.metrics.closed(CloseReason::BadProxyHeader.reason());
            }
            Err(_) => refuse(arrival, &Refusal::of(Code::HelloTimeout), &collector),
        }
    });
}

/// Sets socket options: no Nagle delay, and keepalive, which detects peers that vanished.
fn prepare(stream: &TcpStream) -> io::Result<()> {
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

/// Sends a Reject, then lingers: discards input so that the peer can read the Reject. Closes the
/// connection at once if too many connections linger.
fn refuse(arrival: Arrival, refusal: &Refusal, collector: &Arc<CollectorState>) {
    let Arrival { stream, address, .. } = arrival;
    let code = refusal.code;
    refusal_log::log(collector, refusal, address, None);
    collector.telemetry.metrics.rejected(code);
    let mut reject = Vec::new();
    refusal.write(u64::from(address.port()), &mut reject);
    // The send buffer of a new socket can take a whole Reject.
    let sent = stream.try_write(&reject).is_ok_and(|written| written == reject.len());
    let Some(permit) = collector.admission.linger(code).filter(|_| sent) else {
        collector.telemetry.metrics.lingers_skipped.inc();
        collector.telemetry.metrics.closed(code.reason());
        return;
    };
    let tasks = collector.tasks.clone();
    let collector = Arc::clone(collector);
    tasks.spawn(async move {
        connection::linger(stream, permit).await;
        collector.telemetry.metrics.closed(code.reason());
    });
}
