//! One connection and the model of it: the claim, whether it was granted, and the replies.

use std::sync::Arc;

use arbitrary::{Arbitrary, Result, Unstructured};
use fleetgauge_collector::connection::session::Session;
use fleetgauge_collector::peers::handle::ConnectionHandle;
use fleetgauge_proto::message::{Hello, Label, Pong, Report, Secret};
use fleetgauge_proto::report::EncodedValues;
use fleetgauge_proto::{Accept, AgentId, Code, FrameBuffer, Message, VERSION, catalog, limits};

use super::rules::{Answer, Grant, LABELS, Rules, VALUES};
use crate::catalog_gen::{Declared, DeclaredColumn, DeclaredFamily, DeclaredTable, Labels};
use crate::credentials::TOKENS;
use crate::expected::{AgentLabels, LabelMap};
use crate::series::Row;

const IDS: [&str; 4] = ["a", "ab", "abc", "b"];
const ALL: Accept = Accept { version: VERSION, max_payload_bytes: limits::MAX_HELLO_BYTES };

/// The contents of an agent's Hello.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    id: &'static str,
    /// Index into [`TOKENS`].
    token: Option<usize>,
    /// Static labels; an empty value means no label.
    labels: Vec<(&'static str, &'static str)>,
    /// Name of the label of the agent's single series; `None`: the series has no label.
    series: Option<&'static str>,
    host: u8,
}

pub(super) struct Connection {
    pub(super) session: Session,
    pub(super) handle: Arc<ConnectionHandle>,
    claim: Option<Claim>,
    /// Bytes that the agent has sent and the session has not received.
    in_flight: Vec<u8>,
    state: ClaimState,
    catalog_due: bool,
    sequence: u64,
    reply_buffer: FrameBuffer,
}

/// State of the claim according to the model.
enum ClaimState {
    /// The Hello has not arrived completely.
    Pending,
    Refused,
    Granted(Grant, LabelMap),
    /// The rules were reloaded and no longer grant the id.
    Revoked,
}

#[derive(Debug, PartialEq)]
enum Reply {
    /// With the names of pinned labels.
    Welcome(Vec<String>),
    Reject(Code, String, Option<u32>),
    Other,
}

