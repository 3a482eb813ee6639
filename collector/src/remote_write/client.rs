//! Sends requests of remote write to one destination, one at a time.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use fleetgauge_common::http_client::{AuthReader, Connection, Dialer, HttpAuth, HttpError, failed};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue,
    USER_AGENT,
};
use hyper::{Request, Response};
use tokio::time::timeout;

use super::compression::Encoding;
use super::outcome::{Confirmation, Outcome, RetryReason, clock_offset};
use crate::config::{DestinationSettings, Protocol};

/// Maximum bytes of a response's body that are read. After a longer body, the connection is closed.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// Maximum time to read a response's body. The outcome does not depend on it.
const MAX_BODY_TIME: Duration = Duration::from_secs(1);
/// Maximum time until a connection can be used again. An engine that answers before it has read the
/// request may never read the rest.
const MAX_READY_TIME: Duration = Duration::from_secs(1);

const PROGRAM: &str = concat!("fleetgauge-collector/", env!("CARGO_PKG_VERSION"));
const VERSION_HEADER: HeaderName = HeaderName::from_static("x-prometheus-remote-write-version");
/// Value of [`VERSION_HEADER`] and media type of each version.
const VERSION_1: (&str, &str) = ("0.1.0", "application/x-protobuf");
const VERSION_2: (&str, &str) =
    ("2.0.0", "application/x-protobuf;proto=io.prometheus.write.v2.Request");

type ToEngine = Connection<Full<Bytes>>;
/// A response, whose body has not arrived yet, and its connection.
type Sent = (Response<Incoming>, ToEngine);

/// The result of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    /// What happened to the samples.
    pub(crate) outcome: Outcome,
    /// Whether the engine may have stored the samples though the outcome does not say so: an
    /// attempt had no answer, or an error of the server.
    pub(crate) may_be_stored: bool,
    /// Seconds by which the engine's clock is ahead of ours, in whole seconds; `None` if the engine
    /// did not say.
    pub(crate) clock_offset: Option<i64>,
}

/// HTTP client of one lane. Keeps the connection between requests.
pub(crate) struct Client {
    dialer: Dialer,
    auth: HttpAuth,
    authorization: AuthReader,
    /// Path and query, which may have secrets.
    path: Box<str>,
    /// Headers of all requests.
    headers: HeaderMap,
    timeout: Duration,
    protocol: Protocol,
    confirmation: Arc<Confirmation>,
    connection: Option<ToEngine>,
    /// Attempts of the current request that were started and not answered.
    unanswered: u32,
}

/// Leaves out what may have secrets.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("dialer", &self.dialer).finish_non_exhaustive()
    }
}

impl Client {
    /// Creates a client. Does not connect yet.
    pub(crate) fn new(settings: &DestinationSettings) -> Self {
        let endpoint = settings.url.endpoint();
        let dialer = Dialer::new(endpoint.host(), endpoint.port(), settings.tls.clone());
        let mut headers = settings.headers.clone();
        headers.insert(USER_AGENT, HeaderValue::from_static(PROGRAM));
        let (version, media_type) = match settings.protocol {
            Protocol::V1 => VERSION_1,
            Protocol::V2 => VERSION_2,
        };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        headers.insert(VERSION_HEADER, HeaderValue::from_static(version));
        // Hosts are checked by the settings.
        if let Ok(host) = dialer.host_header() {
            headers.insert(HOST, host);
        }
        Self {
            dialer,
            auth: settings.auth.clone(),
            authorization: AuthReader::default(),
            path: settings.url.path().into(),
            headers,
            timeout: settings.timeout,
            protocol: settings.protocol,
            confirmation: Arc::default(),
            connection: None,
            unanswered: 0,
        }
    }

    /// Shares what the engine's answers say about remote write 2.0 with other clients.
    pub(super) fn sharing(self, confirmation: &Arc<Confirmation>) -> Self {
        Self { confirmation: Arc::clone(confirmation), ..self }
    }

