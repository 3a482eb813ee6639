//! TLS over a socket, record by record, with rustls' unbuffered interface: what is not a whole record yet is all that is
//! kept between two reads.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use fleetgauge_proto::frame::MAGIC;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus,
};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

use super::{Broken, Heard};
use crate::budget::{Budget, Held, TLS_BYTES};
use crate::tls::{PortTls, Proof, Verdict};

/// The longest record that TLS has: its head and 16 KiB, which encryption may expand by 2 KiB. No flight of a client's
/// handshake is longer either, or it is refused.
pub(super) const RECORD_BYTES: usize = 5 + 16 * 1024 + 2 * 1024;

/// A connection under TLS.
pub(crate) struct Tls {
    stream: TcpStream,
    connection: UnbufferedServerConnection,
    /// By whom the peer was found good, and until when.
    verdict: Verdict,
    /// Its share of the budget.
    held: Held,
    /// What has come of a record that is not whole, or of a handshake's message.
    unfinished: Option<Box<Unfinished>>,
    /// Enough has come to tell TLS from a frame.
    begun: bool,
    /// What was sent may be believed, and what is said is sealed.
    established: bool,
}

/// The beginning of a record.
struct Unfinished {
    bytes: Vec<u8>,
    /// Its share of the budget; `None` if there was none left, and the last is about to be said.
    _held: Option<Held>,
}

impl Tls {
    /// A connection of which nothing has been read yet; the stream comes back if there is no memory for it.
    pub(super) fn accept(
        stream: TcpStream,
        port: &Arc<PortTls>,
        budget: &Arc<Budget>,
    ) -> Result<Self, TcpStream> {
        let Some(held) = budget.hold(TLS_BYTES) else { return Err(stream) };
        Ok(Self {
            stream,
            connection: port.accept(),
            verdict: Verdict { judge: Arc::clone(port.clients()), rules: 0, expires: u64::MAX },
            held,
            unfinished: None,
            begun: false,
            established: false,
        })
    }

    pub(super) fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    pub(super) fn into_stream(self) -> TcpStream {
        self.stream
    }

    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut [u8],
        answer: &mut Vec<u8>,
        hear: &mut dyn FnMut(Heard<'_>),
    ) -> Poll<Result<(), Broken>> {
        let kept = self.unfinished.as_ref().map_or(0, |unfinished| unfinished.bytes.len());
        let mut buffer = ReadBuf::new(&mut scratch[kept..]);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
        let len = kept + buffer.filled().len();
        if len == kept {
            if self.begun && !self.established {
                return Poll::Ready(Err(Broken::Unfinished));
            }
            hear(Heard::End);
            return Poll::Ready(Ok(()));
        }
        if let Some(unfinished) = self.unfinished.take() {
            scratch[..kept].copy_from_slice(&unfinished.bytes);
        }
        if !self.begun {
            self.begun = len >= MAGIC.len();
            if scratch[..len].starts_with(&MAGIC) {
                return Poll::Ready(Err(Broken::Plain));
            }
        }
        let used = self.open(&mut scratch[..len], answer, hear)?;
        Poll::Ready(self.keep(&scratch[used..len]))
    }

    /// Keeps what is not used up.
    fn keep(&mut self, rest: &[u8]) -> Result<(), Broken> {
        if rest.len() > RECORD_BYTES {
            return Err(Broken::TooLong);
        }
        if rest.is_empty() {
            return Ok(());
        }
        let held = self.held.budget().hold(rest.len());
        let kept = if held.is_some() { Ok(()) } else { Err(Broken::Memory) };
        self.unfinished = Some(Box::new(Unfinished { bytes: rest.to_vec(), _held: held }));
        kept
    }

