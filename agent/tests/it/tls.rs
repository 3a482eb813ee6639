//! TLS towards a collector: whom the agent believes, and what it says when it does not.

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

pub(crate) struct Authority(pub(crate) CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "an authority");
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate for this name, valid until this year.
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

    /// What a collector of this name makes of it, asking agents for certificates of `clients`.
    pub(crate) fn collector(
        &self,
        name: &str,
        from: i32,
        until: i32,
        clients: Option<&Self>,
    ) -> Arc<ServerConfig> {
        self.collector_of(vec![name.to_owned()], from, until, clients)
    }

    /// The same with these names.
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

/// Files of an agent.
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

/// The collector's side of TLS over an accepted connection.
pub(crate) fn secure(
    peer: Peer,
    config: &Arc<ServerConfig>,
) -> Peer<StreamOwned<ServerConnection, TcpStream>> {
    peer.over(|stream| StreamOwned::new(ServerConnection::new(Arc::clone(config)).unwrap(), stream))
}

#[test]
fn an_agent_reports_under_tls() {
    let (authority, files, collector) = (Authority::new(), Files::new(), Collector::bind());
    let ca = files.write("ca.pem", &authority.0.pem(), 0o644);
    let _agent = Agent::start_with("one", &collector.address(), Stdio::null(), &["--tls-ca", &ca]);
    let mut peer = secure(collector.accept(), &authority.collector("127.0.0.1", 2020, 2100, None));
    peer.hear(|message| assert!(matches!(message, Message::Hello(_)), "{message:?}"));
    peer.say(&welcome(1_000, true));
    for _ in 0..2 {
        peer.hear(|message| assert!(matches!(message, Message::Report(_)), "{message:?}"));
    }
}

#[test]
fn a_token_goes_over_tls_and_to_the_collector_that_is_believed_alone() {
    let (authority, files, collector) = (Authority::new(), Files::new(), Collector::bind());
    let ca = files.write("ca.pem", &authority.0.pem(), 0o644);
    let token = files.write("token", "hunter2hunter2hunter2", 0o600);
    let flags = ["--tls-ca", &ca, "--token-file", &token];
    let _agent = Agent::start_with("one", &collector.address(), Stdio::null(), &flags);
    let other = Authority::new().collector("127.0.0.1", 2020, 2100, None);
    let mut stranger = secure(collector.accept(), &other);
    assert!(stranger.stream.conn.complete_io(&mut stranger.stream.sock).is_err());
    drop(stranger);
    let mut peer = secure(collector.accept(), &authority.collector("127.0.0.1", 2020, 2100, None));
    peer.hear(|message| {
        let Message::Hello(hello) = message else { panic!("not a Hello: {message:?}") };
        assert_eq!(hello.credential.map(|secret| secret.0), Some(&b"hunter2hunter2hunter2"[..]));
    });
}

#[test]
fn an_agent_shows_its_certificate_and_the_newest_one_at_each_attempt() {
    let (authority, files, collector) = (Authority::new(), Files::new(), Collector::bind());
    let ca = files.write("ca.pem", &authority.0.pem(), 0o644);
    let config = authority.collector("127.0.0.1", 2020, 2100, Some(&authority));
    let give = || {
        let (certificate, key) = authority.issue("one", 2020, 2100);
        files.write("own.key", &key.serialize_pem(), 0o600);
        (files.write("own.pem", &certificate.pem(), 0o644), certificate.der().clone())
    };
    let (path, first) = give();
    let key = files.0.path().join("own.key");
    let flags = ["--tls-ca", &ca, "--tls-certificate", &path, "--tls-key", key.to_str().unwrap()];
    let _agent = Agent::start_with("one", &collector.address(), Stdio::null(), &flags);
    let shown = || {
        let mut peer = secure(collector.accept(), &config);
        peer.hear(|message| assert!(matches!(message, Message::Hello(_)), "{message:?}"));
        peer.stream.conn.peer_certificates().unwrap().to_vec()
    };
    assert_eq!(shown(), [first]);
    let (_, renewed) = give();
    // Another attempt may have been under way already.
    assert!((0..3).any(|_| shown() == [renewed.clone()]), "it still shows the old one");
}

/// What an agent that believes `believed` says of a collector that has this to show.
fn complaint(believed: &Authority, shown: &Arc<ServerConfig>) -> String {
    let (files, collector) = (Files::new(), Collector::bind());
    let ca = files.write("ca.pem", &believed.0.pem(), 0o644);
    let agent = Agent::start_with("one", &collector.address(), Stdio::piped(), &["--tls-ca", &ca]);
    let mut peer = secure(collector.accept(), shown);
    let error = peer.stream.conn.complete_io(&mut peer.stream.sock).expect_err("it believes that");
    let told = error.downcast::<rustls::Error>().ok();
    let has_alert = matches!(told, Some(rustls::Error::AlertReceived(_)));
    assert!(has_alert, "the collector is not told why: {told:?}");
    agent.first_line_with("no connection")
}

#[test]
fn an_agent_believes_no_other_collector_and_says_why() {
    let (authority, other) = (Authority::new(), Authority::new());
    let name = "127.0.0.1";
    for (shown, words) in [
        (other.collector(name, 2020, 2100, None), "/ca.pem (tls_ca)"),
        (authority.collector(name, 2020, 2021, None), "has expired"),
        (authority.collector(name, 2099, 2100, None), "not valid yet"),
        (authority.collector("elsewhere.example.com", 2020, 2100, None), "tls_server_name"),
    ] {
        let said = complaint(&authority, &shown);
        assert!(said.contains(words), "no {words:?} in {said}");
    }
}

