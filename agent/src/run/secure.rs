//! Begins TLS on a connection, and hears a collector that has no room for it.

use std::time::Duration;

use fleetgauge_proto::{Accept, Code, FrameBuffer, Message, VERSION};
use rustls::pki_types::ServerName;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::connect::{CONNECT_TIMEOUT, ConnectError};
use super::disk;
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
    tls: &mut Tls,
) -> Result<Stream, ConnectError> {
    let connector = connector(tls).await.map_err(ConnectError::Tls)?;
    let name = server_name(to, tls)?;
    let connect = connector.connect(name, Opening::new(stream)).into_fallible();
    match timeout(CONNECT_TIMEOUT, connect).await {
        Err(_) => Err(ConnectError::TlsTimeout),
        Ok(Ok(stream)) => Ok(Stream::Tls(Box::new(stream))),
        Ok(Err((_, opening))) if !opening.frame.is_empty() => Err(refused(opening).await),
        Ok(Err((error, _))) => Err(ConnectError::Tls(tls.explain(&error))),
    }
}

/// What connects by the files as they are now.
async fn connector(tls: &mut Tls) -> Result<TlsConnector, String> {
    let mut read = tls.clone();
    let (read, connector) = disk::read("the files of TLS", move || {
        let connector = read.connector().map_err(|bad| bad.to_string())?;
        Ok((read, connector))
    })
    .await?;
    *tls = read;
    Ok(connector)
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

/// What a collector means by a frame in place of TLS. Anybody on the way could have said it, so it may make us wait,
/// and nothing else.
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

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tokio::task::spawn_blocking;

    use super::*;
    use crate::tls::TlsSettings;

    /// The only thread that may block is held up until the file is there: who reads it elsewhere finds none.
    #[test]
    fn the_files_of_tls_are_not_read_on_the_agents_thread() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(1)
            .build()
            .unwrap();
        runtime.block_on(async {
            let directory = tempfile::tempdir().unwrap();
            let ca = directory.path().join("ca.pem");
            let (go_on, held_up) = std::sync::mpsc::channel::<()>();
            let holding = spawn_blocking(move || held_up.recv());
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let to = listener.local_addr().unwrap().to_string();
            let stream = TcpStream::connect(&to).await.unwrap();
            let to = Endpoint::parse(&to).unwrap();
            let mut tls = Tls::new(TlsSettings { ca: Some(ca.clone()), ..TlsSettings::default() });
            let write = async {
                std::fs::write(ca, "no certificate").unwrap();
                go_on.send(()).unwrap();
            };
            let (secured, ()) = tokio::join!(secure(stream, &to, &mut tls), write);
            let error = secured.unwrap_err().to_string();
            assert!(error.contains("holds no certificate"), "{error}");
            holding.await.unwrap().unwrap();
        });
    }
}
