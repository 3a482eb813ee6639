//! The thin loop between a socket and its session: one task a connection.
//!
//! A connection that is idle owns no buffer. It reads into a buffer of its thread, and is woken by its socket, by
//! signals raised on its [`Peer`](crate::peer::Peer), and by the sweep when its deadline has come. What the socket
//! holds is always read before a deadline is judged.

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
use crate::ending::Ending;
use crate::session::Session;
use crate::transport::{Broken, HANDSHAKE_FAILURE, Heard, Transport};
use crate::untold::{log_count, shortened};

/// What is read at once: some hundreds of reports.
const SCRATCH_BYTES: usize = 64 * 1024;
/// Time for a peer to take what was sent to it.
const WRITE_TIMEOUT: Millis = 10_000;
/// How long, and over how many bytes of input, a connection is kept open after a Reject so that it arrives.
const LINGER_TIME: Duration = Duration::from_secs(1);
const LINGER_BYTES: u64 = 64 * 1024;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH_BYTES].into());
}

/// One connection; done once its session has ended and its last words are out. It is the task itself, not an
/// `async fn` around one, so that nothing of it is kept twice.
pub(crate) struct Connection {
    /// `None` once it has been handed on to linger.
    transport: Option<Transport>,
    session: Session,
    unsent: Option<Box<Unsent>>,
}

/// With what tokio keeps of a task that is a block of 256 bytes; a word more, and it is one of 384.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
const _: () = assert!(size_of::<Connection>() <= 144);

/// What waits for the peer to read, as it goes over the wire.
struct Unsent {
    bytes: Vec<u8>,
    /// When the peer must have taken some of it.
    deadline: Millis,
}

impl Future for Connection {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.drive(cx));
        let code = match self.session.ending() {
            Some(Ending::Rejected(code)) => Some(code),
            Some(Ending::Tls | Ending::TlsNotEnabled) => Some(Code::Unauthorized),
            _ => None,
        };
        if let (Some(code), Some(transport)) = (code, self.transport.take()) {
            let shared = self.session.shared();
            match shared.linger(code) {
                Some(place) => drop(shared.tasks.spawn(linger(transport.into_stream(), place))),
                None => drop(shared.metrics.lingers_skipped.inc()),
            }
        }
        Poll::Ready(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.session.shared().dismiss(self.session.peer());
    }
}

impl Connection {
    /// A connection that was just accepted.
    pub(crate) fn new(transport: Transport, session: Session) -> Self {
        Self { transport: Some(transport), session, unsent: None }
    }

