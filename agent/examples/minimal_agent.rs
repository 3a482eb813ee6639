//! A minimal agent: declares one gauge and reports it.
//!
//! ```text
//! cargo run -p fleetgauge-agent --example minimal_agent -- 127.0.0.1:45678 room-1
//! ```
//!
//! Use it as a start to report values of your own. A production agent also reconnects with a
//! backoff after a failure: see `fleetgauge_agent::backoff`.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use fleetgauge_agent::catalogs::Catalogs;
use fleetgauge_agent::client::{Baseline, Client, Event};
use fleetgauge_agent::identity::Host;
use fleetgauge_agent::profile::Profile;
use fleetgauge_agent::tables::Sample;
use fleetgauge_proto::catalog::FamilyKind;
use fleetgauge_proto::message::{ByeReason, Catalog, Column, Family, Table};
use fleetgauge_proto::{AgentId, StaticLabels};

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let collector = args.next().unwrap_or_else(|| "127.0.0.1:45678".to_owned());
    let profile = profile(&args.next().unwrap_or_else(|| "minimal-agent".to_owned()))?;

    let mut stream = TcpStream::connect(&collector)?;
    // A report is one small write. Without this, the kernel may hold it back.
    stream.set_nodelay(true)?;

    // The client does no I/O: it turns received bytes into events and bytes to send.
    // The baseline keeps the previous report, so that the next one carries only changes.
    let (mut client, mut baseline, mut out) = (Client::default(), Baseline::default(), Vec::new());
    let started = Instant::now();
    client.start(&profile, None, &mut out);
    let (mut interval, mut next_report) = (profile.interval, None);
    loop {
        if next_report.is_some_and(|due| Instant::now() >= due) {
            let sample = Sample { rows: profile.catalogs.no_rows(), values: vec![temperature()] };
            baseline.report(&mut client, &profile, &sample, started.elapsed(), &mut out)?;
            next_report = Some(Instant::now() + interval);
        }
        stream.write_all(&out)?;
        out.clear();

        // Read until the next report is due: the collector sends Ping and Drain at any time, and
        // it closes a connection that does not answer.
        let wait = next_report.map_or(interval, |due| due.duration_since(Instant::now()));
        let mut buffer = [0; 1024];
        let received = read(&mut stream, &mut buffer, wait)?;
        let mut input = &buffer[..received];
        let now = started.elapsed();
        while let Some(event) = client.received(&profile, now, &mut input, &mut out)? {
            match event {
                Event::Welcomed { interval: agreed, catalogs_sent, .. } => {
                    catalogs_sent?;
                    interval = agreed;
                    next_report = Some(Instant::now());
                    println!("connected to {collector}");
                }
                // The collector restarts. Bye tells it that this agent leaves on purpose.
                Event::Drain { .. } => {
                    client.bye(ByeReason::Drained, &mut out);
                    return Ok(stream.write_all(&out)?);
                }
                Event::Rejected { text, .. } => anyhow::bail!("rejected: {text}"),
                Event::Pong { .. } => {}
                // Only of an agent that keeps a log.
                Event::Acknowledged { .. } | Event::Resend { .. } => {}
            }
        }
    }
}

/// Returns the contents of the agent's Hello and Catalog.
fn profile(id: &str) -> anyhow::Result<Profile> {
    let temperature = Family {
        name: "room_temperature_celsius",
        kind: FamilyKind::Gauge as u8,
        unit: "celsius",
        help: "Air temperature.",
    };
    let column = Column { family: 0, width: 1, decimals: 1, parameters: vec![], labels: vec![] };
    // A table with row labels, such as the name of a room, has as many rows as there are rooms.
    let room = Table { row_labels: vec![], columns: vec![column] };
    let catalog = Catalog { stream: 0, slot: 0, families: vec![temperature], tables: vec![room] };
    Ok(Profile {
        id: AgentId::try_new(id)?,
        // The collector tells two hosts with the same id apart by their nonces.
        nonces: Host::read().nonces(),
        labels: StaticLabels::default(),
        interval: Duration::from_secs(1),
        agent_version: "minimal",
        catalogs: Catalogs::try_new(vec![catalog])?,
    })
}

/// Reads the bytes that arrive within `wait`. Returns their number, 0 if none arrived.
fn read(stream: &mut TcpStream, buffer: &mut [u8], wait: Duration) -> std::io::Result<usize> {
    // A timeout of zero means no timeout.
    stream.set_read_timeout(Some(wait.max(Duration::from_millis(1))))?;
    match stream.read(buffer) {
        Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(0),
        result => result,
    }
}

/// Returns a made-up temperature in place of a sensor's reading.
fn temperature() -> f64 {
    21.5
}