    /// Sends a request and waits for the status of the answer, at most for the timeout of the
    /// destination, and then at most [`MAX_BODY_TIME`] for its body. Dropping the future closes the
    /// connection.
    pub(crate) async fn send(&mut self, body: Bytes, encoding: Encoding) -> Reply {
        self.unanswered = 0;
        let limit = self.timeout;
        let outcome = match timeout(limit, self.exchange(body, encoding)).await {
            Ok(Ok((response, connection))) => return self.reply(response, connection).await,
            Ok(Err(error)) => error.into(),
            Err(_) => Outcome::RetryLater { after: None, why: RetryReason::Timeout(limit) },
        };
        Reply { outcome, may_be_stored: self.unanswered > 0, clock_offset: None }
    }

    /// Sends a request. Returns the response, whose body has not arrived yet, and its connection.
    async fn exchange(&mut self, body: Bytes, encoding: Encoding) -> Result<Sent, HttpError> {
        let authorization = self.authorization.header(&self.auth).await?;
        let request = || self.request(body.clone(), encoding, authorization.as_ref());
        let (first, again) = (request()?, request()?);
        if let Some(sent) = self.send_on_kept(first).await {
            return Ok(sent);
        }
        let mut connection = self.dialer.connect().await?;
        self.unanswered += 1;
        let response = connection.send(again).await?;
        self.unanswered -= 1;
        Ok((response, connection))
    }

    /// Sends a request on the connection of the last one. Returns `None` if there is none, or if it
    /// fails: engines and proxies close connections that were idle.
    async fn send_on_kept(&mut self, request: Request<Full<Bytes>>) -> Option<Sent> {
        let mut connection = self.connection.take()?;
        timeout(MAX_READY_TIME, connection.ready()).await.ok()?.ok()?;
        self.unanswered += 1;
        let response = connection.send(request).await.ok()?;
        self.unanswered -= 1;
        Some((response, connection))
    }

    fn request(
        &self,
        body: Bytes,
        encoding: Encoding,
        authorization: Option<&HeaderValue>,
    ) -> Result<Request<Full<Bytes>>, HttpError> {
        let request = Request::post(&*self.path).body(Full::new(body));
        let mut request = request.map_err(|error| failed(&error))?;
        let headers = request.headers_mut();
        headers.clone_from(&self.headers);
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding.name()));
        if let Some(authorization) = authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        Ok(request)
    }

    /// Reads the response. Keeps the connection if the body is complete.
    async fn reply(&mut self, response: Response<Incoming>, connection: ToEngine) -> Reply {
        let now = SystemTime::now();
        let (head, mut incoming) = response.into_parts();
        let mut body = Vec::new();
        let read = timeout(MAX_BODY_TIME, read_body(&mut incoming, &mut body)).await;
        if read == Ok(true) {
            self.connection = Some(connection);
        }
        let mut outcome = Outcome::of_answer(head.status, &head.headers, &body, now);
        if self.protocol == Protocol::V2 {
            outcome = self.confirmation.check(outcome, head.status, &head.headers);
        }
        // A proxy may not know what its engine did, and a cluster may have stored it in part.
        let may_be_stored = self.unanswered > 0 || head.status.is_server_error();
        Reply { outcome, may_be_stored, clock_offset: clock_offset(&head.headers, now) }
    }
}

/// Appends the start of a response's body. Returns whether that is all of it.
async fn read_body(incoming: &mut Incoming, body: &mut Vec<u8>) -> bool {
    while let Some(frame) = incoming.frame().await {
        let Ok(frame) = frame else { return false };
        let Some(data) = frame.data_ref() else { continue };
        let room = MAX_BODY_BYTES.saturating_sub(body.len());
        body.extend_from_slice(data.get(..room).unwrap_or(data));
        if data.len() > room {
            return false;
        }
    }
    true
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
