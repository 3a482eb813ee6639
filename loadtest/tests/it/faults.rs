//! The documentation lists every fault that can be injected.

use std::collections::BTreeSet;

use clap::ValueEnum;
use fleetgauge_loadtest::fault::Fault;

/// The document with the table of faults.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/loadtest.md");
const SECTION: &str = "\n## Check that the load test can fail\n";

#[test]
fn documented_faults_exist() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (_, section) = page.split_once(SECTION).unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    // A row begins with names in backquotes, up to a colon.
    let names = rows.flat_map(|row| row.split(':').next().unwrap().split('`').skip(1).step_by(2));
    let documented: Vec<_> = names.collect();
    let faults: BTreeSet<_> = Fault::value_variants().iter().map(|fault| fault.flag()).collect();
    let flags: BTreeSet<_> = documented.iter().map(|name| format!("--fault={name}")).collect();
    assert_eq!(flags, faults);
    assert_eq!(documented.len(), faults.len(), "a fault has two rows: {documented:?}");
}
