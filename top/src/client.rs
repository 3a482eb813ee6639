//! Requests to the collector, one at a time over one connection.

use std::time::Duration;

use fleetgauge_common::http_client::{
    AuthReader, Connection, Dialer, HttpAuth, HttpError, HttpUrl, failed,
};
use fleetgauge_common::tls_client::TlsSettings;
use http_body_util::{BodyExt, Limited};
use hyper::header::{ACCEPT, AUTHORIZATION, HOST, HeaderValue, USER_AGENT};
use hyper::{Request, StatusCode};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

/// Maximum time for an answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum size of an answer, in bytes: above the page of a host with 10,000 series.
const MAX_ANSWER_BYTES: usize = 4 << 20;
const AGENT: &str = concat!("fleetgauge-top/", env!("CARGO_PKG_VERSION"));

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FetchError {
    /// No connection, or no credential.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The collector did not answer in time.
    #[error("no answer within {} s", TIMEOUT.as_secs())]
    TimedOut,
    /// The collector needs another credential.
    #[error("the collector requires a valid token: set --token-file")]
    Unauthorized,
    /// The path does not exist.
    #[error("not found")]
    NotFound,
    /// Another status than 200.
    #[error("the answer has status {0}; is this the HTTP address of a collector?")]
    Status(u16),
    /// The answer breaks off, or is too long.
    #[error("the answer is incomplete, or has more than {MAX_ANSWER_BYTES} bytes")]
    Body,
    /// The answer is not what a collector sends.
    #[error("the answer is not that of a collector: {0}")]
    Invalid(String),
}

/// A client of one collector.
pub(crate) struct Client {
    /// What it connects to, for people.
    pub(crate) authority: String,
    /// Path of the collector below the address, without the slash at its end.
    prefix: String,
    auth: HttpAuth,
    authorization: AuthReader,
    dialer: Dialer,
    connection: Option<Connection<String>>,
}

impl Client {
    /// Creates a client. Does not connect yet.
    pub(crate) fn new(url: &HttpUrl, tls: Option<TlsSettings>, auth: HttpAuth) -> Self {
        Self {
            authority: url.authority().to_owned(),
            prefix: url.path().trim_end_matches('/').to_owned(),
            auth,
            authorization: AuthReader::default(),
            dialer: Dialer::new(url.endpoint().host(), url.endpoint().port(), tls),
            connection: None,
        }
    }

    /// Requests JSON.
    pub(crate) async fn json<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, FetchError> {
        let body = self.get(path).await?;
        serde_json::from_slice(&body).map_err(|error| FetchError::Invalid(error.to_string()))
    }

    /// Requests text.
    pub(crate) async fn text(&mut self, path: &str) -> Result<String, FetchError> {
        let body = self.get(path).await?;
        String::from_utf8(body).map_err(|error| FetchError::Invalid(error.to_string()))
    }

    async fn get(&mut self, path: &str) -> Result<Vec<u8>, FetchError> {
        // Kept only if all goes well: what is left of an answer would be taken for the next one.
        let kept = self.connection.take();
        match timeout(TIMEOUT, self.exchange(path, kept)).await {
            Ok(answer) => answer,
            Err(_) => Err(FetchError::TimedOut),
        }
    }

    async fn exchange(
        &mut self,
        path: &str,
        kept: Option<Connection<String>>,
    ) -> Result<Vec<u8>, FetchError> {
        let mut connection = match kept {
            Some(kept) => kept,
            None => self.dialer.connect().await?,
        };
        // The collector closes connections that are idle for long.
        if connection.ready().await.is_err() {
            connection = self.dialer.connect().await?;
        }
        let response = connection.send(self.request(path).await?).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
        let body = body.map_err(|_| FetchError::Body)?.to_bytes();
        self.connection = Some(connection);
        match status {
            StatusCode::OK => Ok(body.into()),
            StatusCode::UNAUTHORIZED => Err(FetchError::Unauthorized),
            StatusCode::NOT_FOUND => Err(FetchError::NotFound),
            other => Err(FetchError::Status(other.as_u16())),
        }
    }

    async fn request(&mut self, path: &str) -> Result<Request<String>, HttpError> {
        let request = Request::get(format!("{}{path}", self.prefix)).body(String::new());
        let mut request = request.map_err(|error| failed(&error))?;
        let headers = request.headers_mut();
        headers.insert(HOST, self.dialer.host_header()?);
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/plain"));
        if let Some(authorization) = self.authorization.header(&self.auth).await? {
            headers.insert(AUTHORIZATION, authorization);
        }
        Ok(request)
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
