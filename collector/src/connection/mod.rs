//! An agent's connection: one task that passes bytes between its `transport` and its `session`.
//!
//! An idle connection owns no buffer: it reads into a buffer of its thread. Three things wake it:
//! its socket, a signal on its [`ConnectionHandle`](crate::peers::handle::ConnectionHandle), and
//! the ticker after its deadline. It always reads the socket before it checks deadlines.

pub mod session;
pub(crate) mod transport;

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use fleetgauge_proto::Code;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;

use crate::clock::{Millis, ROUNDED};
use crate::peers::close_reason::CloseReason;
use crate::telemetry::log_limiter::{log_count, shortened};
use session::Session;
use transport::{HANDSHAKE_FAILURE, ReadEvent, Transport, TransportError};

/// Size of a thread's read buffer: some hundreds of reports.
const SCRATCH_BYTES: usize = 64 * 1024;
/// Maximum time for the peer to read some of the unsent output, in milliseconds.
const WRITE_TIMEOUT: Millis = 10_000;
/// Maximum time and maximum input bytes of a connection that lingers after a Reject.
const LINGER_TIME: Duration = Duration::from_secs(1);
const LINGER_BYTES: u64 = 64 * 1024;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH_BYTES].into());
}

/// The task of an agent's connection. Completes when the session has ended and all output is sent.
/// It implements `Future` by hand, because an `async fn` would store its state twice.
pub(crate) struct Connection {
    /// `None` once the socket was handed to [`linger`].
    transport: Option<Transport>,
    session: Session,
    unsent: Option<Box<Unsent>>,
}

/// Together with tokio's header the task takes an allocation of 256 bytes. With one word more, the
/// allocation would be 384 bytes.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
const _: () = assert!(size_of::<Connection>() <= 144);

/// Output that the socket has not taken yet.
struct Unsent {
    bytes: Vec<u8>,
    /// Time by which the peer must have read some of the bytes.
    deadline: Millis,
}

impl Future for Connection {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.drive(cx));
        let code = match self.session.close_reason() {
            Some(CloseReason::Rejected(code)) => Some(code),
            Some(CloseReason::Tls | CloseReason::TlsNotEnabled) => Some(Code::Unauthorized),
            _ => None,
        };
        if let (Some(code), Some(transport)) = (code, self.transport.take()) {
            let collector = self.session.collector();
            match collector.admission.linger(code) {
                Some(permit) => {
                    drop(collector.tasks.spawn(linger(transport.into_stream(), permit)));
                }
                None => drop(collector.telemetry.metrics.lingers_skipped.inc()),
            }
        }
        Poll::Ready(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let collector = self.session.collector();
        collector.admission.dismiss(self.session.handle(), collector.clock.now());
    }
}

impl Connection {
    /// Creates the task of an accepted connection.
    pub(crate) fn new(transport: Transport, session: Session) -> Self {
        Self { transport: Some(transport), session, unsent: None }
    }

