//! Reads metrics of other programs on the host: of exporters and of text files.
//!
//! | module | contents |
//! |---|---|
//! | [`text`] | Parser of metrics pages, without I/O |
//! | [`error`] | Errors of a scrape |

pub mod error;
pub mod text;

pub use error::ScrapeError;
