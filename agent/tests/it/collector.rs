//! A tiny collector that says what the test tells it to, and waits for what the agent should say.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;

use fleetgauge_proto::message::{Message, Welcome};
use fleetgauge_proto::{Accept, FrameBuffer, Limits, VERSION};

use crate::process::PATIENCE;

pub(crate) struct Collector(TcpListener);

impl Collector {
    pub(crate) fn bind() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    pub(crate) fn address(&self) -> String {
        self.0.local_addr().unwrap().to_string()
    }

    /// The next connection.
    pub(crate) fn accept(&self) -> Peer {
        let (tell, accepted) = mpsc::channel();
        let listener = self.0.try_clone().unwrap();
        std::thread::spawn(move || tell.send(listener.accept()));
        let (stream, _) = accepted.recv_timeout(PATIENCE).unwrap().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Peer { stream, pending: Vec::new() }
    }

    /// The next connection, its Hello heard and answered; the schema counts as known.
    pub(crate) fn welcome(&self, interval_ms: u32) -> Peer {
        let mut peer = self.accept();
        peer.hear(|message| assert!(matches!(message, Message::Hello(_)), "{message:?}"));
        peer.say(&welcome(interval_ms, true));
        peer
    }
}

/// A Welcome that asks for reports this often.
pub(crate) fn welcome(interval_ms: u32, schema_known: bool) -> Message<'static> {
    Message::Welcome(Welcome {
        version: VERSION,
        capabilities: 0,
        session_id: 1,
        interval_ms,
        limits: Limits::default(),
        schema_known,
        extensions: Vec::new(),
    })
}

/// The collector's end of a connection.
pub(crate) struct Peer<S = TcpStream> {
    pub(crate) stream: S,
    pending: Vec<u8>,
}

impl Peer {
    /// The same connection, something else spoken over it.
    pub(crate) fn over<S>(self, wrap: impl FnOnce(TcpStream) -> S) -> Peer<S> {
        Peer { stream: wrap(self.stream), pending: self.pending }
    }
}

impl<S: Read + Write> Peer<S> {
    pub(crate) fn say(&mut self, message: &Message<'_>) {
        let mut bytes = Vec::new();
        message.encode(VERSION, &mut bytes).unwrap();
        self.say_bytes(&bytes);
    }

    pub(crate) fn say_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Waits for one message and shows it to `see`.
    pub(crate) fn hear<T>(&mut self, see: impl FnOnce(Message<'_>) -> T) -> T {
        loop {
            let accept = Accept { version: VERSION, max_payload_bytes: 1 << 20 };
            let (mut frames, mut rest) = (FrameBuffer::default(), &*self.pending);
            if let Some(frame) = frames.next(&mut rest, accept).unwrap() {
                let seen = see(Message::decode(frame).unwrap());
                let used = self.pending.len() - rest.len();
                self.pending.drain(..used);
                return seen;
            }
            assert!(self.read(), "the agent has closed the connection");
        }
    }

    /// Reports are skipped until another message comes.
    pub(crate) fn hear_but_reports<T>(&mut self, mut see: impl FnMut(Message<'_>) -> T) -> T {
        loop {
            let seen = self.hear(|message| match message {
                Message::Report(_) => None,
                other => Some(see(other)),
            });
            if let Some(seen) = seen {
                return seen;
            }
        }
    }

    /// Waits for the agent to close.
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

/// Reads what is there. A signal to the process, and a machine that is stopped and goes on, end a
/// read that has a time limit; the system does not take it up again.
fn read_some(from: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    loop {
        match from.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}
