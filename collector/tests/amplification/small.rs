//! Small frames that make the collector process much state from earlier frames, of this agent or of
//! another.

use std::time::Duration;

use fleetgauge_proto::message::{Catalog, Column, RowChange, Rows, Table as Declared};
use fleetgauge_proto::{Code, Fingerprint, Message};

use crate::measure::{Rig, encode, frame, hello, hello_of, report};
use crate::worst::{
    ALL_VALUES, GAUGE, MaxCost, SUMMARY, Table, catalog, column, family, label, names,
};

/// The hashes of all catalogs' names are merged: 64,000 at most.
const ALL_NAMES: MaxCost = MaxCost { cpu: Duration::from_millis(4), memory: 1 << 20 };
/// All tables of an agent are visited: 50,000 at most.
const ALL_TABLES: MaxCost = MaxCost { cpu: Duration::from_millis(4), memory: 64 << 10 };
/// Nothing is visited or copied.
const NOTHING: MaxCost = MaxCost { cpu: Duration::from_micros(500), memory: 64 << 10 };

/// Frames of an agent of 16 catalogs of 1,000 families.
pub(crate) fn frames(table: &mut Table) {
    const CATALOGS: usize = 16;
    let all = names(CATALOGS * 1_000);
    let rig = Rig::new(|_| {});
    let mut other = rig.connect();
    other.receives(&hello("other", vec![], Fingerprint([0; 16])));
    let mut fingerprints = Vec::new();
    for (slot, names) in all.chunks(1_000).enumerate() {
        let families: Vec<_> = names.iter().map(|name| family(name, SUMMARY)).collect();
        let columns = (0..1_000).map(|n| Column { width: 2, ..column(n, &[], &[]) }).collect();
        let declared = Catalog { slot: slot as u8, ..catalog(&families, columns) };
        let (frame, fingerprint) = encode(&declared);
        other.receives(&frame);
        assert_eq!(other.refused(), None);
        fingerprints.push(fingerprint);
    }
    let mut agent = rig.connect();
    let cost = rig.cost(&mut agent, &[hello_of("a", vec![], fingerprints)]);
    assert_eq!(agent.refused(), None);
    table.small("Hello that names 16 catalogs of 1,000 families", cost, ALL_NAMES);
    let empty = Catalog { stream: 0, slot: 15, families: vec![], tables: vec![] };
    agent.receives(&report(1, &vec![0.0; 2 * CATALOGS * 1_000]));
    let cost = rig.cost(&mut agent, &[frame(&Message::Catalog(empty))]);
    assert_eq!(agent.refused(), None);
    table.small("Catalog that is empty, beside 15 of 1,000 families", cost, ALL_VALUES);
    let rows_of = |changes| frame(&Message::Rows(Rows { stream: 0, changes }));
    agent.receives(&report(2, &vec![0.0; 2 * (CATALOGS - 1) * 1_000]));
    let cost = rig.cost(&mut agent, &[rows_of(vec![])]);
    assert_eq!(agent.refused(), None);
    table.small("Rows without a change, beside 30,000 values", cost, NOTHING);
    let disk = Declared { row_labels: vec!["x"], columns: vec![column(0, &[], &[])] };
    let disks = Catalog { tables: vec![disk], ..catalog(&[family("disk", GAUGE)], vec![]) };
    agent.receives(&frame(&Message::Catalog(Catalog { slot: 15, ..disks })));
    agent.receives(&report(3, &vec![0.0; 2 * (CATALOGS - 1) * 1_000]));
    let change = RowChange { slot: 15, table: 0, removed: vec![], added: vec!["sda"] };
    let cost = rig.cost(&mut agent, &[rows_of(vec![change])]);
    assert_eq!(agent.refused(), None);
    table.small("Rows that add one, beside 30,000 values", cost, ALL_VALUES);
}

/// Hellos that name catalogs of as many tables as are allowed, all without rows.
pub(crate) fn tables(table: &mut Table) {
    const TABLES: usize = 50_000;
    let rig = Rig::new(|_| {});
    let numbers = names(TABLES);
    let fingerprints = names(16).into_iter().map(|name| {
        let of_number = |n| {
            let columns = vec![column(0, &[], &[label("n", n)])];
            Declared { row_labels: vec!["x"], columns }
        };
        let tables = numbers.iter().map(|n| of_number(n)).collect();
        let declared = Catalog { tables, ..catalog(&[family(&name, GAUGE)], vec![]) };
        let (frame, fingerprint) = encode(&declared);
        let mut other = rig.connect();
        other.receives(&hello("other", vec![], fingerprint));
        other.receives(&frame);
        assert_eq!(other.refused(), None);
        fingerprint
    });
    let fingerprints: Vec<_> = fingerprints.collect();
    let mut agent = rig.connect();
    let cost = rig.cost(&mut agent, &[hello_of("a", vec![], fingerprints[..1].to_vec())]);
    assert_eq!(agent.refused(), None);
    table.small("Hello that names a catalog of 50,000 tables", cost, ALL_TABLES);
    let mut agent = rig.connect();
    let cost = rig.cost(&mut agent, &[hello_of("a", vec![], fingerprints)]);
    assert_eq!(agent.refused(), Some(Code::TooManySeries));
    table.small("Hello that names 16 catalogs of 50,000 tables", cost, NOTHING);
}
