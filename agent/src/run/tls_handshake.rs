//! The TLS handshake, and a Reject that arrives instead of TLS.
//!
//! A collector at its limits rejects a connection before it spends CPU time on TLS.

use std::time::Duration;

use fleetgauge_proto::{Accept, Code, FrameBuffer, Message, VERSION};
use rustls::pki_types::ServerName;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::connect::{CONNECT_TIMEOUT, ConnectError};
use super::socket::Socket;
use super::transport::{HandshakeStream, Transport};
use crate::tls::{TlsClient, explain};

/// Timeout for the rest of a frame that arrives instead of TLS.
const FRAME_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest delay that an unauthenticated peer can ask for.
const MAX_UNAUTHENTICATED_DELAY: Duration = Duration::from_secs(60);
/// Longest payload of a Reject, in bytes.
const MAX_REJECT_BYTES: u32 = 4096;

/// Performs the TLS handshake over `stream`. `host` is the name that the collector's certificate
/// must have, unless a setting says otherwise.
pub(super) async fn handshake(
    stream: Socket,
    host: &str,
    tls: &TlsClient,
    connector: &TlsConnector,
) -> Result<Transport, ConnectError> {
    let name = server_name(host, tls)?;
    let connect = connector.connect(name, HandshakeStream::new(stream)).into_fallible();
    match timeout(CONNECT_TIMEOUT, connect).await {
        Err(_) => Err(ConnectError::TlsTimeout),
        Ok(Ok(stream)) => Ok(Transport::Tls(Box::new(stream))),
        Ok(Err((_, stream))) if !stream.frame.is_empty() => Err(rejected(stream).await),
        Ok(Err((error, _))) => Err(ConnectError::Tls(explain(tls, &error))),
    }
}

/// Returns the name that the collector's certificate must have.
fn server_name(host: &str, tls: &TlsClient) -> Result<ServerName<'static>, ConnectError> {
    if let Some(name) = &tls.settings().server_name {
        return Ok(name.clone());
    }
    ServerName::try_from(host.to_owned()).map_err(|_| {
        ConnectError::Tls(format!("{host:?} is not a valid TLS server name; set --tls-server-name"))
    })
}

/// Returns the error for a frame that arrived instead of TLS. An attacker could have sent the
/// frame, so it may only delay the retry.
async fn rejected(stream: HandshakeStream) -> ConnectError {
    match timeout(FRAME_TIMEOUT, read_reject(stream)).await {
        Ok(Some(rejected)) => rejected,
        _ => ConnectError::Tls(
            "the collector answered without TLS; give the collector a certificate \
             (its --tls-certificate)"
                .to_owned(),
        ),
    }
}

/// Reads a Reject that starts with the received frame bytes; `None` if the frame is anything but a
/// Reject that a collector may send before TLS.
async fn read_reject(stream: HandshakeStream) -> Option<ConnectError> {
    let HandshakeStream { mut stream, frame: mut bytes, .. } = stream;
    let accept = Accept { version: VERSION, max_payload_bytes: MAX_REJECT_BYTES };
    loop {
        let (mut frames, mut input) = (FrameBuffer::default(), &*bytes);
        if let Some(frame) = frames.next(&mut input, accept).ok()? {
            let Ok(Message::Reject(reject)) = Message::decode(frame) else { return None };
            let delay = Duration::from_millis(reject.retry_after_ms?.into());
            return is_transient(reject.code).then(|| ConnectError::Rejected {
                code: reject.code,
                text: reject.text.into(),
                delay: delay.min(MAX_UNAUTHENTICATED_DELAY),
            });
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

/// Returns whether a collector may send this code before TLS: a limit is reached.
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
