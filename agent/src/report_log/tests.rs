use std::sync::Arc;

use fleetgauge_proto::catalog::FamilyKind;
use fleetgauge_proto::message::{Catalog, Column, Family, RowChange, Table};
use fleetgauge_proto::report::ABSENT;
use fleetgauge_proto::rows::TableRows;

use super::*;

const INTERVAL_MS: u64 = 15_000;
const START_MS: u64 = 1_767_225_600_000;

/// Returns catalogs of a table without row labels and a table with one, each of this many columns.
pub(super) fn catalogs(columns: u32) -> Catalogs {
    let decimals = |table: u32, column: u32| [0, 2, 0, 3][((table + column) % 4) as usize];
    let of = |table: u32| {
        let column = |number: u32| Column {
            family: table * columns + number,
            width: 1,
            decimals: decimals(table, number),
            parameters: vec![],
            labels: vec![],
        };
        (0..columns).map(column).collect::<Vec<_>>()
    };
    let names: Vec<_> = (0..2 * columns).map(|number| format!("host_metric_{number}")).collect();
    let kind = FamilyKind::Gauge as u8;
    let family = |name| Family { name, kind, unit: "", help: "A metric of the host, for tests." };
    let families = names.iter().map(|name| family(name)).collect();
    let tables = vec![
        Table { row_labels: vec![], columns: of(0) },
        Table { row_labels: vec!["device"], columns: of(1) },
    ];
    Catalogs::try_new(vec![Catalog { stream: 0, slot: 0, families, tables }]).unwrap()
}

fn devices(names: &[&str]) -> Arc<TableRows> {
    let add = RowChange { slot: 0, table: 1, removed: vec![], added: names.to_vec() };
    Arc::new(TableRows::default().edit(1, &add).unwrap().0)
}

/// Returns a sample of [`catalogs`] of two columns.
fn sample(rows: &Arc<TableRows>, seed: u64) -> Sample {
    let value = |at: usize| match (at as u64 + seed) % 5 {
        0 => ABSENT,
        1 => -0.0,
        2 => f64::INFINITY,
        _ => (at as u64 * 1_000 + seed) as f64 / 8.0,
    };
    let values = (0..2 + 2 * rows.len()).map(value).collect();
    Sample { rows: vec![Arc::default(), Arc::clone(rows)], values }
}

pub(super) fn time_of(sequence: u64) -> u64 {
    START_MS + sequence * INTERVAL_MS
}

/// Appends the samples of these sequence numbers, whose rows change every `rows_for` of them.
pub(super) fn fill(
    log: &mut ReportLog,
    catalogs: &Catalogs,
    sequences: std::ops::RangeInclusive<u64>,
) {
    for sequence in sequences {
        assert!(log.append(&nth(sequence), catalogs, sequence, time_of(sequence)));
    }
}

/// Returns the sample of a sequence number. Rows change after each ten.
pub(super) fn nth(sequence: u64) -> Sample {
    let names = ["sda", "sdb", "sdc"];
    sample(&devices(&names[..1 + (sequence / 10) as usize % 3]), sequence)
}

/// Reads the next report, compares it with [`nth`] and returns its sequence number.
fn read(cursor: &mut ReplayCursor, log: &ReportLog) -> Option<u64> {
    let report = cursor.next(log)?;
    let (found, expected) = (report.sample, nth(report.sequence));
    let bits = |sample: &Sample| sample.values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    assert_eq!(found.rows, expected.rows, "{}", report.sequence);
    assert_eq!(bits(found), bits(&expected), "{}", report.sequence);
    assert_eq!(report.unix_ms, time_of(report.sequence));
    Some(report.sequence)
}

pub(super) fn read_all(cursor: &mut ReplayCursor, log: &ReportLog) -> Vec<u64> {
    std::iter::from_fn(|| read(cursor, log)).collect()
}

pub(super) fn sequences(range: std::ops::RangeInclusive<u64>) -> Vec<u64> {
    range.collect()
}

