//! A test agent over a real socket.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use fleetgauge_proto::frame::{HEADER_LEN, Header};
use fleetgauge_proto::message::{Label, Secret};
use fleetgauge_proto::{Accept, Code, Frame, Message};

use super::TEST_TIMEOUT;
use super::frames::{self, CatalogFrame, frame, hello, ping};

/// What a test agent received: a message of the collector, or the end of the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Received {
    Welcome {
        interval_ms: u32,
        catalogs_known: bool,
    },
    Reject {
        code: Code,
        text: String,
        retry_after_ms: Option<u32>,
    },
    Ping(u64),
    Pong(u64),
    Drain {
        delay_ms: u32,
        target: Option<String>,
    },
    /// The collector closed the stream.
    Closed,
    /// The connection was reset.
    Reset,
}

/// What an agent sends in its Hello.
#[derive(Debug, Clone)]
pub(crate) struct Identity<'a> {
    pub(crate) id: &'a str,
    pub(crate) host: u8,
    pub(crate) labels: Vec<Label<'a>>,
    pub(crate) interval_ms: u32,
    pub(crate) credential: Option<&'a [u8]>,
}

/// Returns an identity with this agent id on host 1.
pub(crate) fn identity(id: &str) -> Identity<'_> {
    Identity { id, host: 1, labels: Vec::new(), interval_ms: 15_000, credential: None }
}

impl<'a> Identity<'a> {
    pub(crate) fn with_credential(self, credential: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        Self { credential: Some(credential.as_ref()), ..self }
    }

    pub(crate) fn on_host(self, host: u8) -> Self {
        Self { host, ..self }
    }

    pub(crate) fn hello(&self, catalog: &CatalogFrame) -> Vec<u8> {
        let mut hello = hello(self.id, self.host, catalog.fingerprint);
        hello.labels.clone_from(&self.labels);
        hello.interval_ms = self.interval_ms;
        hello.credential = self.credential.map(Secret);
        frame(&Message::Hello(hello))
    }
}

#[derive(Debug)]
pub(crate) struct Agent<S = TcpStream> {
    pub(crate) stream: S,
    pub(crate) sequence: u64,
}

impl Agent {
    /// Connects without sending anything.
    pub(crate) fn connect(collector: SocketAddr) -> Self {
        Self::over(TcpStream::connect(collector).unwrap())
    }

    /// Connects from this loopback address, without sending anything.
    pub(crate) fn connect_from(address: &str, collector: SocketAddr) -> Self {
        let own = SocketAddr::new(address.parse().unwrap(), 0);
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let socket = socket.unwrap();
        socket.bind(&own.into()).unwrap();
        socket.connect(&collector.into()).unwrap();
        Self::over(socket.into())
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(TEST_TIMEOUT)).unwrap();
        stream.set_write_timeout(Some(TEST_TIMEOUT)).unwrap();
        Self { stream, sequence: 0 }
    }

    /// Connects and sends Hello.
    pub(crate) fn greet(
        collector: SocketAddr,
        identity: &Identity<'_>,
        catalog: &CatalogFrame,
    ) -> Self {
        let mut agent = Self::connect(collector);
        agent.send(&identity.hello(catalog));
        agent
    }

    /// Connects an agent, waits for Welcome, and sends its catalog unless the collector knows it.
    pub(crate) fn open(
        collector: SocketAddr,
        identity: &Identity<'_>,
        catalog: &CatalogFrame,
    ) -> Self {
        let mut agent = Self::greet(collector, identity, catalog);
        agent.expect_welcome(catalog);
        agent
    }

    /// Joins an agent: connects, and waits until its first report is stored.
    pub(crate) fn join(
        collector: SocketAddr,
        identity: &Identity<'_>,
        catalog: &CatalogFrame,
        values: &[f64],
    ) -> Self {
        let mut agent = Self::open(collector, identity, catalog);
        agent.report(values);
        agent
    }

    /// Closes the sending side.
    pub(crate) fn finish(&mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Resets the connection.
    pub(crate) fn reset(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    }
}

