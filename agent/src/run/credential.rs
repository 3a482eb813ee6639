//! What the agent shows a collector for itself, and to whom it does not.

use std::io;
use std::net::IpAddr;

use tokio::net::TcpStream;

use super::disk;
use crate::config::{Token, TokenSource};

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoToken {
    /// Others than the collector could read it.
    #[error("the token is not sent to {0} unencrypted")]
    Exposed(IpAddr),
    #[error("{0}")]
    Unusable(String),
    #[error("the connection has ended: {0}")]
    Connection(#[from] io::Error),
}

/// The token for this connection, as it is now: its file may have changed since the last one. It is for other hosts only
/// if it may go `anywhere`: under TLS, or because the operator says so.
pub(super) async fn token(
    source: &TokenSource,
    stream: &TcpStream,
    anywhere: bool,
) -> Result<Token, NoToken> {
    let address = stream.peer_addr()?.ip().to_canonical();
    if !address.is_loopback() && !anywhere {
        return Err(NoToken::Exposed(address));
    }
    let source = source.clone();
    disk::read("the token", move || source.token()).await.map_err(NoToken::Unusable)
}
