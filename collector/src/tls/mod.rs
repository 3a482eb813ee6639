//! TLS on a port: from files to what rustls works with, and who a client is by its certificate.

mod certificate;
mod clients;
mod files;
mod name;
mod tickets;
mod verifier;

use std::sync::Arc;

use rustls::server::{NoServerSessionStorage, ServerConfig, UnbufferedServerConnection};

pub use certificate::Certificate;
pub use clients::{Clients, Proof, Verdict};
pub use files::{Files, Version};
pub use name::NamePattern;

use crate::config::BadSetting;
use files::Content;

/// A port's TLS as it is in force.
#[derive(Debug)]
pub struct PortTls {
    server: Arc<ServerConfig>,
    clients: Arc<Clients>,
    /// When the port's own certificate expires, in unix seconds.
    expires: u64,
    /// What all this was made of.
    files: Files,
    content: Content,
}

impl PortTls {
    /// What the files say, if all of them are right at `now`, in unix seconds. What has not changed since `before` is
    /// taken over.
    ///
    /// # Errors
    /// The first file that is not, and what to do about it.
    pub fn load(
        files: &Files,
        now: u64,
        before: Option<&Arc<Self>>,
    ) -> Result<Arc<Self>, BadSetting> {
        let content = files.read()?;
        if let Some(before) = before
            && (&before.files, &before.content) == (files, &content)
        {
            return Ok(Arc::clone(before));
        }
        let clients = match before.map(|before| &before.clients) {
            Some(clients) if clients.are_of(&content) => Arc::clone(clients),
            _ => Arc::new(Clients::of(files, &content)?),
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
        // What can be wrong is found out here and not at the first connection.
        UnbufferedServerConnection::new(Arc::clone(&server)).map_err(unusable)?;
        let (files, expires) = (files.clone(), own.expires);
        Ok(Arc::new(Self { server, clients, expires, files, content }))
    }

    /// The port's side of a new connection.
    pub(crate) fn accept(&self) -> UnbufferedServerConnection {
        UnbufferedServerConnection::new(Arc::clone(&self.server))
            .unwrap_or_else(|error| unreachable!("it was tried when it was loaded: {error}"))
    }

    /// What rustls works with.
    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }

    /// How clients are judged.
    #[must_use]
    pub fn clients(&self) -> &Arc<Clients> {
        &self.clients
    }

    /// When the port's own certificate expires, in unix seconds.
    #[must_use]
    pub fn expires(&self) -> u64 {
        self.expires
    }
}
