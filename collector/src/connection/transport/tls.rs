//! TLS over a socket with the unbuffered API of rustls. Between reads, only an
//! incomplete record or handshake message is kept.

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

use super::{ReadEvent, TransportError};
use crate::limits::memory_budget::{MemoryBudget, Reservation, TLS_BYTES};
use crate::tls::{PortTls, PresentedChain, Verified};

/// Maximum size of a TLS record in bytes: header, 16 KiB of content, 2 KiB of encryption overhead.
/// Also the maximum size of a handshake message.
pub(super) const RECORD_BYTES: usize = 5 + 16 * 1024 + 2 * 1024;

/// The server side of a TLS connection.
pub(crate) struct Tls {
    stream: TcpStream,
    connection: UnbufferedServerConnection,
    /// The last verification of the peer's certificate chain.
    verified: Verified,
    /// Reservation of memory for the TLS state.
    reservation: Reservation,
    /// A record or handshake message that is only partly received.
    unfinished: Option<Box<Unfinished>>,
    /// Whether enough bytes were read to distinguish TLS from a plain frame.
    begun: bool,
    /// Whether the TLS handshake has finished and TLS has not failed.
    established: bool,
}

/// A record or handshake message that is only partly received.
struct Unfinished {
    bytes: Vec<u8>,
    /// Reservation of memory for `bytes`; `None` if the memory limit is reached, which ends the
    /// session.
    _reservation: Option<Reservation>,
}

impl Tls {
    /// Creates the server side of a connection. Returns the stream if the memory budget is
    /// exhausted.
    pub(super) fn accept(
        stream: TcpStream,
        port: &Arc<PortTls>,
        budget: &Arc<MemoryBudget>,
    ) -> Result<Self, TcpStream> {
        let Some(reservation) = budget.reserve(TLS_BYTES) else { return Err(stream) };
        Ok(Self {
            stream,
            connection: port.accept(),
            verified: Verified {
                verifier: Arc::clone(port.clients()),
                generation: 0,
                expires: u64::MAX,
            },
            reservation,
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
        on_event: &mut dyn FnMut(ReadEvent<'_>),
    ) -> Poll<Result<(), TransportError>> {
        let kept = self.unfinished.as_ref().map_or(0, |unfinished| unfinished.bytes.len());
        let mut buffer = ReadBuf::new(&mut scratch[kept..]);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
        let len = kept + buffer.filled().len();
        if len == kept {
            if self.begun && !self.established {
                return Poll::Ready(Err(TransportError::Unfinished));
            }
            on_event(ReadEvent::End);
            return Poll::Ready(Ok(()));
        }
        if let Some(unfinished) = self.unfinished.take() {
            scratch[..kept].copy_from_slice(&unfinished.bytes);
        }
        if !self.begun {
            self.begun = len >= MAGIC.len();
            if scratch[..len].starts_with(&MAGIC) {
                return Poll::Ready(Err(TransportError::Plain));
            }
        }
        let used = self.open(&mut scratch[..len], answer, on_event)?;
        Poll::Ready(self.keep(&scratch[used..len]))
    }

    /// Keeps the bytes that rustls has not used.
    fn keep(&mut self, rest: &[u8]) -> Result<(), TransportError> {
        if rest.len() > RECORD_BYTES {
            return Err(TransportError::TooLong);
        }
        if rest.is_empty() {
            return Ok(());
        }
        let reservation = self.reservation.budget().reserve(rest.len());
        let kept = if reservation.is_some() { Ok(()) } else { Err(TransportError::Memory) };
        self.unfinished =
            Some(Box::new(Unfinished { bytes: rest.to_vec(), _reservation: reservation }));
        kept
    }

    /// Decrypts the records in `input`. Returns the number of bytes used. The plaintext of one read
    /// is one event, so that bytes after Hello are detected in the same way as without TLS.
    fn open(
        &mut self,
        input: &mut [u8],
        answer: &mut Vec<u8>,
        on_event: &mut dyn FnMut(ReadEvent<'_>),
    ) -> Result<usize, rustls::Error> {
        let mut bytes = Vec::new();
        let opened = self.open_records(input, answer, &mut bytes, on_event);
        if self.established && !bytes.is_empty() {
            on_event(ReadEvent::Bytes(&bytes));
        }
        let (used, ended) = opened?;
        if ended {
            on_event(ReadEvent::End);
        }
        Ok(used)
    }

    /// Decrypts the records in `input` and appends their plaintext to `bytes`. Returns the number
    /// of input bytes used, and whether the peer has closed the stream.
    fn open_records(
        &mut self,
        input: &mut [u8],
        answer: &mut Vec<u8>,
        bytes: &mut Vec<u8>,
        on_event: &mut dyn FnMut(ReadEvent<'_>),
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
                    append(answer, |buffer| data.encode(buffer))
                }
                ConnectionState::TransmitTlsData(sent) => sent.done(),
                ConnectionState::PeerClosed | ConnectionState::Closed => ended = Some(true),
                _ => ended = Some(false),
            }
            used += discard;
            if !self.established && !self.connection.is_handshaking() {
                self.established = true;
                on_event(ReadEvent::Established(self.presented()));
            }
            if let Some(ended) = ended {
                break ended;
            }
        };
        Ok((used, ended))
    }

    /// Returns the peer's certificate chain.
    fn presented(&self) -> PresentedChain<'_> {
        let chain = self.connection.peer_certificates();
        PresentedChain { verified_by: &self.verified.verifier, chain }
    }

    /// Returns the peer's chain if it was verified under another policy generation, or has expired.
    pub(crate) fn presented_to_verify(
        &self,
        generation: u32,
        unix: u64,
    ) -> Option<PresentedChain<'_>> {
        let Verified { generation: before, expires, .. } = self.verified;
        (self.established && (before != generation || expires < unix)).then(|| self.presented())
    }

