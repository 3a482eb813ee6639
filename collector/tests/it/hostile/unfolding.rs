//! Catalogs whose rendered labels are far larger than their frames, sent to a real collector. It
//! still serves requests, and its CPU time is limited.

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use fleetgauge_proto::Code;
use fleetgauge_proto::message::Column;

use crate::support::agent::{Agent, Identity, identity};
use crate::support::command::Process;
use crate::support::frames::{CatalogFrame, HISTOGRAM, catalog_of, family, gauges, label, wide};
use crate::support::{StopAtEnd, http};

const ATTACKERS: usize = 3;
/// Number of catalogs of 544 kB that an attacker sends: 4.9 MB in total.
const CATALOGS: usize = 9;
/// Maximum CPU time of the attack. An unoptimized build takes about 3 s to decode the catalogs and
/// compute their sizes, an optimized one a thirtieth. When plans were built first, an optimized
/// build took 56 s.
const MOST_CPU: Duration = Duration::from_secs(if cfg!(debug_assertions) { 30 } else { 1 });

/// Maximum memory of the process, in KiB: a frame and its decoded catalog for each connection, and
/// the stored catalogs. It once took 1.7 GiB with a budget of 1 GiB.
const MOST_RESIDENT: u64 = 512 * 1024;
/// Memory limit of the collector: the default, set explicitly.
const BUDGET: [&str; 2] = ["--max-memory", "1GiB"];

/// 15 histograms of 256 bounds, each with 31 labels that double when escaped: 249 MB of a page.
fn histograms(attacker: usize, number: usize) -> CatalogFrame {
    let quotes = "\"".repeat(1_024);
    let names: Vec<_> = (0..31).map(|n| format!("l{n}")).collect();
    let labels: Vec<_> = names.iter().map(|name| label(&(name, &quotes))).collect();
    let bounds: Vec<_> = (0..256).map(f64::from).collect();
    let families: Vec<_> = (0..15).map(|n| format!("f{attacker}_{number}_{n}")).collect();
    let families: Vec<_> = families.iter().map(|name| family(name, HISTOGRAM)).collect();
    let series = (0..15).map(|n| Column { labels: labels.clone(), ..wide(n, &bounds) });
    catalog_of(&families, &series.collect::<Vec<_>>())
}

/// Sends all catalogs over three connections. Checks the code if they are rejected.
fn attack(process: &Process, refused: Option<Code>) {
    let attack = |attacker: usize| {
        let catalogs: Vec<_> = (0..CATALOGS).map(|number| histograms(attacker, number)).collect();
        // The agent reports first, so that a busy machine does not close it for its silence.
        let id = format!("a{attacker}");
        let rare = Identity { interval_ms: 300_000, ..identity(&id) };
        let mut agent = Agent::join(process.agents, &rare, &gauges(&["load"]), &[1.0]);
        for catalog in &catalogs {
            // A rejected agent continues to send until the connection ends.
            if agent.stream.write_all(&catalog.bytes).is_err() {
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

/// Attacks a collector with these settings. It serves requests meanwhile and keeps its agents.
fn withstands(settings: &[&str], refused: Option<Code>) {
    let process = Process::start(settings);
    let rare = Identity { interval_ms: 300_000, ..identity("honest") };
    let mut agent = Agent::join(process.agents, &rare, &gauges(&["load"]), &[1.0]);
    let (done, answers) = (AtomicBool::new(false), AtomicUsize::new(0));
    let before = process.cpu();
    std::thread::scope(|scope| {
        let done = StopAtEnd(&done);
        scope.spawn(|| {
            // At least once, however short the attack is.
            loop {
                assert_eq!(http::request(process.http, "GET", "/healthz", &[]).status, 200);
                answers.fetch_add(1, Ordering::Relaxed);
                if done.0.load(Ordering::Relaxed) {
                    break;
                }
                // CPU time of the requests is included.
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
fn histograms_with_long_labels_are_rejected_at_low_cost() {
    withstands(&BUDGET, Some(Code::PageTooLarge));
}

/// With a raised page limit all catalogs are stored.
#[test]
fn histograms_with_long_labels_are_stored_at_low_cost() {
    let allowed = ["--max-page-size-per-agent", "1TiB"];
    withstands(&[BUDGET, allowed].concat(), None);
}
