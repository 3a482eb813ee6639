//! Reads metrics of other programs on the host: of exporters and of text files.
//!
//! | module | contents |
//! |---|---|
//! | [`text`] | Parser of metrics pages, without I/O |
//! | [`error`] | Errors of a scrape |
//! | `page_sink`, `sample_order`, `relabel` | Writes a page into an output of samples |
//! | `http`, `body` | Fetches the page of an exporter |
//! | `exporter` | One scrape of an exporter |
//! | `scraper`, `scrapers` | When exporters are scraped, and the metrics about scrapes |
//! | `textfile`, `known_file` | Source that reads text files |

mod body;
pub mod error;
mod exporter;
#[cfg(test)]
mod fake_exporter;
mod http;
mod known_file;
mod page_sink;
mod relabel;
mod sample_order;
mod scrape_log;
mod scraper;
mod scrapers;
pub mod text;
mod textfile;

pub use error::ScrapeError;
pub(crate) use scrapers::Scrapers;
pub(crate) use textfile::source as textfile_source;