#[test]
fn reports_are_read_as_they_were_added() {
    let (mut log, catalogs) = (ReportLog::default(), catalogs(2));
    fill(&mut log, &catalogs, 1..=200);
    assert_eq!((log.first(), log.last(), log.len(), log.dropped()), (1, 200, 200, 0));
    assert_eq!(read_all(&mut ReplayCursor::from(0), &log), sequences(1..=200));
    // In the middle of a segment.
    assert_eq!(read_all(&mut ReplayCursor::from(137), &log), sequences(137..=200));
    assert_eq!(read_all(&mut ReplayCursor::from(201), &log), Vec::<u64>::new());
}

#[test]
fn cursor_continues_with_reports_that_are_added_later() {
    let (mut log, catalogs) = (ReportLog::default(), catalogs(2));
    let mut cursor = ReplayCursor::from(1);
    assert_eq!(read(&mut cursor, &log), None);
    for sequence in 1..=200 {
        fill(&mut log, &catalogs, sequence..=sequence);
        assert_eq!(read_all(&mut cursor, &log), [sequence]);
    }
}

#[test]
fn cursor_survives_acknowledgements_at_any_place() {
    let catalogs = catalogs(2);
    for (read_before, acknowledged) in (0..40).flat_map(|a| (0..=45).map(move |b| (a, b))) {
        let mut log = ReportLog::default();
        fill(&mut log, &catalogs, 1..=40);
        let mut cursor = ReplayCursor::from(0);
        (0..read_before).for_each(|_| assert!(read(&mut cursor, &log).is_some()));
        log.acknowledge(acknowledged);
        fill(&mut log, &catalogs, 41..=45);
        let next = u64::max(read_before, acknowledged.min(40)) + 1;
        assert_eq!(log.first(), acknowledged.min(40) + 1);
        assert_eq!(log.len() as u64, 45 - acknowledged.min(40));
        assert_eq!(read_all(&mut cursor, &log), sequences(next..=45));
    }
}

#[test]
fn cursor_skips_to_a_later_report_but_not_back() {
    let (mut log, catalogs) = (ReportLog::default(), catalogs(2));
    fill(&mut log, &catalogs, 1..=100);
    let mut cursor = ReplayCursor::from(5);
    assert_eq!(read(&mut cursor, &log), Some(5));
    cursor.skip_to(60);
    assert_eq!(read(&mut cursor, &log), Some(60));
    cursor.skip_to(1);
    assert_eq!(read(&mut cursor, &log), Some(61));
}

#[test]
fn gaps_of_sequence_numbers_survive() {
    let limits = LogLimits { age: Duration::MAX, ..LogLimits::default() };
    let (mut log, catalogs) = (ReportLog::new(limits), catalogs(2));
    let numbers = [3, 4, 9, 1_000, 70_000, u64::from(u32::MAX) + 5];
    for sequence in numbers {
        assert!(log.append(&nth(sequence), &catalogs, sequence, time_of(sequence)));
    }
    assert_eq!(read_all(&mut ReplayCursor::from(4), &log), numbers[1..]);
    log.acknowledge(999);
    assert_eq!((log.first(), log.len()), (1_000, 3));
    log.acknowledge(u64::MAX);
    assert_eq!((log.first(), log.len()), (numbers[5] + 1, 0));
}

#[test]
fn everything_acknowledged_is_dropped() {
    let (mut log, catalogs) = (ReportLog::default(), catalogs(2));
    fill(&mut log, &catalogs, 1..=100);
    log.acknowledge(100);
    assert!(log.is_empty());
    assert_eq!((log.len(), log.first(), log.dropped()), (0, 101, 0));
    // An acknowledgement of reports that do not exist yet must not drop them later.
    log.acknowledge(u64::MAX);
    fill(&mut log, &catalogs, 101..=110);
    assert_eq!(read_all(&mut ReplayCursor::from(0), &log), sequences(101..=110));
    // An old one has no effect.
    log.acknowledge(3);
    assert_eq!(log.first(), 101);
}

