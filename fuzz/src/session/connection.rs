//! One connection and the model of its agent: what the session has accepted from it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use fleetgauge_collector::connection::session::Session;
use fleetgauge_collector::peers::close_reason::CloseReason;
use fleetgauge_collector::peers::handle::ConnectionHandle;
use fleetgauge_collector::state::CollectorState;
use fleetgauge_proto::message::{Bye, Hello, Ping, Pong, Report, Rows};
use fleetgauge_proto::report::EncodedValues;
use fleetgauge_proto::{
    Accept, AgentId, Code, Fingerprint, Frame, FrameBuffer, Message, VERSION, catalog, limits,
};

use super::row_changes::RowChanges;
use super::step::{AgentOutput, IDS, Input};
use crate::catalog_gen::{CatalogChoice, Declared};
use crate::expected::{AgentLabels, Page};
use crate::row_gen::Changes;
use crate::series::AgentSeries;

const ALL: Accept = Accept { version: VERSION, max_payload_bytes: limits::MAX_PAYLOAD_BYTES };

/// All catalogs that agents have declared, by fingerprint.
pub(super) type KnownCatalogs = Rc<RefCell<HashMap<Fingerprint, Rc<Declared>>>>;

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
    known_catalogs: KnownCatalogs,
}

/// State of an agent, as far as the session has accepted it.
#[derive(Default)]
struct Agent {
    id: Option<AgentId>,
    labels: AgentLabels,
    /// Fingerprints of the agent's catalogs, from its Hello.
    listed: Option<Vec<Fingerprint>>,
    welcomed: bool,
    /// One bit for each slot whose catalog Welcome asked for and the agent has not sent.
    missing: u16,
    row_changes: RowChanges,
    /// What the agent has with its next report.
    series: AgentSeries,
    /// What pages show: the state at the agent's last report.
    shown: Option<AgentSeries>,
}

impl Connection {
    pub(super) fn new(
        session: Session,
        handle: Arc<ConnectionHandle>,
        known_catalogs: KnownCatalogs,
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
            known_catalogs,
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.session.close_reason().is_some()
    }

    /// Returns the next message of a correct agent: Hello, a Catalog for each missing slot, then
    /// Reports and sometimes Rows. Empty while it waits for Welcome.
    pub(super) fn next_output(&self, id: u8, host: u8, catalogs: CatalogChoice) -> AgentOutput {
        match &self.agent {
            Agent { id: None, .. } => {
                AgentOutput::Hello { id, host, labels: id, catalogs, interval_ms: 15_000 }
            }
            Agent { welcomed: false, .. } => AgentOutput::Bytes(Vec::new()),
            Agent { missing: 0, series, .. }
                if id >= 128 && series.labelled_tables().next().is_some() =>
            {
                AgentOutput::Rows(Changes::of_bits(id, host, catalogs.0))
            }
            Agent { missing: 0, .. } => AgentOutput::Report {
                full: id.is_multiple_of(2),
                bits: catalogs.0.into(),
                kept: host,
                skipped: 0,
            },
            Agent { missing, .. } => {
                let slot = missing.trailing_zeros() as u8;
                AgentOutput::Catalog { slot, catalog: catalogs.0 }
            }
        }
    }

    /// Sends a frame or arbitrary bytes, which arrive with the next [`deliver`](Self::deliver).
    pub(super) fn send(&mut self, output: &AgentOutput, input: &Input) {
        let mut encoded = EncodedValues::default();
        let changes;
        let message = match *output {
            AgentOutput::Hello { id, host, labels, catalogs, interval_ms } => {
                let fingerprint = |(_, chosen): (u8, usize)| {
                    let encoded = catalog::encode(&input.catalogs[chosen].message(0));
                    encoded.map_or(Fingerprint([0; 16]), |(_, fingerprint)| fingerprint)
                };
                Message::Hello(Hello {
                    min_version: 1,
                    max_version: 1,
                    capabilities: 0,
                    agent_id: IDS[usize::from(id) % IDS.len()],
                    host_nonce: [host % 3; 16],
                    process_nonce: [7; 16],
                    labels: input.labels[usize::from(labels) % input.labels.len()].message(),
                    interval_ms: interval_ms.into(),
                    agent_version: "fuzz",
                    catalogs: catalogs.slots().map(fingerprint).collect(),
                    credential: None,
                    extensions: Vec::new(),
                })
            }
            AgentOutput::Catalog { slot, catalog } => {
                let chosen = &input.catalogs[usize::from(catalog) % input.catalogs.len()];
                Message::Catalog(chosen.message(slot))
            }
            AgentOutput::Rows(ref rows) => {
                changes = rows.of(&self.agent.series);
                let changes = changes.iter().map(|change| change.borrowed()).collect();
                Message::Rows(Rows { stream: 0, changes })
            }
            AgentOutput::Report { full, bits, kept, skipped } => {
                self.sequence = self.sequence.wrapping_add(u64::from(skipped) + 1);
                let before = self.agent.series.values();
                let new = f64::from_bits(bits.rotate_right(16));
                let is_kept = |at: usize| kept >> (at % 8) & 1 == 1;
                let now = before.iter().enumerate();
                let now: Vec<_> =
                    now.map(|(at, old)| if is_kept(at) { *old } else { new }).collect();
                let shape = self.agent.series.shape();
                let shape = shape.iter().map(|(rows, decimals)| (*rows, &**decimals));
                if full {
                    encoded.encode_all(&now, shape);
                } else {
                    encoded.encode_changed(&before, &now, shape);
                }
                let (sequence, values) = (self.sequence, encoded.values());
                Message::Report(Report { stream: 0, sequence, unix_ms: 0, values })
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
                Ok(Message::Hello(hello)) if self.agent.listed.is_none() => {
                    let classic = self.session.collector().config.classic;
                    self.agent.apply_hello(&hello, &self.handle, classic);
                }
                Ok(Message::Catalog(catalog)) => {
                    let fingerprint = Fingerprint::of_payload(frame.payload).unwrap();
                    let declared = Rc::new(Declared::of(&catalog));
                    self.known_catalogs.borrow_mut().insert(fingerprint, declared);
                    frames.push((frame.header, frame.payload.to_vec()));
                }
                _ => frames.push((frame.header, frame.payload.to_vec())),
            }
        }
        self.read_replies(out);
        let collector = self.session.collector();
        for (header, payload) in frames.into_iter().filter(|_| is_open) {
            let frame = Frame { header, payload: &payload };
            self.agent.apply(frame, &self.known_catalogs, collector);
        }
    }

