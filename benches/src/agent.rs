//! An agent over a real socket.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use fleetgauge_proto::message::{Hello, Ping, Report, Schema};
use fleetgauge_proto::report::{Values, write_all};
use fleetgauge_proto::{Accept, FrameBuffer, Message, VERSION};

const ACCEPT: Accept = Accept { version: VERSION, max_payload_bytes: 1 << 20 };

/// An agent that reports when it is told to.
#[derive(Debug)]
pub struct Agent {
    stream: TcpStream,
    sequence: u64,
    out: Vec<u8>,
    values: Vec<u8>,
}

impl Agent {
    /// An agent with this id that has been welcomed and will report by this schema.
    ///
    /// # Panics
    /// The collector does not welcome it.
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
        // Values of its own, so that a page does not repeat itself more than a fleet's does.
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
    /// It does not fit a frame.
    pub fn queue_report(&mut self) {
        self.sequence += 1;
        let values = Values::All(&self.values);
        let report = Report { stream: 0, sequence: self.sequence, unix_ms: 0, values };
        Message::Report(report).encode(VERSION, &mut self.out).expect("it fits a frame");
    }

    /// Sends what is queued and waits until it has been handled.
    ///
    /// # Panics
    /// The collector does not answer.
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