    /// Ready once the session has ended and what it said is sent or cannot be.
    fn drive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.session.peer().register(cx.waker());
        loop {
            let flushed = self.flush(cx);
            if let Poll::Ready(Err(_)) = flushed {
                self.session.lost(Ending::Reset);
                return Poll::Ready(());
            }
            if self.session.ending().is_some() && flushed.is_ready() {
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

    /// Ready once nothing is left unsent.
    fn flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let (Some(unsent), Some(transport)) = (&mut self.unsent, &mut self.transport) {
            let written = ready!(transport.poll_write(cx, &unsent.bytes))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let shared = self.session.shared();
            shared.metrics.sent_bytes.inc_by(written as u64);
            unsent.bytes.drain(..written);
            unsent.deadline = shared.clock.now() + ROUNDED + WRITE_TIMEOUT;
            if unsent.bytes.is_empty() {
                self.unsent = None;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Ready if something was read and given to the session.
    fn read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(transport) = &mut self.transport else { return Poll::Pending };
        let session = &mut self.session;
        let now = session.shared().clock.now() + ROUNDED;
        let (mut answer, mut out, mut verdict) = (Vec::new(), Vec::new(), None);
        let (is_new, mut speaks_tls) = (session.is_new(), false);
        let read = ready!(SCRATCH.with_borrow_mut(|scratch| {
            transport.poll_read(cx, scratch, &mut answer, |heard| match heard {
                Heard::Secured(proof) => verdict = session.judge(proof, &mut out),
                Heard::ClientHello(_) if is_new => speaks_tls = true,
                Heard::ClientHello(bytes) | Heard::Bytes(bytes) => {
                    session.received(bytes, now, &mut out);
                }
                Heard::End => session.finished(&mut out),
            })
        }));
        if let (Transport::Tls(tls), Some(verdict)) = (transport, verdict) {
            tls.settle(verdict);
        }
        if speaks_tls {
            self.tls_not_enabled(&mut answer);
        }
        if let Err(broken) = read {
            self.broken(&broken, &mut answer, &mut out);
        }
        self.queue(answer, now);
        self.say(out, now);
        if let Some(accepted) = self.session.take_accepted() {
            let seconds = accepted.elapsed().as_secs_f64();
            self.session.shared().metrics.handshake_seconds.observe(seconds);
        }
        Poll::Ready(())
    }

    /// The peer begins TLS on a port without it: a TLS alert is all that it understands.
    fn tls_not_enabled(&mut self, answer: &mut Vec<u8>) {
        let (shared, address) = (self.session.shared(), self.session.peer().address());
        let kind = ("TLS is not enabled on this port", "");
        log_count!(shared, kind, warn, "TLS is not enabled on this port", %address);
        answer.extend(HANDSHAKE_FAILURE);
        self.session.lost(Ending::TlsNotEnabled);
    }

    /// Ends the session; `answer` is sent as it is, and `out` under TLS, where that is established.
    fn broken(&mut self, broken: &Broken, answer: &mut Vec<u8>, out: &mut Vec<u8>) {
        match broken {
            Broken::Plain => self.session.tls_required(answer),
            Broken::Socket(_) => self.session.lost(Ending::Reset),
            Broken::Memory => self.session.no_room(out),
            Broken::Tls(_) | Broken::TooLong | Broken::Unfinished => {
                let (shared, address) = (self.session.shared(), self.session.peer().address());
                let (kind, text) = (("TLS failed", ""), broken.to_string());
                let text = shortened(&text);
                log_count!(shared, kind, warn, "TLS failed", %address, broken = text);
                self.session.lost(match broken {
                    Broken::Unfinished => Ending::TlsUnfinished,
                    _ => Ending::Tls,
                });
            }
        }
    }

    /// Lets the session look at signals and the time; whether there is anything to do after that.
    fn tick(&mut self) -> bool {
        let now = self.session.shared().clock.now();
        if self.unsent.as_ref().is_some_and(|unsent| unsent.deadline <= now) {
            self.session.lost(Ending::WriteTimeout);
            self.unsent = None;
            return true;
        }
        let before = self.session.ending();
        if self.unsent.is_some() {
            self.session.not_read(now);
        }
        let mut out = Vec::new();
        let expires = self.judge_again(&mut out);
        self.session.tick(now, &mut out);
        let progress = !out.is_empty() || self.session.ending() != before;
        self.say(out, now + ROUNDED);
        let write_deadline = self.unsent.as_ref().map_or(Millis::MAX, |unsent| unsent.deadline);
        let deadline = self.session.deadline().min(write_deadline);
        self.session.peer().set_deadline(deadline.min(now.saturating_add(expires)));
        progress
    }

    /// Has what the peer has shown for itself judged again when the rules have changed, and when it has expired. In how
    /// many milliseconds that will be.
    fn judge_again(&mut self, out: &mut Vec<u8>) -> Millis {
        let Some(Transport::Tls(tls)) = &mut self.transport else { return Millis::MAX };
        let shared = self.session.shared();
        let (rules, unix) = (shared.rules(), shared.clock.moment().unix);
        if self.session.ending().is_none()
            && let Some(proof) = tls.proof_to_judge(rules, unix)
            && let Some(verdict) = self.session.judge(proof, out)
        {
            tls.settle(verdict);
        }
        tls.expires().saturating_sub(unix).saturating_add(1).saturating_mul(1_000)
    }

    /// Sends what the session says.
    fn say(&mut self, bytes: Vec<u8>, now: Millis) {
        if let Some(transport) = &mut self.transport
            && !bytes.is_empty()
        {
            let sealed = transport.seal(bytes, self.session.ending().is_some());
            self.queue(sealed, now);
        }
    }

    /// Sends bytes as they are.
    fn queue(&mut self, bytes: Vec<u8>, now: Millis) {
        if let Some(unsent) = &mut self.unsent {
            unsent.bytes.extend(bytes);
        } else if !bytes.is_empty() {
            self.unsent = Some(Box::new(Unsent { bytes, deadline: now + WRITE_TIMEOUT }));
        }
    }
}

/// Closing with unread input would destroy the Reject on its way: closes the sending side and discards what comes.
pub(crate) async fn linger(mut stream: TcpStream, place: OwnedSemaphorePermit) {
    let discard = async {
        stream.shutdown().await?;
        tokio::io::copy(&mut (&mut stream).take(LINGER_BYTES), &mut tokio::io::sink()).await
    };
    // Whatever the peer does in this second, the connection is over.
    let _ = tokio::time::timeout(LINGER_TIME, discard).await;
    drop(place);
}