    /// Reads what the session sends. After a Reject it must send nothing.
    fn read_replies(&mut self, mut out: &[u8]) {
        assert!(out.is_empty() || !self.rejected, "the session sends after a Reject");
        while let Some(frame) = self.replies.next(&mut out, ALL).unwrap() {
            assert!(!self.rejected, "the session sends after a Reject");
            match Message::decode(frame).unwrap() {
                Message::Welcome(welcome) => {
                    self.agent.welcome(welcome.catalogs_known, &self.known_catalogs);
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
        self.agent.id.as_ref().filter(|_| self.agent.shown.is_some() && !self.has_ended())
    }

    /// Returns the page that must be shown for this id; `None` if the connection is not that agent.
    pub(super) fn expected_page(&self, id: &AgentId) -> Option<Page> {
        let shown = self.agent.shown.as_ref()?;
        (self.agent.id.as_ref() == Some(id)).then(|| shown.page(&self.agent.labels, false))
    }
}

impl Agent {
    fn apply_hello(&mut self, hello: &Hello<'_>, handle: &ConnectionHandle, classic: bool) {
        self.id = AgentId::try_new(hello.agent_id).ok();
        let shown = hello.labels.iter().filter(|label| !label.value.is_empty());
        let shown = shown.map(|label| (label.name.to_owned(), label.value.to_owned()));
        self.labels.statics = shown.collect();
        self.labels.own.insert("agent".to_owned(), hello.agent_id.to_owned());
        if classic {
            let client_no = handle.address().port().to_string();
            self.labels.own.insert("client_no".to_owned(), client_no);
        }
        self.listed = Some(hello.catalogs.clone());
    }

    fn welcome(&mut self, catalogs_known: u16, known_catalogs: &KnownCatalogs) {
        self.welcomed = true;
        self.missing = !catalogs_known;
        for (slot, fingerprint) in (0..).zip(self.listed.iter().flatten()) {
            if catalogs_known >> slot & 1 == 1 {
                let known = known_catalogs.borrow().get(fingerprint).cloned();
                let known = known.expect("the collector knows a catalog that nobody sent");
                self.series.set_catalog(slot, &known);
            }
        }
    }

    fn apply(
        &mut self,
        frame: Frame<'_>,
        known_catalogs: &KnownCatalogs,
        collector: &CollectorState,
    ) {
        let limits = &collector.config.bounds.limits;
        match Message::decode(frame).unwrap() {
            Message::Catalog(catalog) => {
                let fingerprint = Fingerprint::of_payload(frame.payload).unwrap();
                let known = &known_catalogs.borrow()[&fingerprint];
                self.series.set_catalog(catalog.slot, known);
                assert_eq!(self.series.check_size(limits), Ok(()), "{catalog:?} was accepted");
                self.missing &= !(1 << catalog.slot);
            }
            Message::Rows(rows) => {
                assert_eq!(self.missing, 0, "rows were accepted without a catalog");
                self.row_changes.record(&rows.changes, &self.series, collector);
                let changed = self.series.change_rows(&rows.changes, limits);
                assert_eq!(changed, Ok(()), "{rows:?} were accepted");
            }
            Message::Report(report) => {
                assert_eq!(self.missing, 0, "a report was accepted without a catalog");
                self.series.report(&report.values).expect("the values were accepted");
                self.shown = Some(self.series.clone());
            }
            _ => {}
        }
    }
}
