//! Why a connection was lost.

use std::io;
use std::time::Duration;

use crate::client::ClientError;
use crate::tls::{TlsClient, explain};

/// Timeout for receiving Welcome.
pub(super) const WELCOME_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a connection was lost.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    #[error("the collector closed the connection")]
    Closed,
    #[error("reading failed: {0}")]
    Read(#[source] io::Error),
    #[error("writing failed: {0}")]
    Write(#[source] io::Error),
    #[error("waiting for Welcome timed out after {WELCOME_TIMEOUT:?}")]
    NoWelcome,
    #[error("the collector did not answer a Ping")]
    Silent,
    #[error("the port requires TLS; enable it (--tls, or --tls-ca with the collector's CA file)")]
    TlsRequired,
    #[error("{reason}: {0}", reason = .0.reason())]
    Client(#[from] ClientError),
}

impl Lost {
    /// Returns the cause, with TLS errors explained.
    pub(super) fn explain(&self, tls: Option<&TlsClient>) -> String {
        match (self, tls) {
            (Self::Read(error), Some(tls)) => format!("reading failed: {}", explain(tls, error)),
            (Self::Write(error), Some(tls)) => format!("writing failed: {}", explain(tls, error)),
            _ => self.to_string(),
        }
    }
}
