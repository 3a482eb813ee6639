//! Hosts that are pulled: each serves its page at its own address, compressed if the server accepts
//! that, as exporters do.

use std::future::pending;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::{Range, Sub};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::address;
use crate::fleet_kind::FleetKind;
use crate::forwarding::Offered;
use crate::http::Counted;
use crate::peer::{Peer, Protocol};
use crate::reading::{self, Reading};

/// Maximum number of connections that wait for accept.
const BACKLOG: i32 = 4096;

/// The pages of all hosts.
pub struct Targets {
    /// Port of all hosts.
    pub port: u16,
    shared: Arc<Shared>,
    accept_task: JoinHandle<()>,
}

/// Counts of pages served.
#[derive(Debug, Clone, Copy, Default)]
pub struct Served {
    /// Number of pages.
    pub pages: u64,
    /// Bytes of the page bodies.
    pub payload: u64,
    /// Bytes written, including HTTP headers.
    pub written: u64,
}

struct Shared {
    kind: FleetKind,
    offered: Option<Arc<Offered>>,
    /// Number of the latest report of each host.
    sequences: Vec<AtomicU64>,
    frozen: AtomicBool,
    vanished: Mutex<Vanished>,
    pages: AtomicU64,
    payload: AtomicU64,
    written: Arc<AtomicU64>,
}

/// Hosts that have vanished.
#[derive(Debug, Default)]
struct Vanished {
    /// Hosts that close their connections.
    killed: Range<usize>,
    /// Hosts that accept requests and do not respond.
    cut_off: Range<usize>,
}

impl Sub for Served {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            pages: self.pages - earlier.pages,
            payload: self.payload - earlier.payload,
            written: self.written - earlier.written,
        }
    }
}

impl Targets {
    /// Serves the pages of `hosts` hosts if the server pulls.
    ///
    /// # Errors
    /// If the socket cannot be opened.
    pub fn for_peer(
        peer: &dyn Peer,
        kind: FleetKind,
        hosts: usize,
    ) -> anyhow::Result<Option<Self>> {
        matches!(peer.report_mode().protocol, Protocol::Pulled)
            .then(|| Self::serve(kind, hosts, None))
            .transpose()
    }

    /// Serves the pages of `hosts` hosts on loopback. Records them in `offered`.
    ///
    /// # Errors
    /// If the socket cannot be opened.
    pub fn serve(
        kind: FleetKind,
        hosts: usize,
        offered: Option<Arc<Offered>>,
    ) -> anyhow::Result<Self> {
        let listener = listen().context("cannot listen on all addresses of the loopback device")?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            kind,
            offered,
            sequences: (0..hosts).map(|_| AtomicU64::new(0)).collect(),
            frozen: AtomicBool::new(false),
            vanished: Mutex::default(),
            pages: AtomicU64::new(0),
            payload: AtomicU64::new(0),
            written: Arc::new(AtomicU64::new(0)),
        });
        let accept_task = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { port, shared, accept_task })
    }

    /// Pages and bytes served so far.
    #[must_use]
    pub fn served(&self) -> Served {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Shared { pages, payload, written, .. } = &*self.shared;
        Served { pages: read(pages), payload: read(payload), written: read(written) }
    }

    /// Freezes the values, so that they can be compared with the page of the server.
    pub fn freeze(&self) {
        self.shared.frozen.store(true, Ordering::Relaxed);
    }

    /// The latest served reading of each host.
    pub fn newest(&self) -> impl Iterator<Item = Reading> {
        let kind = self.shared.kind;
        let read = move |(host, sequence): (usize, &AtomicU64)| Reading {
            kind,
            host,
            sequence: sequence.load(Ordering::Relaxed),
        };
        self.shared.sequences.iter().enumerate().map(read).filter(|reading| reading.sequence > 0)
    }

    /// Makes some hosts close their connections and others fall silent.
    pub fn vanish(&self, killed: Range<usize>, cut_off: Range<usize>) {
        let vanished = Vanished { killed, cut_off };
        *self.shared.vanished.lock().unwrap_or_else(PoisonError::into_inner) = vanished;
    }
}

impl Drop for Targets {
    fn drop(&mut self) {
        self.accept_task.abort();
    }
}

/// Listens on all addresses of the loopback device, and on no other device.
fn listen() -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind_device(Some(b"lo"))?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)).into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        // A failure here is a failed scrape, which shows as a missing report.
        let Ok((stream, _)) = listener.accept().await else { continue };
        tokio::spawn(answer(stream, Arc::clone(&shared)));
    }
}

async fn answer(stream: TcpStream, shared: Arc<Shared>) {
    let Ok(SocketAddr::V4(local)) = stream.local_addr() else { return };
    let host = address::host(*local.ip());
    let stream = TokioIo::new(Counted::new(stream, Arc::clone(&shared.written)));
    let service = service_fn(|request| shared.page(host, request));
    // Ignored: the server sees the error as a failed scrape.
    drop(http1::Builder::new().serve_connection(stream, service).await);
}

impl Shared {
    async fn page(
        &self,
        host: usize,
        request: Request<Incoming>,
    ) -> anyhow::Result<Response<Full<Bytes>>> {
        let (killed, cut_off) = {
            let vanished = self.vanished.lock().unwrap_or_else(PoisonError::into_inner);
            (vanished.killed.contains(&host), vanished.cut_off.contains(&host))
        };
        if cut_off {
            return pending().await;
        }
        anyhow::ensure!(!killed, "a killed host does not respond");
        let newest = self.sequences.get(host).context("no host has this address")?;
        let step = u64::from(!self.frozen.load(Ordering::Relaxed));
        let sequence = newest.fetch_add(step, Ordering::Relaxed) + step;
        if let Some(offered) = self.offered.as_ref().filter(|_| step > 0) {
            offered.push(host, reading::unix_ms());
        }
        let mut page = Reading { kind: self.kind, host, sequence }.text().into_bytes();
        let mut response = Response::builder().header("Content-Type", "text/plain; version=0.0.4");
        if accepts_gzip(&request) {
            response = response.header("Content-Encoding", "gzip");
            page = gzip(&page)?;
        }
        self.pages.fetch_add(1, Ordering::Relaxed);
        self.payload.fetch_add(page.len() as u64, Ordering::Relaxed);
        Ok(response.body(Full::new(page.into()))?)
    }
}

fn accepts_gzip(request: &Request<Incoming>) -> bool {
    let accepted = request.headers().get("Accept-Encoding").and_then(|value| value.to_str().ok());
    accepted.is_some_and(|accepted| accepted.contains("gzip"))
}

/// Compresses a page as exporters do.
fn gzip(page: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(page)?;
    encoder.finish()
}
