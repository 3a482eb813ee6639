use fleetgauge_proto::catalog::FamilyKind;
use fleetgauge_proto::message::{self, Column, Family, Table};
use fleetgauge_proto::report::is_absent;

use super::*;
use crate::catalogs::Catalogs;
use crate::client::fake_collector::{FakeCollector, profile};

/// Returns a catalog with a table without row labels, one of disks with two columns, and one of
/// mounts with two labels.
fn catalog() -> message::Catalog<'static> {
    let family = |name| Family { name, kind: FamilyKind::Gauge as u8, unit: "", help: "" };
    let column =
        |family| Column { family, width: 1, decimals: 0, parameters: vec![], labels: vec![] };
    message::Catalog {
        stream: 0,
        slot: 0,
        families: ["load", "disk_read", "disk_written", "mount_size"].map(family).into(),
        tables: vec![
            Table { row_labels: vec![], columns: vec![column(0)] },
            Table { row_labels: vec!["device"], columns: vec![column(1), column(2)] },
            Table { row_labels: vec!["device", "mountpoint"], columns: vec![column(3)] },
        ],
    }
}

/// An agent with its catalog in two slots, and a collector.
struct Pair {
    profile: Profile,
    client: Client,
    baseline: Baseline,
    collector: FakeCollector,
}

impl Pair {
    fn new() -> Self {
        let profile = profile(Catalogs::try_new(vec![catalog(), catalog()]).unwrap());
        let (client, baseline) = (Client::default(), Baseline::default());
        let mut pair = Self { profile, client, baseline, collector: FakeCollector::default() };
        pair.connect();
        pair
    }

    /// Begins a session.
    fn connect(&mut self) {
        self.collector = FakeCollector::welcome(&mut self.client, &self.profile);
    }

    /// Reports a sample. Checks that the collector has it afterwards.
    fn report(&mut self, sample: &Sample) {
        let mut out = Vec::new();
        let Self { profile, client, baseline, collector } = self;
        baseline.report(client, profile, sample, Duration::ZERO, &mut out).unwrap();
        collector.receive(&out);
        assert_eq!(collector.sample().rows, sample.rows);
        let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&collector.sample().values), bits(&sample.values));
    }
}

fn rows(labels: usize, texts: &[&str]) -> Arc<TableRows> {
    let add = RowChange { slot: 0, table: 0, removed: vec![], added: texts.to_vec() };
    Arc::new(TableRows::default().edit(labels.max(1), &add).unwrap().0)
}

/// Returns a sample with these disks and mounts in both catalogs, and rising values.
fn sample(disks: &[&str], mounts: &[&str], first: u32) -> Sample {
    let of_catalog = [rows(0, &[]), rows(1, disks), rows(2, mounts)];
    let cells = u32::try_from(2 * (1 + 2 * disks.len() + mounts.len() / 2)).unwrap();
    Sample {
        rows: [of_catalog.clone(), of_catalog].concat(),
        values: (first..first + cells).map(f64::from).collect(),
    }
}

#[test]
fn collector_has_the_rows_and_values_of_every_sample() {
    let mut pair = Pair::new();
    let disks = ["sda", "sdb", "sdc"];
    let mounts = ["sda", "/", "sda", "/home", "sdb", "/"];
    let chosen = |all: &[&'static str], labels: usize, set: usize| -> Vec<&str> {
        let rows = all.chunks(labels).enumerate().filter(|(at, _)| set & (1 << at) != 0);
        rows.flat_map(|(_, row)| row).copied().collect()
    };
    // A walk in which each set follows many others.
    for step in 0..512_u32 {
        let set = (step * step * 7 + step / 3) as usize;
        let (disks, mounts) = (chosen(&disks, 1, set & 7), chosen(&mounts, 2, set >> 3 & 7));
        pair.report(&sample(&disks, &mounts, step));
        if step % 100 == 99 {
            pair.connect();
        }
    }
}