    /// Stores the result of a verification of the peer's certificate chain.
    pub(crate) fn set_verified(&mut self, verified: Verified) {
        self.verified = verified;
    }

    /// Returns the last second in which the peer's certificate is valid, in unix time.
    pub(crate) fn expires(&self) -> u64 {
        self.verified.expires
    }

    /// Appends the alert for a TLS failure to `answer`. Call this only once: rustls returns the
    /// alert once, before it processes further input.
    fn fail(&mut self, input: &mut [u8], answer: &mut Vec<u8>) {
        self.established = false;
        if let Ok(ConnectionState::EncodeTlsData(mut alert)) =
            self.connection.process_tls_records(input).state
        {
            append(answer, |buffer| alert.encode(buffer));
        }
    }

    /// Encrypts bytes, followed by a close notification if they are the last. Returns no bytes
    /// before the TLS handshake has finished.
    pub(super) fn seal(&mut self, bytes: &[u8], is_last: bool) -> Vec<u8> {
        let mut sealed = Vec::new();
        // rustls must see the input again that it has not used: part of a handshake message.
        let seen = self.unfinished.as_mut().map_or(&mut [][..], |unfinished| &mut unfinished.bytes);
        while self.established {
            match self.connection.process_tls_records(seen).state {
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    append(&mut sealed, |buffer| traffic.encrypt(bytes, buffer));
                    if is_last {
                        append(&mut sealed, |buffer| traffic.queue_close_notify(buffer));
                    }
                    break;
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    append(&mut sealed, |buffer| data.encode(buffer));
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

/// A rustls error that can state the buffer size needed.
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

/// Appends the output of `write` to `to`. The first call of `write` only returns the size needed.
fn append<E: Short>(to: &mut Vec<u8>, mut write: impl FnMut(&mut [u8]) -> Result<usize, E>) {
    let start = to.len();
    let Some(required) = write(&mut []).err().and_then(|error| error.required()) else { return };
    to.resize(start + required, 0);
    let written = write(&mut to[start..]).unwrap_or(0);
    to.truncate(start + written);
}
