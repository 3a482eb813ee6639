//! One connection: what its agent claims, what it was given, and what it hears.

use std::sync::Arc;

use arbitrary::{Arbitrary, Result, Unstructured};
use fleetgauge_collector::peer::Peer;
use fleetgauge_collector::session::Session;
use fleetgauge_proto::message::{Hello, Label, Pong, Report, Secret};
use fleetgauge_proto::report::{Values, write_all};
use fleetgauge_proto::{Accept, AgentId, Code, FrameBuffer, Message, VERSION, limits, schema};

use super::rules::{Answer, Grounds, LABELS, Rules, VALUES};
use crate::credentials::TOKENS;
use crate::expected::LabelMap;
use crate::schema_gen::{Declared, DeclaredFamily, DeclaredSeries, Labels};

const IDS: [&str; 4] = ["a", "ab", "abc", "b"];
const ALL: Accept = Accept { version: VERSION, max_payload_bytes: limits::MAX_HELLO_BYTES };

/// What an agent says of itself.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    id: &'static str,
    /// One of [`TOKENS`].
    token: Option<usize>,
    /// Some without a value.
    labels: Vec<(&'static str, &'static str)>,
    /// The label of its one series.
    series: Option<&'static str>,
    host: u8,
}

pub(super) struct Connection {
    pub(super) session: Session,
    pub(super) peer: Arc<Peer>,
    claim: Option<Claim>,
    /// What was said and has not arrived.
    on_its_way: Vec<u8>,
    standing: Standing,
    schema_due: bool,
    sequence: u64,
    told: FrameBuffer,
}

/// By the model.
enum Standing {
    /// Its claim has not arrived.
    Stranger,
    Refused,
    Given(Grounds, LabelMap),
    /// The rules in force do not let it have its id any more.
    Revoked,
}

#[derive(Debug, PartialEq)]
enum Heard {
    Welcome,
    Reject(Code, String, Option<u32>),
    Other,
}