    /// Opens the records in `input` and tells `hear` what is in them; how many of its bytes are used up. What came in one
    /// read is told at once, however many records it is: what follows Hello is seen to follow it, as without TLS.
    fn open(
        &mut self,
        input: &mut [u8],
        answer: &mut Vec<u8>,
        hear: &mut dyn FnMut(Heard<'_>),
    ) -> Result<usize, rustls::Error> {
        let mut bytes = Vec::new();
        let opened = self.open_records(input, answer, &mut bytes, hear);
        if self.established && !bytes.is_empty() {
            hear(Heard::Bytes(&bytes));
        }
        let (used, ended) = opened?;
        if ended {
            hear(Heard::End);
        }
        Ok(used)
    }

    /// Appends what is in the records to `bytes`; how many of the input's are used up, and whether there will be no more.
    fn open_records(
        &mut self,
        input: &mut [u8],
        answer: &mut Vec<u8>,
        bytes: &mut Vec<u8>,
        hear: &mut dyn FnMut(Heard<'_>),
    ) -> Result<(usize, bool), rustls::Error> {
        let mut used = 0;
        let ended = loop {
            let UnbufferedStatus { mut discard, state, .. } =
                self.connection.process_tls_records(&mut input[used..]);
            let state = match state {
                Ok(state) => state,
                Err(error) => {
                    self.fail(&mut input[used + discard..], answer);
                    return Err(error);
                }
            };
            let mut ended = None;
            match state {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        discard += record.discard;
                        bytes.extend_from_slice(record.payload);
                    }
                }
                ConnectionState::EncodeTlsData(mut data) => {
                    append(answer, |room| data.encode(room))
                }
                ConnectionState::TransmitTlsData(sent) => sent.done(),
                ConnectionState::PeerClosed | ConnectionState::Closed => ended = Some(true),
                _ => ended = Some(false),
            }
            used += discard;
            if !self.established && !self.connection.is_handshaking() {
                self.established = true;
                hear(Heard::Secured(self.proof()));
            }
            if let Some(ended) = ended {
                break ended;
            }
        };
        Ok((used, ended))
    }

    /// What the peer has shown for itself.
    fn proof(&self) -> Proof<'_> {
        Proof { judge: &self.verdict.judge, chain: self.connection.peer_certificates() }
    }

    /// What the peer has shown for itself, if it was judged by other rules than these or has expired by now.
    pub(crate) fn proof_to_judge(&self, rules: u32, unix: u64) -> Option<Proof<'_>> {
        let Verdict { rules: before, expires, .. } = self.verdict;
        (self.established && (before != rules || expires < unix)).then(|| self.proof())
    }

    /// The peer was found good.
    pub(crate) fn settle(&mut self, verdict: Verdict) {
        self.verdict = verdict;
    }

    /// The last second in which the peer's certificate is valid, in unix time.
    pub(crate) fn expires(&self) -> u64 {
        self.verdict.expires
    }

    /// Says that TLS has failed, and nothing from then on. The alert comes before the input is looked at again, which must
    /// not happen twice.
    fn fail(&mut self, input: &mut [u8], answer: &mut Vec<u8>) {
        self.established = false;
        if let Ok(ConnectionState::EncodeTlsData(mut alert)) =
            self.connection.process_tls_records(input).state
        {
            append(answer, |room| alert.encode(room));
        }
    }

    /// These bytes as they go over the wire, with the end of all that is said if they are the last; nothing until TLS is
    /// established.
    pub(super) fn seal(&mut self, bytes: &[u8], is_last: bool) -> Vec<u8> {
        let mut sealed = Vec::new();
        // rustls counts on the input being there that it has seen: part of a message of the handshake, maybe.
        let seen = self.unfinished.as_mut().map_or(&mut [][..], |unfinished| &mut unfinished.bytes);
        while self.established {
            match self.connection.process_tls_records(seen).state {
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    append(&mut sealed, |room| traffic.encrypt(bytes, room));
                    if is_last {
                        append(&mut sealed, |room| traffic.queue_close_notify(room));
                    }
                    break;
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    append(&mut sealed, |room| data.encode(room));
                }
                Ok(ConnectionState::TransmitTlsData(sent)) => sent.done(),
                _ => break,
            }
        }
        if is_last {
            self.unfinished = None;
        }
        sealed
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("established", &self.established).finish_non_exhaustive()
    }
}

/// What `write` needs more room for than there is.
trait Short {
    fn required(&self) -> Option<usize>;
}

impl Short for EncodeError {
    fn required(&self) -> Option<usize> {
        match self {
            Self::InsufficientSize(InsufficientSizeError { required_size }) => Some(*required_size),
            Self::AlreadyEncoded => None,
        }
    }
}

impl Short for EncryptError {
    fn required(&self) -> Option<usize> {
        match self {
            Self::InsufficientSize(InsufficientSizeError { required_size }) => Some(*required_size),
            Self::EncryptExhausted => None,
        }
    }
}

/// Appends what `write` writes, in the room that it asks for.
fn append<E: Short>(to: &mut Vec<u8>, mut write: impl FnMut(&mut [u8]) -> Result<usize, E>) {
    let start = to.len();
    let Some(required) = write(&mut []).err().and_then(|error| error.required()) else { return };
    to.resize(start + required, 0);
    let written = write(&mut to[start..]).unwrap_or(0);
    to.truncate(start + written);
}
