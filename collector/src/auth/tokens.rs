//! The agents' credentials: which tokens allow which agent ids, and which labels they pin.
//!
//! One entry decides about an id: the entry with that id or, if there is none, the matching pattern
//! with the longest prefix. So an agent with its own token cannot be impersonated with a shared
//! token.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use fleetgauge_common::secret_file::FileError;
use fleetgauge_proto::message::Label;
use fleetgauge_proto::{AgentId, StaticLabels};
use serde::Deserialize;
use subtle::{Choice, ConditionallySelectable};

use super::credential_id::CredentialId;
use super::credentials_file::Reading;
use super::digest::{Digest, is_blank};
use super::{Denied, Grant};

/// Error for an entry without tokens.
const NO_TOKENS: &str = "has no tokens, and client certificates are not required; \
                         write tokens = [\"sha256:…\"], or set tls_client_ca to the CA file \
                         of the agents' certificates";
/// Example of an entry in a credentials file, for error messages.
const FORM: &str = "[[credential]] with agent = \"web-1\" and tokens = [\"sha256:…\"]";
/// Maximum number of entries with a pattern. They are limited because they are searched linearly.
const MAX_PATTERNS: usize = 1_000;

/// The last assigned credential id. It is not part of the policy, because a reload to a policy
/// without credentials would lose it, and ids would be reused.
static LAST_ID: AtomicU32 = AtomicU32::new(0);

/// An entry of the credentials file, as parsed from TOML.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// An agent id, or a prefix of agent ids and `*`.
    agent: String,
    /// Digests of the tokens; `None` if the agent's certificate is sufficient.
    tokens: Option<Vec<String>>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// The agent ids that an entry matches.
pub(super) enum IdPattern<'a> {
    /// Only this id.
    Id(AgentId),
    /// All ids with this prefix.
    Prefix(&'a str),
}

impl<'a> IdPattern<'a> {
    /// Parses an id, or a prefix and `*`.
    pub(super) fn parse(agent: &'a str) -> Result<Self, String> {
        let Some(prefix) = agent.strip_suffix('*') else {
            let id = AgentId::try_new(agent);
            let id = id.map_err(|bad| format!("{bad}; a pattern may have one *, at its end"))?;
            return Ok(Self::Id(id));
        };
        if !prefix.is_empty() && AgentId::try_new(&format!("{prefix}x")).is_err() {
            return Err(format!(
                "{agent:?} is not a valid pattern; write a prefix of agent ids and one *, such as \
                 web-* or *"
            ));
        }
        Ok(Self::Prefix(prefix))
    }
}

/// The credentials of the agents, by the ids that they allow.
#[derive(Debug, Default)]
pub struct Credentials {
    by_id: HashMap<AgentId, Credential>,
    /// Prefixes of ids and their credentials, the longest prefix first.
    patterns: Vec<(Box<str>, Credential)>,
}

/// What an agent must present, and the labels that it then gets.
#[derive(Debug)]
struct Credential {
    requirement: Requirement,
    pinned: StaticLabels,
}

/// What an agent must present to use an id.
#[derive(Debug)]
enum Requirement {
    /// One of these tokens, and also a certificate if the port requires one. If the list is empty,
    /// the id is denied.
    Token(Box<[Token]>),
    /// Only a certificate. The credential id is stored here because there is no token to store it.
    Certificate(CredentialId),
}

#[derive(Debug)]
struct Token {
    digest: Digest,
    id: CredentialId,
}

impl Credentials {
    /// Reads a credentials file. Credentials that have not changed since `before` keep their ids.
    /// If `certified`, client certificates are required, and an entry needs no tokens.
    ///
    /// # Errors
    /// If the file cannot be read, is world-readable or has an invalid entry; the error names the
    /// first one.
    pub fn read(path: &Path, certified: bool, before: Option<&Self>) -> Result<Self, FileError> {
        let reading = Reading::new(path, FORM)?;
        let mut read = Self::default();
        reading.each(|Entry { agent, tokens, labels }, offset| {
            let bad = |problem: String| reading.bad(offset, problem);
            let requirement = match tokens {
                Some(tokens) => Requirement::of(reading.digests(offset, &tokens)?),
                None if certified => Requirement::Certificate(CredentialId::NONE),
                None => return Err(bad(format!("agent {agent:?} {NO_TOKENS}"))),
            };
            let credential = Credential { requirement, pinned: pins(&labels).map_err(bad)? };
            read.insert(&agent, credential).map_err(bad)
        })?;
        read.patterns.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        read.assign_ids(before);
        Ok(read)
    }

    fn insert(&mut self, agent: &str, credential: Credential) -> Result<(), String> {
        let twice = format!("agent {agent:?} has two entries; remove one");
        let prefix = match IdPattern::parse(agent)? {
            IdPattern::Id(id) => {
                let known = self.by_id.insert(id, credential);
                return known.map_or(Ok(()), |_| Err(twice));
            }
            IdPattern::Prefix(prefix) => prefix,
        };
        if self.patterns.iter().any(|(known, _)| **known == *prefix) {
            return Err(twice);
        }
        if self.patterns.len() == MAX_PATTERNS {
            return Err(format!(
                "more than {MAX_PATTERNS} entries with a pattern; use fewer, with shorter prefixes"
            ));
        }
        self.patterns.push((prefix.into(), credential));
        Ok(())
    }

