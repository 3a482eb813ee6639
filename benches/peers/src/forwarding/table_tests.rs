use std::time::Duration;

use super::*;
use crate::fleet_kind::FleetKind;
use crate::forwarding::account::Count;
use crate::forwarding::args::Plan;
use crate::forwarding::cost::Cost;
use crate::forwarding::stale::Stale;
use crate::machine::Machine;

fn outcome() -> Outcome {
    let count = Count { offered: 9180, not_taken: 459, lost: 17, wrong: 2, ..Count::default() };
    let problems = vec!["2 samples have a wrong value".to_owned()];
    let (trial, peak_bytes) = (Trial::Outage(Duration::from_secs(60)), 3e7);
    Outcome { trial, begin: 0, count, caught_up: None, peak_bytes, problems }
}

fn results() -> Results {
    let cost = Cost {
        samples: 1000,
        rate: 100.0,
        cpu_us: 0.234,
        bytes: 14.8,
        samples_per_request: 500.4,
        peak_bytes: 2e7,
        bytes_per_series: 55.0,
        problems: Vec::new(),
    };
    let figures = Figures { cost, trials: vec![outcome()], findings: vec!["conflicting 1".into()] };
    let row = |figures| Row { name: "sender", setting: "default", figures };
    let failed = Measurement::Failed("not installed: apt-get install sender".to_owned());
    let stale = Stale { vanished: Some(0.26), killed: None, taken_over: None, waited: 60.0 };
    let stale_row = |name, is_scraper, taken_over| {
        let stale = Measurement::Done(Stale { taken_over, ..stale });
        StaleRow { name, is_scraper, stale }
    };
    Results {
        machine: Machine { cpus: 2, memory: 4 << 30, kernel: "6.1".to_owned() },
        plan: Plan {
            kind: FleetKind::Wide,
            hosts: 20,
            interval: Duration::from_secs(15),
            window: Duration::from_secs(45),
            outage: Duration::from_secs(60),
        },
        series: 459,
        programs: Vec::new(),
        rows: vec![row(Measurement::Done(figures)), row(failed)],
        stale: vec![
            stale_row("sender", false, Some(1.5)),
            stale_row("lone", false, None),
            stale_row("scraper", true, None),
        ],
    }
}

#[test]
fn tables_have_cost_losses_stale_times_and_problems() {
    let tables = results().to_string();
    for line in [
        "2 CPUs, 4 GiB, Linux 6.1; 20 wide hosts of 459 series, sampled every 15 s; cost measured \
         for 45 s.",
        "| sender | default | 0.23 | 14.8 | 500 | 20 MB | 55 B |",
        "| sender | default | not installed: apt-get install sender | | | | |",
        "| sender | engine away for 60 s | 9180 | 17 | 459 | never | 30 MB |",
        "| sender | 0.26 s | never (60 s waited) | no marker: samples go on after 1.5 s |",
        "| lone | 0.26 s | never (60 s waited) | never (60 s waited) |",
        "| scraper | 0.26 s | never (60 s waited) | they are scraped by one |",
        "- sender, default: engine away for 60 s: 2 samples have a wrong value; conflicting 1",
    ] {
        assert!(tables.lines().any(|own| own == line), "{line}\n{tables}");
    }
}

#[test]
fn all_table_rows_have_the_columns_of_their_heading() {
    let mut columns = None;
    for line in results().to_string().lines() {
        let bars = line.matches('|').count();
        if bars == 0 {
            columns = None;
            continue;
        }
        assert_eq!(*columns.get_or_insert(bars), bars, "{line}");
    }
}
