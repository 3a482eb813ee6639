//! Connects to a TCP port of a server by its name.

use std::error::Error;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use hyper::body::Body;
use hyper::header::HeaderValue;
use rustls::pki_types::ServerName;
use tokio::task::JoinError;
use tokio_rustls::TlsConnector;

use super::HttpError;
use super::connection::{Connection, failed};
use super::reading::Reading;
use crate::tls_client::{TlsClient, TlsFileError, TlsSettings};

/// Opens connections to one server. Looks its name up, and reads the TLS files, every time.
pub struct Dialer {
    host: Box<str>,
    port: u16,
    tls: Option<TlsClient>,
    connector: Reading<(TlsClient, Result<TlsConnector, TlsFileError>)>,
    lookup: Reading<io::Result<Vec<SocketAddr>>>,
}

/// Shows where it connects to.
impl std::fmt::Debug for Dialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { host, port, .. } = self;
        f.debug_struct("Dialer").field("host", host).field("port", port).finish_non_exhaustive()
    }
}

impl Dialer {
    /// Creates a dialer to a host name or an IP address without brackets; `tls` is `None` without
    /// TLS. Does not connect yet.
    #[must_use]
    pub fn new(host: &str, port: u16, tls: Option<TlsSettings>) -> Self {
        Self {
            host: host.into(),
            port,
            tls: tls.map(TlsClient::new),
            connector: Reading::default(),
            lookup: Reading::default(),
        }
    }

    /// Returns the header `Host` of requests to the server. The port is left out if it is that of
    /// the scheme.
    ///
    /// # Errors
    /// The host has an illegal character.
    pub fn host_header(&self) -> Result<HeaderValue, HttpError> {
        let Self { host, port, .. } = self;
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_string() };
        let default_port = if self.tls.is_some() { 443 } else { 80 };
        let host = if *port == default_port { host } else { format!("{host}:{port}") };
        HeaderValue::from_str(&host).map_err(|error| failed(&error))
    }

    /// Connects to the first address of the server that accepts.
    ///
    /// # Errors
    /// A TLS file is not usable, or no address accepts.
    pub async fn connect<B>(&mut self) -> Result<Connection<B>, HttpError>
    where
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let tls = self.tls_connector().await?;
        let addresses = self.addresses().await?;
        Connection::tcp(&addresses, tls).await
    }

    /// Returns the addresses of the host.
    async fn addresses(&mut self) -> Result<Vec<SocketAddr>, HttpError> {
        // Needs no thread.
        if let Ok(address) = self.host.parse::<IpAddr>() {
            return Ok(vec![(address, self.port).into()]);
        }
        let name = (self.host.to_string(), self.port);
        let found = self.lookup.run(move || name.to_socket_addrs().map(Iterator::collect)).await;
        found.map_err(|panicked| failed(&panicked))?.map_err(|error| failed(&error))
    }

    /// Reads the TLS files. Returns the connector and the name that the certificate must have.
    async fn tls_connector(
        &mut self,
    ) -> Result<Option<(TlsConnector, ServerName<'static>)>, HttpError> {
        let Some(tls) = &mut self.tls else { return Ok(None) };
        let mut client = tls.clone();
        let read = move || {
            let connector = client.connector();
            (client, connector)
        };
        let (client, connector) = self.connector.run(read).await.map_err(unreadable)?;
        *tls = client;
        let connector = connector.map_err(|error| HttpError::Credentials(error.to_string()))?;
        let name = match &tls.settings().server_name {
            Some(name) => name.clone(),
            None => ServerName::try_from(self.host.to_string()).map_err(|error| failed(&error))?,
        };
        Ok(Some((connector, name)))
    }
}

fn unreadable(panicked: JoinError) -> HttpError {
    HttpError::Credentials(panicked.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use tokio::net::TcpListener;
    use tokio::task::spawn_blocking;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn hung_lookup_is_awaited_again_instead_of_starting_another() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        // RFC 6761: no resolver finds this name.
        let mut dialer = Dialer::new("server.invalid", address.port(), None);
        let (answer, answered) = mpsc::channel();
        dialer.lookup = Reading(Some(spawn_blocking(move || Ok(answered.recv().unwrap()))));
        for _ in 0..2 {
            timeout(Duration::from_millis(1), dialer.connect::<String>()).await.unwrap_err();
        }
        // The connection waits before the lookup ends.
        let (connected, ()) = tokio::join!(dialer.connect::<String>(), async {
            answer.send(vec![address]).unwrap();
        });
        connected.unwrap();
        assert!(dialer.lookup.0.is_none());
    }

    #[tokio::test]
    async fn names_and_addresses_are_looked_up() {
        for host in ["localhost", "127.0.0.1", "::1"] {
            let found = Dialer::new(host, 9100, None).addresses().await.unwrap();
            assert!(found.iter().all(|to| to.ip().is_loopback() && to.port() == 9100), "{host}");
            assert!(!found.is_empty(), "{host}");
        }
    }

    #[test]
    fn host_header_has_the_port_unless_it_is_that_of_the_scheme() {
        let tls = TlsSettings::default;
        for (host, port, tls, expected) in [
            ("a.example", 80, None, "a.example"),
            ("a.example", 443, None, "a.example:443"),
            ("a.example", 443, Some(tls()), "a.example"),
            ("192.0.2.1", 80, Some(tls()), "192.0.2.1:80"),
            ("::1", 80, None, "[::1]"),
            ("::1", 9090, None, "[::1]:9090"),
        ] {
            assert_eq!(Dialer::new(host, port, tls).host_header().unwrap(), expected);
        }
    }
}
