//! A fake collector that the test controls: it sends messages and waits for those of the agent.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;

use fleetgauge_proto::message::{Message, Welcome};
use fleetgauge_proto::{Accept, FrameBuffer, Limits, VERSION};

use crate::process::TEST_TIMEOUT;

/// Time of the collector at each Welcome, in milliseconds since the Unix epoch.
pub(crate) const UNIX_MS: u64 = 1_767_225_600_000;

pub(crate) struct Collector(TcpListener);

impl Collector {
    pub(crate) fn bind() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    pub(crate) fn address(&self) -> String {
        self.0.local_addr().unwrap().to_string()
    }

    /// Accepts a connection.
    pub(crate) fn accept(&self) -> Peer {
        let (sender, accepted) = mpsc::channel();
        let listener = self.0.try_clone().unwrap();
        std::thread::spawn(move || sender.send(listener.accept()));
        let (stream, _) = accepted.recv_timeout(TEST_TIMEOUT).unwrap().unwrap();
        stream.set_read_timeout(Some(TEST_TIMEOUT)).unwrap();
        Peer { stream, pending: Vec::new() }
    }

    /// Accepts a connection, receives Hello and sends Welcome with known catalogs.
    pub(crate) fn welcome(&self, interval_ms: u32) -> Peer {
        let mut peer = self.accept();
        peer.receive(|message| assert!(matches!(message, Message::Hello(_)), "{message:?}"));
        peer.send(&welcome(interval_ms, true));
        peer
    }
}

/// Returns a Welcome with this interval.
pub(crate) fn welcome(interval_ms: u32, catalogs_known: bool) -> Message<'static> {
    Message::Welcome(Welcome {
        version: VERSION,
        capabilities: 0,
        session_id: 1,
        interval_ms,
        unix_ms: UNIX_MS,
        limits: Limits::default(),
        catalogs_known: if catalogs_known { u16::MAX } else { 0 },
        extensions: Vec::new(),
    })
}

/// The collector's side of a connection.
pub(crate) struct Peer<S = TcpStream> {
    pub(crate) stream: S,
    pending: Vec<u8>,
}

impl Peer {
    /// Wraps the stream of the connection.
    pub(crate) fn over<S>(self, wrap: impl FnOnce(TcpStream) -> S) -> Peer<S> {
        Peer { stream: wrap(self.stream), pending: self.pending }
    }
}

impl<S: Read + Write> Peer<S> {
    pub(crate) fn send(&mut self, message: &Message<'_>) {
        let mut bytes = Vec::new();
        message.encode(VERSION, &mut bytes).unwrap();
        self.send_bytes(&bytes);
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Receives a message and passes it to `check`.
    pub(crate) fn receive<T>(&mut self, check: impl FnOnce(Message<'_>) -> T) -> T {
        loop {
            let accept = Accept { version: VERSION, max_payload_bytes: 1 << 20 };
            let (mut frames, mut rest) = (FrameBuffer::default(), &*self.pending);
            if let Some(frame) = frames.next(&mut rest, accept).unwrap() {
                let result = check(Message::decode(frame).unwrap());
                let used = self.pending.len() - rest.len();
                self.pending.drain(..used);
                return result;
            }
            assert!(self.read(), "the agent closed the connection");
        }
    }

    /// Receives a message other than Report and passes it to `check`.
    pub(crate) fn receive_non_report<T>(&mut self, mut check: impl FnMut(Message<'_>) -> T) -> T {
        loop {
            let result = self.receive(|message| match message {
                Message::Report(_) => None,
                other => Some(check(other)),
            });
            if let Some(result) = result {
                return result;
            }
        }
    }

    /// Waits until the agent closes the connection.
    pub(crate) fn wait_for_close(mut self) {
        while self.read() {}
    }

    fn read(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let read = read_some(&mut self.stream, &mut buffer).unwrap();
        self.pending.extend_from_slice(&buffer[..read]);
        read > 0
    }
}

/// Reads what has arrived. Repeats a read that a signal, or a suspended machine, interrupted: the
/// kernel does not restart a read with a timeout.
fn read_some(from: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    loop {
        match from.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}
