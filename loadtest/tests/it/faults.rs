//! The documentation lists every fault that can be injected, and every attack.

use std::collections::BTreeSet;

use clap::ValueEnum;
use fleetgauge_loadtest::attackers::AttackKind;
use fleetgauge_loadtest::fault::Fault;

/// The document with the tables of faults and attacks.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/loadtest.md");
const SECTION: &str = "\n## Check that the load test can fail\n";
/// The end of the table of faults of `--fault`.
const END: &str = "\n`forward` has a flag of its own, ";

#[test]
fn documented_faults_exist() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (_, section) = page.split_once(SECTION).unwrap();
    let (section, _) = section.split_once(END).unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    // A row begins with names in backquotes, up to a colon.
    let names = rows.flat_map(|row| row.split(':').next().unwrap().split('`').skip(1).step_by(2));
    let documented: Vec<_> = names.collect();
    let faults: BTreeSet<_> = Fault::value_variants().iter().map(|fault| fault.flag()).collect();
    let flags: BTreeSet<_> = documented.iter().map(|name| format!("--fault={name}")).collect();
    assert_eq!(flags, faults);
    assert_eq!(documented.len(), faults.len(), "a fault has two rows: {documented:?}");
}

#[test]
fn documented_attacks_exist_with_their_codes() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (_, section) = page.split_once("\n| attack |").unwrap();
    let rows = section.lines().skip(2).take_while(|line| line.starts_with('|'));
    let names = |cell: &str| -> Vec<_> {
        cell.split('`').skip(1).step_by(2).map(ToOwned::to_owned).collect()
    };
    let mut documented = BTreeSet::new();
    for cells in rows.map(|row| row.split('|').collect::<Vec<_>>()) {
        let (attacks, codes) = (names(cells[1]), names(cells[3]));
        documented.extend(attacks.iter().enumerate().map(|(at, attack)| {
            // One code for each attack of the row, or one for all. The last code of the connection
            // flood is the one that it must cause.
            let code =
                if attacks.len() == codes.len() { &codes[at] } else { &codes[codes.len() - 1] };
            (attack.clone(), code.clone())
        }));
    }
    let kinds =
        AttackKind::ALL.map(|kind| (kind.name().to_owned(), kind.code().reason().to_owned()));
    assert_eq!(documented, BTreeSet::from(kinds));
}
