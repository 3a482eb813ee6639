//! Which tokens give which ids, and what comes with them.
//!
//! An id is given by the one entry that fits it best: the one that names it, else the pattern with the longest
//! beginning. So a token of its own protects an agent from those who know the token that others share.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use fleetgauge_proto::message::Label;
use fleetgauge_proto::{AgentId, StaticLabels};
use serde::Deserialize;
use subtle::{Choice, ConditionallySelectable};

use super::digest::{Digest, is_blank};
use super::entries::Reading;
use super::{BadFile, Denied, Grant};

/// What an entry without tokens takes.
const NO_TOKENS: &str = "has no tokens, and agents show no certificates that could stand for them; write \
                         tokens = [\"sha256:…\"], or name the authorities of agents' certificates as tls_client_ca";
/// How an entry is written.
const FORM: &str = "[[credential]] with agent = \"web-1\" and tokens = [\"sha256:…\"]";
/// Most entries with a pattern: they are looked through one by one.
const MAX_PATTERNS: usize = 1_000;

/// The last number that was given, by whatever rules: those that come after rules without credentials know of none before.
static LAST_NUMBER: AtomicU32 = AtomicU32::new(0);

/// An entry of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// An id, or the beginning of ids and `*`.
    agent: String,
    /// `None`: the agent's certificate is enough.
    tokens: Option<Vec<String>>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// The ids that an entry is about.
pub(super) enum Whose<'a> {
    /// One.
    Agent(AgentId),
    /// All that begin so.
    Agents(&'a str),
}

impl<'a> Whose<'a> {
    /// An id, or the beginning of ids and `*`.
    pub(super) fn parse(agent: &'a str) -> Result<Self, String> {
        let Some(beginning) = agent.strip_suffix('*') else {
            let id = AgentId::try_new(agent);
            let id = id.map_err(|bad| format!("{bad}; a pattern has its one * at the end"))?;
            return Ok(Self::Agent(id));
        };
        if !beginning.is_empty() && AgentId::try_new(&format!("{beginning}x")).is_err() {
            return Err(format!(
                "{agent:?} is not the beginning of an agent's id and one *, such as web-* or *"
            ));
        }
        Ok(Self::Agents(beginning))
    }
}

/// Tokens by the ids that they give.
#[derive(Debug, Default)]
pub struct Credentials {
    named: HashMap<AgentId, Credential>,
    /// Beginnings of ids, the longest first.
    patterns: Vec<(Box<str>, Credential)>,
}

/// What gives an id, and what comes with it.
#[derive(Debug)]
struct Credential {
    demand: Demand,
    pinned: StaticLabels,
}

/// What an agent must show.
#[derive(Debug)]
enum Demand {
    /// One of these, and its certificate where those are asked for; if there is none, nobody may have the id.
    Token(Box<[Token]>),
    /// Its certificate; the number is that of its being enough.
    Certificate(u32),
}

#[derive(Debug)]
struct Token {
    digest: Digest,
    number: u32,
}

impl Credentials {
    /// Reads a file; what was valid `before` and still is keeps its number. `certified`: every agent shows a certificate, so
    /// that an entry need not have tokens.
    ///
    /// # Errors
    /// It cannot be read, everybody may read it, or the first entry that is not right.
    pub fn read(path: &Path, certified: bool, before: Option<&Self>) -> Result<Self, BadFile> {
        let reading = Reading::new(path, FORM)?;
        let mut read = Self::default();
        reading.each(|Entry { agent, tokens, labels }, place| {
            let bad = |problem: String| reading.bad(place, problem);
            let demand = match tokens {
                Some(tokens) => Demand::of(reading.digests(place, &tokens)?),
                None if certified => Demand::Certificate(0),
                None => return Err(bad(format!("agent {agent:?} {NO_TOKENS}"))),
            };
            let credential = Credential { demand, pinned: pins(&labels).map_err(bad)? };
            read.insert(&agent, credential).map_err(bad)
        })?;
        read.patterns.sort_by_key(|(beginning, _)| std::cmp::Reverse(beginning.len()));
        read.number(before);
        Ok(read)
    }

