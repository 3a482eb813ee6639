//! An agent that connects to a collector over TCP.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use fleetgauge_proto::message::{Hello, Ping, Report, Schema};
use fleetgauge_proto::report::{Values, write_all};
use fleetgauge_proto::{Accept, FrameBuffer, Message, VERSION};

const ACCEPT: Accept = Accept { version: VERSION, max_payload_bytes: 1 << 20 };

/// An agent that reports on request.
#[derive(Debug)]
pub struct Agent {
    stream: TcpStream,
    sequence: u64,
    out: Vec<u8>,
    values: Vec<u8>,
}

impl Agent {
    /// Connects an agent, waits for Welcome and queues the schema.
    ///
    /// # Panics
    /// If the collector does not welcome it.
    #[must_use]
    pub fn connect(address: SocketAddr, id: &str, schema: &Schema<'_>) -> Self {
        let stream = TcpStream::connect(address).expect("the collector listens");
        stream.set_nodelay(true).expect("a socket option");
        let (frame, fingerprint) =
            fleetgauge_proto::schema::encode(schema).expect("a schema fits a frame");
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
            schema: fingerprint,
            credential: None,
            extensions: Vec::new(),
        });
        hello.encode(VERSION, &mut out).expect("it fits a frame");
        let mut values = Vec::new();
        // Values differ between agents, so that a page compresses like that of a real fleet.
        let own = id.bytes().fold(0, |sum, byte| (sum * 31 + usize::from(byte)) % 997);
        let value = |n| ((own * 48_271 + n * 7_919) % 997) as f64 / 997.0;
        let row: Vec<_> = (0..schema.series.len()).map(value).collect();
        write_all(&row, &mut values);
        let mut agent = Self { stream, sequence: 0, out, values };
        agent.flush();
        agent.await_frame();
        agent.out = frame;
        agent
    }

    /// Queues a report.
    ///
    /// # Panics
    /// If the report does not fit a frame.
    pub fn queue_report(&mut self) {
        self.sequence += 1;
        let values = Values::All(&self.values);
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

    fn await_frame(&mut self) {
        let (mut frames, mut buffer) = (FrameBuffer::default(), [0; 1024]);
        loop {
            let read = self.stream.read(&mut buffer).expect("the collector answers");
            let mut input = &buffer[..read];
            let frame = frames.next(&mut input, ACCEPT).expect("a legal frame");
            if let Some(frame) = frame {
                let message = Message::decode(frame).expect("a legal message");
                assert!(
                    matches!(message, Message::Welcome(_) | Message::Pong(_)),
                    "the collector sent {message:?}"
                );
                return;
            }
        }
    }
}
