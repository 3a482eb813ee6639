use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use simple_dns::ResourceRecord;
use simple_dns::rdata::SRV;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;
use crate::config::Collector;
use crate::run::resolver::Resolver;

const NAME: &str = "_fleetgauge._tcp.example.com";

/// How the fake DNS server answers.
#[derive(Debug, Clone, Default)]
struct Script {
    /// Priority, port and target of the records.
    records: Vec<(u16, u16, String)>,
    code: Option<RCODE>,
    /// Whether answers by UDP are truncated.
    is_truncated: bool,
    /// Packets that arrive before an answer by UDP.
    before: Vec<Vec<u8>>,
}

/// A DNS server on UDP and TCP.
struct DnsServer {
    at: SocketAddr,
    queries: Arc<AtomicUsize>,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl DnsServer {
    async fn start(script: Script) -> Self {
        let (udp, tcp) = loop {
            let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
            // Another process may have this port of UDP.
            if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
                break (udp, tcp);
            }
        };
        let at = udp.local_addr().unwrap();
        let (queries, by_tcp) = (Arc::new(AtomicUsize::new(0)), script.clone());
        let count = Arc::clone(&queries);
        let udp = tokio::spawn(async move {
            let mut buffer = [0; 512];
            loop {
                let (read, from) = udp.recv_from(&mut buffer).await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                for packet in &script.before {
                    udp.send_to(packet, from).await.unwrap();
                }
                let answer = answer(&script, &buffer[..read], script.is_truncated);
                udp.send_to(&answer, from).await.unwrap();
            }
        });
        let tcp = tokio::spawn(async move {
            loop {
                let (mut stream, _) = tcp.accept().await.unwrap();
                let length = stream.read_u16().await.unwrap();
                let mut query = vec![0; length.into()];
                stream.read_exact(&mut query).await.unwrap();
                let answer = answer(&by_tcp, &query, false);
                stream.write_u16(answer.len().try_into().unwrap()).await.unwrap();
                stream.write_all(&answer).await.unwrap();
            }
        });
        Self { at, queries, tasks: [udp, tcp] }
    }
}

fn answer(script: &Script, query: &[u8], is_truncated: bool) -> Vec<u8> {
    let query = Packet::parse(query).unwrap();
    assert_eq!(query.questions[0].qname.to_string(), NAME);
    assert!(query.has_flags(PacketFlag::RECURSION_DESIRED));
    let mut reply = query.clone().into_reply();
    if let Some(code) = script.code {
        *reply.rcode_mut() = code;
    }
    if is_truncated {
        reply.set_flags(PacketFlag::TRUNCATION);
    } else {
        for (priority, port, target) in &script.records {
            let target = Name::new(target).unwrap();
            let record = SRV { priority: *priority, weight: 0, port: *port, target };
            let name = Name::new_unchecked(NAME);
            reply.answers.push(ResourceRecord::new(name, CLASS::IN, 60, RData::SRV(record)));
        }
    }
    reply.build_bytes_vec_compressed().unwrap()
}

fn name() -> SrvName {
    let Ok(Collector::Srv(name)) = Collector::parse(&format!("srv+{NAME}")) else {
        panic!("not the name of SRV records")
    };
    name
}

fn record(priority: u16, port: u16, target: &str) -> (u16, u16, String) {
    (priority, port, target.to_owned())
}

/// Returns priorities and endpoints.
fn shown(targets: &[Target]) -> Vec<(u16, String)> {
    targets.iter().map(|target| (target.priority, target.endpoint.to_string())).collect()
}

#[tokio::test]
async fn targets_are_sorted_by_priority() {
    let records = vec![
        record(20, 1, "c.example.com"),
        record(10, 2, "B.example.com"),
        record(10, 1, "a.example.com"),
        record(10, 1, "a.example.com"),
    ];
    let server = DnsServer::start(Script { records, ..Script::default() }).await;
    let targets = look_up(&name(), &[server.at]).await.unwrap();
    let expected = [(10, "a.example.com:1"), (10, "b.example.com:2"), (20, "c.example.com:1")];
    assert_eq!(shown(&targets), expected.map(|(priority, text)| (priority, text.to_owned())));
}

#[tokio::test]
async fn truncated_answer_is_asked_for_by_tcp() {
    let records = (0..40).map(|n| record(0, 1, &format!("collector-{n}.example.com"))).collect();
    let server =
        DnsServer::start(Script { records, is_truncated: true, ..Script::default() }).await;
    assert_eq!(look_up(&name(), &[server.at]).await.unwrap().len(), 40);
}