impl Connection {
    pub(super) fn new(session: Session, handle: Arc<ConnectionHandle>) -> Self {
        Self {
            session,
            handle,
            claim: None,
            in_flight: Vec::new(),
            state: ClaimState::Pending,
            catalog_due: false,
            sequence: 0,
            reply_buffer: FrameBuffer::default(),
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.session.close_reason().is_some()
    }

    /// Whether the claim is, or was, granted.
    pub(super) const fn held_its_id(&self) -> bool {
        matches!(self.state, ClaimState::Granted(..) | ClaimState::Revoked)
    }

    /// Sends the agent's next message. The last `withheld` bytes do not arrive yet.
    pub(super) fn act(&mut self, claim: Claim, withheld: usize, rules: &Rules) {
        match &self.claim {
            None => {
                claim.write_hello(&mut self.in_flight);
                self.claim = Some(claim);
            }
            Some(claim) if self.session.is_open() => {
                let catalog = claim.catalog();
                if std::mem::take(&mut self.catalog_due) {
                    encode(&Message::Catalog(catalog.message(0)), &mut self.in_flight);
                } else {
                    self.sequence += 1;
                    self.write_report();
                }
            }
            Some(_) => {}
        }
        let arrived = self.in_flight.len().saturating_sub(withheld);
        let withheld = self.in_flight.split_off(arrived);
        let arrived = std::mem::replace(&mut self.in_flight, withheld);
        self.deliver(&arrived, rules);
    }

    fn write_report(&mut self) {
        let mut encoded = EncodedValues::default();
        encoded.encode_all(&[self.sequence as f64], [(1, &[0][..])].into_iter());
        let (sequence, values) = (self.sequence, encoded.values());
        let report = Report { stream: 0, sequence, unix_ms: 0, values };
        encode(&Message::Report(report), &mut self.in_flight);
    }

    /// Sends a Pong, whether or not there was a Ping.
    pub(super) fn answer_ping(&mut self) {
        if self.session.is_open() && self.in_flight.is_empty() {
            let mut pong = Vec::new();
            encode(&Message::Pong(Pong { token: self.handle.session() }), &mut pong);
            let mut out = Vec::new();
            self.session.received(&pong, self.session.collector().clock.now(), &mut out);
            self.read_replies(&out);
        }
    }

    fn deliver(&mut self, bytes: &[u8], rules: &Rules) {
        let was_open = !self.has_ended();
        let mut out = Vec::new();
        self.session.received(bytes, self.session.collector().clock.now(), &mut out);
        let replies = self.read_replies(&out);
        let arrived = matches!(self.state, ClaimState::Pending) && self.in_flight.is_empty();
        if let (Some(claim), true) = (&self.claim, arrived && was_open) {
            self.state = claim.check_replies(rules, &replies);
        } else if self.is_refused_for_series(&replies) {
            self.state = ClaimState::Refused;
        } else if !matches!(self.state, ClaimState::Revoked) {
            check_no_auth_reject(&replies);
        }
    }

    /// Whether the replies refuse a catalog whose series would hide a label that the credential
    /// pins.
    fn is_refused_for_series(&self, replies: &[Reply]) -> bool {
        let (ClaimState::Granted(grant, _), Some(claim)) = (&self.state, &self.claim) else {
            return false;
        };
        claim.hides_pinned(grant) && is_label_reject(replies)
    }

    /// Updates the model after a reload.
    pub(super) fn apply_rules(&mut self, rules: &Rules) {
        if let (ClaimState::Granted(grant, labels), Some(claim)) = (&self.state, &self.claim)
            && !rules.keep(claim.id, grant, labels)
        {
            self.state = ClaimState::Revoked;
        }
    }

    /// Lets the session handle signals and deadlines. A revoked session is rejected, unless
    /// another connection has superseded it first.
    pub(super) fn wake(&mut self) {
        let was_open = !self.has_ended();
        let mut out = Vec::new();
        self.session.tick(self.session.collector().clock.now(), &mut out);
        let replies = self.read_replies(&out);
        if let ClaimState::Revoked = self.state {
            assert!(self.has_ended(), "a revoked session stays open");
            let [Reply::Reject(code, ..)] = &replies[..] else {
                assert!(!was_open && replies.is_empty(), "{replies:?}");
                return;
            };
            assert!(matches!(code, Code::CredentialRevoked | Code::Superseded), "{replies:?}");
        } else {
            check_no_auth_reject(&replies);
        }
    }

    fn read_replies(&mut self, mut out: &[u8]) -> Vec<Reply> {
        let mut replies = Vec::new();
        while let Some(frame) = self.reply_buffer.next(&mut out, ALL).unwrap() {
            replies.push(match Message::decode(frame).unwrap() {
                Message::Welcome(welcome) => {
                    self.catalog_due = welcome.catalogs_known != u16::MAX;
                    Reply::Welcome(welcome.pinned_labels().map(str::to_owned).collect())
                }
                Message::Reject(reject) => {
                    let code = Code::from_u16(reject.code).unwrap();
                    Reply::Reject(code, reject.text.to_owned(), reject.retry_after_ms)
                }
                _ => Reply::Other,
            });
        }
        replies
    }

    /// Returns the labels that the agent's series must have on a page.
    pub(super) fn expected_labels(&self, id: &AgentId) -> LabelMap {
        let (ClaimState::Granted(grant, labels), Some(claim)) = (&self.state, &self.claim) else {
            panic!("the page shows {id}, whose claim is not granted");
        };
        assert!(!claim.hides_pinned(grant), "series of {id} hide a pinned label");
        assert_eq!(claim.id, id.as_str());
        let own = LabelMap::from([("agent".to_owned(), claim.id.to_owned())]);
        let agent = AgentLabels { own, statics: labels.clone() };
        let catalog = claim.catalog();
        let table = &catalog.tables[0];
        agent.of_series(&catalog, table, &table.columns[0], &Row::new())
    }
}

impl Claim {
    fn write_hello(&self, out: &mut Vec<u8>) {
        let labels = self.labels.iter().map(|(name, value)| Label { name, value });
        let (_, fingerprint) = catalog::encode(&self.catalog().message(0)).unwrap();
        let hello = Hello {
            min_version: 1,
            max_version: 1,
            capabilities: 0,
            agent_id: self.id,
            host_nonce: [self.host % 2; 16],
            process_nonce: [7; 16],
            labels: labels.collect(),
            interval_ms: 15_000,
            agent_version: "fuzz",
            catalogs: vec![fingerprint],
            credential: self.token.map(|token| Secret(TOKENS[token].0.as_bytes())),
            extensions: Vec::new(),
        };
        encode(&Message::Hello(hello), out);
    }

