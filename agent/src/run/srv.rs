//! Looks up SRV records. The system's resolver cannot, so this asks its DNS servers.
//!
//! The answers only choose where to connect. TLS verifies the domain of the setting, which no
//! answer can change.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::config::{Endpoint, SrvName};
use crate::identity;

/// File with the addresses of the DNS servers.
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Maximum size of that file that is read, in bytes. It has a few lines.
const MAX_RESOLV_CONF_BYTES: u64 = 64 << 10;
/// Maximum number of DNS servers, as in glibc.
const MAX_SERVERS: usize = 3;
const DNS_PORT: u16 = 53;
/// Time for one answer of a DNS server.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// How often every server is asked: UDP loses packets.
const ATTEMPTS: usize = 2;
/// Size of the buffer for an answer by UDP, in bytes. Servers send at most 512 bytes, and mark a
/// longer answer as truncated.
const UDP_BYTES: usize = 4096;
/// Maximum number of targets of a name. The agent resolves each of them.
pub(super) const MAX_TARGETS: usize = 64;

/// Why SRV records could not be looked up.
#[derive(Debug, thiserror::Error)]
pub(super) enum SrvError {
    #[error("cannot ask the DNS server {0}: {1}")]
    Server(SocketAddr, #[source] io::Error),
    #[error("the DNS server {0} did not answer in time")]
    Timeout(SocketAddr),
    #[error("the DNS server {0} answered {1:?}")]
    Refused(SocketAddr, RCODE),
    #[error("the DNS server {0} sent a malformed answer")]
    Malformed(SocketAddr),
    #[error("there are no SRV records of this name")]
    NoRecord,
}

/// A target of an SRV record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// Targets of the lowest priority are tried first.
    pub(super) priority: u16,
    pub(super) endpoint: Endpoint,
}

/// Returns the DNS servers of the system.
pub(super) async fn system_servers() -> Vec<SocketAddr> {
    let text = spawn_blocking(|| {
        let mut text = String::new();
        let file = std::fs::File::open(RESOLV_CONF)?;
        io::Read::read_to_string(&mut io::Read::take(file, MAX_RESOLV_CONF_BYTES), &mut text)?;
        io::Result::Ok(text)
    });
    servers(&text.await.ok().and_then(Result::ok).unwrap_or_default())
}

/// Parses the servers of a resolv.conf; without any, the server is this host.
fn servers(resolv_conf: &str) -> Vec<SocketAddr> {
    let address = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let is_server = words.next() == Some("nameserver");
        words.next().filter(|_| is_server)?.parse::<IpAddr>().ok()
    };
    let mut servers: Vec<_> = resolv_conf.lines().filter_map(address).take(MAX_SERVERS).collect();
    if servers.is_empty() {
        servers.push(Ipv4Addr::LOCALHOST.into());
    }
    servers.into_iter().map(|server| SocketAddr::new(server, DNS_PORT)).collect()
}

