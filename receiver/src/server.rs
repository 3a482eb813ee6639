//! HTTP server of the receiver.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::MutexGuard;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::{JoinHandle, JoinSet};

use crate::faults::Faults;
use crate::headers::PATH;
use crate::ledger::Ledger;
use crate::reserved_address::{ReservedAddress, bind};
use crate::service::Service;
use crate::shared::{SharedLedger, TimedOut};

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;
/// Time to wait after a failed accept: the process is out of descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(20);

/// Settings of a receiver.
#[derive(Clone, Debug)]
pub struct ReceiverSettings {
    /// Address to listen on. Port 0 chooses a free port.
    pub address: SocketAddr,
    /// Longest body as sent, in bytes; more is answered with 413.
    pub max_body: usize,
    /// Longest decompressed body, in bytes; more is answered with 400.
    pub max_message: usize,
    /// Most concurrent connections; more are closed at once.
    pub max_connections: usize,
}

impl Default for ReceiverSettings {
    /// A free port of the loopback interface and the bounds of a generous engine.
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            max_body: 16 << 20,
            max_message: 32 << 20,
            max_connections: 1024,
        }
    }
}

/// A running receiver. Stops when it is dropped.
pub struct Receiver {
    /// Kept while the receiver is paused.
    address: ReservedAddress,
    service: Service,
    max_connections: usize,
    running: Option<Running>,
}

/// Task that accepts connections. It ends when `stop` is dropped.
struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Receiver {
    /// Starts a receiver with an empty ledger. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub fn start(settings: ReceiverSettings) -> io::Result<Self> {
        Self::start_with(SharedLedger::default(), settings)
    }

    /// Starts a receiver that fills this ledger. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub fn start_with(ledger: SharedLedger, settings: ReceiverSettings) -> io::Result<Self> {
        let address = ReservedAddress::new(settings.address)?;
        let ReceiverSettings { max_body, max_message, max_connections, .. } = settings;
        let service = Service { ledger, faults: Faults::default(), max_body, max_message };
        let mut receiver = Self { address, service, max_connections, running: None };
        receiver.resume()?;
        Ok(receiver)
    }

    /// URL to send requests to.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}{PATH}", self.address())
    }

    /// Address the receiver listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address.address()
    }

    /// Switches for faults.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.service.faults
    }

    /// Locks the ledger. Requests wait meanwhile.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.service.ledger.lock()
    }

    /// Handle to the ledger, for other tasks and other receivers.
    #[must_use]
    pub fn shared_ledger(&self) -> SharedLedger {
        self.service.ledger.clone()
    }

    /// Waits until the condition holds, which is checked after each request.
    ///
    /// # Errors
    /// If the condition does not hold within the time; the error shows the ledger.
    pub async fn wait_until(
        &self,
        limit: Duration,
        condition: impl FnMut(&Ledger) -> bool,
    ) -> Result<(), TimedOut> {
        self.service.ledger.wait_until(limit, condition).await
    }

    /// Closes the listener and all connections. The port stays reserved: connections to it are
    /// refused. Requests in flight get no answer.
    pub async fn pause(&mut self) {
        let Some(Running { stop, task }) = self.running.take() else { return };
        drop(stop);
        // The task only fails if it panics, and then nothing listens either.
        let _ = task.await;
    }

    /// Listens again on the same address. Does nothing if the receiver is not paused.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub fn resume(&mut self) -> io::Result<()> {
        if self.running.is_some() {
            return Ok(());
        }
        let listener = bind(self.address())?.listen(BACKLOG)?;
        let (stop, stopped) = oneshot::channel();
        let connections = Connections {
            service: self.service.clone(),
            free: Arc::new(Semaphore::new(self.max_connections)),
            tasks: JoinSet::new(),
        };
        let task = tokio::spawn(connections.run(listener, stopped));
        self.running = Some(Running { stop, task });
        Ok(())
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("address", &self.address())
            .field("paused", &self.running.is_none())
            .finish_non_exhaustive()
    }
}

struct Connections {
    service: Service,
    free: Arc<Semaphore>,
    tasks: JoinSet<()>,
}

impl Connections {
    async fn run(mut self, listener: TcpListener, mut stopped: oneshot::Receiver<()>) {
        loop {
            tokio::select! {
                _ = &mut stopped => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => self.serve(stream),
                    Err(_) => tokio::time::sleep(ACCEPT_RETRY).await,
                },
                Some(_) = self.tasks.join_next() => {}
            }
        }
        drop(listener);
        self.tasks.shutdown().await;
    }

    fn serve(&mut self, stream: TcpStream) {
        self.service.ledger.update(Ledger::note_connection);
        let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() else { return };
        let service = self.service.clone();
        self.tasks.spawn(async move {
            let _permit = permit;
            let handler = service_fn(move |request| service.clone().handle(request));
            // Small answers wait for nothing.
            let _ = stream.set_nodelay(true);
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), handler);
            // Errors are those of the peer, or intended cuts.
            let _ = connection.await;
        });
    }
}
