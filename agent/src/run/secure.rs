//! Begins TLS on a connection, and hears a collector that has no room for it.

use std::time::Duration;

use fleetgauge_proto::{Accept, Code, FrameBuffer, Message, VERSION};
use rustls::pki_types::ServerName;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::connect::{CONNECT_TIMEOUT, ConnectError};
use super::stream::{Opening, Stream};
use crate::config::Endpoint;
use crate::tls::Tls;

/// How long the rest of a frame may take that came instead of TLS.
const FRAME_WITHIN: Duration = Duration::from_secs(2);
/// Longest wait that is obeyed of who has not shown that it is the collector.
const MOST_OBEYED: Duration = Duration::from_secs(60);
/// Longest payload of a Reject that is read.
const MAX_REJECT_BYTES: u32 = 4096;

/// TLS over `stream`, with the collector at `to`.
pub(super) async fn secure(
    stream: TcpStream,
    to: &Endpoint,
    tls: &Tls,
    connector: &TlsConnector,
) -> Result<Stream, ConnectError> {
    let name = server_name(to, tls)?;
    let connect = connector.connect(name, Opening::new(stream)).into_fallible();
    match timeout(CONNECT_TIMEOUT, connect).await {
        Err(_) => Err(ConnectError::TlsTimeout),
        Ok(Ok(stream)) => Ok(Stream::Tls(Box::new(stream))),
        Ok(Err((_, opening))) if !opening.frame.is_empty() => Err(refused(opening).await),
        Ok(Err((error, _))) => Err(ConnectError::Tls(tls.explain(&error))),
    }
}

fn server_name(to: &Endpoint, tls: &Tls) -> Result<ServerName<'static>, ConnectError> {
    if let Some(name) = &tls.settings().server_name {
        return Ok(name.clone());
    }
    ServerName::try_from(to.host().to_owned()).map_err(|_| {
        let host = to.host();
        ConnectError::Tls(format!("no certificate is for {host:?}; set tls_server_name"))
    })
}

/// What a collector means by a frame in place of TLS. Anybody on the way could have said it, so it
/// may make us wait, and nothing else.
async fn refused(opening: Opening) -> ConnectError {
    match timeout(FRAME_WITHIN, reject(opening)).await {
        Ok(Some(refused)) => refused,
        _ => ConnectError::Tls(
            "the collector answers without TLS; does it have a certificate (tls_certificate)?"
                .to_owned(),
        ),
    }
}

async fn reject(Opening { mut stream, frame: mut bytes, .. }: Opening) -> Option<ConnectError> {
    let accept = Accept { version: VERSION, max_payload_bytes: MAX_REJECT_BYTES };
    loop {
        let (mut frames, mut input) = (FrameBuffer::default(), &*bytes);
        if let Some(frame) = frames.next(&mut input, accept).ok()? {
            let Ok(Message::Reject(reject)) = Message::decode(frame) else { return None };
            let wait = Duration::from_millis(reject.retry_after_ms?.into());
            return is_transient(reject.code).then(|| ConnectError::Refused {
                code: reject.code,
                text: reject.text.into(),
                wait: wait.min(MOST_OBEYED),
            });
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

/// Whether a collector may say this before TLS: it has no room now.
fn is_transient(code: u16) -> bool {
    matches!(
        Code::from_u16(code),
        Some(
            Code::CollectorFull
                | Code::AddressFull
                | Code::AddressPaused
                | Code::HandshakesFull
                | Code::Draining
        )
    )
}
