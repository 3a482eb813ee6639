//! One connection, and what its agent has said as far as the session has taken it: the model.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use fleetgauge_collector::ending::Ending;
use fleetgauge_collector::peer::Peer;
use fleetgauge_collector::session::Session;
use fleetgauge_proto::message::{Bye, Hello, Ping, Pong, Report};
use fleetgauge_proto::report::{Values, write_all, write_changed};
use fleetgauge_proto::{
    Accept, AgentId, Code, Fingerprint, Frame, FrameBuffer, Message, VERSION, limits, schema,
};

use super::step::{CHOICES, IDS, Input, Saying};
use crate::expected::{self, LabelMap, Page};
use crate::schema_gen::Declared;

const ALL: Accept = Accept { version: VERSION, max_payload_bytes: limits::MAX_PAYLOAD_BYTES };

/// Every schema that anybody has declared.
pub(super) type Dictionary = Rc<RefCell<HashMap<Fingerprint, Rc<Declared>>>>;

pub(super) struct Connection {
    pub(super) session: Session,
    pub(super) peer: Arc<Peer>,
    /// What was said and has not arrived.
    on_its_way: Vec<u8>,
    sequence: u64,
    agent: Agent,
    /// Reads what the session is given.
    given: FrameBuffer,
    /// Reads what the session says.
    told: FrameBuffer,
    rejected: bool,
    dictionary: Dictionary,
}

/// What an agent has said.
#[derive(Default)]
struct Agent {
    id: Option<AgentId>,
    labels: LabelMap,
    /// The schema that it named.
    announced: Option<Fingerprint>,
    welcomed: bool,
    schema: Option<Rc<Declared>>,
    full_due: bool,
    /// Its last report.
    report: Option<(Rc<Declared>, Vec<f64>)>,
}

