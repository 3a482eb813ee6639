//! TLS of simulated agents: each has a certificate of its own and keeps the ticket that it was given last.

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

/// How a frame begins, and no record of TLS does.
const FRAME_FIRST_BYTE: u8 = b'F';

/// TLS of all agents of an engine.
pub(super) struct TlsClients {
    issuer: CertificateIssuer,
    key: Arc<dyn SigningKey>,
    /// What is alike for all.
    config: ClientConfig,
    collector: ServerName<'static>,
    agents: HashMap<usize, AgentTls>,
}

/// TLS of an agent.
struct AgentTls {
    config: Arc<ClientConfig>,
    connection: Option<ClientConnection>,
}

/// What came of bytes that an agent has read.
#[derive(Debug)]
pub(super) enum Decrypted {
    /// What they said.
    Plaintext(Vec<u8>),
    /// They are no TLS: a collector without room.
    NotTls,
    /// They break TLS.
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

    /// An agent connects.
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

    /// Puts what is to be sent, and what TLS has to say, into the form that goes over the wire.
    pub(super) fn encrypt(&mut self, index: usize, out: &mut Vec<u8>) {
        let Some(connection) = self.connection(index) else { return };
        // It is kept until TLS is established; an agent says little before that.
        let kept = connection.writer().write_all(out);
        out.clear();
        while kept.is_ok() && connection.wants_write() && connection.write_tls(out).is_ok() {}
    }

    /// Opens what an agent has read.
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
            // Nothing more is there now, or ever.
            let _ = connection.reader().read_to_end(&mut plaintext);
        }
        Decrypted::Plaintext(plaintext)
    }

    /// Whether TLS itself has something to say.
    pub(super) fn wants_write(&mut self, index: usize) -> bool {
        self.connection(index).is_some_and(|connection| connection.wants_write())
    }

    /// Whether the agent came by a ticket.
    pub(super) fn is_resumed(&mut self, index: usize) -> bool {
        let kind = self.connection(index).and_then(|connection| connection.handshake_kind());
        kind == Some(HandshakeKind::Resumed)
    }

    /// An agent's connection is closed.
    pub(super) fn close(&mut self, index: usize) {
        if let Some(agent) = self.agents.get_mut(&index) {
            agent.connection = None;
        }
    }

    fn connection(&mut self, index: usize) -> Option<&mut ClientConnection> {
        self.agents.get_mut(&index)?.connection.as_mut()
    }
}

/// Room for one ticket: the last that was given.
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
