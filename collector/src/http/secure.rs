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
use crate::shared::Shared;
use crate::tls::{Clients, PortTls, Proof};
use crate::untold::{log_count, shortened};

/// Time to establish TLS.
const ESTABLISHED_WITHIN: Duration = Duration::from_secs(10);
/// How often a client that is connected is judged anew.
const JUDGE_EVERY: Duration = Duration::from_secs(1);

/// TLS over a connection that was just accepted, and by what its client is let in: judged by the rules of now, for whom
/// TLS lets in by a ticket it has not looked at again.
pub(super) async fn secure(
    stream: Socket,
    port: &Arc<PortTls>,
    shared: &Shared,
) -> io::Result<(TlsStream<Socket>, Pass)> {
    let acceptor = TlsAcceptor::from(port.server());
    let accepted = timeout(ESTABLISHED_WITHIN, acceptor.accept(stream)).await?;
    let stream = accepted.map_err(|error| if is_plain(&error) { plain() } else { error })?;
    let chain = stream.get_ref().1.peer_certificates().map(<[_]>::to_vec);
    let mut pass = Pass { judge: Arc::clone(port.clients()), chain };
    pass.judge(shared).map_err(io::Error::other)?;
    Ok((stream, pass))
}

/// Whether what came in place of a client's first record is no record at all.
fn is_plain(error: &io::Error) -> bool {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
    matches!(cause, Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)))
}

fn plain() -> io::Error {
    io::Error::other("the client does not speak TLS; does its URL begin with https://?")
}

/// By what a client was let in.
pub(super) struct Pass {
    judge: Arc<Clients>,
    chain: Option<Vec<CertificateDer<'static>>>,
}

impl Pass {
    /// Done when it is not good any more: by other rules, or because it has expired.
    pub(super) async fn lapse(mut self, address: IpAddr, shared: &Shared) {
        let error = loop {
            match self.judge(shared) {
                Ok(()) => sleep(JUDGE_EVERY).await,
                Err(error) => break error,
            }
        };
        let kind = ("HTTP client certificate rejected", "");
        let cause = error.to_string();
        let cause = shortened(&cause);
        log_count!(shared, kind, warn, "HTTP client certificate rejected", %address, cause);
    }

    /// Whether it is good by the rules of now.
    fn judge(&mut self, shared: &Shared) -> Result<(), Error> {
        let judge = shared.trust.read().http_tls.as_ref().map(|tls| Arc::clone(tls.clients()));
        let judge = judge.ok_or(Error::NoCertificatesPresented)?;
        let proof = Proof { judge: &self.judge, chain: self.chain.as_deref() };
        judge.judge(proof, shared.clock.moment().unix)?;
        self.judge = judge;
        Ok(())
    }
}
