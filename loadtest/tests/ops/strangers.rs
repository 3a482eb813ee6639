//! Tests of clients without a credential on ports that other hosts can reach. They run in a network
//! namespace, on an address that is not loopback.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use fleetgauge_loadtest::pki::{CertificateIssuer, TestCa, TestPki};
use fleetgauge_proto::message::{Hello, Ping, Secret};
use fleetgauge_proto::{Accept, Code, Fingerprint, FrameBuffer, Message, VERSION};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use rustls::crypto::ring;
use rustls::{AlertDescription, ClientConfig, ClientConnection, RootCertStore};

use super::http;
use super::programs::{Program, built, cannot_run, wait_for};
use super::trust::{credential, path};

const AGENTS: &str = "192.0.2.1:45678";
const HTTP: &str = "192.0.2.1:1234";
/// First bytes that a browser and a port scanner send.
const GREETINGS: [&[u8]; 2] = [b"GET / HTTP/1.1\r\n\r\n", &[0; 64]];
/// First bytes of a TLS client.
const CLIENT_HELLO: &[u8] = b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03";
/// The alert that a TLS client receives from a port without TLS.
const HANDSHAKE_FAILURE: &[u8] = b"\x15\x03\x01\x00\x02\x02\x28";

fn ip(arguments: &str) -> Output {
    Command::new("ip").args(arguments.split(' ')).output().expect("iproute2")
}

/// A network namespace with the address of the ports above, removed when the test ends.
struct Namespace(String);

impl Namespace {
    /// Creates the namespace; `None` if that is not possible.
    fn make() -> Option<Self> {
        let name = format!("fleetgauge-strangers-{}", std::process::id());
        let made = ip(&format!("netns add {name}"));
        if !made.status.success() {
            cannot_run("make network namespaces", &made.stderr);
            return None;
        }
        for command in ["link set lo up", "address add 192.0.2.1/32 dev lo"] {
            assert!(ip(&format!("-n {name} {command}")).status.success(), "{command}");
        }
        Some(Self(name))
    }

    /// Runs a closure on a thread in the namespace.
    fn inside<T: Send>(&self, run: impl FnOnce() -> T + Send) -> T {
        let file = File::open(format!("/run/netns/{}", self.0)).unwrap();
        let enter = move || {
            use std::os::fd::AsFd;
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            run()
        };
        std::thread::scope(|scope| scope.spawn(enter).join().unwrap())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        ip(&format!("netns del {}", self.0));
    }
}

fn frame(message: &Message<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode(VERSION, &mut bytes).unwrap();
    bytes
}

fn hello(id: &str, credential: Option<&[u8]>) -> Vec<u8> {
    frame(&Message::Hello(Hello {
        min_version: 1,
        max_version: 1,
        capabilities: 0,
        agent_id: id,
        host_nonce: [1; 16],
        process_nonce: [2; 16],
        labels: Vec::new(),
        interval_ms: 15_000,
        agent_version: "",
        catalogs: vec![Fingerprint([3; 16])],
        credential: credential.map(Secret),
        extensions: Vec::new(),
    }))
}

/// Sends these bytes. Returns all bytes received until the peer closes the connection.
fn exchange(port: &str, sent: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(port).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
    stream.write_all(sent).unwrap();
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    received
}

/// Sends these bytes to an agent port without TLS, which must answer with a single Reject. Returns
/// its code.
fn reject(sent: &[u8]) -> Code {
    only_reject(&exchange(AGENTS, sent))
}

fn only_reject(received: &[u8]) -> Code {
    let accept = Accept { version: VERSION, max_payload_bytes: 1 << 14 };
    let (mut frames, mut rest) = (FrameBuffer::default(), received);
    let frame = frames.next(&mut rest, accept).unwrap().expect("a frame");
    let Message::Reject(reject) = Message::decode(frame).unwrap() else { panic!("{received:?}") };
    assert!(rest.is_empty(), "more than one Reject: {received:?}");
    Code::from_u16(reject.code).unwrap()
}

fn status(path: &str) -> String {
    http::get(HTTP, path, "").unwrap_err().to_string()
}

/// Listening ports in the namespace of this thread.
fn listening() -> Vec<u16> {
    let table = std::fs::read_to_string("/proc/thread-self/net/tcp").unwrap()
        + &std::fs::read_to_string("/proc/thread-self/net/tcp6").unwrap();
    let fields = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let listens = fields.filter(|fields| fields.get(3) == Some(&"0A"));
    let port =
        |address: &str| u16::from_str_radix(address.rsplit(':').next().unwrap(), 16).unwrap();
    let mut ports: Vec<_> = listens.map(|fields| port(fields[1])).collect();
    ports.sort_unstable();
    ports
}

