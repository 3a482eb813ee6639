use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, duplex, split};
use tokio::time::{sleep, timeout};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;
use crate::run::socket::{Socket, WRITE_TIMEOUT};

/// Maximum bytes in flight in each direction.
const BUFFER: usize = 4_000;
/// Time after which a test fails, on the paused clock.
const LONG: Duration = Duration::from_secs(3_600);

fn outbox(len: usize) -> Outbox {
    Outbox { frames: vec![7; len], written: 0 }
}

#[tokio::test(start_paused = true)]
async fn cancelled_flush_is_continued() {
    let (mut stream, mut peer) = duplex(BUFFER);
    let mut out = outbox(2 * BUFFER);
    assert!(timeout(WRITE_TIMEOUT, out.flush(&mut stream)).await.is_err());
    out.frames.push(8);
    let mut received = vec![0; 2 * BUFFER + 1];
    let (flushed, read) = tokio::join!(out.flush(&mut stream), peer.read_exact(&mut received));
    flushed.unwrap();
    read.unwrap();
    assert!(out.is_empty());
    assert!(received.ends_with(&[7, 8]) && !received[..2 * BUFFER].contains(&8));
}

/// Forwards one buffer at a time, each shortly before the write timeout would end the connection.
async fn pass_on_slowly(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    let mut buffer = [0; BUFFER];
    loop {
        let read = from.read(&mut buffer).await.unwrap();
        to.write_all(&buffer[..read]).await.unwrap();
        sleep(WRITE_TIMEOUT - Duration::from_millis(100)).await;
    }
}

fn configs() -> (TlsConnector, TlsAcceptor) {
    let made = rcgen::generate_simple_self_signed(["collector".to_owned()]).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    (TlsConnector::from(Arc::new(client)), TlsAcceptor::from(Arc::new(server)))
}

#[tokio::test(start_paused = true)]
async fn large_report_arrives_over_tls_and_a_slow_link() {
    let (connector, acceptor) = configs();
    let (stream, near) = duplex(BUFFER);
    let (far, peer) = duplex(BUFFER);
    let ((from_agent, to_agent), (from_peer, to_peer)) = (split(near), split(far));
    let mut out = outbox(50 * BUFFER);
    let link = async {
        tokio::join!(pass_on_slowly(from_agent, to_peer), pass_on_slowly(from_peer, to_agent))
    };
    let send = async {
        let name = ServerName::try_from("collector").unwrap();
        let mut stream = connector.connect(name, Socket::new(stream)).await.unwrap();
        out.flush(&mut stream).await.unwrap();
        // The connection stays open: what was not flushed would never arrive.
        std::future::pending::<()>().await;
    };
    let receive = async {
        let mut peer = acceptor.accept(peer).await.unwrap();
        let mut received = vec![0; 50 * BUFFER];
        peer.read_exact(&mut received).await.unwrap();
        received
    };
    tokio::select! {
        _ = link => panic!("the link ended"),
        () = send => panic!("the agent closed the connection"),
        received = timeout(LONG, receive) => {
            assert!(received.expect("not all bytes arrived").iter().all(|byte| *byte == 7));
        }
    }
}
