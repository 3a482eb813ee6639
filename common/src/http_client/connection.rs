//! Connections to HTTP servers.

use std::error::Error;
use std::io;
use std::net::SocketAddr;

use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use super::HttpError;

/// Maximum number of headers of a response. Servers send five to twenty.
const MAX_HEADERS: usize = 64;
/// Size that the headers of a response, and a part of the body, cannot exceed by much, in bytes:
/// hyper may read as much again before it checks.
const MAX_BUFFER_BYTES: usize = 64 * 1024;

/// A connection that can be used for several requests. Dropping it closes it.
#[derive(Debug)]
pub struct Connection<B> {
    requests: SendRequest<B>,
    /// The task that reads and writes.
    driver: JoinHandle<()>,
}

impl<B> Connection<B>
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// Connects to the first of these TCP ports that accepts, with TLS if there is a connector.
    pub(super) async fn tcp(
        addresses: &[SocketAddr],
        tls: Option<(TlsConnector, ServerName<'static>)>,
    ) -> Result<Self, HttpError> {
        let stream = TcpStream::connect(addresses).await.map_err(|error| failed(&error))?;
        // Without it, the request could wait for an acknowledgement.
        stream.set_nodelay(true).map_err(|error| failed(&error))?;
        match tls {
            None => Self::over(stream).await,
            Some((connector, name)) => {
                let stream = connector.connect(name, stream).await;
                let explain = |error| HttpError::Connect(explain_tls(&error));
                Self::over(stream.map_err(explain)?).await
            }
        }
    }

    /// Connects to a Unix socket.
    ///
    /// # Errors
    /// The connection fails.
    #[cfg(unix)]
    pub async fn unix(socket: &std::path::Path) -> Result<Self, HttpError> {
        let stream = tokio::net::UnixStream::connect(socket).await;
        Self::over(stream.map_err(|error| failed(&error))?).await
    }

    async fn over<S>(stream: S) -> Result<Self, HttpError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = Builder::new();
        builder.max_headers(MAX_HEADERS).max_buf_size(MAX_BUFFER_BYTES);
        let handshake = builder.handshake(TokioIo::new(stream)).await;
        let (requests, connection) = handshake.map_err(|error| failed(&error))?;
        let driver = tokio::spawn(async move {
            // The request gets the error too.
            let _ = connection.await;
        });
        Ok(Self { requests, driver })
    }

    /// Waits until the last request has been sent and answered.
    ///
    /// # Errors
    /// The connection is closed.
    pub async fn ready(&mut self) -> Result<(), HttpError> {
        self.requests.ready().await.map_err(|error| failed(&error))
    }

    /// Sends a request and returns the response, whose body has not arrived yet.
    ///
    /// # Errors
    /// The connection fails, or the answer is not HTTP.
    pub async fn send(&mut self, request: Request<B>) -> Result<Response<Incoming>, HttpError> {
        self.ready().await?;
        self.requests.send_request(request).await.map_err(|error| failed(&error))
    }
}

impl<B> Drop for Connection<B> {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Returns the error of a connection, with its causes.
#[must_use]
pub fn failed(error: &dyn Error) -> HttpError {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let inner = error.to_string();
        if !text.contains(&inner) {
            text.push_str(": ");
            text.push_str(&inner);
        }
        cause = error.source();
    }
    HttpError::Connect(text)
}

/// Explains an error of the TLS handshake.
fn explain_tls(error: &io::Error) -> String {
    use rustls::{CertificateError, Error};
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let advice = match tls {
        Some(Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        )) => "no trusted CA signed the certificate; set tls_ca",
        Some(Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => "the certificate is for another name; set tls_server_name",
        Some(Error::InvalidMessage(_)) => "the answer is not TLS; set an http:// url",
        Some(Error::AlertReceived(_)) => "the server refused; it may require tls_certificate",
        _ => return format!("TLS failed: {error}"),
    };
    format!("{advice} ({error})")
}
