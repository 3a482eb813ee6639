//! TLS on the HTTP port.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::info;

use crate::shared::Shared;
use crate::tls::{Clients, PortTls, Proof};

/// Time to establish TLS.
const ESTABLISHED_WITHIN: Duration = Duration::from_secs(10);
/// How often a client that is connected is judged anew.
const JUDGE_EVERY: Duration = Duration::from_secs(1);

/// TLS over a connection that was just accepted, and by what its client is let in.
pub(super) async fn secure(
    stream: TcpStream,
    port: &Arc<PortTls>,
) -> io::Result<(TlsStream<TcpStream>, Pass)> {
    let acceptor = TlsAcceptor::from(port.server());
    let stream = timeout(ESTABLISHED_WITHIN, acceptor.accept(stream)).await??;
    let chain = stream.get_ref().1.peer_certificates().map(<[_]>::to_vec);
    Ok((stream, Pass { judge: Arc::clone(port.clients()), chain }))
}

/// By what a client was let in.
pub(super) struct Pass {
    judge: Arc<Clients>,
    chain: Option<Vec<CertificateDer<'static>>>,
}

impl Pass {
    /// Done when it is not good any more: by other rules, or because it has expired.
    pub(super) async fn lapse(mut self, shared: &Shared) {
        loop {
            let judge = shared.trust.read().http_tls.as_ref().map(|tls| Arc::clone(tls.clients()));
            let Some(judge) = judge else { return };
            let proof = Proof { judge: &self.judge, chain: self.chain.as_deref() };
            if let Err(error) = judge.judge(proof, shared.clock.moment().unix) {
                info!(%error, "the certificate of an HTTP client is not good any more");
                return;
            }
            self.judge = judge;
            sleep(JUDGE_EVERY).await;
        }
    }
}