#[test]
fn unchanged_rows_are_not_sent_again() {
    let mut pair = Pair::new();
    pair.report(&sample(&["sda"], &[], 0));
    assert_eq!(pair.collector.frames, [0, 1, 1]);
    pair.report(&sample(&["sda"], &[], 7));
    assert_eq!(pair.collector.frames, [0, 1, 2]);
    pair.connect();
    pair.report(&sample(&["sda"], &[], 7));
    assert_eq!(pair.collector.frames, [0, 1, 1], "a new session starts without rows");
}

/// Returns the catalog with another help text, so that its fingerprint differs.
fn other_catalog() -> message::Catalog<'static> {
    let mut catalog = catalog();
    catalog.families[0].help = "another";
    catalog
}

/// Returns a sample of this many catalogs, each with one disk more than the one before.
fn sample_of_slots(slots: usize) -> Sample {
    let disks = ["sda", "sdb", "sdc"];
    let of_slot = |slot: usize| [rows(0, &[]), rows(1, &disks[..=slot]), rows(2, &[])];
    let values = (0..slots).flat_map(|slot| 0..=2 * (u32::try_from(slot).unwrap() + 1));
    Sample { rows: (0..slots).flat_map(of_slot).collect(), values: values.map(f64::from).collect() }
}

#[test]
fn changed_and_new_catalogs_are_sent_and_start_without_rows() {
    let mut pair = Pair::new();
    pair.report(&sample_of_slots(2));
    for (catalogs, sent) in [
        (vec![catalog(), other_catalog()], 1),
        (vec![catalog(), other_catalog()], 0),
        (vec![other_catalog(), other_catalog()], 1),
        (vec![catalog(), catalog()], 2),
        (vec![catalog(), other_catalog(), catalog()], 2),
        (vec![other_catalog(), other_catalog(), catalog()], 1),
    ] {
        let sample = sample_of_slots(catalogs.len());
        pair.profile.catalogs = Catalogs::try_new(catalogs).unwrap();
        pair.collector.frames = [0; 3];
        pair.report(&sample);
        assert_eq!(pair.collector.frames, [sent, usize::from(sent > 0), 1]);
    }
    // In a new session, Welcome has said which catalogs are known.
    pair.connect();
    pair.report(&sample_of_slots(3));
    assert_eq!(pair.collector.frames, [0, 1, 1]);
}

#[test]
fn absent_values_and_nans_are_reported() {
    let mut pair = Pair::new();
    let mut now = sample(&["sda"], &["sda", "/"], 1);
    pair.report(&now);
    now.values.fill(ABSENT);
    pair.report(&now);
    assert!(pair.collector.sample().values.iter().all(|value| is_absent(*value)));
    now.values.fill(f64::NAN);
    pair.report(&now);
}

/// Returns a sample of many whole numbers, so that a report of a few changes carries only those.
fn large_sample(disks: &[&str]) -> Sample {
    let names: Vec<_> = (0..30).map(|at| format!("mount-{at:02}")).collect();
    let mounts: Vec<_> = names.iter().flat_map(|name| ["dm", name]).collect();
    sample(disks, &mounts, 1_000)
}

#[test]
fn added_row_of_zeros_among_unchanged_values_is_reported() {
    let mut pair = Pair::new();
    pair.report(&large_sample(&[]));
    let mut added = large_sample(&[]);
    added.rows[1] = rows(1, &["sda"]);
    added.values.splice(1..1, [0.0, ABSENT]);
    pair.report(&added);
}

#[test]
fn nan_of_any_bits_counts_as_one() {
    let mut pair = Pair::new();
    let mut now = large_sample(&["sda"]);
    pair.report(&now);
    for bits in [0xfff8_0000_0000_0001, 0xfff8_0000_0000_0001, 0x7ff8_0000_0000_0000] {
        now.values[1] = f64::from_bits(bits);
        let mut out = Vec::new();
        let Pair { profile, client, baseline, collector } = &mut pair;
        baseline.report(client, profile, &now, Duration::ZERO, &mut out).unwrap();
        collector.receive(&out);
        assert_eq!(collector.sample().values[1].to_bits(), f64::NAN.to_bits());
    }
    now.values[1] = 5.0;
    pair.report(&now);
}