#[tokio::test]
async fn next_server_is_asked_if_one_refuses() {
    let refuses = Script { code: Some(RCODE::Refused), ..Script::default() };
    let refuses = DnsServer::start(refuses).await;
    let records = vec![record(0, 1, "a.example.com")];
    let good = DnsServer::start(Script { records, ..Script::default() }).await;
    assert_eq!(look_up(&name(), &[refuses.at, good.at]).await.unwrap().len(), 1);
    let error = look_up(&name(), &[refuses.at]).await.unwrap_err();
    assert!(matches!(error, SrvError::Refused(_, RCODE::Refused)), "{error}");
    assert_eq!(refuses.queries.load(Ordering::Relaxed), 1 + ATTEMPTS);
}

#[tokio::test]
async fn name_without_records_is_an_error_at_once() {
    for code in [None, Some(RCODE::NameError)] {
        // A target of "." says that there is no collector.
        let records = vec![record(0, 1, ".")];
        let server = DnsServer::start(Script { records, code, ..Script::default() }).await;
        let error = look_up(&name(), &[server.at]).await.unwrap_err();
        assert!(matches!(error, SrvError::NoRecord), "{error}");
        assert_eq!(server.queries.load(Ordering::Relaxed), 1);
    }
}

/// Packets of an attacker who does not know id or name, and what a broken server could send.
#[tokio::test]
async fn forged_and_malformed_packets_are_ignored() {
    let mut forged = Packet::new_reply(0);
    forged.questions.push(Question::new(
        Name::new_unchecked("_fleetgauge._tcp.evil.example"),
        QTYPE::TYPE(TYPE::SRV),
        QCLASS::CLASS(CLASS::IN),
        false,
    ));
    let forged = forged.build_bytes_vec().unwrap();
    let before = vec![Vec::new(), vec![0xff; 512], vec![0xc0; 12], forged];
    let records = vec![record(0, 1, "a.example.com")];
    let server = DnsServer::start(Script { records, before, ..Script::default() }).await;
    let targets = look_up(&name(), &[server.at]).await.unwrap();
    assert_eq!(shown(&targets), [(0, "a.example.com:1".to_owned())]);
}

/// Every target costs a lookup.
#[tokio::test]
async fn flood_of_targets_is_cut() {
    let records = (0..500).map(|n| record(n, 1, &format!("c{n}.example.com"))).collect();
    let server =
        DnsServer::start(Script { records, is_truncated: true, ..Script::default() }).await;
    let targets = look_up(&name(), &[server.at]).await.unwrap();
    assert_eq!(targets.len(), MAX_TARGETS);
    assert_eq!(targets[63].priority, 63, "the lowest priorities are kept");
}

#[tokio::test]
async fn targets_are_resolved_with_the_domain_for_tls() {
    let records = vec![record(7, 45678, "192.0.2.1")];
    let server = DnsServer::start(Script { records, ..Script::default() }).await;
    let mut resolver = Resolver::default();
    resolver.dns_servers = vec![server.at];
    let all = ["srv+_fleetgauge._tcp.example.com", "192.0.2.9:1"];
    let all = all.map(|text| Collector::parse(text).unwrap());
    let found = resolver.resolve(&all).await;
    let found: Vec<_> = found.into_iter().map(|(_, resolved)| resolved.unwrap()).collect();
    let shown =
        found.iter().map(|one| (one.addresses[0].to_string(), one.priority, one.domain.as_deref()));
    let mut shown: Vec<_> = shown.collect();
    shown.sort_unstable();
    let expected = [
        ("192.0.2.1:45678".to_owned(), 7, Some("example.com")),
        ("192.0.2.9:1".to_owned(), 0, None),
    ];
    assert_eq!(shown, expected);
}

#[tokio::test]
async fn failed_srv_lookup_does_not_affect_other_collectors() {
    let server = DnsServer::start(Script::default()).await;
    let mut resolver = Resolver::default();
    resolver.dns_servers = vec![server.at];
    let all = ["srv+_fleetgauge._tcp.example.com", "192.0.2.9:1"];
    let all = all.map(|text| Collector::parse(text).unwrap());
    let found = resolver.resolve(&all).await;
    let failed = found.iter().find(|(collector, _)| *collector == all[0]).unwrap();
    let error = failed.1.as_ref().unwrap_err().to_string();
    assert!(error.contains("there are no SRV records of this name"), "{error}");
    assert!(found.iter().any(|(_, resolved)| resolved.is_ok()));
}

#[test]
fn servers_are_read_from_resolv_conf() {
    let text = "# nameserver 192.0.2.7\nsearch example.com\nnameserver 192.0.2.1\n\
                nameserver\t2001:db8::1 # comment\nnameserver bad\nnameserver 192.0.2.3\n\
                nameserver 192.0.2.4\n";
    let servers: Vec<_> = servers(text).iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["192.0.2.1:53", "[2001:db8::1]:53", "192.0.2.3:53"]);
    assert_eq!(super::servers(""), [SocketAddr::from(([127, 0, 0, 1], 53))]);
}
