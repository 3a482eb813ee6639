//! TLS on the HTTP port.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::{Error, InvalidMessage};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::socket::Socket;
use crate::state::CollectorState;
use crate::telemetry::log_limiter::{log_count, shortened};
use crate::tls::{ClientVerifier, PortTls, PresentedChain};

/// Maximum time for the TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Interval at which a connected client's certificate is verified again.
const VERIFY_EVERY: Duration = Duration::from_secs(1);

/// Performs the TLS handshake and verifies the client certificate against the policy in force. This
/// is necessary because rustls does not verify the certificate again when a TLS session is resumed.
pub(super) async fn accept(
    stream: Socket,
    port: &Arc<PortTls>,
    collector: &CollectorState,
) -> io::Result<(TlsStream<Socket>, VerifiedClient)> {
    let acceptor = TlsAcceptor::from(port.server());
    let accepted = timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await?;
    let stream = accepted.map_err(|error| if is_plain(&error) { plain() } else { error })?;
    let chain = stream.get_ref().1.peer_certificates().map(<[_]>::to_vec);
    let mut client = VerifiedClient { verifier: Arc::clone(port.clients()), chain };
    client.verify(collector).map_err(io::Error::other)?;
    Ok((stream, client))
}

/// Whether the handshake failed because the client's first bytes are not a TLS record.
fn is_plain(error: &io::Error) -> bool {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
    matches!(cause, Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)))
}

fn plain() -> io::Error {
    io::Error::other("the client does not speak TLS; use https:// in its URL")
}

/// A client whose certificate was verified. Without required certificates, there may be none.
pub(super) struct VerifiedClient {
    verifier: Arc<ClientVerifier>,
    chain: Option<Vec<CertificateDer<'static>>>,
}

impl VerifiedClient {
    /// Completes when the certificate is no longer valid: after a reload, or because it has
    /// expired.
    pub(super) async fn until_invalid(mut self, address: IpAddr, collector: &CollectorState) {
        let error = loop {
            match self.verify(collector) {
                Ok(()) => sleep(VERIFY_EVERY).await,
                Err(error) => break error,
            }
        };
        let kind = ("HTTP client certificate rejected", "");
        let error = error.to_string();
        let error = shortened(&error);
        log_count!(collector, kind, warn, "HTTP client certificate rejected", %address, error);
    }

    /// Verifies the client's certificate against the policy in force.
    fn verify(&mut self, collector: &CollectorState) -> Result<(), Error> {
        let policy = collector.auth.current();
        let tls = policy.http_tls.as_ref().ok_or(Error::NoCertificatesPresented)?;
        let verifier = Arc::clone(tls.clients());
        let presented =
            PresentedChain { verified_by: &self.verifier, chain: self.chain.as_deref() };
        verifier.verify(presented, collector.clock.moment().unix)?;
        self.verifier = verifier;
        Ok(())
    }
}