    /// Returns the number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len() + self.patterns.len()
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the entry that decides about an id.
    fn of(&self, id: &AgentId) -> Option<&Credential> {
        let fits = |pattern: &&(Box<str>, Credential)| id.as_str().starts_with(&*pattern.0);
        let pattern = || self.patterns.iter().find(fits).map(|(_, credential)| credential);
        self.by_id.get(id).or_else(pattern)
    }

    /// Authorizes an agent to use this id with this token, which is blank if the agent sent none.
    /// `certified` means that the agent's certificate names the id.
    ///
    /// # Errors
    /// [`Denied`]
    pub fn authorize(&self, id: &AgentId, token: &[u8], certified: bool) -> Result<Grant, Denied> {
        let (digest, has_token) = (Digest::of(token), !is_blank(token));
        if !has_token && !certified {
            return Err(Denied::NoCredential);
        }
        let credential = self.of(id).ok_or(Denied::UnknownAgent)?;
        let id = match &credential.requirement {
            Requirement::Certificate(id) if certified => *id,
            Requirement::Token(tokens) if tokens.is_empty() => return Err(Denied::UnknownAgent),
            Requirement::Token(tokens) if has_token => id_of(tokens, &digest),
            Requirement::Certificate(_) | Requirement::Token(_) => {
                return Err(Denied::NoCredential);
            }
        };
        match id {
            CredentialId::NONE => Err(Denied::WrongToken),
            id => Ok(Grant { credential: id, pinned: credential.pinned.clone() }),
        }
    }

    /// Returns the labels pinned to an agent that was authorized by this credential; `None` if the
    /// credential no longer allows the id.
    #[must_use]
    pub fn still_pinned(&self, id: &AgentId, credential: CredentialId) -> Option<&StaticLabels> {
        let entry = self.of(id).filter(|entry| entry.requirement.has(credential))?;
        Some(&entry.pinned)
    }

    /// Assigns credential ids. A token keeps its id if `before` has it in the same entry, with the
    /// same labels.
    fn assign_ids(&mut self, before: Option<&Self>) {
        for (id, credential) in &mut self.by_id {
            credential.assign_ids(before.and_then(|before| before.by_id.get(id)));
        }
        for (prefix, credential) in &mut self.patterns {
            let known = before.and_then(|before| {
                before.patterns.iter().find(|(known, _)| known == prefix).map(|(_, known)| known)
            });
            credential.assign_ids(known);
        }
    }
}

impl Credential {
    fn assign_ids(&mut self, before: Option<&Self>) {
        let before = before.filter(|before| before.pinned == self.pinned);
        self.requirement.assign_ids(before.map(|before| &before.requirement));
    }
}

impl Requirement {
    /// Requires one of the tokens with these digests.
    fn of(digests: Vec<Digest>) -> Self {
        let token = |digest| Token { digest, id: CredentialId::NONE };
        Self::Token(digests.into_iter().map(token).collect())
    }

    /// Whether the credential with this id meets the requirement.
    fn has(&self, id: CredentialId) -> bool {
        match self {
            Self::Token(tokens) => tokens.iter().any(|token| token.id == id),
            Self::Certificate(own) => *own == id,
        }
    }

    fn assign_ids(&mut self, before: Option<&Self>) {
        let or_next = |known: CredentialId| match known {
            CredentialId::NONE => {
                let last = LAST_ID.fetch_add(1, Ordering::Relaxed);
                CredentialId::from_u32(last.saturating_add(1))
            }
            known => known,
        };
        match (self, before) {
            (Self::Certificate(own), Some(Self::Certificate(known))) => *own = or_next(*known),
            (Self::Certificate(own), _) => *own = or_next(CredentialId::NONE),
            (Self::Token(tokens), before) => {
                let known: &[Token] =
                    if let Some(Self::Token(known)) = before { known } else { &[] };
                for token in tokens {
                    token.id = or_next(id_of(known, &token.digest));
                }
            }
        }
    }
}

/// Returns the id of the token with this digest; [`CredentialId::NONE`] if there is none. Compares
/// with all tokens, in constant time.
fn id_of(tokens: &[Token], digest: &Digest) -> CredentialId {
    let found = tokens.iter().fold(CredentialId::NONE.to_u32(), |found, token| {
        let same: Choice = token.digest.matches(digest);
        u32::conditional_select(&found, &token.id.to_u32(), same)
    });
    CredentialId::from_u32(found)
}

/// Checks the labels that an entry pins; no value may be empty.
fn pins(labels: &BTreeMap<String, String>) -> Result<StaticLabels, String> {
    if let Some((name, _)) = labels.iter().find(|(_, value)| value.is_empty()) {
        return Err(format!("label {name:?} has no value; add one or remove the label"));
    }
    let labels: Vec<_> = labels.iter().map(|(name, value)| Label { name, value }).collect();
    StaticLabels::try_new(&labels).map_err(|bad| bad.to_string())
}