#[test]
#[ignore = "needs root and iproute2"]
fn unauthenticated_client_receives_only_a_reject() {
    let Some(namespace) = Namespace::make() else { return };
    let agents = credential("agent = \"web-1\"", "the token of web-1");
    let readers = credential("user = \"prometheus\"", "the token of prometheus");
    let mut command = Command::new("ip");
    command.args(["netns", "exec", &namespace.0]).arg(built("fleetgauge-collector"));
    command.args(["--listen", AGENTS, "--http-listen", HTTP, "--insecure"]);
    command.args(["--credentials", path(&agents), "--http-credentials", path(&readers)]);
    let _collector = Program::start(command);
    namespace.inside(|| {
        wait_for("a collector", 10, || http::get(HTTP, "/healthz", "").ok());
        assert_eq!(listening(), [1234, 45678], "unexpected listening ports");
        for (id, shown) in [
            ("web-1", None),
            ("web-1", Some(&b""[..])),
            ("web-1", Some(b"the token of web-2")),
            ("web-2", Some(b"the token of web-1")),
        ] {
            assert_eq!(reject(&hello(id, shown)), Code::Unauthorized, "{id} {shown:?}");
        }
        assert_eq!(reject(&frame(&Message::Ping(Ping { token: 1 }))), Code::UnexpectedFrame);
        for greeting in GREETINGS {
            assert_eq!(reject(greeting), Code::BadMagic);
        }
        assert_eq!(exchange(AGENTS, CLIENT_HELLO), HANDSHAKE_FAILURE);
        assert_eq!(reject(b""), Code::HelloTimeout);
        for path in ["/", "/metrics", "/metrics/agents/web-1", "/api/agents", "/sd", "/nowhere"] {
            let expected = format!("{path}: HTTP/1.0 401 Unauthorized: unauthorized\n");
            assert_eq!(status(path), expected);
        }
        assert_eq!(http::get(HTTP, "/healthz", "").unwrap(), "ok\n");
        assert_eq!(http::get(HTTP, "/readyz", "").unwrap(), "ready\n");
    });
}

/// Configures a TLS client that trusts the collector. It presents a certificate from the CA and for
/// the name in `shown`; none if `shown` is `None`.
fn client(collector: &TestCa, shown: Option<(&TestCa, &str)>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(collector.root().unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    Arc::new(match shown {
        None => builder.with_no_client_auth(),
        Some((ca, name)) => {
            let issuer = CertificateIssuer::new(ca).unwrap();
            let chain = vec![issuer.certificate(name).unwrap()];
            builder.with_client_auth_cert(chain, issuer.key()).unwrap()
        }
    })
}

/// Sends these bytes over TLS. Returns what is received, and the alert that ends the connection, if
/// any.
fn exchange_tls(
    client: &Arc<ClientConfig>,
    port: &str,
    sent: &[u8],
) -> (Vec<u8>, Option<AlertDescription>) {
    let name = "127.0.0.1".try_into().unwrap();
    let mut connection = ClientConnection::new(Arc::clone(client), name).unwrap();
    let mut socket = TcpStream::connect(port).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
    let mut stream = rustls::Stream::new(&mut connection, &mut socket);
    let mut received = Vec::new();
    let ended = stream.write_all(sent).and_then(|()| stream.read_to_end(&mut received));
    let alert = ended.err().map(|error| {
        let error = error.into_inner().expect("an error of TLS");
        match error.downcast_ref() {
            Some(rustls::Error::AlertReceived(alert)) => *alert,
            other => panic!("{other:?}"),
        }
    });
    (received, alert)
}

#[test]
#[ignore = "needs root and iproute2"]
fn client_without_certificate_receives_only_a_tls_alert() {
    let Some(namespace) = Namespace::make() else { return };
    let (ours, theirs) = (TestPki::new().unwrap(), TestPki::new().unwrap());
    let mut command = Command::new("ip");
    command.args(["netns", "exec", &namespace.0]).arg(built("fleetgauge-collector"));
    command.args(["--listen", AGENTS, "--http-listen", HTTP]).args(ours.flags());
    command.args(ours.flags().iter().map(|flag| flag.replace("--tls-", "--http-tls-")));
    let _collector = Program::start(command);
    let (ours, theirs) = (ours.ca(), theirs.ca());
    namespace.inside(|| {
        wait_for("a collector", 10, || TcpStream::connect(HTTP).ok());
        assert_eq!(listening(), [1234, 45678], "unexpected listening ports");
        for port in [AGENTS, HTTP] {
            for greeting in GREETINGS {
                let received = exchange(port, greeting);
                assert!(
                    received.is_empty() || received[0] == 21 && received.len() == 7,
                    "{received:?}"
                );
            }
        }
        let (hello, get) = (hello("web-1", None), b"GET /metrics HTTP/1.0\r\n\r\n");
        for (port, sent) in [(AGENTS, &hello[..]), (HTTP, get)] {
            let (received, alert) = exchange_tls(&client(&ours, None), port, sent);
            assert_eq!(
                (&received[..], alert),
                (&[][..], Some(AlertDescription::CertificateRequired))
            );
            let stranger = client(&ours, Some((&theirs, "web-1")));
            let (received, alert) = exchange_tls(&stranger, port, sent);
            assert_eq!(received, b"");
            assert!(alert.is_some(), "an alert");
        }
        let neighbour = client(&ours, Some((&ours, "web-2")));
        assert_eq!(only_reject(&exchange_tls(&neighbour, AGENTS, &hello).0), Code::Unauthorized);
        let (page, _) = exchange_tls(&neighbour, HTTP, get);
        assert!(page.starts_with(b"HTTP/1.0 200 OK"), "a client with a certificate is refused");
    });
}
