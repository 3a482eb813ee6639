//! TLS sessions with a fake collector, and error messages of failed handshakes.

use std::fs::Permissions;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use fleetgauge_proto::Code;
use fleetgauge_proto::message::{Message, Reject};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConnection, StreamOwned};
use tempfile::TempDir;

use crate::collector::{Collector, Peer, welcome};
use crate::process::Agent;

/// A certificate authority.
pub(crate) struct Authority(pub(crate) CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "an authority");
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Issues a certificate for `name`, valid from 1 January of `from` until 1 January of `until`.
    pub(crate) fn issue(&self, name: &str, from: i32, until: i32) -> (rcgen::Certificate, KeyPair) {
        self.issue_for(vec![name.to_owned()], from, until)
    }

    fn issue_for(
        &self,
        names: Vec<String>,
        from: i32,
        until: i32,
    ) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        (params.signed_by(&key, &self.0).unwrap(), key)
    }

    /// Returns the TLS configuration of a collector. If `clients` is given, the collector requires
    /// client certificates that `clients` signed.
    pub(crate) fn collector(
        &self,
        name: &str,
        from: i32,
        until: i32,
        clients: Option<&Self>,
    ) -> Arc<ServerConfig> {
        self.collector_of(vec![name.to_owned()], from, until, clients)
    }

    /// Like [`Self::collector`], for a certificate with several names.
    pub(crate) fn collector_of(
        &self,
        names: Vec<String>,
        from: i32,
        until: i32,
        clients: Option<&Self>,
    ) -> Arc<ServerConfig> {
        let (certificate, key) = self.issue_for(names, from, until);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone());
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let builder = match clients {
            Some(clients) => {
                let mut roots = RootCertStore::empty();
                roots.add(clients.0.der().clone()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
            None => builder.with_no_client_auth(),
        };
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        Arc::new(builder.with_single_cert(vec![certificate.der().clone()], key).unwrap())
    }
}

/// Temporary files of an agent.
pub(crate) struct Files(pub(crate) TempDir);