#[test]
fn sample_that_does_not_fit_leaves_the_baseline_unchanged() {
    let mut pair = Pair::new();
    let good = sample(&["sda"], &[], 0);
    pair.report(&good);
    let mut short = sample(&["sda", "sdb"], &[], 0);
    short.values.pop();
    let tables = Sample { rows: good.rows[1..].to_vec(), values: good.values.clone() };
    for bad in [short, tables] {
        let (mut out, now) = (Vec::new(), Duration::ZERO);
        let Pair { profile, client, baseline, .. } = &mut pair;
        baseline.report(client, profile, &bad, now, &mut out).unwrap_err();
        assert!(out.is_empty());
    }
    pair.report(&sample(&["sdb"], &[], 3));
}

/// Returns a catalog of one gauge with this name, in a table with a row label.
fn gauge(name: &'static str) -> message::Catalog<'static> {
    let family = Family { name, kind: FamilyKind::Gauge as u8, unit: "", help: "" };
    let column = Column { family: 0, width: 1, decimals: 0, parameters: vec![], labels: vec![] };
    let table = Table { row_labels: vec!["device"], columns: vec![column] };
    message::Catalog { stream: 0, slot: 0, families: vec![family], tables: vec![table] }
}

#[test]
fn replay_has_catalogs_rows_and_values_of_its_own() {
    let Pair { profile, mut client, mut baseline, mut collector } = Pair::new();
    let empty = |catalogs: &Catalogs| Sample {
        rows: catalogs.no_rows(),
        values: catalogs.tables().iter().filter(|t| t.row_labels() == 0).map(|_| 1.0).collect(),
    };
    let mut out = Vec::new();
    let live = empty(&profile.catalogs);
    baseline.report(&mut client, &profile, &live, Duration::ZERO, &mut out).unwrap();
    let add = RowChange { slot: 0, table: 0, removed: vec![], added: vec!["sda", "sdb"] };
    let disks = Arc::new(TableRows::default().edit(1, &add).unwrap().0);
    let (a, b, c) = (gauge("a"), gauge("b"), gauge("c"));
    let mut replay = Baseline::default();
    // Catalogs are added, exchanged between slots, removed and added again.
    let sets: [&[&message::Catalog<'_>]; 6] =
        [&[&a], &[&a, &b], &[&b, &a, &c], &[&c], &[&c, &a], &[]];
    for (sequence, set) in (10..).zip(sets) {
        let catalogs = Catalogs::try_new(set.iter().map(|one| (*one).clone()).collect()).unwrap();
        let rows = vec![Arc::clone(&disks); set.len()];
        let values: Vec<_> =
            (0..2 * set.len()).map(|at| (sequence * 10 + at as u64) as f64).collect();
        for repeat in 0..2 {
            let sample = Sample { rows: rows.clone(), values: values.clone() };
            let (stream, unix_ms) = (stream::REPLAY, sequence * 100 + repeat);
            let id = ReportId { stream, sequence: 2 * sequence + repeat, unix_ms };
            replay.report_as(&mut client, id, &catalogs, &sample, &mut out).unwrap();
            collector.receive(&std::mem::take(&mut out));
            let found = collector.replay.as_ref().unwrap();
            assert_eq!(found.sample(), sample, "{set:?}");
            assert_eq!(found.reports.last(), Some(&(id.sequence, unix_ms)));
        }
    }
    assert_eq!(collector.sample(), live, "a replay changed the newest values");
    // The replay does not change the numbers of reports.
    let sequence = baseline.report(&mut client, &profile, &live, Duration::ZERO, &mut out).unwrap();
    assert_eq!(sequence, 2);
}