/// Returns the targets of the SRV records of `name`: the lowest priorities, at most
/// [`MAX_TARGETS`], at least one.
pub(super) async fn look_up(
    name: &SrvName,
    servers: &[SocketAddr],
) -> Result<Vec<Target>, SrvError> {
    let mut failure = SrvError::NoRecord;
    for server in std::iter::repeat_n(servers, ATTEMPTS).flatten() {
        let answer = timeout(ANSWER_TIMEOUT, ask(name, *server)).await;
        match answer.unwrap_or(Err(SrvError::Timeout(*server))) {
            Ok(targets) if targets.is_empty() => return Err(SrvError::NoRecord),
            Ok(targets) => return Ok(targets),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Asks a server by UDP, then by TCP if the answer is truncated.
async fn ask(name: &SrvName, server: SocketAddr) -> Result<Vec<Target>, SrvError> {
    let query = Query::new(name).ok_or(SrvError::NoRecord)?;
    let failed = |error| SrvError::Server(server, error);
    let local = if server.is_ipv4() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED)
    } else {
        IpAddr::V6(Ipv6Addr::UNSPECIFIED)
    };
    let socket = UdpSocket::bind((local, 0)).await.map_err(failed)?;
    socket.connect(server).await.map_err(failed)?;
    socket.send(&query.bytes).await.map_err(failed)?;
    let mut buffer = vec![0; UDP_BYTES];
    loop {
        let read = socket.recv(&mut buffer).await.map_err(failed)?;
        match query.read(buffer.get(..read).unwrap_or_default(), server) {
            // A late or forged packet: wait for the answer.
            Answer::Other => {}
            Answer::Truncated => break,
            Answer::Targets(targets) => return targets,
        }
    }
    let mut stream = TcpStream::connect(server).await.map_err(failed)?;
    let length = u16::try_from(query.bytes.len()).unwrap_or_default();
    stream.write_all(&length.to_be_bytes()).await.map_err(failed)?;
    stream.write_all(&query.bytes).await.map_err(failed)?;
    let length = stream.read_u16().await.map_err(failed)?;
    buffer.resize(length.into(), 0);
    stream.read_exact(&mut buffer).await.map_err(failed)?;
    match query.read(&buffer, server) {
        Answer::Targets(targets) => targets,
        Answer::Other | Answer::Truncated => Err(SrvError::Malformed(server)),
    }
}

/// A query and its bytes.
struct Query<'a> {
    id: u16,
    name: Name<'a>,
    bytes: Vec<u8>,
}

/// What a packet is.
enum Answer {
    /// No answer to the query.
    Other,
    /// The answer does not fit.
    Truncated,
    Targets(Result<Vec<Target>, SrvError>),
}

impl<'a> Query<'a> {
    /// Creates a query with a random id, so that an attacker has to guess id and port.
    fn new(name: &'a SrvName) -> Option<Self> {
        let id = fastrand::Rng::with_seed(identity::random_seed()).u16(..);
        let name = Name::new(name.as_str()).ok()?;
        let mut packet = Packet::new_query(id);
        packet.set_flags(PacketFlag::RECURSION_DESIRED);
        let (kind, class) = (QTYPE::TYPE(TYPE::SRV), QCLASS::CLASS(CLASS::IN));
        packet.questions.push(Question::new(name.clone(), kind, class, false));
        Some(Self { id, name, bytes: packet.build_bytes_vec().ok()? })
    }

    fn read(&self, bytes: &[u8], server: SocketAddr) -> Answer {
        let Ok(packet) = Packet::parse(bytes) else { return Answer::Other };
        let is_same = packet.questions.first().is_some_and(|question| {
            question.qtype == QTYPE::TYPE(TYPE::SRV) && question.qname == self.name
        });
        if packet.id() != self.id || !packet.has_flags(PacketFlag::RESPONSE) || !is_same {
            return Answer::Other;
        }
        if packet.has_flags(PacketFlag::TRUNCATION) {
            return Answer::Truncated;
        }
        match packet.rcode() {
            RCODE::NoError | RCODE::NameError => {}
            code => return Answer::Targets(Err(SrvError::Refused(server, code))),
        }
        let targets = packet.answers.iter().filter_map(|record| {
            let RData::SRV(record) = &record.rdata else { return None };
            let host = record.target.to_string().to_ascii_lowercase();
            // Not valid is also the target ".", which says that there is no collector.
            let endpoint = Endpoint::parse(&format!("{host}:{}", record.port)).ok()?;
            Some(Target { priority: record.priority, endpoint })
        });
        let mut targets: Vec<_> = targets.collect();
        targets.sort_by_cached_key(|target| (target.priority, target.endpoint.to_string()));
        targets.dedup();
        targets.truncate(MAX_TARGETS);
        Answer::Targets(Ok(targets))
    }
}

#[cfg(test)]
#[path = "srv_tests.rs"]
mod tests;
