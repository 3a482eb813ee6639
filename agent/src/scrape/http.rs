//! Requests the page of an exporter over HTTP/1.1.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, HOST, HeaderMap, HeaderValue, LOCATION, USER_AGENT,
};
use hyper::{Request, Response, StatusCode};
use rustls::pki_types::ServerName;
use tokio::task::{JoinError, JoinHandle, spawn_blocking};
use tokio_rustls::TlsConnector;

use super::ScrapeError;
use super::connection::{Connection, failed};
use super::error::excerpt;
use crate::config::{Authorization, ScrapeAuth, ScrapeSettings, ScrapeTarget};
use crate::tls::{TlsClient, TlsFileError};

/// The formats that the parser knows, preferred as by Prometheus.
const FORMATS: &str = "application/openmetrics-text;version=1.0.0,\
    application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
const AGENT: &str = concat!("fleetgauge-agent/", env!("CARGO_PKG_VERSION"));
/// Header with the timeout of the scrape: some exporters adapt to it.
const TIMEOUT_HEADER: &str = "x-prometheus-scrape-timeout-seconds";

/// Client of one exporter. Keeps the connection between requests.
pub(super) struct HttpClient {
    target: ScrapeTarget,
    auth: ScrapeAuth,
    headers: HeaderMap,
    connection: Option<Connection>,
    tls: Option<TlsClient>,
    authorization: Reading<Result<Option<Authorization>, String>>,
    connector: Reading<(TlsClient, Result<TlsConnector, TlsFileError>)>,
    lookup: Reading<io::Result<Vec<SocketAddr>>>,
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
        let tls = match &settings.target {
            ScrapeTarget::Tcp { tls, .. } => tls.clone(),
            ScrapeTarget::Unix { .. } => None,
        };
        Self {
            target: settings.target.clone(),
            auth: settings.auth.clone(),
            headers: headers(&settings.target, settings.timeout),
            connection: None,
            tls: tls.map(TlsClient::new),
            authorization: Reading::default(),
            connector: Reading::default(),
            lookup: Reading::default(),
        }
    }

    /// Closes the connection, for example because a response was not read to its end.
    pub(super) fn disconnect(&mut self) {
        self.connection = None;
    }

    /// Requests the page, and returns the response with status 200.
    pub(super) async fn get(&mut self) -> Result<Response<Incoming>, ScrapeError> {
        let authorization = self.authorization().await?;
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
        authorization: Option<&Authorization>,
    ) -> Result<Option<Response<Incoming>>, ScrapeError> {
        let Some(mut connection) = self.connection.take() else { return Ok(None) };
        let request = self.request(authorization)?;
        let Ok(response) = connection.send(request).await else { return Ok(None) };
        self.connection = Some(connection);
        Ok(Some(response))
    }

    fn request(
        &self,
        authorization: Option<&Authorization>,
    ) -> Result<Request<String>, ScrapeError> {
        let (ScrapeTarget::Tcp { path, .. } | ScrapeTarget::Unix { path, .. }) = &self.target;
        let request = Request::get(&**path).body(String::new());
        let mut request = request.map_err(|error| failed(&error))?;
        request.headers_mut().clone_from(&self.headers);
        if let Some(authorization) = authorization {
            // The error must not contain the value.
            let value = HeaderValue::from_str(authorization.as_str());
            let invalid = |_| ScrapeError::Credentials("illegal character".to_owned());
            let mut value = value.map_err(invalid)?;
            value.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        Ok(request)
    }

    /// Reads the password or token.
    async fn authorization(&mut self) -> Result<Option<Authorization>, ScrapeError> {
        if self.auth == ScrapeAuth::None {
            return Ok(None);
        }
        let auth = self.auth.clone();
        let read = self.authorization.run(move || auth.authorization()).await;
        read.map_err(unreadable)?.map_err(ScrapeError::Credentials)
    }

    async fn connect(&mut self) -> Result<Connection, ScrapeError> {
        let tls = self.tls_connector().await?;
        match &self.target {
            ScrapeTarget::Tcp { host, port, .. } => {
                let addresses = addresses(&mut self.lookup, host, *port).await?;
                Connection::tcp(&addresses, tls).await
            }
            #[cfg(unix)]
            ScrapeTarget::Unix { socket, .. } => Connection::unix(socket).await,
            #[cfg(not(unix))]
            ScrapeTarget::Unix { .. } => {
                Err(ScrapeError::Connect("there are no Unix sockets here".to_owned()))
            }
        }
    }

    /// Reads the TLS files. Returns the connector and the name that the certificate must have.
    async fn tls_connector(
        &mut self,
    ) -> Result<Option<(TlsConnector, ServerName<'static>)>, ScrapeError> {
        let Some(tls) = &mut self.tls else { return Ok(None) };
        let ScrapeTarget::Tcp { host, .. } = &self.target else { return Ok(None) };
        let mut client = tls.clone();
        let read = move || {
            let connector = client.connector();
            (client, connector)
        };
        let (client, connector) = self.connector.run(read).await.map_err(unreadable)?;
        *tls = client;
        let connector = connector.map_err(|error| ScrapeError::Credentials(error.to_string()))?;
        let name = match &tls.settings().server_name {
            Some(name) => name.clone(),
            None => ServerName::try_from(host.to_string()).map_err(|error| failed(&error))?,
        };
        Ok(Some((connector, name)))
    }
}