/// A collector that acknowledges nothing.
#[test]
fn oldest_reports_are_dropped_beyond_the_size() {
    let limits = LogLimits { bytes: 16 * 1024, ..LogLimits::default() };
    let (mut log, catalogs) = (ReportLog::new(limits), catalogs(2));
    for sequence in 1..=5_000 {
        fill(&mut log, &catalogs, sequence..=sequence);
        assert!(log.bytes() <= limits.bytes, "{} bytes", log.bytes());
    }
    assert_eq!(log.last(), 5_000);
    assert_eq!(log.dropped(), log.first() - 1);
    assert_eq!(log.len() as u64, 5_000 - log.dropped());
    assert!(log.len() > 50, "{} reports", log.len());
    assert_eq!(read_all(&mut ReplayCursor::from(1), &log), sequences(log.first()..=5_000));
    let limits = LogLimits { bytes: 0, ..limits };
    log.set_limits(limits);
    assert_eq!((log.bytes(), log.dropped()), (0, 5_000));
}

#[test]
fn acknowledged_reports_do_not_count_as_dropped() {
    let limits = LogLimits { bytes: 16 * 1024, ..LogLimits::default() };
    let (mut log, catalogs) = (ReportLog::new(limits), catalogs(2));
    for sequence in 1..=2_000 {
        fill(&mut log, &catalogs, sequence..=sequence);
        log.acknowledge(sequence - 1);
    }
    assert_eq!((log.dropped(), log.len()), (0, 1));
}

#[test]
fn reports_beyond_the_age_are_dropped() {
    let age = Duration::from_millis(100 * INTERVAL_MS);
    let limits = LogLimits { age, ..LogLimits::default() };
    let (mut log, catalogs) = (ReportLog::new(limits), catalogs(2));
    fill(&mut log, &catalogs, 1..=1_000);
    // Whole segments are dropped; rows change after each ten.
    assert!((890..=900).contains(&log.first()), "{}", log.first());
    // A clock that jumps ahead.
    let sequence = 1_001;
    assert!(log.append(&nth(sequence), &catalogs, sequence, u64::MAX));
    assert_eq!((log.first(), log.len(), log.dropped()), (1_001, 1, 1_000));
}

#[test]
fn report_larger_than_the_log_is_dropped() {
    let limits = LogLimits { bytes: 300, ..LogLimits::default() };
    let (mut log, catalogs) = (ReportLog::new(limits), catalogs(2));
    assert!(!log.append(&nth(1), &catalogs, 1, time_of(1)));
    assert_eq!((log.last(), log.bytes(), log.dropped()), (1, 0, 1));
    log.set_limits(LogLimits::default());
    assert!(log.append(&nth(2), &catalogs, 2, time_of(2)));
}

#[test]
fn rows_that_change_in_every_report_do_not_exceed_the_size() {
    let limits = LogLimits { bytes: 64 * 1024, ..LogLimits::default() };
    let (mut log, catalogs) = (ReportLog::new(limits), catalogs(2));
    for sequence in 1..=500 {
        let names: Vec<_> = (0..40).map(|n| format!("{:<1$}", n + sequence, 100)).collect();
        let mut names: Vec<_> = names.iter().map(String::as_str).collect();
        names.sort_unstable();
        let sample = sample(&devices(&names), sequence);
        assert!(log.append(&sample, &catalogs, sequence, time_of(sequence)));
        let rows: usize = log.segments.iter().map(|one| one.rows()[1].bytes()).sum();
        assert!(rows < log.bytes() && log.bytes() <= limits.bytes, "{} bytes", log.bytes());
    }
    assert!(log.len() > 5, "{} reports", log.len());
}

#[test]
fn sample_that_does_not_fit_or_does_not_rise_is_not_added() {
    let (mut log, catalogs) = (ReportLog::default(), catalogs(2));
    fill(&mut log, &catalogs, 5..=5);
    let mut short = nth(6);
    short.values.pop();
    assert!(!log.append(&short, &catalogs, 6, time_of(6)));
    let mut tables = nth(6);
    tables.rows.pop();
    assert!(!log.append(&tables, &catalogs, 6, time_of(6)));
    assert!(!log.append(&nth(6), &catalogs, 5, time_of(6)));
    assert!(!log.append(&nth(6), &catalogs, 6, time_of(5)));
    assert_eq!((log.last(), log.len()), (5, 1));
}

