//! Incremental parser of metrics pages: Prometheus text 0.0.4 and OpenMetrics 1.0.
//!
//! [`PageReader`] takes the chunks of a page as they arrive, and passes what it parses to a
//! [`Sink`]. It stores nothing of the page except for a line whose end has not arrived.
//!
//! It accepts what Prometheus accepts, and one malformed line fails the page, as in Prometheus.
//! Carriage returns are errors, as there. Differences:
//!
//! - A label value cannot contain a raw line feed, only `\n`.
//! - A NUL byte outside of label values, help texts and comments is an error. Prometheus ends the
//!   page at some of them.
//! - Blanks before a metric name are skipped. Prometheus makes them part of the name.
//! - A label that occurs twice, or is named `__name__`, is an error here. Prometheus rejects it
//!   after parsing.
//! - A timestamp may be negative.
//!
//! The parser does not group samples into families and does not check that a series occurs once;
//! the sink does.
//!
//! Why no crate: `prometheus-parse` needs the whole page, ignores invalid lines and allocates for
//! every label; `openmetrics-parser` needs the whole page and its licence is the LGPL;
//! `prometheus-parser` parses PromQL, not pages. None has limits or a fast path for known series.

mod cursor;
mod labels;
mod limits;
mod metadata;
mod number;
mod reader;
#[cfg(test)]
mod recorder;
mod sample;
mod scratch;
mod sink;
#[cfg(test)]
mod speed_tests;
mod tail;

pub use limits::{
    MAX_LABEL_NAME_BYTES, MAX_LABEL_VALUE_BYTES, MAX_LINE_BYTES, MAX_METRIC_NAME_BYTES,
    MAX_PAGE_BYTES, MAX_PAGE_SAMPLES, MAX_SAMPLE_LABELS, PageLimits,
};
pub use reader::PageReader;
pub use sink::{Kind, LabelIter, Labels, Metadata, Sample, Sink};

/// A text format for metrics. The `Content-Type` of the page selects it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// `text/plain; version=0.0.4`
    #[default]
    Prometheus,
    /// `application/openmetrics-text; version=1.0.0`
    OpenMetrics,
}

/// What is wrong with a line, as a predicate: `has no value`.
type Problem = &'static str;

#[cfg(test)]
#[path = "format_tests.rs"]
mod tests;
