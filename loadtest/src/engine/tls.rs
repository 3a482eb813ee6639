//! TLS of simulated agents. Each agent has its own certificate and keeps its last session ticket.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::sync::{Arc, Mutex};

use fleetgauge_proto::AgentId;
use rustls::client::{
    ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::sign::{CertifiedKey, SigningKey, SingleCertAndKey};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, NamedGroup, RootCertStore, version};

use crate::pki::{CertificateIssuer, TestCa};

/// First byte of a frame; no TLS record starts with it.
const FRAME_FIRST_BYTE: u8 = b'F';

/// TLS of all agents of an engine.
pub(super) struct TlsClients {
    issuer: CertificateIssuer,
    key: Arc<dyn SigningKey>,
    /// Settings that all agents share.
    config: ClientConfig,
    collector: ServerName<'static>,
    agents: HashMap<usize, AgentTls>,
}

/// TLS of an agent.
struct AgentTls {
    config: Arc<ClientConfig>,
    connection: Option<ClientConnection>,
}

/// Outcome of decrypting received bytes.
#[derive(Debug)]
pub(super) enum Decrypted {
    /// Decrypted bytes.
    Plaintext(Vec<u8>),
    /// The bytes are not TLS: the collector rejects a connection before the handshake.
    NotTls,
    /// The bytes are not valid TLS.
    Invalid,
}

impl TlsClients {
    pub(super) fn new(ca: &TestCa, collector: std::net::IpAddr) -> anyhow::Result<Self> {
        let issuer = CertificateIssuer::new(ca)?;
        let mut roots = RootCertStore::empty();
        roots.add(ca.root()?)?;
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&version::TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let key = ring::sign::any_supported_type(&issuer.key())?;
        let collector = ServerName::IpAddress(collector.into());
        Ok(Self { issuer, key, config, collector, agents: HashMap::new() })
    }

    /// Starts a connection of an agent.
    pub(super) fn connect(&mut self, index: usize, id: &AgentId) -> anyhow::Result<()> {
        if !self.agents.contains_key(&index) {
            let chain = vec![self.issuer.certificate(id.as_str())?];
            let own = CertifiedKey::new(chain, Arc::clone(&self.key));
            let mut config = self.config.clone();
            config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(own));
            config.resumption = Resumption::store(Arc::new(TicketStore::default()));
            let config = Arc::new(config);
            self.agents.insert(index, AgentTls { config, connection: None });
        }
        if let Some(agent) = self.agents.get_mut(&index) {
            let config = Arc::clone(&agent.config);
            agent.connection = Some(ClientConnection::new(config, self.collector.clone())?);
        }
        Ok(())
    }

    /// Encrypts the contents of the output buffer in place. Adds the pending messages of TLS
    /// itself.
    pub(super) fn encrypt(&mut self, index: usize, out: &mut Vec<u8>) {
        let Some(connection) = self.connection(index) else { return };
        // rustls buffers this until the handshake is complete; an agent sends little before that.
        let kept = connection.writer().write_all(out);
        out.clear();
        while kept.is_ok() && connection.wants_write() && connection.write_tls(out).is_ok() {}
    }

    /// Decrypts received bytes.
    pub(super) fn decrypt(&mut self, index: usize, mut bytes: &[u8]) -> Decrypted {
        let Some(connection) = self.connection(index) else { return Decrypted::NotTls };
        if connection.is_handshaking() && bytes.first() == Some(&FRAME_FIRST_BYTE) {
            return Decrypted::NotTls;
        }
        let mut plaintext = Vec::new();
        while !bytes.is_empty() {
            let read = connection.read_tls(&mut bytes).map(|_| connection.process_new_packets());
            if !matches!(read, Ok(Ok(_))) {
                return Decrypted::Invalid;
            }
            // The reader returns `WouldBlock` or the end when it is drained.
            let _ = connection.reader().read_to_end(&mut plaintext);
        }
        Decrypted::Plaintext(plaintext)
    }

    /// Whether TLS itself has data to send.
    pub(super) fn wants_write(&mut self, index: usize) -> bool {
        self.connection(index).is_some_and(|connection| connection.wants_write())
    }

    /// Whether the agent resumed a session.
    pub(super) fn is_resumed(&mut self, index: usize) -> bool {
        let kind = self.connection(index).and_then(|connection| connection.handshake_kind());
        kind == Some(HandshakeKind::Resumed)
    }

    /// Drops the connection of an agent.
    pub(super) fn close(&mut self, index: usize) {
        if let Some(agent) = self.agents.get_mut(&index) {
            agent.connection = None;
        }
    }

    fn connection(&mut self, index: usize) -> Option<&mut ClientConnection> {
        self.agents.get_mut(&index)?.connection.as_mut()
    }
}

/// Stores one ticket: the last one received.
#[derive(Debug, Default)]
struct TicketStore(Mutex<Option<Tls13ClientSessionValue>>);

impl ClientSessionStore for TicketStore {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        if let Ok(mut slot) = self.0.lock() {
            *slot = Some(ticket);
        }
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.lock().ok()?.take()
    }
}
