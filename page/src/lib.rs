//! Strict parser of the text format 0.0.4 and of OpenMetrics 1.0.
//!
//! It also rejects timestamps and exemplars, which the collector never writes. It shares no code
//! with the collector and was written from the specifications, so that it does not repeat an error
//! of the writer. The fuzz targets and the load test check pages with it.

mod families;
mod line;
mod reader;

pub use families::Family;
pub use line::{Labels, Sample, unescape};
pub use reader::{InvalidLine, Item, ReadResult, Reader};

/// A text format for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// `text/plain; version=0.0.4`
    #[default]
    Text,
    /// `application/openmetrics-text; version=1.0.0`
    OpenMetrics,
}
