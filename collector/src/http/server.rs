//! The HTTP port's connections, bounded in number and time.

use std::convert::Infallible;
use std::future::pending;
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
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;

use super::places::{Place, Places, Visit};
use super::socket::Socket;
use super::{Site, router, secure};
use crate::shared::Shared;
use crate::untold::{log_count, shortened};

/// Time to send a request's head, also between two requests of a connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for a connection's first request once the collector stops: whoever was let in last is answered all the same.
const FIRST_REQUEST: Duration = Duration::from_millis(500);
/// Longest head of a request; also what waits to be written beyond a page's chunks.
const HEAD_BYTES: usize = 16 * 1024;
/// How long sent bytes may stay unacknowledged before the kernel gives the connection up.
#[cfg(target_os = "linux")]
const USER_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause after a failure to accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves HTTP until `stop` is cancelled, then lets what is under way finish.
pub(crate) async fn serve(listener: TcpListener, site: Site, stop: CancellationToken) {
    let Shared { config, metrics, .. } = &*site.shared;
    let places = Places::new(config.bounds.http_connections, metrics.http_evicted.clone());
    let shared = Arc::clone(&site.shared);
    let router = router(Arc::new(site));
    let connections = TaskTracker::new();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, peer)) => {
                // Whoever was accepted just before the stop is served, if there is room.
                let place = tokio::select! {
                    biased;
                    place = places.take(peer.ip()) => place,
                    () = stop.cancelled() => break,
                };
                let (router, places) = (router.clone(), Arc::clone(&places));
                let broken = shared.metrics.scrapes_broken.clone();
                let visitor = Visitor { router, places, place, broken, stop: stop.clone() };
                connections.spawn(receive(stream, visitor, Arc::clone(&shared)));
            }
            Err(error) => {
                let kind = ("cannot accept HTTP", "");
                log_count!(
                    shared,
                    kind,
                    warn,
                    "cannot accept an HTTP connection; trying again",
                    %error
                );
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    connections.close();
    connections.wait().await;
}

/// Who is served, and until when.
struct Visitor {
    router: Router,
    places: Arc<Places>,
    place: Place,
    /// Counts pages whose reader took too long for the end.
    broken: Counter,
    stop: CancellationToken,
}

/// One connection, under TLS where the port speaks it.
async fn receive(stream: TcpStream, visitor: Visitor, shared: Arc<Shared>) {
    #[cfg(target_os = "linux")]
    if let Err(error) = SockRef::from(&stream).set_tcp_user_timeout(Some(USER_TIMEOUT)) {
        debug!(%error, "cannot set socket options");
    }
    let stream = Socket::new(stream, Arc::clone(visitor.place.visit()));
    let port = shared.trust.read().http_tls.clone();
    let Some(port) = port else { return visitor.converse(stream, pending()).await };
    let secured = tokio::select! {
        secured = secure::secure(stream, &port, &shared) => secured,
        () = visitor.place.visit().left() => return,
        () = visitor.stop.cancelled() => return,
    };
    match secured {
        Ok((stream, pass)) => {
            let address = visitor.place.visit().address();
            visitor.converse(stream, pass.lapse(address, &shared)).await;
        }
        Err(error) => {
            shared.metrics.http_tls_failures.inc();
            let kind = ("TLS failed on the HTTP port", "");
            let (address, error) = (visitor.place.visit().address(), error.to_string());
            let error = shortened(&error);
            log_count!(shared, kind, warn, "TLS failed on the HTTP port", %address, error);
        }
    }
}

impl Visitor {
    /// Serves until the connection is over, gives way, is stalled on by its reader, may go on no longer, or the collector
    /// stops.
    async fn converse(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send,
        lapse: impl Future<Output = ()>,
    ) {
        let visit = self.place.visit();
        let service =
            TowerToHyperService::new(tower_service(self.router, self.places, Arc::clone(visit)));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        tokio::select! {
            biased;
            // No request is answered that came too late.
            () = lapse => {}
            () = visit.left() => debug!("HTTP connection gave way, or its reader stalled"),
            () = visit.overdue() => {
                self.broken.inc();
                debug!("the reader of a scrape stalled at its end");
            }
            ended = &mut connection => {
                if let Err(error) = ended {
                    debug!(%error, "HTTP connection ended");
                }
            }
            () = self.stop.cancelled() => {
                tokio::select! {
                    _ = &mut connection => return,
                    _ = timeout(FIRST_REQUEST, visit.asked()) => connection.as_mut().graceful_shutdown(),
                }
                let _ = connection.await;
            }
        }
    }
}

/// The router, every request marked with its connection.
fn tower_service(
    router: Router,
    places: Arc<Places>,
    visit: Arc<Visit>,
) -> impl tower::Service<
    Request<Incoming>,
    Response = Response,
    Error = Infallible,
    Future = impl Future<Output = Result<Response, Infallible>> + Send,
> + Clone {
    tower::service_fn(move |mut request: Request<Incoming>| {
        visit.ask();
        request.extensions_mut().insert(Arc::clone(&visit));
        request.extensions_mut().insert(Arc::clone(&places));
        tower::ServiceExt::oneshot(router.clone(), request)
    })
}
