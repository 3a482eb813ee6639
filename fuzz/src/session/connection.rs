//! One connection and the model of its agent: what the session has accepted from it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use fleetgauge_collector::connection::session::Session;
use fleetgauge_collector::peers::close_reason::CloseReason;
use fleetgauge_collector::peers::handle::ConnectionHandle;
use fleetgauge_proto::message::{Bye, Hello, Ping, Pong, Report};
use fleetgauge_proto::report::{Values, write_all, write_changed};
use fleetgauge_proto::{
    Accept, AgentId, Code, Fingerprint, Frame, FrameBuffer, Message, VERSION, limits, schema,
};

use super::step::{AgentOutput, CHOICES, IDS, Input};
use crate::expected::{self, LabelMap, Page};
use crate::schema_gen::Declared;

const ALL: Accept = Accept { version: VERSION, max_payload_bytes: limits::MAX_PAYLOAD_BYTES };

/// All schemas that agents have declared, by fingerprint.
pub(super) type KnownSchemas = Rc<RefCell<HashMap<Fingerprint, Rc<Declared>>>>;

pub(super) struct Connection {
    pub(super) session: Session,
    pub(super) handle: Arc<ConnectionHandle>,
    /// Bytes that the agent has sent and the session has not received.
    in_flight: Vec<u8>,
    sequence: u64,
    agent: Agent,
    /// Decodes the frames that the session has received.
    sent: FrameBuffer,
    /// Decodes the frames that the session sends.
    replies: FrameBuffer,
    rejected: bool,
    known_schemas: KnownSchemas,
}

/// State of an agent, as far as the session has accepted it.
#[derive(Default)]
struct Agent {
    id: Option<AgentId>,
    labels: LabelMap,
    /// Fingerprint of the agent's schema, from its Hello.
    fingerprint: Option<Fingerprint>,
    welcomed: bool,
    schema: Option<Rc<Declared>>,
    full_due: bool,
    /// Schema and values of the agent's last report.
    report: Option<(Rc<Declared>, Vec<f64>)>,
}

