//! Accepts and serves HTTP connections, and limits their number and duration.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use prometheus_client::metrics::counter::Counter;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info};

use super::connection::HttpConnection;
use super::connection_limiter::{ConnectionLimiter, Permit};
use super::socket::Socket;
use super::{HttpState, router, tls};
use crate::state::CollectorState;
use crate::telemetry::log_limiter::{log_count, shortened};

/// Maximum time to receive the head of a request, counted from the end of the previous response.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Grace period at shutdown for the first request of a connection that has not sent one.
const FIRST_REQUEST: Duration = Duration::from_millis(500);
/// Maximum size of a request head, and of hyper's write buffer, in bytes.
const HEAD_BYTES: usize = 16 * 1024;
/// Time after which the kernel closes a connection whose peer does not acknowledge sent data.
#[cfg(target_os = "linux")]
const USER_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause after `accept` has failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Spawns the HTTP server. After `stop` is cancelled, it finishes the requests in flight and ends.
pub(crate) fn start(
    listener: std::net::TcpListener,
    http: HttpState,
    stop: &CancellationToken,
) -> io::Result<JoinHandle<()>> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    info!(address = %listener.local_addr()?, "serving HTTP");
    Ok(tokio::spawn(serve(listener, http, stop.clone())))
}

async fn serve(listener: TcpListener, http: HttpState, stop: CancellationToken) {
    let collector = Arc::clone(&http.collector);
    let max = collector.config.bounds.http_connections;
    let limiter = ConnectionLimiter::new(max, collector.telemetry.metrics.http_evicted.clone());
    let router = router(Arc::new(http));
    let connections = TaskTracker::new();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, peer)) => {
                // A connection accepted just before `stop` is served if a permit is free.
                let permit = tokio::select! {
                    biased;
                    permit = limiter.take(peer.ip()) => permit,
                    () = stop.cancelled() => break,
                };
                let (router, limiter) = (router.clone(), Arc::clone(&limiter));
                let broken = collector.telemetry.metrics.scrapes_broken.clone();
                let client = Client { router, limiter, permit, broken, stop: stop.clone() };
                connections.spawn(receive(stream, client, Arc::clone(&collector)));
            }
            Err(error) => {
                log_count!(
                    collector,
                    ("cannot accept HTTP connection; retrying", ""),
                    warn,
                    "cannot accept HTTP connection; retrying",
                    %error
                );
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    connections.close();
    connections.wait().await;
}

/// An accepted connection with its permit, and what is needed to serve it.
struct Client {
    router: Router,
    limiter: Arc<ConnectionLimiter>,
    permit: Permit,
    /// Counts pages whose last bytes the client does not take in time.
    broken: Counter,
    stop: CancellationToken,
}

/// Serves one connection, with TLS if it is configured for the port.
async fn receive(stream: TcpStream, client: Client, collector: Arc<CollectorState>) {
    #[cfg(target_os = "linux")]
    if let Err(error) = SockRef::from(&stream).set_tcp_user_timeout(Some(USER_TIMEOUT)) {
        debug!(%error, "cannot set socket options");
    }
    let stream = Socket::new(stream, Arc::clone(client.permit.connection()));
    let port = collector.auth.lock().http_tls.clone();
    let Some(port) = port else { return client.serve(stream, pending()).await };
    let accepted = tokio::select! {
        accepted = tls::accept(stream, &port, &collector) => accepted,
        () = client.permit.connection().closing() => return,
        () = client.stop.cancelled() => return,
    };
    match accepted {
        Ok((stream, verified)) => {
            let address = client.permit.connection().address();
            client.serve(stream, verified.until_invalid(address, &collector)).await;
        }
        Err(error) => {
            collector.telemetry.metrics.http_tls_failures.inc();
            let kind = ("HTTP TLS connection failed", "");
            let (address, error) = (client.permit.connection().address(), error.to_string());
            let error = shortened(&error);
            log_count!(collector, kind, warn, "HTTP TLS connection failed", %address, error);
        }
    }
}

impl Client {
    /// Serves requests until the connection ends, is evicted or stalls, its client certificate
    /// becomes `invalid`, or the collector stops.
    async fn serve(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send,
        invalid: impl Future<Output = ()>,
    ) {
        let connection = self.permit.connection();
        let service = tower_service(self.router, self.limiter, Arc::clone(connection));
        let service = TowerToHyperService::new(service);
        let serving = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), service);
        tokio::pin!(serving);
        tokio::select! {
            biased;
            // Polled first, so that no request is answered after the certificate became invalid.
            () = invalid => {}
            () = connection.closing() => debug!("HTTP connection closed by the collector"),
            () = connection.overdue() => {
                self.broken.inc();
                debug!("client stalled at the end of a page");
            }
            ended = &mut serving => {
                if let Err(error) = ended {
                    debug!(%error, "HTTP connection failed");
                }
            }
            () = self.stop.cancelled() => {
                tokio::select! {
                    _ = &mut serving => return,
                    _ = timeout(FIRST_REQUEST, connection.requested()) => {
                        serving.as_mut().graceful_shutdown();
                    }
                }
                let _ = serving.await;
            }
        }
    }
}

/// Returns a service that adds the connection and the limiter to each request's extensions and
/// passes the request to the router.
fn tower_service(
    router: Router,
    limiter: Arc<ConnectionLimiter>,
    connection: Arc<HttpConnection>,
) -> impl tower::Service<
    Request<Incoming>,
    Response = Response,
    Error = Infallible,
    Future = impl Future<Output = Result<Response, Infallible>> + Send,
> + Clone {
    tower::service_fn(move |mut request: Request<Incoming>| {
        connection.request();
        request.extensions_mut().insert(Arc::clone(&connection));
        request.extensions_mut().insert(Arc::clone(&limiter));
        tower::ServiceExt::oneshot(router.clone(), request)
    })
}
