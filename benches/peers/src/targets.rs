//! Hosts that are pulled: each serves its page at an address of its own.

use std::future::pending;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::{Range, Sub};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::address;
use crate::http::Counted;
use crate::peer::{Dialect, Peer};
use crate::reading::{self, Reading};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;

/// The hosts' pages.
pub struct Targets {
    /// The port of them all.
    pub port: u16,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

/// What was served up to a moment.
#[derive(Debug, Clone, Copy, Default)]
pub struct Served {
    /// Pages.
    pub pages: u64,
    /// Their bytes.
    pub payload: u64,
    /// Bytes written, HTTP's included.
    pub written: u64,
}

struct Shared {
    /// The newest report of each host.
    sequences: Vec<AtomicU64>,
    frozen: AtomicBool,
    departed: Mutex<Departed>,
    pages: AtomicU64,
    payload: AtomicU64,
    written: Arc<AtomicU64>,
}

/// Hosts that are no more.
#[derive(Debug, Default)]
struct Departed {
    /// Their connections break.
    killed: Range<usize>,
    /// They take requests and do not answer.
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
    /// Serves so many hosts' pages if the program pulls.
    ///
    /// # Errors
    /// The system's.
    pub fn wanted(peer: &dyn Peer, hosts: usize) -> anyhow::Result<Option<Self>> {
        matches!(peer.link().dialect, Dialect::Pulled).then(|| Self::serve(hosts)).transpose()
    }

    /// Serves so many hosts' pages, to this machine alone.
    ///
    /// # Errors
    /// The system's.
    fn serve(hosts: usize) -> anyhow::Result<Self> {
        let listener = listen().context("listening at every address of the loopback device")?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            sequences: (0..hosts).map(|_| AtomicU64::new(0)).collect(),
            frozen: AtomicBool::new(false),
            departed: Mutex::default(),
            pages: AtomicU64::new(0),
            payload: AtomicU64::new(0),
            written: Arc::new(AtomicU64::new(0)),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { port, shared, accepting })
    }

    /// What has been served so far.
    #[must_use]
    pub fn served(&self) -> Served {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Shared { pages, payload, written, .. } = &*self.shared;
        Served { pages: read(pages), payload: read(payload), written: read(written) }
    }

    /// From now on the values stand still, so that a server's page can be compared with them.
    pub fn freeze(&self) {
        self.shared.frozen.store(true, Ordering::Relaxed);
    }

    /// The newest readings that were served.
    pub fn newest(&self) -> impl Iterator<Item = Reading> {
        let read = |(host, sequence): (usize, &AtomicU64)| Reading {
            host,
            sequence: sequence.load(Ordering::Relaxed),
        };
        self.shared.sequences.iter().enumerate().map(read).filter(|reading| reading.sequence > 0)
    }

    /// From now on these hosts are dead, and those silent.
    pub fn depart(&self, killed: Range<usize>, cut_off: Range<usize>) {
        let departed = Departed { killed, cut_off };
        *self.shared.departed.lock().unwrap_or_else(PoisonError::into_inner) = departed;
    }
}

impl Drop for Targets {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// A listener at every address of the loopback device, and at no other device's.
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
        // What fails here fails as a scrape, and is seen as a missing report.
        let Ok((stream, _)) = listener.accept().await else { continue };
        tokio::spawn(answer(stream, Arc::clone(&shared)));
    }
}

async fn answer(stream: TcpStream, shared: Arc<Shared>) {
    let Ok(SocketAddr::V4(local)) = stream.local_addr() else { return };
    let host = address::host(*local.ip());
    let stream = TokioIo::new(Counted::new(stream, Arc::clone(&shared.written)));
    let service = service_fn(|_| shared.page(host));
    // However it ends: the server that asks sees it.
    drop(http1::Builder::new().serve_connection(stream, service).await);
}

impl Shared {
    async fn page(&self, host: usize) -> anyhow::Result<Response<Full<Bytes>>> {
        let (killed, cut_off) = {
            let departed = self.departed.lock().unwrap_or_else(PoisonError::into_inner);
            (departed.killed.contains(&host), departed.cut_off.contains(&host))
        };
        if cut_off {
            return pending().await;
        }
        anyhow::ensure!(!killed, "a dead host answers nothing");
        let newest = self.sequences.get(host).context("nobody lives at this address")?;
        let step = u64::from(!self.frozen.load(Ordering::Relaxed));
        let sequence = newest.fetch_add(step, Ordering::Relaxed) + step;
        let page = reading::text(Reading { host, sequence });
        self.pages.fetch_add(1, Ordering::Relaxed);
        self.payload.fetch_add(page.len() as u64, Ordering::Relaxed);
        let response = Response::builder().header("Content-Type", "text/plain; version=0.0.4");
        Ok(response.body(Full::new(page.into()))?)
    }
}
