//! Test agents and collectors with TLS.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use fleetgauge_collector::Config;
use fleetgauge_collector::config::Flags;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, version};

use super::agent::Agent;
use super::pki::{Authority, Files, Issued, named, text};
use super::read_some;

/// DNS name in the collector's certificate.
pub(crate) const NAME: &str = "collector.example.com";

pub(crate) type Stream = StreamOwned<ClientConnection, TcpStream>;

/// A test site: a CA for collectors, a CA for agents, and the files of a collector.
pub(crate) struct Site {
    pub(crate) collectors: Authority,
    pub(crate) agents: Authority,
    pub(crate) files: Files,
}

impl Site {
    pub(crate) fn new() -> Self {
        let site = Self {
            collectors: Authority::new("collectors"),
            agents: Authority::new("agents"),
            files: Files::new(),
        };
        site.write_own(&site.collectors.issue(named(NAME)));
        site.files.write("agents.pem", &site.agents.pem());
        site
    }

    /// Writes this certificate as the collector's.
    pub(crate) fn write_own(&self, own: &Issued) {
        self.files.write("own.pem", &own.certificate);
        self.files.write("own.key", &own.key);
    }

    /// The path of a file.
    pub(crate) fn path(&self, file: &str) -> String {
        text(&self.files.path(file))
    }

    /// Flags of a collector with a certificate.
    pub(crate) fn flags(&self) -> Flags {
        Flags::default()
            .with("listen", "127.0.0.1:0")
            .with("http_listen", "127.0.0.1:0")
            .with("drain_timeout", "0s")
            .with("tls_certificate", self.path("own.pem"))
            .with("tls_key", self.path("own.key"))
    }

    /// Flags of a collector that also requires client certificates.
    pub(crate) fn mutual(&self) -> Flags {
        self.flags().with("tls_client_ca", self.path("agents.pem"))
    }

    /// Issues a certificate for the agent of this name.
    pub(crate) fn agent(&self, name: &str) -> Issued {
        self.agents.issue(named(name))
    }

    /// TLS configuration of an agent that trusts this site's collectors.
    pub(crate) fn client(&self, own: Option<&Issued>) -> Arc<ClientConfig> {
        client(&self.collectors, own)
    }
}

/// Returns the TLS configuration of a client that trusts this CA and presents the certificate
/// `own`, if given.
pub(crate) fn client(authority: &Authority, own: Option<&Issued>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let pem = authority.pem();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = [&version::TLS13];
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_protocol_versions(&versions).unwrap().with_root_certificates(roots);
    Arc::new(match own {
        Some(Issued { certificate, key }) => {
            let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
        None => builder.with_no_client_auth(),
    })
}

/// Returns the configuration of these flags.
pub(crate) fn config(flags: Flags) -> Config {
    Config::try_new(flags).unwrap()
}

impl Agent<Stream> {
    /// Connects. TLS begins with the first message.
    pub(crate) fn secure(collector: SocketAddr, client: &Arc<ClientConfig>) -> Self {
        let stream = Agent::connect(collector).stream;
        let name = ServerName::try_from(NAME).unwrap();
        let connection = ClientConnection::new(Arc::clone(client), name).unwrap();
        Self { stream: StreamOwned::new(connection, stream), sequence: 0 }
    }
}

/// Reads to the end of the stream, however it ends.
pub(crate) fn rest(stream: &mut impl Read) -> Vec<u8> {
    let mut received = Vec::new();
    let _ = stream.read_to_end(&mut received);
    received
}

/// Returns the TLS error of this client, if it fails.
pub(crate) fn failure(stream: &mut Stream) -> Option<rustls::Error> {
    let told = stream.write(b"").and_then(|_| read_some(stream, &mut [0; 1024]).map(drop));
    told.err()?.downcast::<rustls::Error>().ok()
}
