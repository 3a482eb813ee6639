//! Schemas that unfold, sent to a whole collector: it goes on answering, and its CPU time is
//! counted.

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use fleetgauge_proto::Code;
use fleetgauge_proto::message::Series;

use crate::support::agent::{Agent, Who, who};
use crate::support::command::Process;
use crate::support::frames::{HISTOGRAM, SchemaFrame, family, gauges, label, schema_of, wide};
use crate::support::{StopAtEnd, http};

const ATTACKERS: usize = 3;
/// Schemas of 544 kB that an attacker sends, 4.9 MB of them.
const SCHEMAS: usize = 9;
/// Most CPU time of all of it; an unoptimized build takes some 3 s to decode and count what is
/// kept, an optimized one a thirtieth. When a plan was made first, an optimized one took 56 s.
const MOST_CPU: Duration = Duration::from_secs(if cfg!(debug_assertions) { 30 } else { 1 });

/// Most memory of the process, in KiB: a schema's frame and the decoded schema for each connection,
/// and what is kept of them. It had 1.7 GiB, under a budget of 1 GiB.
const MOST_RESIDENT: u64 = 512 * 1024;
/// The default, stated.
const BUDGET: [&str; 2] = ["--max-memory", "1GiB"];

/// 15 histograms of 256 bounds, each with 31 labels that double when they are written: 249 MB of a
/// page.
fn histograms(attacker: usize, number: usize) -> SchemaFrame {
    let quotes = "\"".repeat(1_024);
    let names: Vec<_> = (0..31).map(|n| format!("l{n}")).collect();
    let labels: Vec<_> = names.iter().map(|name| label(&(name, &quotes))).collect();
    let bounds: Vec<_> = (0..256).map(f64::from).collect();
    let families: Vec<_> = (0..15).map(|n| format!("f{attacker}_{number}_{n}")).collect();
    let families: Vec<_> = families.iter().map(|name| family(name, HISTOGRAM)).collect();
    let series = (0..15).map(|n| Series { labels: labels.clone(), ..wide(n, &bounds) });
    schema_of(&families, &series.collect::<Vec<_>>())
}

/// Three connections send all of it. Checks the code of their refusal, if they are refused.
fn attack(process: &Process, refused: Option<Code>) {
    let attack = |attacker: usize| {
        let schemas: Vec<_> = (0..SCHEMAS).map(|number| histograms(attacker, number)).collect();
        // It has reported, or a busy machine would close it for that.
        let id = format!("a{attacker}");
        let rare = Who { interval_ms: 300_000, ..who(&id) };
        let mut agent = Agent::join(process.agents, &rare, &gauges(&["load"]), &[1.0]);
        for schema in &schemas {
            // A refused agent continues to send until the connection ends.
            if agent.stream.write_all(&schema.bytes).is_err() {
                break;
            }
        }
        match refused {
            Some(code) => drop(agent.expect_code(code)),
            None => agent.settle(),
        }
    };
    std::thread::scope(|scope| {
        for attacker in 0..ATTACKERS {
            scope.spawn(move || attack(attacker));
        }
    });
}

/// Attacks a collector with these settings: it answers meanwhile, and keeps the connected agents.
fn withstands(settings: &[&str], refused: Option<Code>) {
    let process = Process::start(settings);
    let rare = Who { interval_ms: 300_000, ..who("honest") };
    let mut agent = Agent::join(process.agents, &rare, &gauges(&["load"]), &[1.0]);
    let (done, answers) = (AtomicBool::new(false), AtomicUsize::new(0));
    let before = process.cpu();
    std::thread::scope(|scope| {
        let done = StopAtEnd(&done);
        scope.spawn(|| {
            // Once at least, however short the attack is.
            loop {
                assert_eq!(http::request(process.http, "GET", "/healthz", &[]).status, 200);
                answers.fetch_add(1, Ordering::Relaxed);
                if done.0.load(Ordering::Relaxed) {
                    break;
                }
                // Their CPU time is counted, too.
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        attack(&process, refused);
    });
    let (cpu, answers) = (process.cpu() - before, answers.load(Ordering::Relaxed));
    let resident = process.most_resident();
    println!("{cpu:?} of CPU, {answers} answers of /healthz, at most {resident} KiB resident");
    assert!(resident < MOST_RESIDENT, "{resident} KiB");
    assert!(cpu < MOST_CPU, "{cpu:?}");
    assert!(answers > 0);
    agent.report(&[2.0]);
}

#[test]
fn histograms_of_long_labels_over_three_connections() {
    withstands(&BUDGET, Some(Code::PageTooLarge));
}

/// Where such pages are allowed all of it is kept.
#[test]
fn histograms_of_long_labels_where_their_pages_are_allowed() {
    let allowed = ["--max-page-size-per-agent", "1TiB"];
    withstands(&[BUDGET, allowed].concat(), None);
}