impl Connection {
    pub(super) fn new(session: Session, peer: Arc<Peer>) -> Self {
        Self {
            session,
            peer,
            claim: None,
            on_its_way: Vec::new(),
            standing: Standing::Stranger,
            schema_due: false,
            sequence: 0,
            told: FrameBuffer::default(),
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.session.ending().is_some()
    }

    /// Whether it has, or had, the id that it claims.
    pub(super) const fn was_given(&self) -> bool {
        matches!(self.standing, Standing::Given(..) | Standing::Revoked)
    }

    /// Its agent does what comes next; all but the last bytes of it arrive.
    pub(super) fn acts(&mut self, claim: Claim, kept_back: usize, rules: &Rules) {
        match &self.claim {
            None => {
                claim.says(&mut self.on_its_way);
                self.claim = Some(claim);
            }
            Some(claim) if self.session.is_open() => {
                let schema = claim.schema();
                if std::mem::take(&mut self.schema_due) {
                    say(&Message::Schema(schema.message()), &mut self.on_its_way);
                } else {
                    self.sequence += 1;
                    self.reports();
                }
            }
            Some(_) => {}
        }
        let arrived = self.on_its_way.len().saturating_sub(kept_back);
        let kept_back = self.on_its_way.split_off(arrived);
        let arrived = std::mem::replace(&mut self.on_its_way, kept_back);
        self.receives(&arrived, rules);
    }

    fn reports(&mut self) {
        let mut values = Vec::new();
        write_all(&[self.sequence as f64], &mut values);
        let (sequence, values) = (self.sequence, Values::All(&values));
        let report = Report { stream: 0, sequence, unix_ms: 0, values };
        say(&Message::Report(report), &mut self.on_its_way);
    }

    /// Answers a Ping that there was, perhaps.
    pub(super) fn answers(&mut self) {
        if self.session.is_open() && self.on_its_way.is_empty() {
            let mut pong = Vec::new();
            say(&Message::Pong(Pong { token: self.peer.session() }), &mut pong);
            let mut out = Vec::new();
            self.session.received(&pong, self.session.shared().clock.now(), &mut out);
            self.hears(&out);
        }
    }

    fn receives(&mut self, bytes: &[u8], rules: &Rules) {
        let lived = !self.has_ended();
        let mut out = Vec::new();
        self.session.received(bytes, self.session.shared().clock.now(), &mut out);
        let heard = self.hears(&out);
        let arrived = matches!(self.standing, Standing::Stranger) && self.on_its_way.is_empty();
        if let (Some(claim), true) = (&self.claim, arrived && lived) {
            self.standing = claim.stands(rules, &heard);
        } else if !matches!(self.standing, Standing::Revoked) {
            check_unaccused(&heard);
        }
    }

    /// Other rules are in force.
    pub(super) fn is_judged_by(&mut self, rules: &Rules) {
        if let (Standing::Given(grounds, labels), Some(claim)) = (&self.standing, &self.claim)
            && !rules.keep(claim.id, grounds, labels)
        {
            self.standing = Standing::Revoked;
        }
    }

    /// Looks at signals and the time. Who is not allowed any more is told so, unless another had its place before.
    pub(super) fn wakes(&mut self) {
        let lived = !self.has_ended();
        let mut out = Vec::new();
        self.session.tick(self.session.shared().clock.now(), &mut out);
        let heard = self.hears(&out);
        if let Standing::Revoked = self.standing {
            assert!(self.has_ended(), "it is not allowed any more");
            let [Heard::Reject(code, ..)] = &heard[..] else {
                assert!(!lived && heard.is_empty(), "{heard:?}");
                return;
            };
            assert!(matches!(code, Code::CredentialRevoked | Code::Superseded), "{heard:?}");
        } else {
            check_unaccused(&heard);
        }
    }

    fn hears(&mut self, mut out: &[u8]) -> Vec<Heard> {
        let mut heard = Vec::new();
        while let Some(frame) = self.told.next(&mut out, ALL).unwrap() {
            heard.push(match Message::decode(frame).unwrap() {
                Message::Welcome(welcome) => {
                    self.schema_due = !welcome.schema_known;
                    Heard::Welcome
                }
                Message::Reject(reject) => {
                    let code = Code::from_u16(reject.code).unwrap();
                    Heard::Reject(code, reject.text.to_owned(), reject.retry_after_ms)
                }
                _ => Heard::Other,
            });
        }
        heard
    }

    /// The labels with which it must be shown under this id.
    pub(super) fn expected_labels(&self, id: &AgentId) -> LabelMap {
        let (Standing::Given(_, labels), Some(claim)) = (&self.standing, &self.claim) else {
            panic!("{id} is shown and not allowed");
        };
        assert_eq!(claim.id, id.as_str());
        let mut all = labels.clone();
        let own = claim.series.map(|name| (name.to_owned(), "own".to_owned()));
        for (name, value) in own.into_iter().chain([("agent".to_owned(), claim.id.to_owned())]) {
            assert_eq!(all.insert(name, value), None, "a series cannot have its agent's labels");
        }
        all
    }
}

impl Claim {
    fn says(&self, out: &mut Vec<u8>) {
        let labels = self.labels.iter().map(|(name, value)| Label { name, value });
        let (_, fingerprint) = schema::encode(&self.schema().message()).unwrap();
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
            schema: fingerprint,
            credential: self.token.map(|token| Secret(TOKENS[token].0.as_bytes())),
            extensions: Vec::new(),
        };
        say(&Message::Hello(hello), out);
    }

    fn schema(&self) -> Declared {
        let (name, none) = ("load".to_owned(), String::new);
        let labels = self.series.map(|name| (name.to_owned(), "own".to_owned()));
        let labels = Labels(labels.into_iter().collect());
        Declared {
            families: vec![DeclaredFamily { name, kind: 1, unit: none(), help: none() }],
            series: vec![DeclaredSeries { family: 0, width: 1, parameters: Vec::new(), labels }],
        }
    }

    /// What it has by these rules, if that is what it has heard.
    fn stands(&self, rules: &Rules, heard: &[Heard]) -> Standing {
        let told = self.labels.iter().filter(|(_, value)| !value.is_empty());
        let told = told.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        match rules.answer(self.id, self.token, &told) {
            Answer::Unauthorized => {
                let text = "The credential does not allow this.".to_owned();
                assert_eq!(heard, [Heard::Reject(Code::Unauthorized, text, None)]);
                Standing::Refused
            }
            Answer::LabelNotAllowed => {
                let [Heard::Reject(Code::LabelNotAllowed, _, None)] = heard else {
                    panic!("{heard:?}")
                };
                Standing::Refused
            }
            Answer::Given(grounds, labels) => {
                check_unaccused(heard);
                Standing::Given(grounds, labels)
            }
        }
    }
}

fn say(message: &Message<'_>, out: &mut Vec<u8>) {
    message.encode(VERSION, out).unwrap();
}

/// Nothing is held against who is allowed to be here.
fn check_unaccused(heard: &[Heard]) {
    let accuses = |code: &Code| {
        matches!(code, Code::Unauthorized | Code::LabelNotAllowed | Code::CredentialRevoked)
    };
    let mut rejects = heard.iter();
    assert!(
        !rejects.any(|one| matches!(one, Heard::Reject(code, ..) if accuses(code))),
        "{heard:?}"
    );
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
