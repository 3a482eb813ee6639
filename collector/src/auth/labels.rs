//! Authorization of static labels: which of them agents may set, and which their credentials pin.

use std::collections::BTreeSet;

use fleetgauge_proto::message::Label;
use fleetgauge_proto::{Code, StaticLabels, Violation};

use crate::peers::refusal::Refusal;

/// Detail text of a Reject for a label that is not in `allow_labels`.
const NOT_IN_ALLOWED: &str =
    "may not be set by agents; add it to allow_labels or remove it from the agent";

/// Detail text of a Reject: a series has a label whose name the credential pins.
pub(super) const PINNED: &str =
    "has a value in the credentials file; the agent's series may not have a label of this name";

/// The names of the static labels that agents may set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels {
    /// The allowed names; `None` if all are allowed.
    allowed: Option<BTreeSet<Box<str>>>,
}

impl Labels {
    /// Allows only labels with these names.
    ///
    /// # Errors
    /// If a label name is invalid; the error names the first one.
    pub fn only(names: &[String]) -> Result<Self, Violation> {
        let names = names.iter().filter(|name| !name.is_empty()).map(|name| {
            StaticLabels::try_new(&[Label { name, value: "x" }])?;
            Ok(name.as_str().into())
        });
        Ok(Self { allowed: Some(names.collect::<Result<_, Violation>>()?) })
    }

    /// Merges the labels `sent` by an agent with those that its credential has `pinned`. The agent
    /// may send a pinned label with the same value.
    ///
    /// # Errors
    /// If a label is invalid or not allowed, or if there are too many; the error names the first
    /// such label.
    pub fn of(&self, sent: &[Label<'_>], pinned: &StaticLabels) -> Result<StaticLabels, Refusal> {
        let sent = StaticLabels::try_new(sent)?;
        let mut all: Vec<_> = pinned.iter().collect();
        for (name, value) in sent.iter() {
            match pinned.iter().find(|(pinned, _)| *pinned == name) {
                Some((_, pinned)) if pinned == value => {}
                Some(_) => {
                    return Err(not_allowed(
                        name,
                        "has another value in the credentials file; remove it from the agent",
                    ));
                }
                None if self.allows(name) => all.push((name, value)),
                None => return Err(not_allowed(name, NOT_IN_ALLOWED)),
            }
        }
        let all: Vec<_> = all.into_iter().map(|(name, value)| Label { name, value }).collect();
        Ok(StaticLabels::try_new(&all)?)
    }

    /// Whether an agent may still have labels with these names. Labels that its credential has
    /// `pinned` are always allowed.
    pub(super) fn still_allow<'a>(
        &self,
        mut names: impl Iterator<Item = &'a str>,
        pinned: &StaticLabels,
    ) -> bool {
        let is_pinned = |name: &str| pinned.iter().any(|(pinned, _)| pinned == name);
        names.all(|name| self.allows(name) || is_pinned(name))
    }

    fn allows(&self, name: &str) -> bool {
        self.allowed.as_ref().is_none_or(|allowed| allowed.contains(name))
    }
}

pub(super) fn not_allowed(name: &str, why: &str) -> Refusal {
    let detail = format!("label {name:?} {why}");
    Refusal { detail, ..Refusal::of(Code::LabelNotAllowed) }
}