/// Returns the addresses of a host.
async fn addresses(
    lookup: &mut Reading<io::Result<Vec<SocketAddr>>>,
    host: &str,
    port: u16,
) -> Result<Vec<SocketAddr>, ScrapeError> {
    // Needs no thread.
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![(address, port).into()]);
    }
    let name = (host.to_owned(), port);
    let found = lookup.run(move || name.to_socket_addrs().map(Iterator::collect)).await;
    found.map_err(|panicked| failed(&panicked))?.map_err(|error| failed(&error))
}

fn unreadable(panicked: JoinError) -> ScrapeError {
    ScrapeError::Credentials(panicked.to_string())
}

/// Returns the headers of all requests.
fn headers(target: &ScrapeTarget, timeout: Duration) -> HeaderMap {
    let host = match target {
        ScrapeTarget::Unix { .. } => "localhost".to_owned(),
        ScrapeTarget::Tcp { host, port, tls, .. } => {
            let host = if host.contains(':') { format!("[{host}]") } else { host.to_string() };
            let default_port = if tls.is_some() { 443 } else { 80 };
            if *port == default_port { host } else { format!("{host}:{port}") }
        }
    };
    let fixed = HeaderValue::from_static;
    let mut headers = HeaderMap::from_iter([
        (ACCEPT, fixed(FORMATS)),
        (ACCEPT_ENCODING, fixed(if is_on_this_host(target) { "identity" } else { "gzip" })),
        (USER_AGENT, fixed(AGENT)),
    ]);
    // Hosts are checked by the settings, and a number is legal.
    if let Ok(host) = HeaderValue::from_str(&host) {
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

/// A read of files, or a lookup of a name, on a blocking thread. If the file system or the resolver
/// hangs, later scrapes wait for the same call instead of occupying one more thread each.
struct Reading<T>(Option<JoinHandle<T>>);

impl<T> Default for Reading<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Send + 'static> Reading<T> {
    async fn run(&mut self, read: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
        // What came too late for an earlier call may be out of date.
        self.0.take_if(|earlier| earlier.is_finished());
        let result = self.0.get_or_insert_with(|| spawn_blocking(read)).await;
        self.0 = None;
        result
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::time::timeout;

    use super::super::fake_exporter::{FakeExporter, page};
    use super::*;

    #[tokio::test]
    async fn hung_lookup_is_awaited_again_instead_of_starting_another() {
        let fake = FakeExporter::start(page("a 1\n")).await;
        let mut settings = fake.settings();
        let ScrapeTarget::Tcp { host, port, .. } = &mut settings.target else { panic!() };
        let address = SocketAddr::from(([127, 0, 0, 1], *port));
        // RFC 6761: no resolver finds this name.
        *host = "exporter.invalid".into();
        let mut client = HttpClient::new(&settings);
        let (answer, answered) = mpsc::channel();
        client.lookup = Reading(Some(spawn_blocking(move || Ok(answered.recv().unwrap()))));
        for _ in 0..2 {
            timeout(Duration::from_millis(1), client.get()).await.unwrap_err();
        }
        // The scrape waits before the lookup ends.
        let (answered, ()) = tokio::join!(client.get(), async {
            answer.send(vec![address]).unwrap();
        });
        answered.unwrap();
        assert!(client.lookup.0.is_none());
    }

    #[tokio::test]
    async fn answer_to_an_earlier_call_is_not_used() {
        let mut reading = Reading(Some(tokio::spawn(async { 1 })));
        while !reading.0.as_ref().unwrap().is_finished() {
            tokio::task::yield_now().await;
        }
        assert_eq!(reading.run(|| 2).await.unwrap(), 2);
    }

    #[test]
    fn gzip_is_requested_from_other_hosts_only() {
        let encoding = |target: &ScrapeTarget| {
            headers(target, Duration::from_secs(1)).remove(ACCEPT_ENCODING).unwrap()
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

    #[tokio::test]
    async fn names_and_addresses_are_looked_up() {
        for host in ["localhost", "127.0.0.1", "::1"] {
            let found = addresses(&mut Reading::default(), host, 9100).await.unwrap();
            assert!(found.iter().all(|to| to.ip().is_loopback() && to.port() == 9100), "{host}");
            assert!(!found.is_empty(), "{host}");
        }
    }
}