    /// Drives the connection. Ready once the session has ended and its output is sent or cannot be
    /// sent.
    fn drive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.session.handle().register(cx.waker());
        loop {
            let flushed = self.flush(cx);
            if let Poll::Ready(Err(_)) = flushed {
                self.session.lost(CloseReason::Reset);
                return Poll::Ready(());
            }
            if self.session.close_reason().is_some() && flushed.is_ready() {
                return Poll::Ready(());
            }
            if flushed.is_ready() && self.read(cx).is_ready() {
                continue;
            }
            if !self.tick() {
                return Poll::Pending;
            }
        }
    }

    /// Writes unsent output to the socket. Ready once all is written.
    fn flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let (Some(unsent), Some(transport)) = (&mut self.unsent, &mut self.transport) {
            let written = ready!(transport.poll_write(cx, &unsent.bytes))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let collector = self.session.collector();
            collector.telemetry.metrics.sent_bytes.inc_by(written as u64);
            unsent.bytes.drain(..written);
            unsent.deadline = collector.clock.now() + ROUNDED + WRITE_TIMEOUT;
            if unsent.bytes.is_empty() {
                self.unsent = None;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Reads once from the transport and passes the result to the session. Pending if there is no
    /// input.
    fn read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(transport) = &mut self.transport else { return Poll::Pending };
        let session = &mut self.session;
        let now = session.collector().clock.now() + ROUNDED;
        let (mut answer, mut out, mut verified) = (Vec::new(), Vec::new(), None);
        let (is_new, mut speaks_tls) = (session.is_new(), false);
        let read = ready!(SCRATCH.with_borrow_mut(|scratch| {
            transport.poll_read(cx, scratch, &mut answer, |event| match event {
                ReadEvent::Established(presented) => verified = session.verify(presented, &mut out),
                ReadEvent::ClientHello(_) if is_new => speaks_tls = true,
                ReadEvent::ClientHello(bytes) | ReadEvent::Bytes(bytes) => {
                    session.received(bytes, now, &mut out);
                }
                ReadEvent::End => session.finished(&mut out),
            })
        }));
        if let (Transport::Tls(tls), Some(verified)) = (transport, verified) {
            tls.set_verified(verified);
        }
        if speaks_tls {
            self.tls_not_enabled(&mut answer);
        }
        if let Err(error) = read {
            self.failed(&error, &mut answer, &mut out);
        }
        self.queue(answer, now);
        self.send(out, now);
        if let Some(accepted) = self.session.take_accepted() {
            let seconds = accepted.elapsed().as_secs_f64();
            self.session.collector().telemetry.metrics.handshake_seconds.observe(seconds);
        }
        Poll::Ready(())
    }

    /// Answers a TLS client on a port without TLS with a TLS alert, because the client does not
    /// understand a Reject.
    fn tls_not_enabled(&mut self, answer: &mut Vec<u8>) {
        let (collector, address) = (self.session.collector(), self.session.handle().address());
        let kind = ("TLS connection rejected; TLS is not enabled", "");
        log_count!(
            collector, kind, warn, "TLS connection rejected; TLS is not enabled", %address
        );
        answer.extend(HANDSHAKE_FAILURE);
        self.session.lost(CloseReason::TlsNotEnabled);
    }

    /// Ends the session after a transport error. Appends bytes for the socket to `answer`, and
    /// bytes that TLS must encrypt to `out`.
    fn failed(&mut self, error: &TransportError, answer: &mut Vec<u8>, out: &mut Vec<u8>) {
        match error {
            TransportError::Plain => self.session.tls_required(answer),
            TransportError::Socket(_) => self.session.lost(CloseReason::Reset),
            TransportError::Memory => self.session.out_of_memory(out),
            TransportError::Tls(_) | TransportError::TooLong | TransportError::Unfinished => {
                let (collector, address) =
                    (self.session.collector(), self.session.handle().address());
                let (kind, text) = (("TLS connection failed", ""), error.to_string());
                let text = shortened(&text);
                log_count!(collector, kind, warn, "TLS connection failed", %address, error = text);
                self.session.lost(match error {
                    TransportError::Unfinished => CloseReason::TlsUnfinished,
                    _ => CloseReason::Tls,
                });
            }
        }
    }

    /// Lets the session handle signals and deadlines. Returns whether it made output or ended.
    fn tick(&mut self) -> bool {
        let now = self.session.collector().clock.now();
        if self.unsent.as_ref().is_some_and(|unsent| unsent.deadline <= now) {
            self.session.lost(CloseReason::WriteTimeout);
            self.unsent = None;
            return true;
        }
        let before = self.session.close_reason();
        if self.unsent.is_some() {
            self.session.restart_frame_timeout(now);
        }
        let mut out = Vec::new();
        let expires = self.verify_again(&mut out);
        self.session.tick(now, &mut out);
        let progress = !out.is_empty() || self.session.close_reason() != before;
        self.send(out, now + ROUNDED);
        let write_deadline = self.unsent.as_ref().map_or(Millis::MAX, |unsent| unsent.deadline);
        let deadline = self.session.deadline().min(write_deadline);
        self.session.handle().set_deadline(deadline.min(now.saturating_add(expires)));
        progress
    }

    /// Verifies the client certificate again after a reload and after its expiry. Returns the time
    /// until it expires, in milliseconds.
    fn verify_again(&mut self, out: &mut Vec<u8>) -> Millis {
        let Some(Transport::Tls(tls)) = &mut self.transport else { return Millis::MAX };
        let collector = self.session.collector();
        let (generation, unix) = (collector.auth.generation(), collector.clock.moment().unix);
        if self.session.close_reason().is_none()
            && let Some(presented) = tls.presented_to_verify(generation, unix)
            && let Some(verified) = self.session.verify(presented, out)
        {
            tls.set_verified(verified);
        }
        tls.expires().saturating_sub(unix).saturating_add(1).saturating_mul(1_000)
    }

    /// Queues output of the session, encrypted if the connection uses TLS.
    fn send(&mut self, bytes: Vec<u8>, now: Millis) {
        if let Some(transport) = &mut self.transport
            && !bytes.is_empty()
        {
            let sealed = transport.seal(bytes, self.session.close_reason().is_some());
            self.queue(sealed, now);
        }
    }

    /// Queues bytes that are written to the socket as they are.
    fn queue(&mut self, bytes: Vec<u8>, now: Millis) {
        if let Some(unsent) = &mut self.unsent {
            unsent.bytes.extend(bytes);
        } else if !bytes.is_empty() {
            self.unsent = Some(Box::new(Unsent { bytes, deadline: now + WRITE_TIMEOUT }));
        }
    }
}

/// Shuts down the sending side after a Reject, and discards input for a while. Otherwise unread
/// input would make the kernel reset the connection, and the peer could lose the Reject.
pub(crate) async fn linger(mut stream: TcpStream, permit: OwnedSemaphorePermit) {
    let discard = async {
        stream.shutdown().await?;
        tokio::io::copy(&mut (&mut stream).take(LINGER_BYTES), &mut tokio::io::sink()).await
    };
    // The outcome does not matter: the connection is closed.
    let _ = tokio::time::timeout(LINGER_TIME, discard).await;
    drop(permit);
}
