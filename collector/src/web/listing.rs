//! The agents that a search finds.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::Serialize;

use super::fleet::DepartedRow;
use super::{AgentRow, FleetCopy, HEADLINES};
use crate::exposition::static_labels;

/// Number of agents on a page.
pub(crate) const PAGE: usize = 100;

/// Which agents are listed, and in which order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Search {
    /// Text that the id or the value of a label contains, in lower case; may be empty.
    pub(crate) text: String,
    /// Name and value of a label.
    pub(crate) label: Option<(String, String)>,
    pub(crate) state: State,
    /// Smallest and largest value by headline: from the first, but below the second.
    pub(crate) ranges: [Option<(f64, f64)>; HEADLINES.len()],
    pub(crate) sort: Sort,
    /// Number of the page, from 1.
    pub(crate) page: usize,
}

/// Which agents are listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// All but those that left by Bye.
    #[default]
    All,
    Up,
    Missing,
    Departed,
}

impl State {
    /// Names in query strings.
    pub(crate) const ALL: [(Self, &'static str); 4] = [
        (Self::All, "all"),
        (Self::Up, "up"),
        (Self::Missing, "missing"),
        (Self::Departed, "departed"),
    ];

    pub(crate) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(state, _)| *state == self).map_or("all", |(_, name)| name)
    }
}

/// The order of a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Sort {
    #[default]
    Id,
    /// The largest value of a headline first.
    Headline(usize),
}

impl Sort {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        [Self::Id].into_iter().chain((0..HEADLINES.len()).map(Self::Headline))
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Headline(index) => HEADLINES.get(index).map_or("id", |headline| headline.key),
        }
    }

    /// Returns the order with this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let headline = HEADLINES.iter().position(|headline| headline.key == name);
        headline.map(Self::Headline).or_else(|| (name == "id").then_some(Self::Id))
    }
}

/// A page of the agents that a search finds, as in `/api/search`.
#[derive(Debug, Serialize)]
pub(crate) struct Listing<'a> {
    /// Number of agents that it finds.
    pub(crate) found: usize,
    /// Number of the page, from 1.
    pub(crate) page: usize,
    pub(crate) pages: usize,
    pub(crate) agents: Vec<Listed<'a>>,
}

/// An agent of a list.
#[derive(Debug, Serialize)]
pub(crate) struct Listed<'a> {
    pub(crate) id: &'a str,
    /// `up`, `missing` or `departed`.
    pub(crate) state: &'static str,
    /// The labels of a connected agent.
    pub(crate) labels: BTreeMap<&'a str, String>,
    #[serde(flatten)]
    pub(crate) values: BTreeMap<&'static str, Option<f64>>,
    /// When and why it has left, if it is not connected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) departed: Option<Left>,
}

/// When and why an agent has left.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Left {
    /// In unix seconds.
    pub(crate) at: u64,
    pub(crate) reason: &'static str,
}