impl Connection {
    pub(super) fn new(session: Session, peer: Arc<Peer>, dictionary: Dictionary) -> Self {
        Self {
            session,
            peer,
            on_its_way: Vec::new(),
            sequence: 0,
            agent: Agent::default(),
            given: FrameBuffer::default(),
            told: FrameBuffer::default(),
            rejected: false,
            dictionary,
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.session.ending().is_some()
    }

    /// What an honest agent would say next.
    pub(super) fn would_say(&self, id: u8, host: u8, schema: u8) -> Saying {
        match &self.agent {
            Agent { id: None, .. } => {
                Saying::Hello { id, host, labels: id, schema, interval_ms: 15_000 }
            }
            Agent { welcomed: false, .. } => Saying::Bytes(Vec::new()),
            Agent { schema: None, .. } => Saying::Schema(schema),
            _ => Saying::Report { full: id.is_multiple_of(2), bits: schema.into(), skipped: 0 },
        }
    }

    /// Puts a message on its way.
    pub(super) fn says(&mut self, saying: &Saying, input: &Input) {
        let mut bitmap = Vec::new();
        let mut values = Vec::new();
        let schema = |chosen: u8| input.schemas[usize::from(chosen) % CHOICES].message();
        let message = match *saying {
            Saying::Hello { id, host, labels, schema: chosen, interval_ms } => {
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
            Saying::Schema(chosen) => Message::Schema(schema(chosen)),
            Saying::Report { full, bits, skipped } => {
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
            Saying::Ping => Message::Ping(Ping { token: 1 }),
            Saying::Pong => Message::Pong(Pong { token: 1 }),
            Saying::Bye(reason) => Message::Bye(Bye { stream: 0, reason }),
            Saying::Frame(kind, ref payload) => {
                let len = (payload.len() as u32).to_le_bytes();
                self.on_its_way.extend_from_slice(b"FG\x01");
                self.on_its_way.extend_from_slice(&[kind, len[0], len[1], len[2], 0]);
                return self.on_its_way.extend_from_slice(payload);
            }
            Saying::Bytes(ref bytes) => return self.on_its_way.extend_from_slice(bytes),
        };
        // What does not fit a frame is not said.
        let _ = message.encode(VERSION, &mut self.on_its_way);
    }

    /// All that is on its way arrives, but for the last bytes.
    pub(super) fn delivers(&mut self, kept_back: usize) {
        let arrived = self.on_its_way.len().saturating_sub(kept_back);
        let kept_back = self.on_its_way.split_off(arrived);
        let arrived = std::mem::replace(&mut self.on_its_way, kept_back);
        let mut out = Vec::new();
        let now = self.session.shared().clock.now();
        self.session.received(&arrived, now, &mut out);
        self.took(&arrived, &out);
    }

    pub(super) fn ticks(&mut self) {
        let mut out = Vec::new();
        let now = self.session.shared().clock.now();
        self.session.tick(now, &mut out);
        self.took(&[], &out);
        assert!(self.has_ended() || self.session.deadline() > now, "it is not late any more");
    }

    pub(super) fn finishes(&mut self) {
        let mut out = Vec::new();
        self.session.finished(&mut out);
        self.took(&[], &out);
        assert!(self.has_ended());
    }

    pub(super) fn breaks(&mut self) {
        self.session.lost(Ending::Reset);
        self.took(&[], &[]);
        assert!(self.has_ended());
    }

    /// Learns from what the session has been given; if it lives on, then it has taken every whole frame.
    fn took(&mut self, mut given: &[u8], out: &[u8]) {
        let lives = !self.has_ended();
        let mut frames = Vec::new();
        while let Ok(Some(frame)) = self.given.next(&mut given, ALL) {
            match Message::decode(frame) {
                Ok(Message::Hello(hello)) if self.agent.announced.is_none() => {
                    let classic = self.session.shared().config.classic;
                    self.agent.introduce(&hello, &self.peer, classic);
                }
                Ok(Message::Schema(schema)) => {
                    let fingerprint = Fingerprint::of_payload(frame.payload).unwrap();
                    let declared = Rc::new(Declared::of(&schema));
                    self.dictionary.borrow_mut().insert(fingerprint, declared);
                    frames.push((frame.header, frame.payload.to_vec()));
                }
                _ => frames.push((frame.header, frame.payload.to_vec())),
            }
        }
        self.hear(out);
        for (header, payload) in frames.into_iter().filter(|_| lives) {
            self.agent.takes(Frame { header, payload: &payload }, &self.dictionary);
        }
    }

    /// Reads what the session says, which after a Reject is nothing.
    fn hear(&mut self, mut out: &[u8]) {
        assert!(out.is_empty() || !self.rejected, "after a Reject nothing is said");
        while let Some(frame) = self.told.next(&mut out, ALL).unwrap() {
            assert!(!self.rejected, "after a Reject nothing is said");
            match Message::decode(frame).unwrap() {
                Message::Welcome(welcome) => {
                    self.agent.welcome(welcome.schema_known, &self.dictionary);
                }
                Message::Reject(reject) => {
                    assert!(
                        Code::from_u16(reject.code).is_some() && self.session.ending().is_some()
                    );
                    self.rejected = true;
                }
                Message::Ping(_) | Message::Pong(_) | Message::Drain(_) => {}
                other => panic!("a collector does not say {other:?}"),
            }
        }
        assert_eq!(self.told.unfinished_len(), None, "whole frames are said");
    }

    /// The id under which it must be shown: it reports and lives.
    pub(super) fn reporting(&self) -> Option<&AgentId> {
        self.agent.id.as_ref().filter(|_| self.agent.report.is_some() && !self.has_ended())
    }

    /// The agent's own page; `None` if it is not this agent's.
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
    fn introduce(&mut self, hello: &Hello<'_>, peer: &Peer, classic: bool) {
        self.id = AgentId::try_new(hello.agent_id).ok();
        let told = hello.labels.iter().filter(|label| !label.value.is_empty());
        self.labels = told.map(|label| (label.name.to_owned(), label.value.to_owned())).collect();
        self.labels.insert("agent".to_owned(), hello.agent_id.to_owned());
        if classic {
            self.labels.insert("client_no".to_owned(), peer.address().port().to_string());
        }
        self.announced = Some(hello.schema);
        self.full_due = true;
    }

    fn welcome(&mut self, schema_known: bool, dictionary: &Dictionary) {
        self.welcomed = true;
        if schema_known {
            let named = self.announced.and_then(|named| dictionary.borrow().get(&named).cloned());
            self.schema = Some(named.expect("somebody has declared it"));
        }
    }

    fn takes(&mut self, frame: Frame<'_>, dictionary: &Dictionary) {
        match Message::decode(frame).unwrap() {
            Message::Schema(_) => {
                let fingerprint = Fingerprint::of_payload(frame.payload).unwrap();
                self.schema = dictionary.borrow().get(&fingerprint).cloned();
                self.full_due = true;
            }
            Message::Report(report) => {
                let schema = self.schema.clone().expect("a schema comes first");
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

    /// Values of its next report.
    fn width(&self) -> usize {
        self.schema
            .as_ref()
            .map_or(0, |schema| schema.series.iter().map(|series| series.width as usize).sum())
    }
}
