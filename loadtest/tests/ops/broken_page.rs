//! Tests that a real Prometheus treats a page that the collector abandons as a failed scrape, and
//! uses none of its samples.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use fleetgauge_agent::catalogs::Catalogs;
use fleetgauge_agent::identity::Nonces;
use fleetgauge_agent::profile::Profile;
use fleetgauge_proto::catalog::FamilyKind;
use fleetgauge_proto::message::{Catalog, Column, Family, Label, Table};
use fleetgauge_proto::{AgentId, StaticLabels};
use socket2::{Domain, Socket, Type};

use super::every_kind::report_once;
use super::programs::{Collector, wait_for};
use super::prometheus::Prometheus;

/// Number of agents.
const AGENTS: usize = 8;
/// Number of series per agent. Makes the page larger than all buffers between collector and
/// Prometheus.
const SERIES: usize = 10_000;
/// Number of bytes of a stalled page that are forwarded before it stalls.
const FORWARDED_BYTES: u64 = 256 * 1024;

/// A proxy between Prometheus and the collector that can stop reading in the middle of a page.
struct StallingProxy {
    address: SocketAddr,
    stalled: Arc<AtomicBool>,
    resume: std::sync::mpsc::Sender<()>,
}

impl StallingProxy {
    fn to(collector: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let collector: SocketAddr = collector.parse().unwrap();
        let stalled = Arc::new(AtomicBool::new(false));
        let (resume, resumed) = channel();
        let stalling = Arc::clone(&stalled);
        // Runs until the test process exits.
        std::thread::spawn(move || {
            for reader in listener.incoming() {
                // Prometheus closes connections when it stops; that is not an error here.
                let _ =
                    forward(reader.unwrap(), collector, stalling.load(Ordering::SeqCst), &resumed);
            }
        });
        Self { address, stalled, resume }
    }
}

/// Forwards one request and its response, uncompressed. If `stalled`, forwarding pauses after the
/// beginning of the response until the test resumes it.
fn forward(
    mut reader: TcpStream,
    collector: SocketAddr,
    stalled: bool,
    resume: &Receiver<()>,
) -> io::Result<u64> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        reader.read_exact(&mut byte)?;
        head.extend(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let head = head.replace("Accept-Encoding: gzip\r\n", "Connection: close\r\n");
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_recv_buffer_size(4096)?;
    socket.connect(&collector.into())?;
    let mut page: TcpStream = socket.into();
    page.write_all(head.as_bytes())?;
    if stalled {
        io::copy(&mut (&mut page).take(FORWARDED_BYTES), &mut reader)?;
        resume.recv().unwrap();
    }
    io::copy(&mut page, &mut reader)
}

fn wide_agent(number: usize) -> Profile {
    let values: Vec<_> = (0..SERIES).map(|n| format!("{n:040}")).collect();
    let columns = values.iter().map(|value| Column {
        family: 0,
        width: 1,
        decimals: 0,
        parameters: Vec::new(),
        labels: vec![Label { name: "n", value }],
    });
    let table = Table { row_labels: Vec::new(), columns: columns.collect() };
    let family = Family { name: "wide", kind: FamilyKind::Gauge as u8, unit: "", help: "Wide." };
    let catalog = Catalog { stream: 0, slot: 0, families: vec![family], tables: vec![table] };
    Profile {
        id: AgentId::try_new(&format!("wide-{number}")).unwrap(),
        nonces: Nonces { host: [1; 16], process: [2; 16] },
        labels: StaticLabels::default(),
        interval: Duration::from_secs(300),
        agent_version: "test",
        catalogs: Catalogs::try_new(vec![catalog]).unwrap(),
    }
}

#[test]
#[ignore = "needs prometheus"]
fn aborted_page_is_a_failed_scrape() {
    let collector = Collector::start(&[]);
    let _held: Vec<_> = (0..AGENTS)
        .map(|number| report_once(&wide_agent(number), &[1.0; SERIES], &collector.agents))
        .collect();
    let proxy = StallingProxy::to(&collector.http);
    let prometheus = Prometheus::with(&format!(
        "scrape_configs:\n- job_name: wide\n  metrics_path: /metrics/agents\
         \n  scrape_interval: 15s\n  scrape_timeout: 15s\
         \n  static_configs: [{{targets: [\"{}\"]}}]\n",
        proxy.address
    ));
    wait_for("a whole page", 40, || {
        let series = prometheus.query("count(wide)");
        (series.first()?.1 == (AGENTS * SERIES) as f64).then_some(())
    });
    assert_eq!(prometheus.value("up"), 1.0);

    proxy.stalled.store(true, Ordering::SeqCst);
    wait_for("the collector to give the page up", 40, || {
        let own = collector.get("/metrics/self", "");
        own.contains("\nfleetgauge_scrapes_broken_total 1\n").then_some(())
    });
    proxy.resume.send(()).unwrap();
    wait_for("a failed scrape", 10, || (prometheus.value("up") == 0.0).then_some(()));
    // Prometheus has not used any series of the incomplete page.
    assert_eq!(prometheus.query("count(wide)"), []);
}
