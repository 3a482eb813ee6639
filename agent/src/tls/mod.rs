//! TLS to the collector: explains its errors.

mod error_text;

pub use fleetgauge_common::tls_client::{Identity, TlsClient, TlsFileError, TlsSettings};

pub(crate) use error_text::explain;