/// An agent that a search finds. Small, because a search of a large fleet sorts many.
#[derive(Clone, Copy)]
enum Found<'a> {
    Up(&'a AgentRow),
    Away(&'a DepartedRow),
}

impl Search {
    /// Returns the path and query of this search.
    pub(crate) fn link(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let mut add = |name: &str, value: &str| {
            query.append_pair(name, value);
        };
        if !self.text.is_empty() {
            add("q", &self.text);
        }
        if let Some((name, value)) = &self.label {
            add("label", &format!("{name}={value}"));
        }
        for (headline, range) in HEADLINES.iter().zip(&self.ranges) {
            if let Some((from, below)) = range {
                let below = if below.is_finite() { below.to_string() } else { String::new() };
                add(headline.key, &format!("{from}..{below}"));
            }
        }
        if self.state != State::All {
            add("state", self.state.name());
        }
        if self.sort != Sort::Id {
            add("sort", self.sort.name());
        }
        if self.page > 1 {
            add("page", &self.page.to_string());
        }
        let query = query.finish();
        if query.is_empty() { "/agents".to_owned() } else { format!("/agents?{query}") }
    }

    /// Returns the page of this search.
    pub(crate) fn list<'a>(&self, fleet: &'a FleetCopy) -> Listing<'a> {
        let mut found = self.find(fleet);
        let pages = found.len().div_ceil(PAGE).max(1);
        let page = self.page.clamp(1, pages);
        let order = |one: &Found<'_>, other: &Found<'_>| {
            let by_value = match self.sort {
                Sort::Id => Ordering::Equal,
                Sort::Headline(index) => descending(one.value(index), other.value(index)),
            };
            by_value.then_with(|| one.id().cmp(other.id()))
        };
        // Most look at the first pages: the agents behind them need no order.
        let end = page * PAGE;
        if end < found.len() {
            found.select_nth_unstable_by(end, order);
        }
        let until = end.min(found.len());
        found[..until].sort_unstable_by(order);
        let shown = found.iter().skip((page - 1) * PAGE).take(PAGE);
        let agents = shown.map(Found::listed).collect();
        Listing { found: found.len(), page, pages, agents }
    }

    fn find<'a>(&self, fleet: &'a FleetCopy) -> Vec<Found<'a>> {
        let (with_up, with_missing, with_departed) = match self.state {
            State::All => (true, true, false),
            State::Up => (true, false, false),
            State::Missing => (false, true, false),
            State::Departed => (false, false, true),
        };
        // Nothing but the id of an agent that is away is known.
        let can_be_away = self.label.is_none() && self.ranges.iter().all(Option::is_none);
        let up = fleet.agents.iter().filter(|agent| with_up && self.matches(agent));
        let away = fleet.departed.iter().filter(|row| {
            let in_state = if row.is_missing { with_missing } else { with_departed };
            can_be_away && in_state && contains(row.departure.id.as_str(), &self.text)
        });
        up.map(Found::Up).chain(away.map(Found::Away)).collect()
    }

    fn matches(&self, agent: &AgentRow) -> bool {
        let in_range = |(value, range): (&f64, &Option<(f64, f64)>)| {
            range.is_none_or(|(from, below)| *value >= from && *value < below)
        };
        let has_label = |(name, value): &(String, String)| {
            static_labels(&agent.labels).any(|(own, text)| own == name && text == *value)
        };
        agent.values.iter().zip(&self.ranges).all(in_range)
            && self.label.as_ref().is_none_or(has_label)
            && (self.text.is_empty()
                || contains(agent.id(), &self.text)
                || static_labels(&agent.labels).any(|(_, value)| contains(&value, &self.text)))
    }
}

impl<'a> Found<'a> {
    fn id(&self) -> &'a str {
        match self {
            Self::Up(agent) => agent.id(),
            Self::Away(row) => row.departure.id.as_str(),
        }
    }

    /// Returns a headline value; NaN if it has none.
    fn value(&self, headline: usize) -> f64 {
        match self {
            Self::Up(agent) => agent.values[headline],
            Self::Away(_) => f64::NAN,
        }
    }

    fn listed(&self) -> Listed<'a> {
        let (state, labels, departed) = match self {
            Self::Up(agent) => (State::Up, &*agent.labels, None),
            Self::Away(DepartedRow { departure, is_missing }) => {
                let state = if *is_missing { State::Missing } else { State::Departed };
                (state, "", Some(Left { at: departure.at, reason: departure.reason.name() }))
            }
        };
        let values = HEADLINES.iter().enumerate().map(|(index, own)| {
            let value = self.value(index);
            (own.key, value.is_finite().then_some(value))
        });
        let labels = static_labels(labels).map(|(name, value)| (name, value.into_owned()));
        let (labels, values) = (labels.collect(), values.collect());
        Listed { id: self.id(), state: state.name(), labels, values, departed }
    }
}

/// Whether a text contains another one in lower case.
fn contains(text: &str, lower: &str) -> bool {
    if text.is_ascii() {
        // Without a copy of the text, for most ids and labels.
        let mut windows = text.as_bytes().windows(lower.len().max(1));
        lower.is_empty() || windows.any(|part| part.eq_ignore_ascii_case(lower.as_bytes()))
    } else {
        text.to_lowercase().contains(lower)
    }
}

/// Compares so that larger values are first, and missing ones last.
fn descending(one: f64, other: f64) -> Ordering {
    match (one.is_nan(), other.is_nan()) {
        (false, false) => other.total_cmp(&one),
        (one, other) => one.cmp(&other),
    }
}

#[cfg(test)]
#[path = "listing_tests.rs"]
mod tests;
