//! Requests the page of an exporter over HTTP/1.1.

use std::net::IpAddr;
use std::time::Duration;

use fleetgauge_common::http_client::{AuthReader, Connection, Dialer, HttpAuth, HttpError, failed};
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, HOST, HeaderMap, HeaderValue, LOCATION, USER_AGENT,
};
use hyper::{Request, Response, StatusCode};

use super::ScrapeError;
use super::error::excerpt;
use crate::config::{ScrapeSettings, ScrapeTarget};

/// The formats that the parser knows, preferred as by Prometheus.
const FORMATS: &str = "application/openmetrics-text;version=1.0.0,\
    application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
const AGENT: &str = concat!("fleetgauge-agent/", env!("CARGO_PKG_VERSION"));
/// Header with the timeout of the scrape: some exporters adapt to it.
const TIMEOUT_HEADER: &str = "x-prometheus-scrape-timeout-seconds";

/// Client of one exporter. Keeps the connection between requests.
pub(super) struct HttpClient {
    target: ScrapeTarget,
    auth: HttpAuth,
    headers: HeaderMap,
    connection: Option<Connection<String>>,
    authorization: AuthReader,
    /// `None`: a Unix socket.
    dialer: Option<Dialer>,
}

/// Leaves out what may have secrets.
impl std::fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpClient").field("target", &self.target).finish_non_exhaustive()
    }
}

impl HttpClient {
    /// Creates a client. Does not connect yet.
    pub(super) fn new(settings: &ScrapeSettings) -> Self {
        let dialer = match &settings.target {
            ScrapeTarget::Tcp { host, port, tls, .. } => {
                Some(Dialer::new(host, *port, tls.clone()))
            }
            ScrapeTarget::Unix { .. } => None,
        };
        Self {
            target: settings.target.clone(),
            auth: settings.auth.clone(),
            headers: headers(&settings.target, dialer.as_ref(), settings.timeout),
            connection: None,
            authorization: AuthReader::default(),
            dialer,
        }
    }

    /// Closes the connection, for example because a response was not read to its end.
    pub(super) fn disconnect(&mut self) {
        self.connection = None;
    }

    /// Requests the page, and returns the response with status 200.
    pub(super) async fn get(&mut self) -> Result<Response<Incoming>, ScrapeError> {
        let authorization = self.authorization.header(&self.auth).await?;
        let response = match self.get_again(authorization.as_ref()).await? {
            Some(response) => response,
            None => {
                let mut connection = self.connect().await?;
                let response = connection.send(self.request(authorization.as_ref())?).await?;
                self.connection = Some(connection);
                response
            }
        };
        check_status(&response)?;
        Ok(response)
    }

    /// Uses the connection of the last request. Returns `None` if there is none, or if it fails:
    /// exporters close connections that are idle for long.
    async fn get_again(
        &mut self,
        authorization: Option<&HeaderValue>,
    ) -> Result<Option<Response<Incoming>>, ScrapeError> {
        let Some(mut connection) = self.connection.take() else { return Ok(None) };
        let request = self.request(authorization)?;
        let Ok(response) = connection.send(request).await else { return Ok(None) };
        self.connection = Some(connection);
        Ok(Some(response))
    }

    fn request(&self, authorization: Option<&HeaderValue>) -> Result<Request<String>, HttpError> {
        let (ScrapeTarget::Tcp { path, .. } | ScrapeTarget::Unix { path, .. }) = &self.target;
        let request = Request::get(&**path).body(String::new());
        let mut request = request.map_err(|error| failed(&error))?;
        request.headers_mut().clone_from(&self.headers);
        if let Some(authorization) = authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        Ok(request)
    }

    async fn connect(&mut self) -> Result<Connection<String>, HttpError> {
        match (&self.target, &mut self.dialer) {
            (ScrapeTarget::Tcp { .. }, Some(dialer)) => dialer.connect().await,
            #[cfg(unix)]
            (ScrapeTarget::Unix { socket, .. }, _) => Connection::unix(socket).await,
            _ => Err(HttpError::Connect("there are no Unix sockets here".to_owned())),
        }
    }
}

/// Returns the headers of all requests.
fn headers(target: &ScrapeTarget, dialer: Option<&Dialer>, timeout: Duration) -> HeaderMap {
    let fixed = HeaderValue::from_static;
    let mut headers = HeaderMap::from_iter([
        (ACCEPT, fixed(FORMATS)),
        (ACCEPT_ENCODING, fixed(if is_on_this_host(target) { "identity" } else { "gzip" })),
        (USER_AGENT, fixed(AGENT)),
    ]);
    let host = dialer.map_or(Ok(fixed("localhost")), Dialer::host_header);
    // Hosts are checked by the settings, and a number is legal.
    if let Ok(host) = host {
        headers.insert(HOST, host);
    }
    if let Ok(timeout) = HeaderValue::from_str(&timeout.as_secs_f64().to_string()) {
        headers.insert(TIMEOUT_HEADER, timeout);
    }
    headers
}

/// Returns whether the exporter certainly runs on this host. Compression would then cost both sides
/// CPU time, and save nothing.
fn is_on_this_host(target: &ScrapeTarget) -> bool {
    match target {
        ScrapeTarget::Unix { .. } => true,
        // RFC 6761: localhost is always a loopback address.
        ScrapeTarget::Tcp { host, .. } => match host.parse::<IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => host.eq_ignore_ascii_case("localhost"),
        },
    }
}

fn check_status(response: &Response<Incoming>) -> Result<(), ScrapeError> {
    let status = response.status();
    if status.is_redirection() {
        let location = response.headers().get(LOCATION).map(HeaderValue::as_bytes);
        let location = location_host(location.unwrap_or_default());
        return Err(ScrapeError::Redirect { status: status.as_u16(), location });
    }
    if status != StatusCode::OK {
        return Err(ScrapeError::HttpStatus(status.as_u16()));
    }
    Ok(())
}

/// Returns the host of a `Location`, without user and path: those may have secrets.
fn location_host(location: &[u8]) -> String {
    let text = String::from_utf8_lossy(location);
    let rest = text.split_once("://").map(|(_, rest)| rest).or_else(|| text.strip_prefix("//"));
    let host = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
    let host = host.map(|host| host.rsplit('@').next().unwrap_or_default());
    match host {
        Some(host) if !host.is_empty() => excerpt(host.as_bytes()),
        _ => "another path of the same host".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_requested_from_other_hosts_only() {
        let encoding = |target: &ScrapeTarget| {
            headers(target, None, Duration::from_secs(1)).remove(ACCEPT_ENCODING).unwrap()
        };
        for (host, expected) in [
            ("127.0.0.1", "identity"),
            ("127.9.9.9", "identity"),
            ("::1", "identity"),
            ("localhost", "identity"),
            ("192.0.2.1", "gzip"),
            ("2001:db8::1", "gzip"),
            ("localhost.example", "gzip"),
        ] {
            let (host, path) = (host.into(), "/".into());
            let target = ScrapeTarget::Tcp { host, port: 1, path, tls: None };
            assert_eq!(encoding(&target), expected, "{target:?}");
        }
        let target = ScrapeTarget::Unix { socket: "/run/a.sock".into(), path: "/".into() };
        assert_eq!(encoding(&target), "identity");
    }
}
