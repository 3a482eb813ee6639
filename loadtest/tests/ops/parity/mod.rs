//! The agent's page compared with that of a real node_exporter on the same host.
//!
//! Values move between two reads, so each round reads the reference before, while and after the
//! agent samples. A difference is one that all rounds have. `differences.tsv` lists those that are
//! known, with a reason; the comparison fails for any other, and for an entry that is not needed.

mod compare;
mod known;

use fleetgauge_page::Format;

use super::families::samples::{Family, of_agent, read};
use super::http;
use super::node_exporter::{self, NodeExporter, TextFiles};
use super::programs::{Collector, agent_with, cannot_run, wait_for};
use compare::{Differences, Round};
use known::{KnownDifferences, unsuitable};

/// Maximum number of rounds. One is enough on a quiet host.
const MAX_ROUNDS: usize = 20;
/// Id of the agent.
const ID: &str = "host-1";

/// Returns the time at which the host of a page was read.
fn time_of(page: &[Family]) -> f64 {
    let time = page.iter().find(|family| family.name == "node_time_seconds").unwrap();
    f64::from_bits(*time.samples.values().next().unwrap())
}

/// Returns the agent's families, if the collector shows them.
fn agent_page(collector: &Collector) -> Option<Vec<Family>> {
    let page = http::get(&collector.http, &format!("/metrics/agents/{ID}"), "").ok()?;
    let families = of_agent(&read(&page, Format::Text), ID);
    (!families.is_empty()).then_some(families)
}

/// Takes the agent's page, and pages of the reference from before its sample to after it.
fn round(reference: &NodeExporter, collector: &Collector) -> Round {
    let read_reference = || read(&reference.page(), Format::Text);
    let mut pages = vec![read_reference()];
    let mut next = |after: f64| {
        wait_for("a newer report", 30, || {
            pages.push(read_reference());
            agent_page(collector).filter(|page| time_of(page) > after)
        })
    };
    // The first report may have been begun before the first page of the reference.
    let begun = next(time_of(&read_reference()));
    let agent = next(time_of(&begun));
    pages.push(read_reference());
    Round { reference: pages, agent }
}

/// `-- --ignored --nocapture` prints the comparison.
#[test]
#[ignore = "needs prometheus-node-exporter 1.5.0"]
fn agent_shows_what_node_exporter_shows() {
    if let Some(why) = unsuitable(&node_exporter::version()) {
        return cannot_run("compare the agent with node_exporter", why.as_bytes());
    }
    let known = KnownDifferences::read();
    let text_files = TextFiles::new();
    // Only Debian's package reads systemd by default.
    let reference = NodeExporter::start(&text_files, &["--no-collector.systemd"]);
    let collector = Collector::start(&[]);
    let settings = text_files.settings();
    let flags = ["--config", &settings, "--interval", "1s", "--metrics", "node"];
    let _agent = agent_with(ID, &collector, &flags);
    wait_for("the agent's page", 20, || agent_page(&collector));

    let mut all: Option<Differences> = None;
    for number in 1..=MAX_ROUNDS {
        let round = round(&reference, &collector);
        let found = Differences::of(&round);
        let left = match all.take() {
            Some(before) => before.also_in(&found),
            None => found,
        };
        let unknown = known.unknown(&left);
        let not_needed = known.not_needed(&left, &round);
        println!("round {number}: {}", round.summary());
        unknown.iter().for_each(|line| println!("not listed: {line}"));
        if unknown.is_empty() || number == MAX_ROUNDS {
            known.print(&left);
            assert!(
                unknown.is_empty() && not_needed.is_empty(),
                "differences that differences.tsv does not list:\n{}\nentries of \
                 differences.tsv that are not needed:\n{}",
                unknown.join("\n"),
                not_needed.join("\n"),
            );
            return;
        }
        all = Some(left);
    }
}