    /// Whether the series have a label with the name of a label that the credential pins.
    fn hides_pinned(&self, grant: &Grant) -> bool {
        self.series.is_some_and(|name| grant.pinned.contains_key(name))
    }

    fn catalog(&self) -> Declared {
        let (name, none) = ("load".to_owned(), String::new);
        let labels = self.series.map(|name| (name.to_owned(), "own".to_owned()));
        let labels = Labels(labels.into_iter().collect());
        let column =
            DeclaredColumn { family: 0, width: 1, decimals: 0, parameters: Vec::new(), labels };
        Declared {
            families: vec![DeclaredFamily { name, kind: 1, unit: none(), help: none() }],
            tables: vec![DeclaredTable { row_labels: Vec::new(), columns: vec![column] }],
        }
    }

    /// Checks the replies to a Hello against these rules. Returns the state of the claim.
    fn check_replies(&self, rules: &Rules, replies: &[Reply]) -> ClaimState {
        let shown = self.labels.iter().filter(|(_, value)| !value.is_empty());
        let shown = shown.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        match rules.answer(self.id, self.token, &shown) {
            Answer::Unauthorized => {
                let text = "The credential does not authorize this agent.".to_owned();
                assert_eq!(replies, [Reply::Reject(Code::Unauthorized, text, None)]);
                ClaimState::Refused
            }
            Answer::LabelNotAllowed => {
                assert!(is_label_reject(replies), "{replies:?}");
                ClaimState::Refused
            }
            Answer::Granted(grant, labels) => {
                check_no_auth_reject(replies);
                for reply in replies {
                    if let Reply::Welcome(names) = reply {
                        assert!(names.iter().eq(grant.pinned.keys()), "{names:?}");
                    }
                }
                ClaimState::Granted(grant, labels)
            }
        }
    }
}

fn encode(message: &Message<'_>, out: &mut Vec<u8>) {
    message.encode(VERSION, out).unwrap();
}

fn is_label_reject(replies: &[Reply]) -> bool {
    matches!(replies, [Reply::Reject(Code::LabelNotAllowed, _, None)])
}

/// Checks that no reply rejects the credential or the labels.
fn check_no_auth_reject(replies: &[Reply]) {
    let is_auth_reject = |code: &Code| {
        matches!(code, Code::Unauthorized | Code::LabelNotAllowed | Code::CredentialRevoked)
    };
    let is_refused = replies
        .iter()
        .any(|reply| matches!(reply, Reply::Reject(code, ..) if is_auth_reject(code)));
    assert!(!is_refused, "{replies:?}");
}

impl<'a> Arbitrary<'a> for Claim {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let id = *u.choose(&IDS)?;
        let token = *u.choose(&[None, Some(0), Some(1), Some(2)])?;
        let mut labels = Vec::new();
        for name in LABELS {
            match u.int_in_range(0..=5)? {
                0..=2 => {}
                3 => labels.push((name, "")),
                value => labels.push((name, VALUES[value - 4])),
            }
        }
        let series = if u.ratio(1, 4)? { Some(*u.choose(&LABELS)?) } else { None };
        Ok(Self { id, token, labels, series, host: u.arbitrary()? })
    }
}
