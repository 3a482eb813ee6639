//! TLS of a port: its files, rustls' configuration, and verification of client certificates.

mod certificate;
mod client_verifier;
mod files;
mod name_pattern;
mod opaque_errors;
mod tickets;

use std::sync::Arc;

use rustls::server::{NoServerSessionStorage, ServerConfig, UnbufferedServerConnection};

pub use certificate::Certificate;
pub use client_verifier::{ClientVerifier, PresentedChain, Verified};
pub use files::{Files, Version};
pub use name_pattern::NamePattern;

use files::Content;
use fleetgauge_common::settings::SettingError;

/// The TLS configuration of a port.
#[derive(Debug)]
pub struct PortTls {
    server: Arc<ServerConfig>,
    clients: Arc<ClientVerifier>,
    /// Expiry of the port's certificate, in unix seconds.
    expires: u64,
    /// The files that the configuration was built from.
    files: Files,
    content: Content,
}

impl PortTls {
    /// Loads a port's TLS files. Certificates must be valid at `now`, in unix seconds. Parts that
    /// have not changed since `before` are reused.
    ///
    /// # Errors
    /// The first invalid file, and a remedy.
    pub fn load(
        files: &Files,
        now: u64,
        before: Option<&Arc<Self>>,
    ) -> Result<Arc<Self>, SettingError> {
        let content = files.read()?;
        if let Some(before) = before
            && (&before.files, &before.content) == (files, &content)
        {
            return Ok(Arc::clone(before));
        }
        let clients = match before.map(|before| &before.clients) {
            Some(clients) if clients.is_of(&content) => Arc::clone(clients),
            _ => Arc::new(ClientVerifier::of(files, &content)?),
        };
        let own = files.own(&content, now)?;
        let unusable = |error| files.unusable(&error);
        let mut server = ServerConfig::builder_with_provider(files::provider())
            .with_protocol_versions(files.version.protocols())
            .map_err(unusable)?
            .with_client_cert_verifier(clients.verifier())
            .with_single_cert(own.chain, own.key)
            .map_err(unusable)?;
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.ticketer = clients.tickets();
        server.send_tls13_tickets = 1;
        server.ignore_client_order = true;
        let server = Arc::new(server);
        // Fail here and not at the first connection.
        UnbufferedServerConnection::new(Arc::clone(&server)).map_err(unusable)?;
        let (files, expires) = (files.clone(), own.expires);
        Ok(Arc::new(Self { server, clients, expires, files, content }))
    }

    /// Creates the server side of a new TLS connection.
    pub(crate) fn accept(&self) -> UnbufferedServerConnection {
        UnbufferedServerConnection::new(Arc::clone(&self.server))
            .unwrap_or_else(|error| unreachable!("load() has tried it: {error}"))
    }

    /// Returns rustls' configuration.
    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }

    /// Returns the verifier of client certificates.
    #[must_use]
    pub fn clients(&self) -> &Arc<ClientVerifier> {
        &self.clients
    }

    /// Returns the expiry of the port's certificate, in unix seconds.
    #[must_use]
    pub fn expires(&self) -> u64 {
        self.expires
    }
}