#[test]
fn new_catalogs_begin_a_segment() {
    let mut log = ReportLog::default();
    let (one, two) = (catalogs(1), catalogs(2));
    let rows = || vec![Arc::default(), Arc::default()];
    let first = Sample { rows: rows(), values: vec![1.0] };
    let second = Sample { rows: rows(), values: vec![2.0, 3.0] };
    assert!(log.append(&first, &one, 1, 10));
    assert!(log.append(&second, &two, 2, 20));
    assert!(log.append(&first, &one, 3, 30));
    let mut cursor = ReplayCursor::from(1);
    let found: Vec<_> = std::iter::from_fn(|| {
        let report = cursor.next(&log)?;
        Some((report.catalogs.clone(), report.sample.clone()))
    })
    .collect();
    assert_eq!(found, [(one.clone(), first.clone()), (two, second), (one, first)]);
}

/// Fills the values of a host: counters, most of them unchanged, and gauges in pages of 4 KiB.
/// Returns the share of values that changed.
fn idle_host(values: &mut [f64], rng: &mut fastrand::Rng) -> f64 {
    let mut changed = 0_u32;
    for (at, value) in values.iter_mut().enumerate() {
        let now = match at % 15 {
            // Counters of CPU time in hundredths and of bytes.
            0 => *value + rng.u32(1..1_500) as f64 / 100.0,
            1 => *value + f64::from(rng.u32(100..200_000)),
            // Memory.
            2 => 8e9 - f64::from(rng.u32(0..4_000)) * 4_096.0,
            // Seldom.
            3 if rng.u32(0..4) == 0 => *value + 1.0,
            _ => *value,
        };
        let now = (now * 100.0).round() / 100.0;
        changed += u32::from(now.to_bits() != value.to_bits());
        *value = now;
    }
    f64::from(changed) / values.len() as f64
}

#[test]
fn hour_of_500_series_takes_less_than_300_kb() {
    let mut log = ReportLog::default();
    let catalogs = catalogs(50);
    let names = ["cpu0", "cpu1", "cpu2", "cpu3", "eth0", "lo", "sda", "sdb", "sdc"];
    let rows = vec![Arc::default(), devices(&names)];
    let mut rng = fastrand::Rng::with_seed(7);
    let values = (0..500).map(|_| f64::from(rng.u32(0..1_000_000_000))).collect();
    let mut sample = Sample { rows, values };
    let mut shares = 0.0;
    for sequence in 1..=240 {
        shares += idle_host(&mut sample.values, &mut rng);
        assert!(log.append(&sample, &catalogs, sequence, time_of(sequence)));
    }
    let share = shares / 240.0;
    assert!((0.15..=0.25).contains(&share), "{share} of the values change");
    assert_eq!(log.len(), 240);
    assert!(log.bytes() <= 300_000, "{} bytes", log.bytes());
}

#[test]
fn shared_rows_count_after_the_first_segment_with_them_is_dropped() {
    let (mut log, catalogs) = (ReportLog::default(), catalogs(2));
    let names: Vec<_> = (100..200).map(|n| format!("{n:<900}")).collect();
    let rows = devices(&names.iter().map(String::as_str).collect::<Vec<_>>());
    for sequence in 1..=3 * SEGMENT_REPORTS as u64 {
        assert!(log.append(&sample(&rows, 1), &catalogs, sequence, time_of(sequence)));
    }
    assert!((rows.bytes()..2 * rows.bytes()).contains(&log.bytes()), "{} bytes", log.bytes());
    log.acknowledge(SEGMENT_REPORTS as u64);
    assert!((rows.bytes()..2 * rows.bytes()).contains(&log.bytes()), "{} bytes", log.bytes());
}
