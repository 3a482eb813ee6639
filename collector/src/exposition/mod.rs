//! Renders snapshots as text: format 0.0.4 or OpenMetrics 1.0, in chunks, plain or compressed.
//!
//! Agents' series are rendered without timestamps, so that a series is stale as soon as it is
//! missing from a page. The collector's own metrics come from prometheus-client; [`openmetrics`]
//! converts them.

mod escape;
mod gzip;
mod head;
mod labels;
mod number;
pub mod openmetrics;
mod own_families;
mod plan;
mod size;
mod snapshot;
mod text;

pub use escape::escape_label_value;
pub(crate) use escape::label_bytes;
pub use gzip::Gzip;
pub use head::FamilyHead;
pub(crate) use labels::{RENAMED, Renames, agent_range, client_no, prefixes, sample_labels};
pub use labels::{agent_of, static_labels, write_labels};
pub(crate) use number::{label_number, write_value};
pub(crate) use own_families::OwnFamilies;
pub(crate) use plan::KindLines;
pub use plan::Plan;
pub use size::CatalogSize;
#[cfg(test)]
pub(crate) use snapshot::visited;
pub use snapshot::{Group, PageFamily, Snapshot};
pub(crate) use text::render_with;
pub use text::{CHUNK_BYTES, Counted, Disconnected, Sink, render};

/// A text format of Prometheus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// The text format, `text/plain; version=0.0.4`.
    #[default]
    Text,
    /// OpenMetrics, `application/openmetrics-text; version=1.0.0`.
    OpenMetrics,
}

impl Format {
    /// All formats, in the order of arrays indexed by format.
    pub(crate) const ALL: [Self; 2] = [Self::Text, Self::OpenMetrics];

    /// Returns the value of the Content-Type header.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}