impl<S: Read + Write> Agent<S> {
    pub(crate) fn expect_welcome(&mut self, catalog: &CatalogFrame) {
        match self.receive() {
            Received::Welcome { catalogs_known: true, .. } => {}
            Received::Welcome { .. } => self.send(&catalog.bytes),
            other => panic!("not welcomed: {other:?}"),
        }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Sends all values and waits until they are stored.
    pub(crate) fn report(&mut self, values: &[f64]) {
        self.sequence += 1;
        self.send(&frames::report(self.sequence, values));
        self.settle();
    }

    /// Waits until the collector has handled everything that was sent.
    pub(crate) fn settle(&mut self) {
        let token = 1_000_000 + self.sequence;
        self.send(&ping(token));
        assert_eq!(self.receive(), Received::Pong(token));
    }

    /// Receives the header and payload of a frame, or how the connection ended.
    pub(crate) fn receive_frame(&mut self) -> Result<(Header, Vec<u8>), Received> {
        let mut header = [0; HEADER_LEN];
        match self.stream.read_exact(&mut header) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                return Err(Received::Closed);
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                return Err(Received::Reset);
            }
            Err(error) => panic!("nothing received: {error}"),
        }
        let accept = Accept { version: 1, max_payload_bytes: 16 * 1024 };
        let header = Header::parse(&header, accept).unwrap();
        let mut payload = vec![0; header.len as usize];
        self.stream.read_exact(&mut payload).unwrap();
        Ok((header, payload))
    }

    pub(crate) fn receive(&mut self) -> Received {
        let (header, payload) = match self.receive_frame() {
            Ok(frame) => frame,
            Err(ended) => return ended,
        };
        match Message::decode(Frame { header, payload: &payload }).unwrap() {
            Message::Welcome(m) => Received::Welcome {
                interval_ms: m.interval_ms,
                catalogs_known: m.catalogs_known == u16::MAX,
            },
            Message::Reject(m) => Received::Reject {
                code: Code::from_u16(m.code).unwrap(),
                text: m.text.to_owned(),
                retry_after_ms: m.retry_after_ms,
            },
            Message::Ping(m) => Received::Ping(m.token),
            Message::Pong(m) => Received::Pong(m.token),
            Message::Drain(m) => {
                Received::Drain { delay_ms: m.delay_ms, target: m.target.map(str::to_owned) }
            }
            other => panic!("unexpected from a collector: {other:?}"),
        }
    }

    /// Expects Welcome. Returns the names of pinned labels in it.
    pub(crate) fn expect_pinned_labels(&mut self) -> Vec<String> {
        let (header, payload) = self.receive_frame().unwrap();
        let Message::Welcome(welcome) =
            Message::decode(Frame { header, payload: &payload }).unwrap()
        else {
            panic!("not welcomed: {header:?}")
        };
        welcome.pinned_labels().map(str::to_owned).collect()
    }

    /// Expects a Reject and the end of the stream. Returns the Reject's text and retry delay.
    pub(crate) fn expect_reject(&mut self, expected: Code) -> (String, Option<u32>) {
        let told = self.expect_code(expected);
        assert_eq!(self.receive(), Received::Closed, "after {expected}");
        told
    }

    /// Reads up to a Reject. Fails at a Welcome.
    pub(crate) fn expect_code(&mut self, expected: Code) -> (String, Option<u32>) {
        loop {
            match self.receive() {
                Received::Ping(_) | Received::Pong(_) | Received::Drain { .. } => {}
                Received::Reject { code, text, retry_after_ms } => {
                    assert_eq!(code, expected, "{text}");
                    return (text, retry_after_ms);
                }
                other => panic!("{other:?} instead of {expected}"),
            }
        }
    }
}
