//! An agent that connects to a collector over TCP.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use fleetgauge_proto::message::{Catalog, Hello, Ping, Report};
use fleetgauge_proto::report::EncodedValues;
use fleetgauge_proto::{Accept, FrameBuffer, Message, VERSION};

const ACCEPT: Accept = Accept { version: VERSION, max_payload_bytes: 1 << 20 };

/// An agent that reports on request.
#[derive(Debug)]
pub struct Agent {
    stream: TcpStream,
    sequence: u64,
    out: Vec<u8>,
    values: EncodedValues,
}

impl Agent {
    /// Connects an agent, waits for Welcome and queues the catalog unless the collector knows it.
    /// The tables must have no row labels, and the columns no decimal places.
    ///
    /// # Panics
    /// If the collector does not welcome it.
    #[must_use]
    pub fn connect(address: SocketAddr, id: &str, catalog: &Catalog<'_>) -> Self {
        let stream = TcpStream::connect(address).expect("the collector listens");
        stream.set_nodelay(true).expect("a socket option");
        let (frame, fingerprint) =
            fleetgauge_proto::catalog::encode(catalog).expect("a catalog fits a frame");
        let mut out = Vec::new();
        let hello = Message::Hello(Hello {
            min_version: 1,
            max_version: 1,
            capabilities: 0,
            agent_id: id,
            host_nonce: [1; 16],
            process_nonce: [2; 16],
            labels: Vec::new(),
            interval_ms: 300_000,
            agent_version: "bench",
            catalogs: vec![fingerprint],
            credential: None,
            extensions: Vec::new(),
        });
        hello.encode(VERSION, &mut out).expect("it fits a frame");
        // Values differ between agents, so that a page compresses like that of a real fleet.
        let own = id.bytes().fold(0, |sum, byte| (sum * 31 + usize::from(byte)) % 997);
        let value = |n| ((own * 48_271 + n * 7_919) % 997) as f64 / 997.0;
        let columns = catalog.tables.iter().map(|table| table.columns.len()).sum();
        let row: Vec<_> = (0..columns).map(value).collect();
        let mut values = EncodedValues::default();
        values.encode_all(&row, std::iter::empty());
        let mut agent = Self { stream, sequence: 0, out, values };
        agent.flush();
        let catalogs_known = agent.await_frame();
        if catalogs_known & 1 == 0 {
            agent.out = frame;
        }
        agent
    }

    /// Queues a report.
    ///
    /// # Panics
    /// If the report does not fit a frame.
    pub fn queue_report(&mut self) {
        self.sequence += 1;
        let values = self.values.values();
        let report = Report { stream: 0, sequence: self.sequence, unix_ms: 0, values };
        Message::Report(report).encode(VERSION, &mut self.out).expect("it fits a frame");
    }

    /// Sends the queued messages and waits until the collector has processed them.
    ///
    /// # Panics
    /// If the collector closes the connection.
    pub fn round_trip(&mut self) {
        let ping = Message::Ping(Ping { token: self.sequence });
        ping.encode(VERSION, &mut self.out).expect("it fits a frame");
        self.flush();
        self.await_frame();
    }

    fn flush(&mut self) {
        self.stream.write_all(&self.out).expect("the collector reads");
        self.out.clear();
    }

    /// Waits for a frame. Returns the catalogs that the collector knows, the lowest bit for slot 0.
    fn await_frame(&mut self) -> u16 {
        let (mut frames, mut buffer) = (FrameBuffer::default(), [0; 1024]);
        loop {
            let read = self.stream.read(&mut buffer).expect("the collector answers");
            let mut input = &buffer[..read];
            let frame = frames.next(&mut input, ACCEPT).expect("a legal frame");
            if let Some(frame) = frame {
                return match Message::decode(frame).expect("a legal message") {
                    Message::Welcome(welcome) => welcome.catalogs_known,
                    Message::Pong(_) => 0,
                    other => panic!("the collector sent {other:?}"),
                };
            }
        }
    }
}