    fn insert(&mut self, agent: &str, credential: Credential) -> Result<(), String> {
        let twice = format!("agent {agent:?} has an entry already");
        let beginning = match Whose::parse(agent)? {
            Whose::Agent(id) => {
                let known = self.named.insert(id, credential);
                return known.map_or(Ok(()), |_| Err(twice));
            }
            Whose::Agents(beginning) => beginning,
        };
        if self.patterns.iter().any(|(known, _)| **known == *beginning) {
            return Err(twice);
        }
        if self.patterns.len() == MAX_PATTERNS {
            return Err(format!("there are more than {MAX_PATTERNS} patterns"));
        }
        self.patterns.push((beginning.into(), credential));
        Ok(())
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.named.len() + self.patterns.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The one entry that decides about an id.
    fn of(&self, id: &AgentId) -> Option<&Credential> {
        let fits = |pattern: &&(Box<str>, Credential)| id.as_str().starts_with(&*pattern.0);
        let pattern = || self.patterns.iter().find(fits).map(|(_, credential)| credential);
        self.named.get(id).or_else(pattern)
    }

    /// Grants an id to an agent that shows this token, or a blank one. `certified`: its
    /// certificate is for this id.
    ///
    /// # Errors
    /// The id is not its own.
    pub fn admit(&self, id: &AgentId, token: &[u8], certified: bool) -> Result<Grant, Denied> {
        let (digest, shows_token) = (Digest::of(token), !is_blank(token));
        if !shows_token && !certified {
            return Err(Denied::NoCredential);
        }
        let credential = self.of(id).ok_or(Denied::UnknownAgent)?;
        let number = match &credential.demand {
            Demand::Certificate(number) if certified => *number,
            Demand::Token(tokens) if tokens.is_empty() => return Err(Denied::UnknownAgent),
            Demand::Token(tokens) if shows_token => number_of(tokens, &digest),
            Demand::Certificate(_) | Demand::Token(_) => return Err(Denied::NoCredential),
        };
        match number {
            0 => Err(Denied::WrongToken),
            number => Ok(Grant { credential: number, pinned: credential.pinned.clone() }),
        }
    }

    /// The labels pinned to an agent that came by the credential of this number, if it may keep its id.
    #[must_use]
    pub fn still_pinned(&self, id: &AgentId, number: u32) -> Option<&StaticLabels> {
        let credential = self.of(id).filter(|credential| credential.demand.has(number))?;
        Some(&credential.pinned)
    }

    /// Numbers every token: as it was before if the same entry had it, with the same labels; else anew.
    fn number(&mut self, before: Option<&Self>) {
        for (id, credential) in &mut self.named {
            credential.number(before.and_then(|before| before.named.get(id)));
        }
        for (beginning, credential) in &mut self.patterns {
            let known = before.and_then(|before| {
                before.patterns.iter().find(|(known, _)| known == beginning).map(|(_, known)| known)
            });
            credential.number(known);
        }
    }
}

impl Credential {
    fn number(&mut self, before: Option<&Self>) {
        let before = before.filter(|before| before.pinned == self.pinned);
        self.demand.number(before.map(|before| &before.demand));
    }
}

impl Demand {
    /// One of the tokens with these digests.
    fn of(digests: Vec<Digest>) -> Self {
        Self::Token(digests.into_iter().map(|digest| Token { digest, number: 0 }).collect())
    }

    /// Whether this number is among its own.
    fn has(&self, number: u32) -> bool {
        match self {
            Self::Token(tokens) => tokens.iter().any(|token| token.number == number),
            Self::Certificate(own) => *own == number,
        }
    }

    fn number(&mut self, before: Option<&Self>) {
        let or_next = |known: u32| match known {
            0 => LAST_NUMBER.fetch_add(1, Ordering::Relaxed).saturating_add(1),
            known => known,
        };
        match (self, before) {
            (Self::Certificate(own), Some(Self::Certificate(known))) => *own = or_next(*known),
            (Self::Certificate(own), _) => *own = or_next(0),
            (Self::Token(tokens), before) => {
                let known: &[Token] =
                    if let Some(Self::Token(known)) = before { known } else { &[] };
                for token in tokens {
                    token.number = or_next(number_of(known, &token.digest));
                }
            }
        }
    }
}

/// The number of the token with this digest, 0 if none has; every token is looked at.
fn number_of(tokens: &[Token], digest: &Digest) -> u32 {
    tokens.iter().fold(0, |found, token| {
        let same: Choice = token.digest.matches(digest);
        u32::conditional_select(&found, &token.number, same)
    })
}

/// The labels of an entry, each with a value.
fn pins(labels: &BTreeMap<String, String>) -> Result<StaticLabels, String> {
    if let Some((name, _)) = labels.iter().find(|(_, value)| value.is_empty()) {
        return Err(format!("label {name:?} has no value"));
    }
    let labels: Vec<_> = labels.iter().map(|(name, value)| Label { name, value }).collect();
    StaticLabels::try_new(&labels).map_err(|bad| bad.to_string())
}
