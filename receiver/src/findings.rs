//! Deviations from the protocol that the receiver has seen.

use std::collections::BTreeMap;
use std::fmt;

/// Texts kept of each kind: enough to understand the first cause.
const MAX_TEXTS: usize = 5;
/// Longest text of a finding, in bytes: a label set may have megabytes.
const MAX_TEXT: usize = 500;

/// Kind of a finding.
///
/// Requests with illegal labels, headers or bodies are refused as a whole. Findings about series
/// and samples do not change the answer, unless `in_order_only` is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FindingKind {
    /// Labels of a series are not sorted by name.
    UnsortedLabels,
    /// Empty name or value of a label.
    EmptyLabel,
    /// Series without the label `__name__`.
    MissingName,
    /// Characters in a label name or metric name that Prometheus 2 refuses.
    InvalidName,
    /// Label name that occurs twice in a series.
    DuplicateLabel,
    /// Series that occurs twice in a request. Legal: the protocol does not forbid it.
    DuplicateSeries,
    /// Series without samples.
    EmptySeries,
    /// Sample older than the newest one of its series, stored.
    OutOfOrder,
    /// Sample with the time of a stored one but another value.
    Conflicting,
    /// Sample that is stored already with the same value. Legal: retries cause it.
    Repeated,
    /// Request refused by the mode `in_order_only`. Legal: an engine does it to good senders too.
    OrderRefused,
    /// Method, path or header that the protocol does not allow.
    BadHeader,
    /// Body that cannot be decompressed or is no `WriteRequest`.
    Undecodable,
    /// Request beyond a limit of the receiver.
    OverLimit,
}

impl FindingKind {
    /// Stable name for reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::UnsortedLabels => "unsorted_labels",
            Self::EmptyLabel => "empty_label",
            Self::MissingName => "missing_name",
            Self::InvalidName => "invalid_name",
            Self::DuplicateLabel => "duplicate_label",
            Self::DuplicateSeries => "duplicate_series",
            Self::EmptySeries => "empty_series",
            Self::OutOfOrder => "out_of_order",
            Self::Conflicting => "conflicting",
            Self::Repeated => "repeated",
            Self::OrderRefused => "order_refused",
            Self::BadHeader => "bad_header",
            Self::Undecodable => "undecodable",
            Self::OverLimit => "over_limit",
        }
    }

    /// Whether a correct sender can cause findings of this kind.
    #[must_use]
    pub fn is_legal(self) -> bool {
        matches!(self, Self::DuplicateSeries | Self::Repeated | Self::OrderRefused)
    }
}

/// Counts of findings by kind, with the first texts of each.
#[derive(Debug, Default)]
pub struct Findings {
    kinds: BTreeMap<FindingKind, Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    count: u64,
    texts: Vec<String>,
}

impl Findings {
    /// Number of findings of a kind.
    #[must_use]
    pub fn count(&self, kind: FindingKind) -> u64 {
        self.kinds.get(&kind).map_or(0, |kept| kept.count)
    }

    /// The first findings of a kind as text.
    #[must_use]
    pub fn texts(&self, kind: FindingKind) -> &[String] {
        self.kinds.get(&kind).map_or(&[], |kept| &kept.texts)
    }

    /// Number of findings that a correct sender never causes.
    #[must_use]
    pub fn violations(&self) -> u64 {
        self.kinds.iter().filter(|(kind, _)| !kind.is_legal()).map(|(_, kept)| kept.count).sum()
    }

    /// Counts a finding. The text is only formatted while texts of this kind are kept.
    pub(crate) fn note(&mut self, kind: FindingKind, text: impl FnOnce() -> String) {
        let kept = self.kinds.entry(kind).or_default();
        kept.count = kept.count.saturating_add(1);
        if kept.texts.len() < MAX_TEXTS {
            let mut text = text();
            text.truncate(text.floor_char_boundary(MAX_TEXT));
            kept.texts.push(text);
        }
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, kept) in &self.kinds {
            writeln!(f, "{}: {}", kind.name(), kept.count)?;
            for text in &kept.texts {
                writeln!(f, "  {text}")?;
            }
        }
        Ok(())
    }
}
