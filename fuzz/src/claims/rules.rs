//! Who may have which id with which labels, as `docs/secure.md` says; and the same as a file.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use arbitrary::{Arbitrary, Result, Unstructured};
use fleetgauge_collector::auth::{AuthPolicy, Credentials, Labels};

use crate::credentials::TOKENS;
use crate::expected::LabelMap;

/// Ids and patterns with an entry, perhaps.
const AGENTS: [&str; 7] = ["a", "ab", "abc", "*", "a*", "ab*", "b*"];
/// Tokens of an entry.
const OWN_TOKENS: [&[usize]; 7] = [&[0], &[1], &[2], &[0, 1], &[1, 2], &[2, 0], &[]];
/// Labels that agents say, and entries pin.
pub(super) const LABELS: [&str; 3] = ["site", "tier", "rack"];
pub(super) const VALUES: [&str; 2] = ["fra", "ams"];

#[derive(Debug)]
pub(super) struct Rules {
    /// Entries by their agent; `None`: any agent may have any id.
    credentials: Option<BTreeMap<&'static str, Entry>>,
    /// Labels that agents may set; `None`: any.
    allowed: Option<Vec<&'static str>>,
}

#[derive(Debug)]
struct Entry {
    tokens: &'static [usize],
    pinned: LabelMap,
}

/// By what a connection came to its id.
#[derive(Debug)]
pub(super) struct Grounds {
    /// The agent of the entry that decided.
    entry: Option<&'static str>,
    /// The token that was looked at.
    token: Option<usize>,
    pinned: LabelMap,
}

/// What is to become of a claim.
pub(super) enum Answer {
    Unauthorized,
    LabelNotAllowed,
    /// The id is the agent's, with these labels.
    Given(Grounds, LabelMap),
}

impl Rules {
    /// What an agent is to hear that claims an id.
    pub(super) fn answer(&self, id: &str, token: Option<usize>, said: &LabelMap) -> Answer {
        let (entry, token, mut labels) = match &self.credentials {
            None => (None, None, LabelMap::new()),
            Some(_) => match (self.entry(id), token) {
                (Some((agent, entry)), Some(token)) if entry.tokens.contains(&token) => {
                    (Some(agent), Some(token), entry.pinned.clone())
                }
                _ => return Answer::Unauthorized,
            },
        };
        let grounds = Grounds { entry, token, pinned: labels.clone() };
        for (name, value) in said {
            let may_be = match labels.get(name) {
                Some(pinned) => pinned == value,
                None => self.allowed.as_ref().is_none_or(|all| all.contains(&name.as_str())),
            };
            if !may_be {
                return Answer::LabelNotAllowed;
            }
            labels.insert(name.clone(), value.clone());
        }
        Answer::Given(grounds, labels)
    }

    /// Whether a session with these labels goes on under these rules: "where the same entry decides
    /// about the agent's id and still has the token by which it came, with the same labels", and
    /// the labels that it set itself are allowed. Rules without entries end what came by one.
    pub(super) fn keep(&self, id: &str, grounds: &Grounds, labels: &LabelMap) -> bool {
        let has_it = |entry: &Entry| grounds.token.is_some_and(|own| entry.tokens.contains(&own));
        let same = match &self.credentials {
            None => grounds.token.is_none(),
            Some(_) => self.entry(id).is_some_and(|(agent, entry)| {
                let same = grounds.entry == Some(agent) && entry.pinned == grounds.pinned;
                same && has_it(entry)
            }),
        };
        let allowed = |all: &Vec<&str>| {
            let mut set = labels.keys().filter(|name| !grounds.pinned.contains_key(*name));
            set.all(|name| all.contains(&name.as_str()))
        };
        same && self.allowed.as_ref().is_none_or(allowed)
    }

    /// The one entry that decides about an id: the one that names it, else the pattern with the
    /// longest beginning.
    fn entry(&self, id: &str) -> Option<(&'static str, &Entry)> {
        let entries = self.credentials.as_ref()?;
        let fits = |(agent, _): &(&&str, &Entry)| {
            agent.strip_suffix('*').is_some_and(|beginning| id.starts_with(beginning))
        };
        let longest = || entries.iter().filter(fits).max_by_key(|(agent, _)| agent.len());
        entries.get_key_value(id).or_else(longest).map(|(agent, entry)| (*agent, entry))
    }

    /// These rules put in force, after others.
    pub(super) fn policy(&self, before: &AuthPolicy) -> Arc<AuthPolicy> {
        let agents = self.credentials.as_ref().map(|entries| {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), written(entries)).unwrap();
            Credentials::read(file.path(), false, before.agents.as_ref()).unwrap()
        });
        let only = |names: &Vec<&str>| {
            Labels::only(&names.iter().map(|&name| name.into()).collect::<Vec<_>>()).unwrap()
        };
        let labels = self.allowed.as_ref().map_or_else(Labels::default, only);
        Arc::new(AuthPolicy { agents, labels, ..AuthPolicy::default() })
    }
}

/// The file that says so.
fn written(entries: &BTreeMap<&str, Entry>) -> String {
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
        for agent in chosen(&AGENTS, listed) {
            entries.insert(agent, u.arbitrary()?);
        }
        let allowed = if u.arbitrary()? { None } else { Some(chosen(&LABELS, u.arbitrary()?)) };
        Ok(Self { credentials: Some(entries).filter(|_| listed != 0), allowed })
    }
}

impl<'a> Arbitrary<'a> for Entry {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let tokens = *u.choose(&OWN_TOKENS)?;
        let mut pinned = LabelMap::new();
        for name in chosen(&LABELS, u.arbitrary::<u8>()? & u.arbitrary::<u8>()?) {
            pinned.insert(name.to_owned(), (*u.choose(&VALUES)?).to_owned());
        }
        Ok(Self { tokens, pinned })
    }
}

/// Those whose bit is set.
fn chosen(all: &[&'static str], bits: u8) -> Vec<&'static str> {
    let set = all.iter().enumerate().filter(|(bit, _)| bits >> bit & 1 == 1);
    set.map(|(_, one)| *one).collect()
}