#[test]
fn an_agent_that_lacks_the_certificate_it_is_asked_for_says_so() {
    let (authority, files, collector) = (Authority::new(), Files::new(), Collector::bind());
    let ca = files.write("ca.pem", &authority.0.pem(), 0o644);
    let config = authority.collector("127.0.0.1", 2020, 2100, Some(&authority));
    let agent = Agent::start_with("one", &collector.address(), Stdio::piped(), &["--tls-ca", &ca]);
    let mut peer = secure(collector.accept(), &config);
    assert!(peer.stream.conn.complete_io(&mut peer.stream.sock).is_err());
    // What it said until then would destroy the alert on its way.
    let _ = peer.stream.sock.shutdown(std::net::Shutdown::Write);
    while matches!(std::io::Read::read(&mut peer.stream.sock, &mut [0; 1024]), Ok(1..)) {}
    let said = agent.first_line_with("no connection");
    assert!(said.contains("tls_certificate and tls_key"), "{said}");
}

fn reject(code: Code, retry_after_ms: Option<u32>) -> Message<'static> {
    Message::Reject(Reject { stream: 0, code: code.to_u16(), text: "wait", retry_after_ms })
}

/// What an agent that speaks TLS says of a collector that answers with this instead.
fn answered(message: &Message<'_>) -> String {
    let (authority, files, collector) = (Authority::new(), Files::new(), Collector::bind());
    let ca = files.write("ca.pem", &authority.0.pem(), 0o644);
    let agent = Agent::start_with("one", &collector.address(), Stdio::piped(), &["--tls-ca", &ca]);
    let mut peer = collector.accept();
    peer.say(message);
    agent.first_line_with("no connection")
}

/// The wait of a line, in seconds.
fn retry_in(said: &str) -> f64 {
    let wait = said.split("retry_in=").nth(1).unwrap();
    wait.split('s').next().unwrap().parse().unwrap()
}

#[test]
fn a_collector_without_room_may_say_so_before_tls() {
    let said = answered(&reject(Code::HandshakesFull, Some(60_000)));
    assert!(said.contains("rejected, handshakes_full"), "{said}");
    assert!(retry_in(&said) >= 60.0, "{said}");
}

#[test]
fn a_longer_wait_before_tls_is_a_minute() {
    let said = answered(&reject(Code::AddressPaused, Some(3_600_000)));
    assert!(said.contains("rejected, address_paused"), "{said}");
    assert!((60.0..=66.0).contains(&retry_in(&said)), "{said}");
}

#[test]
fn nobody_else_is_believed_before_tls() {
    for message in [
        reject(Code::HandshakesFull, None),
        reject(Code::IdConflict, Some(1_000)),
        reject(Code::Superseded, None),
        welcome(1_000, true),
    ] {
        let said = answered(&message);
        assert!(said.contains("answers without TLS"), "{message:?}: {said}");
        assert!(!said.contains("rejected"), "{message:?}: {said}");
    }
}

/// How a collector without TLS answers a handshake: a fatal alert, handshake_failure.
const ALERT: [u8; 7] = [0x15, 3, 1, 0, 2, 2, 40];

#[test]
fn an_agent_with_tls_on_a_port_without_says_what_to_do() {
    let (authority, files, collector) = (Authority::new(), Files::new(), Collector::bind());
    let ca = files.write("ca.pem", &authority.0.pem(), 0o644);
    let agent = Agent::start_with("one", &collector.address(), Stdio::piped(), &["--tls-ca", &ca]);
    collector.accept().say_bytes(&ALERT);
    let said = agent.first_line_with("no connection");
    assert!(said.contains("does not speak TLS") && said.contains("tls_certificate"), "{said}");
}

#[test]
fn an_agent_without_tls_on_a_port_with_it_says_what_to_do() {
    let collector = Collector::bind();
    let agent = Agent::start("one", &collector.address(), Stdio::piped());
    let mut peer = collector.accept();
    peer.hear(|_| ());
    peer.say(&reject(Code::TlsRequired, None));
    let said = agent.first_line_with("refused");
    assert!(said.contains("tls_required") && said.contains("set tls, or tls_ca"), "{said}");
}

#[test]
fn an_alert_of_tls_in_place_of_a_frame_is_recognised() {
    let collector = Collector::bind();
    let agent = Agent::start("one", &collector.address(), Stdio::piped());
    let mut peer = collector.accept();
    peer.hear(|_| ());
    peer.say_bytes(&ALERT);
    let said = agent.first_line_with("no connection");
    assert!(said.contains("speaks TLS") && said.contains("tls_ca"), "{said}");
}

#[test]
fn an_authority_that_the_system_replaces_is_believed_without_a_restart_and_the_old_one_is_not() {
    let (old, new) = (Authority::new(), Authority::new());
    let (files, collector) = (Files::new(), Collector::bind());
    let store = files.write("store.pem", &old.0.pem(), 0o644);
    let mut command = Agent::command("one", &collector.address());
    command.arg("--tls").env("SSL_CERT_FILE", &store).env("SSL_CERT_DIR", "/nonexistent");
    let agent = Agent::spawn(&mut command, Stdio::piped());
    let meets = |authority: &Authority| {
        let config = authority.collector("127.0.0.1", 2020, 2100, None);
        let mut peer = secure(collector.accept(), &config);
        peer.stream.conn.complete_io(&mut peer.stream.sock)
    };
    meets(&old).unwrap();
    assert!(meets(&new).is_err(), "it believes an authority that it does not know");
    agent.first_line_with("is not signed by an authority that this system trusts");
    files.write("store.pem", &new.0.pem(), 0o644);
    // Another attempt may have been under way already.
    assert!((0..3).any(|_| meets(&new).is_ok()), "it still knows the old one alone");
    assert!(meets(&old).is_err(), "it believes an authority that was taken away");
}
