//! Reads pages of the text format 0.0.4 or of OpenMetrics 1.0 as strictly as their specifications allow.
//!
//! It refuses timestamps and exemplars too: the collector writes neither. It shares no code with the
//! collector and was written from the specifications, so that an error of the writer is not repeated here.
//! The fuzz targets and the load test both check pages with it.

mod families;
mod line;
mod reader;

pub use families::Family;
pub use line::{Labels, Sample, unescape};
pub use reader::{Item, Read, Reader, Unreadable};

/// A text format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// `text/plain; version=0.0.4`
    #[default]
    Text,
    /// `application/openmetrics-text; version=1.0.0`
    OpenMetrics,
}