impl Files {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn write(&self, name: &str, text: &str, mode: u32) -> String {
        let path: PathBuf = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

/// Wraps an accepted connection in the collector's side of TLS.
pub(crate) fn secure(
    peer: Peer,
    config: &Arc<ServerConfig>,
) -> Peer<StreamOwned<ServerConnection, TcpStream>> {
    peer.over(|stream| StreamOwned::new(ServerConnection::new(Arc::clone(config)).unwrap(), stream))
}

#[test]
fn agent_reports_over_tls() {
    let (authority, files, collector) = (Authority::new(), Files::new(), Collector::bind());
    let ca = files.write("ca.pem", &authority.0.pem(), 0o644);
    let _agent = Agent::start_with("one", &collector.address(), Stdio::null(), &["--tls-ca", &ca]);
    let mut peer = secure(collector.accept(), &authority.collector("127.0.0.1", 2020, 2100, None));
    peer.receive(|message| assert!(matches!(message, Message::Hello(_)), "{message:?}"));
    peer.send(&welcome(1_000, true));
    for _ in 0..2 {
        peer.receive(|message| assert!(matches!(message, Message::Report(_)), "{message:?}"));
    }
}

#[test]
fn token_is_sent_only_to_a_verified_collector() {
    let (authority, files, collector) = (Authority::new(), Files::new(), Collector::bind());
    let ca = files.write("ca.pem", &authority.0.pem(), 0o644);
    let token = files.write("token", "hunter2hunter2hunter2", 0o600);
    let flags = ["--tls-ca", &ca, "--token-file", &token];
    let _agent = Agent::start_with("one", &collector.address(), Stdio::null(), &flags);
    let other = Authority::new().collector("127.0.0.1", 2020, 2100, None);
    let mut untrusted = secure(collector.accept(), &other);
    assert!(untrusted.stream.conn.complete_io(&mut untrusted.stream.sock).is_err());
    drop(untrusted);
    let mut peer = secure(collector.accept(), &authority.collector("127.0.0.1", 2020, 2100, None));
    peer.receive(|message| {
        let Message::Hello(hello) = message else { panic!("not a Hello: {message:?}") };
        assert_eq!(hello.credential.map(|secret| secret.0), Some(&b"hunter2hunter2hunter2"[..]));
    });
}

#[test]
fn renewed_client_certificate_is_used_at_the_next_attempt() {
    let (authority, files, collector) = (Authority::new(), Files::new(), Collector::bind());
    let ca = files.write("ca.pem", &authority.0.pem(), 0o644);
    let config = authority.collector("127.0.0.1", 2020, 2100, Some(&authority));
    let renew = || {
        let (certificate, key) = authority.issue("one", 2020, 2100);
        files.write("own.key", &key.serialize_pem(), 0o600);
        (files.write("own.pem", &certificate.pem(), 0o644), certificate.der().clone())
    };
    let (path, first) = renew();
    let key = files.0.path().join("own.key");
    let flags = ["--tls-ca", &ca, "--tls-certificate", &path, "--tls-key", key.to_str().unwrap()];
    let _agent = Agent::start_with("one", &collector.address(), Stdio::null(), &flags);
    let presented = || {
        let mut peer = secure(collector.accept(), &config);
        peer.receive(|message| assert!(matches!(message, Message::Hello(_)), "{message:?}"));
        peer.stream.conn.peer_certificates().unwrap().to_vec()
    };
    assert_eq!(presented(), [first]);
    let (_, renewed) = renew();
    // Another attempt may already be in progress.
    assert!((0..3).any(|_| presented() == [renewed.clone()]), "the old certificate is still used");
}

/// Returns the log line of an agent that trusts `trusted`, for a collector with this configuration.
fn handshake_error(trusted: &Authority, config: &Arc<ServerConfig>) -> String {
    let (files, collector) = (Files::new(), Collector::bind());
    let ca = files.write("ca.pem", &trusted.0.pem(), 0o644);
    let agent = Agent::start_with("one", &collector.address(), Stdio::piped(), &["--tls-ca", &ca]);
    let mut peer = secure(collector.accept(), config);
    let error = peer
        .stream
        .conn
        .complete_io(&mut peer.stream.sock)
        .expect_err("the agent accepted the certificate");
    let alert = error.downcast::<rustls::Error>().ok();
    let has_alert = matches!(alert, Some(rustls::Error::AlertReceived(_)));
    assert!(has_alert, "the collector received no alert: {alert:?}");
    agent.first_line_with("connection failed")
}

#[test]
fn untrusted_collector_is_rejected_with_a_reason() {
    let (authority, other) = (Authority::new(), Authority::new());
    let name = "127.0.0.1";
    for (config, words) in [
        (other.collector(name, 2020, 2100, None), "/ca.pem; check --tls-ca"),
        (authority.collector(name, 2020, 2021, None), "has expired"),
        (authority.collector(name, 2099, 2100, None), "not valid yet"),
        (authority.collector("elsewhere.example.com", 2020, 2100, None), "--tls-server-name"),
    ] {
        let said = handshake_error(&authority, &config);
        assert!(said.contains(words), "no {words:?} in {said}");
    }
}

#[test]
fn missing_client_certificate_is_logged_with_advice() {
    let (authority, files, collector) = (Authority::new(), Files::new(), Collector::bind());
    let ca = files.write("ca.pem", &authority.0.pem(), 0o644);
    let config = authority.collector("127.0.0.1", 2020, 2100, Some(&authority));
    let agent = Agent::start_with("one", &collector.address(), Stdio::piped(), &["--tls-ca", &ca]);
    let mut peer = secure(collector.accept(), &config);
    assert!(peer.stream.conn.complete_io(&mut peer.stream.sock).is_err());
    // Closing with unread input could discard the alert.
    let _ = peer.stream.sock.shutdown(std::net::Shutdown::Write);
    while matches!(std::io::Read::read(&mut peer.stream.sock, &mut [0; 1024]), Ok(1..)) {}
    let said = agent.first_line_with("connection failed");
    assert!(said.contains("--tls-certificate and --tls-key"), "{said}");
}

fn reject(code: Code, retry_after_ms: Option<u32>) -> Message<'static> {
    Message::Reject(Reject { stream: 0, code: code.to_u16(), text: "wait", retry_after_ms })
}

/// Returns the log line of an agent with TLS if the collector sends this message instead of TLS.
fn error_after(message: &Message<'_>) -> String {
    let (authority, files, collector) = (Authority::new(), Files::new(), Collector::bind());
    let ca = files.write("ca.pem", &authority.0.pem(), 0o644);
    let agent = Agent::start_with("one", &collector.address(), Stdio::piped(), &["--tls-ca", &ca]);
    let mut peer = collector.accept();
    peer.send(message);
    agent.first_line_with("connection failed")
}

/// Returns `retry_in` of a log line, in seconds.
fn retry_in(said: &str) -> f64 {
    let wait = said.split("retry_in=").nth(1).unwrap();
    wait.split('s').next().unwrap().parse().unwrap()
}

#[test]
fn reject_of_a_full_collector_before_tls_sets_the_delay() {
    let said = error_after(&reject(Code::HandshakesFull, Some(60_000)));
    assert!(said.contains("rejected, handshakes_full"), "{said}");
    assert!(retry_in(&said) >= 60.0, "{said}");
}

#[test]
fn requested_delay_before_tls_is_capped_at_a_minute() {
    let said = error_after(&reject(Code::AddressPaused, Some(3_600_000)));
    assert!(said.contains("rejected, address_paused"), "{said}");
    assert!((60.0..=66.0).contains(&retry_in(&said)), "{said}");
}

#[test]
fn other_messages_before_tls_are_ignored() {
    for message in [
        reject(Code::HandshakesFull, None),
        reject(Code::IdConflict, Some(1_000)),
        reject(Code::Superseded, None),
        welcome(1_000, true),
    ] {
        let said = error_after(&message);
        assert!(said.contains("answered without TLS"), "{message:?}: {said}");
        assert!(!said.contains("rejected"), "{message:?}: {said}");
    }
}

/// Answer of a collector without TLS to a handshake: the fatal alert handshake_failure.
const ALERT: [u8; 7] = [0x15, 3, 1, 0, 2, 2, 40];

#[test]
fn tls_agent_on_a_plain_port_logs_advice() {
    let (authority, files, collector) = (Authority::new(), Files::new(), Collector::bind());
    let ca = files.write("ca.pem", &authority.0.pem(), 0o644);
    let agent = Agent::start_with("one", &collector.address(), Stdio::piped(), &["--tls-ca", &ca]);
    collector.accept().send_bytes(&ALERT);
    let said = agent.first_line_with("connection failed");
    assert!(said.contains("does not speak TLS") && said.contains("--tls-certificate"), "{said}");
}

#[test]
fn plain_agent_on_a_tls_port_logs_advice() {
    let collector = Collector::bind();
    let agent = Agent::start("one", &collector.address(), Stdio::piped());
    let mut peer = collector.accept();
    peer.receive(|_| ());
    peer.send(&reject(Code::TlsRequired, None));
    let said = agent.first_line_with("connection rejected");
    assert!(said.contains("tls_required") && said.contains("enable TLS"), "{said}");
}

#[test]
fn tls_alert_in_place_of_a_frame_is_recognized() {
    let collector = Collector::bind();
    let agent = Agent::start("one", &collector.address(), Stdio::piped());
    let mut peer = collector.accept();
    peer.receive(|_| ());
    peer.send_bytes(&ALERT);
    let said = agent.first_line_with("connection failed");
    assert!(said.contains("requires TLS") && said.contains("--tls-ca"), "{said}");
}

#[test]
fn replaced_ca_in_the_trust_store_is_used_without_a_restart() {
    let (old, new) = (Authority::new(), Authority::new());
    let (files, collector) = (Files::new(), Collector::bind());
    let store = files.write("store.pem", &old.0.pem(), 0o644);
    let mut command = Agent::command("one", &collector.address());
    command.arg("--tls").env("SSL_CERT_FILE", &store).env("SSL_CERT_DIR", "/nonexistent");
    let agent = Agent::spawn(&mut command, Stdio::piped());
    let handshake = |authority: &Authority| {
        let config = authority.collector("127.0.0.1", 2020, 2100, None);
        let mut peer = secure(collector.accept(), &config);
        peer.stream.conn.complete_io(&mut peer.stream.sock)
    };
    handshake(&old).unwrap();
    assert!(handshake(&new).is_err(), "the agent accepted an unknown CA");
    agent.first_line_with("is not signed by a CA in the system's trust store");
    files.write("store.pem", &new.0.pem(), 0o644);
    // Another attempt may already be in progress.
    assert!((0..3).any(|_| handshake(&new).is_ok()), "the old trust store is still used");
    assert!(handshake(&old).is_err(), "the agent accepted a removed CA");
}