impl Connection {
    pub(super) fn new(
        session: Session,
        handle: Arc<ConnectionHandle>,
        known_schemas: KnownSchemas,
    ) -> Self {
        Self {
            session,
            handle,
            in_flight: Vec::new(),
            sequence: 0,
            agent: Agent::default(),
            sent: FrameBuffer::default(),
            replies: FrameBuffer::default(),
            rejected: false,
            known_schemas,
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.session.close_reason().is_some()
    }

    /// Returns the next message of a correct agent.
    pub(super) fn next_output(&self, id: u8, host: u8, schema: u8) -> AgentOutput {
        match &self.agent {
            Agent { id: None, .. } => {
                AgentOutput::Hello { id, host, labels: id, schema, interval_ms: 15_000 }
            }
            Agent { welcomed: false, .. } => AgentOutput::Bytes(Vec::new()),
            Agent { schema: None, .. } => AgentOutput::Schema(schema),
            _ => {
                AgentOutput::Report { full: id.is_multiple_of(2), bits: schema.into(), skipped: 0 }
            }
        }
    }

    /// Sends a frame or arbitrary bytes, which arrive with the next [`deliver`](Self::deliver).
    pub(super) fn send(&mut self, output: &AgentOutput, input: &Input) {
        let mut bitmap = Vec::new();
        let mut values = Vec::new();
        let schema = |chosen: u8| input.schemas[usize::from(chosen) % CHOICES].message();
        let message = match *output {
            AgentOutput::Hello { id, host, labels, schema: chosen, interval_ms } => {
                let fingerprint =
                    schema::encode(&schema(chosen)).map(|(_, fingerprint)| fingerprint);
                let labels = input.labels[usize::from(labels) % CHOICES].message();
                Message::Hello(Hello {
                    min_version: 1,
                    max_version: 1,
                    capabilities: 0,
                    agent_id: IDS[usize::from(id) % IDS.len()],
                    host_nonce: [host % 3; 16],
                    process_nonce: [7; 16],
                    labels,
                    interval_ms: interval_ms.into(),
                    agent_version: "fuzz",
                    schema: fingerprint.unwrap_or(Fingerprint([0; 16])),
                    credential: None,
                    extensions: Vec::new(),
                })
            }
            AgentOutput::Schema(chosen) => Message::Schema(schema(chosen)),
            AgentOutput::Report { full, bits, skipped } => {
                self.sequence = self.sequence.wrapping_add(u64::from(skipped) + 1);
                let before = self.agent.report.as_ref().map_or(&[][..], |(_, row)| row);
                let width = self.agent.width();
                let now = vec![f64::from_bits(bits.rotate_right(16)); width];
                let values = if full || before.len() != width {
                    write_all(&now, &mut values);
                    Values::All(&values)
                } else {
                    write_changed(before, &now, &mut bitmap, &mut values);
                    Values::Changed { bitmap: &bitmap, values: &values }
                };
                let (sequence, unix_ms) = (self.sequence, 0);
                Message::Report(Report { stream: 0, sequence, unix_ms, values })
            }
            AgentOutput::Ping => Message::Ping(Ping { token: 1 }),
            AgentOutput::Pong => Message::Pong(Pong { token: 1 }),
            AgentOutput::Bye(reason) => Message::Bye(Bye { stream: 0, reason }),
            AgentOutput::Frame(kind, ref payload) => {
                let len = (payload.len() as u32).to_le_bytes();
                self.in_flight.extend_from_slice(b"FG\x01");
                self.in_flight.extend_from_slice(&[kind, len[0], len[1], len[2], 0]);
                return self.in_flight.extend_from_slice(payload);
            }
            AgentOutput::Bytes(ref bytes) => return self.in_flight.extend_from_slice(bytes),
        };
        // A message that does not fit a frame is not sent.
        let _ = message.encode(VERSION, &mut self.in_flight);
    }

    /// Delivers all bytes in flight except for the last `withheld`.
    pub(super) fn deliver(&mut self, withheld: usize) {
        let arrived = self.in_flight.len().saturating_sub(withheld);
        let withheld = self.in_flight.split_off(arrived);
        let arrived = std::mem::replace(&mut self.in_flight, withheld);
        let mut out = Vec::new();
        let now = self.session.collector().clock.now();
        self.session.received(&arrived, now, &mut out);
        self.observe(&arrived, &out);
    }

    pub(super) fn tick(&mut self) {
        let mut out = Vec::new();
        let now = self.session.collector().clock.now();
        self.session.tick(now, &mut out);
        self.observe(&[], &out);
        assert!(
            self.has_ended() || self.session.deadline() > now,
            "an open session has a missed deadline"
        );
    }

    pub(super) fn finish(&mut self) {
        let mut out = Vec::new();
        self.session.finished(&mut out);
        self.observe(&[], &out);
        assert!(self.has_ended());
    }

    pub(super) fn reset(&mut self) {
        self.session.lost(CloseReason::Reset);
        self.observe(&[], &[]);
        assert!(self.has_ended());
    }

    /// Updates the model with the bytes that the session has received and sent. A session that is
    /// still open has accepted every complete frame.
    fn observe(&mut self, mut received: &[u8], out: &[u8]) {
        let is_open = !self.has_ended();
        let mut frames = Vec::new();
        while let Ok(Some(frame)) = self.sent.next(&mut received, ALL) {
            match Message::decode(frame) {
                Ok(Message::Hello(hello)) if self.agent.fingerprint.is_none() => {
                    let classic = self.session.collector().config.classic;
                    self.agent.apply_hello(&hello, &self.handle, classic);
                }
                Ok(Message::Schema(schema)) => {
                    let fingerprint = Fingerprint::of_payload(frame.payload).unwrap();
                    let declared = Rc::new(Declared::of(&schema));
                    self.known_schemas.borrow_mut().insert(fingerprint, declared);
                    frames.push((frame.header, frame.payload.to_vec()));
                }
                _ => frames.push((frame.header, frame.payload.to_vec())),
            }
        }
        self.read_replies(out);
        for (header, payload) in frames.into_iter().filter(|_| is_open) {
            self.agent.apply(Frame { header, payload: &payload }, &self.known_schemas);
        }
    }

    /// Reads what the session sends. After a Reject it must send nothing.
    fn read_replies(&mut self, mut out: &[u8]) {
        assert!(out.is_empty() || !self.rejected, "the session sends after a Reject");
        while let Some(frame) = self.replies.next(&mut out, ALL).unwrap() {
            assert!(!self.rejected, "the session sends after a Reject");
            match Message::decode(frame).unwrap() {
                Message::Welcome(welcome) => {
                    self.agent.welcome(welcome.schema_known, &self.known_schemas);
                }
                Message::Reject(reject) => {
                    assert!(
                        Code::from_u16(reject.code).is_some()
                            && self.session.close_reason().is_some()
                    );
                    self.rejected = true;
                }
                Message::Ping(_) | Message::Pong(_) | Message::Drain(_) => {}
                other => panic!("unexpected message of a collector: {other:?}"),
            }
        }
        assert_eq!(self.replies.unfinished_len(), None, "the session sent a partial frame");
    }

    /// Returns the id if the agent has reported and its session is open. The pages must show it.
    pub(super) fn reporting(&self) -> Option<&AgentId> {
        self.agent.id.as_ref().filter(|_| self.agent.report.is_some() && !self.has_ended())
    }

    /// Returns the page that must be shown for this id; `None` if the connection is not that agent.
    pub(super) fn expected_page(&self, id: &AgentId) -> Option<Page> {
        let (schema, row) = self.agent.report.as_ref()?;
        let known = schema.families.iter().enumerate();
        let known = known.filter(|(_, family)| (1..=6).contains(&family.kind));
        let page = known.map(|(position, declared)| {
            let (name, mut family) = expected::heading(declared, false);
            family.samples = expected::samples(schema, position, &self.agent.labels, row);
            (name, family)
        });
        (self.agent.id.as_ref() == Some(id)).then(|| page.collect())
    }
}

impl Agent {
    fn apply_hello(&mut self, hello: &Hello<'_>, handle: &ConnectionHandle, classic: bool) {
        self.id = AgentId::try_new(hello.agent_id).ok();
        let shown = hello.labels.iter().filter(|label| !label.value.is_empty());
        self.labels = shown.map(|label| (label.name.to_owned(), label.value.to_owned())).collect();
        self.labels.insert("agent".to_owned(), hello.agent_id.to_owned());
        if classic {
            self.labels.insert("client_no".to_owned(), handle.address().port().to_string());
        }
        self.fingerprint = Some(hello.schema);
        self.full_due = true;
    }

    fn welcome(&mut self, schema_known: bool, known_schemas: &KnownSchemas) {
        self.welcomed = true;
        if schema_known {
            let known =
                self.fingerprint.and_then(|print| known_schemas.borrow().get(&print).cloned());
            self.schema = Some(known.expect("the collector knows a schema that nobody sent"));
        }
    }

    fn apply(&mut self, frame: Frame<'_>, known_schemas: &KnownSchemas) {
        match Message::decode(frame).unwrap() {
            Message::Schema(_) => {
                let fingerprint = Fingerprint::of_payload(frame.payload).unwrap();
                self.schema = known_schemas.borrow().get(&fingerprint).cloned();
                self.full_due = true;
            }
            Message::Report(report) => {
                let schema = self.schema.clone().expect("a report was accepted without a schema");
                if self.full_due {
                    self.report = Some((schema, vec![0.0; self.width()]));
                    self.full_due = false;
                }
                if let Some((_, row)) = &mut self.report {
                    report.values.apply(row);
                }
            }
            _ => {}
        }
    }

    /// Number of values in the next report.
    fn width(&self) -> usize {
        self.schema
            .as_ref()
            .map_or(0, |schema| schema.series.iter().map(|series| series.width as usize).sum())
    }
}
