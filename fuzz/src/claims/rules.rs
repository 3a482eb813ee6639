//! A model of the authorization rules in `docs/secure.md`, and its credentials file.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use arbitrary::{Arbitrary, Result, Unstructured};
use fleetgauge_collector::auth::{AuthPolicy, Credentials, Labels};

use crate::credentials::TOKENS;
use crate::expected::LabelMap;

/// Ids and patterns that may have an entry.
const AGENTS: [&str; 7] = ["a", "ab", "abc", "*", "a*", "ab*", "b*"];
/// Token sets that an entry may have, as indices into [`TOKENS`].
const OWN_TOKENS: [&[usize]; 7] = [&[0], &[1], &[2], &[0, 1], &[1, 2], &[2, 0], &[]];
/// Names of the labels that agents send and entries pin.
pub(super) const LABELS: [&str; 3] = ["site", "tier", "rack"];
pub(super) const VALUES: [&str; 2] = ["fra", "ams"];

#[derive(Debug)]
pub(super) struct Rules {
    /// Entries by agent id or pattern; `None`: any agent may claim any id.
    credentials: Option<BTreeMap<&'static str, Entry>>,
    /// Labels that agents may set; `None`: any.
    allowed: Option<Vec<&'static str>>,
}

#[derive(Debug)]
struct Entry {
    tokens: &'static [usize],
    pinned: LabelMap,
}

/// What a claim was granted for: the matching entry and token, and the pinned labels.
#[derive(Debug)]
pub(super) struct Grant {
    /// Agent id or pattern of the entry that matched; `None` if the rules have no entries.
    entry: Option<&'static str>,
    /// Index of the token that matched; `None` if the rules have no entries.
    token: Option<usize>,
    pub(super) pinned: LabelMap,
}

/// The expected answer to a claim.
pub(super) enum Answer {
    Unauthorized,
    LabelNotAllowed,
    /// Granted; the agent's series get these labels.
    Granted(Grant, LabelMap),
}

impl Rules {
    /// Returns the expected answer to a Hello with this id, token and labels.
    pub(super) fn answer(&self, id: &str, token: Option<usize>, sent: &LabelMap) -> Answer {
        let (entry, token, mut labels) = match &self.credentials {
            None => (None, None, LabelMap::new()),
            Some(_) => match (self.entry(id), token) {
                (Some((agent, entry)), Some(token)) if entry.tokens.contains(&token) => {
                    (Some(agent), Some(token), entry.pinned.clone())
                }
                _ => return Answer::Unauthorized,
            },
        };
        let grant = Grant { entry, token, pinned: labels.clone() };
        for (name, value) in sent {
            let is_allowed = match labels.get(name) {
                Some(pinned) => pinned == value,
                None => self.allowed.as_ref().is_none_or(|all| all.contains(&name.as_str())),
            };
            if !is_allowed {
                return Answer::LabelNotAllowed;
            }
            labels.insert(name.clone(), value.clone());
        }
        Answer::Granted(grant, labels)
    }

    /// Whether a session continues under these rules. The same entry must still match the id, with
    /// the same token and pinned labels, and the agent's own labels must be allowed. If the rules
    /// have no entries, a session that was admitted by an entry ends.
    pub(super) fn keep(&self, id: &str, grant: &Grant, labels: &LabelMap) -> bool {
        let has_token = |entry: &Entry| grant.token.is_some_and(|own| entry.tokens.contains(&own));
        let same = match &self.credentials {
            None => grant.token.is_none(),
            Some(_) => self.entry(id).is_some_and(|(agent, entry)| {
                let same = grant.entry == Some(agent) && entry.pinned == grant.pinned;
                same && has_token(entry)
            }),
        };
        let allowed = |all: &Vec<&str>| {
            let mut set = labels.keys().filter(|name| !grant.pinned.contains_key(*name));
            set.all(|name| all.contains(&name.as_str()))
        };
        same && self.allowed.as_ref().is_none_or(allowed)
    }

    /// Returns the entry for an id: an exact match, else the pattern with the longest prefix.
    fn entry(&self, id: &str) -> Option<(&'static str, &Entry)> {
        let entries = self.credentials.as_ref()?;
        let fits = |(agent, _): &(&&str, &Entry)| {
            agent.strip_suffix('*').is_some_and(|prefix| id.starts_with(prefix))
        };
        let longest = || entries.iter().filter(fits).max_by_key(|(agent, _)| agent.len());
        entries.get_key_value(id).or_else(longest).map(|(agent, entry)| (*agent, entry))
    }

    /// Loads these rules as a collector does, into a policy that replaces `before`.
    pub(super) fn policy(&self, before: &AuthPolicy) -> Arc<AuthPolicy> {
        let agents = self.credentials.as_ref().map(|entries| {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), credentials_file(entries)).unwrap();
            Credentials::read(file.path(), false, before.agents.as_ref()).unwrap()
        });
        let only = |names: &Vec<&str>| {
            Labels::only(&names.iter().map(|&name| name.into()).collect::<Vec<_>>()).unwrap()
        };
        let labels = self.allowed.as_ref().map_or_else(Labels::default, only);
        Arc::new(AuthPolicy { agents, labels, ..AuthPolicy::default() })
    }
}

/// Returns the text of a credentials file with these entries.
fn credentials_file(entries: &BTreeMap<&str, Entry>) -> String {
    let mut file = String::new();
    for (agent, Entry { tokens, pinned }) in entries {
        let tokens: Vec<_> = tokens.iter().map(|token| TOKENS[*token].1).collect();
        writeln!(file, "[[credential]]\nagent = {agent:?}\ntokens = {tokens:?}").unwrap();
        writeln!(file, "[credential.labels]").unwrap();
        for (name, value) in pinned {
            writeln!(file, "{name} = {value:?}").unwrap();
        }
    }
    file
}

impl<'a> Arbitrary<'a> for Rules {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let listed = if u.ratio(1, 8)? { 0 } else { u.int_in_range(1..=127_u8)? };
        let mut entries = BTreeMap::new();
        for agent in select(&AGENTS, listed) {
            entries.insert(agent, u.arbitrary()?);
        }
        let allowed = if u.arbitrary()? { None } else { Some(select(&LABELS, u.arbitrary()?)) };
        Ok(Self { credentials: Some(entries).filter(|_| listed != 0), allowed })
    }
}

impl<'a> Arbitrary<'a> for Entry {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let tokens = *u.choose(&OWN_TOKENS)?;
        let mut pinned = LabelMap::new();
        for name in select(&LABELS, u.arbitrary::<u8>()? & u.arbitrary::<u8>()?) {
            pinned.insert(name.to_owned(), (*u.choose(&VALUES)?).to_owned());
        }
        Ok(Self { tokens, pinned })
    }
}

/// Returns the items whose bit is set in `bits`.
fn select(all: &[&'static str], bits: u8) -> Vec<&'static str> {
    let selected = all.iter().enumerate().filter(|(bit, _)| bits >> bit & 1 == 1);
    selected.map(|(_, item)| *item).collect()
}
