use std::time::Duration;

use super::super::FileEncoder;
use super::*;
use crate::report_log::tests::{catalogs, fill, nth, read_all, sequences, time_of};
use crate::report_log::{ReplayCursor, SEGMENT_REPORTS};

/// Time of the host at which logs are read.
const NOW_MS: u64 = 1_767_225_600_000;

fn id() -> AgentId {
    AgentId::try_new("web-1").unwrap()
}

/// Returns the file of a log.
fn file(log: &ReportLog) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = FileEncoder::new(&id(), &mut out);
    while !encoder.append(log, NOW_MS, &mut out) {}
    out
}

fn restore_with(file: &[u8], limits: LogLimits) -> Restored {
    restore(file, file.len() as u64, &id(), limits, NOW_MS).unwrap()
}

fn restored(file: &[u8]) -> Restored {
    restore_with(file, LogLimits::default())
}

/// Returns a log of reports with these sequence numbers.
fn log(numbers: std::ops::RangeInclusive<u64>) -> ReportLog {
    let mut log = ReportLog::new(LogLimits { age: Duration::MAX, ..LogLimits::default() });
    fill(&mut log, &catalogs(2), numbers);
    log
}

/// Reads and compares all reports. Returns their sequence numbers.
fn read(log: &ReportLog) -> Vec<u64> {
    read_all(&mut ReplayCursor::from(0), log)
}

#[test]
fn reports_survive_a_restart() {
    let mut log = log(1..=200);
    log.acknowledge(77);
    let restored = restored(&file(&log));
    assert_eq!(restored.damaged_bytes, 0);
    assert_eq!(read(&restored.log), sequences(78..=200));
    assert_eq!((restored.log.first(), restored.log.last(), restored.log.dropped()), (78, 200, 0));
    assert_eq!(restored.log.last_ms(), time_of(200));
    assert!(restored.log.bytes() <= log.bytes());
}

#[test]
fn newest_acknowledged_report_survives_a_restart() {
    for acknowledged in [20, 29, 30, 40] {
        let mut log = log(1..=40);
        log.acknowledge(acknowledged);
        // Written as a whole: a file that is appended to has it anyway.
        let again = restored(&file(&restored(&file(&log)).log)).log;
        assert_eq!((again.first(), again.dropped()), (acknowledged + 1, 0));
        let mut cursor = ReplayCursor::from(acknowledged);
        assert_eq!(read_all(&mut cursor, &again), sequences(acknowledged..=40));
    }
}

#[test]
fn reports_that_are_appended_one_by_one_survive() {
    let (mut log, mut bytes) = (log(1..=1), Vec::new());
    let mut encoder = FileEncoder::new(&id(), &mut bytes);
    for sequence in 2..=300 {
        assert!(encoder.append(&log, NOW_MS, &mut bytes));
        if sequence % 9 == 0 {
            log.acknowledge(sequence - 5);
        }
        fill(&mut log, &catalogs(2), sequence..=sequence);
    }
    assert!(encoder.append(&log, NOW_MS, &mut bytes));
    let unchanged = bytes.len();
    assert!(encoder.append(&log, NOW_MS, &mut bytes));
    assert_eq!(bytes.len(), unchanged, "nothing has changed");
    assert_eq!(read(&restored(&bytes).log), sequences(293..=300));
}

#[test]
fn new_process_continues_the_log() {
    let (mut first, mut second) = (restored(&file(&log(1..=70))).log, ReportLog::default());
    for process in 1..=4 {
        let last = 70 * process;
        assert_eq!(first.last(), last);
        fill(&mut first, &catalogs(2), last + 1..=last + 70);
        std::mem::swap(&mut first, &mut second);
        first = restored(&file(&second)).log;
    }
    assert_eq!(read(&first), sequences(1..=350));
}

#[test]
fn catalogs_and_rows_are_written_once() {
    let mut log = ReportLog::default();
    let catalogs = catalogs(100);
    let rows = nth(1).rows;
    let values = vec![1.0; 100 + 100 * rows[1].len()];
    let sample = crate::tables::Sample { rows, values };
    for sequence in 1..=20 * SEGMENT_REPORTS as u64 {
        assert!(log.append(&sample, &catalogs, sequence, time_of(sequence)));
    }
    let layout = catalogs.by_slot()[0].frame().len();
    let reports: usize =
        log.segments.iter().map(|one| one.encoded(one.start(), usize::MAX).0.len()).sum();
    let size = file(&log).len();
    assert!(size < reports + layout + 2_000, "{size} bytes: {reports} of reports, {layout}");
    assert!(size <= log.bytes() + 300);
}

#[test]
fn log_of_other_catalogs_survives() {
    let mut log = ReportLog::default();
    let rows = || vec![Arc::default(), Arc::default()];
    let first = crate::tables::Sample { rows: rows(), values: vec![1.0] };
    let second = crate::tables::Sample { rows: rows(), values: vec![2.0, 3.0] };
    assert!(log.append(&first, &catalogs(1), 1, 10));
    assert!(log.append(&second, &catalogs(2), 2, 20));
    assert!(log.append(&first, &catalogs(1), 3, 30));
    let limits = LogLimits { age: Duration::MAX, ..LogLimits::default() };
    let log = restore_with(&file(&log), limits).log;
    let mut cursor = ReplayCursor::from(1);
    let found = std::iter::from_fn(|| {
        let report = cursor.next(&log)?;
        Some((report.unix_ms, report.catalogs.clone(), report.sample.clone()))
    });
    let (one, two) = (catalogs(1), catalogs(2));
    let expected = [(10, one.clone(), first.clone()), (20, two, second), (30, one, first)];
    assert_eq!(found.collect::<Vec<_>>(), expected);
}

#[test]
fn numbers_continue_after_everything_was_acknowledged() {
    let mut log = log(1..=20);
    log.acknowledge(20);
    let mut log = restored(&file(&log)).log;
    assert_eq!((log.first(), log.last(), log.last_ms(), log.len()), (21, 20, time_of(20), 0));
    fill(&mut log, &catalogs(2), 21..=22);
    assert_eq!(read(&log), [21, 22]);
}

#[test]
fn incomplete_end_is_dropped_at_every_length() {
    let mut log = log(1..=24);
    let mut bytes = Vec::new();
    let mut encoder = FileEncoder::new(&id(), &mut bytes);
    assert!(encoder.append(&log, NOW_MS, &mut bytes));
    let before = bytes.len();
    fill(&mut log, &catalogs(2), 25..=25);
    assert!(encoder.append(&log, NOW_MS, &mut bytes));
    let mut whole = 0;
    for len in before..bytes.len() {
        let restored = restored(&bytes[..len]);
        // The record of the report is complete before that of the state.
        let last = restored.log.last();
        assert_eq!(read(&restored.log), sequences(1..=last), "{len}");
        assert!(last == 24 || last == 25, "{len}");
        assert!(restored.damaged_bytes as usize <= len - before, "{len}");
        whole += usize::from(restored.damaged_bytes == 0);
        // The log can be continued and written again.
        let mut log = restored.log;
        fill(&mut log, &catalogs(2), last + 1..=last + 3);
        assert_eq!(read(&self::restored(&file(&log)).log), sequences(1..=last + 3), "{len}");
    }
    assert_eq!(whole, 2, "the file may end before or after the record of the report");
}

#[test]
fn flipped_bits_never_give_wrong_values() {
    let bytes = file(&log(1..=24));
    let (mut changed, whole) = (bytes.clone(), read(&restored(&bytes).log).len());
    for at in 0..bytes.len() {
        for flip in [0x01, 0x80, 0xff] {
            changed[at] ^= flip;
            // Reading compares every report.
            if let Ok(restored) =
                restore(&*changed, bytes.len() as u64, &id(), LogLimits::default(), NOW_MS)
            {
                let found = read(&restored.log);
                assert_eq!(found, sequences(1..=found.len() as u64), "{at}");
                assert!(restored.damaged_bytes > 0, "{at}");
                assert!(found.len() <= whole);
            }
            changed[at] ^= flip;
        }
    }
}

#[test]
fn records_that_are_valid_but_impossible_are_damage() {
    let contents: [(Kind, &[u8]); 11] = [
        (Kind::Catalogs, &[0xff; 20]),
        (Kind::Catalogs, &[1, 3, b'F', b'G', 1]),
        (Kind::Catalogs, &[17]),
        (Kind::Segment, &[]),
        (Kind::Segment, &[30, 30, 0, 0xff, 0xff, 0xff, 0xff, 0x0f]),
        (Kind::Segment, &[30, 30, 0, 3, 1, b'b', 1, b'a']),
        (Kind::Segment, &[1, 30, 0, 0]),
        (Kind::Reports, &[1, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
        (Kind::Reports, &[0, 0, 0]),
        (Kind::State, &[1, 2]),
        (Kind::State, &[0x80; 30]),
    ];
    let whole = log(1..=5);
    for (kind, content) in contents {
        let mut bytes = Vec::new();
        let mut encoder = FileEncoder::new(&id(), &mut bytes);
        assert!(encoder.append(&whole, NOW_MS, &mut bytes));
        let before = bytes.len();
        encoder.push(kind, &mut bytes, |out| out.extend_from_slice(content));
        let restored = restored(&bytes);
        assert_eq!(restored.damaged_bytes as usize, bytes.len() - before, "{kind:?} {content:?}");
        assert_eq!(read(&restored.log), sequences(1..=5), "{kind:?} {content:?}");
    }
}

#[test]
fn huge_lengths_allocate_nothing() {
    let mut bytes = file(&log(1..=5));
    let whole = bytes.len() as u64;
    bytes.extend_from_slice(&u32::MAX.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    // As if the file were sparse.
    let limits = LogLimits::default();
    let restored = restore(&*bytes, 1 << 40, &id(), limits, NOW_MS).unwrap();
    assert_eq!((restored.damaged_bytes, restored.log.len()), ((1 << 40) - whole, 5));
}

#[test]
fn zeros_behind_the_records_are_damage() {
    let mut bytes = file(&log(1..=5));
    bytes.resize(bytes.len() + 4096, 0);
    let restored = restored(&bytes);
    assert_eq!((restored.damaged_bytes, restored.log.len()), (4096, 5));
}

#[test]
fn other_files_are_not_read() {
    let limits = LogLimits::default();
    let bytes = file(&log(1..=5));
    let restore = |bytes: &[u8], id: &str| {
        restore(bytes, bytes.len() as u64, &AgentId::try_new(id).unwrap(), limits, NOW_MS)
            .map(|restored| restored.log.len())
            .map_err(|error| error.to_string())
    };
    assert_eq!(restore(&bytes, "web-1"), Ok(5));
    assert!(restore(&bytes, "web-2").unwrap_err().contains("the agent \"web-1\""));
    let mut other = bytes.clone();
    other[super::super::MAGIC.len()] = 9;
    assert!(restore(&other, "web-1").unwrap_err().contains("format 9"));
    for text in ["", "fgrep", "collector = 'c:1'\n", "fgreplog"] {
        assert!(restore(text.as_bytes(), "web-1").unwrap_err().contains("not a log"), "{text}");
    }
    assert!(restore(&bytes[..12], "web-1").unwrap_err().contains("damaged"));
}

#[test]
fn old_reports_are_dropped_when_the_file_is_read() {
    // The clock of the host need not be that of the collector.
    let bytes = file(&log(1..=100));
    let after = |elapsed_ms| {
        let (limits, now_ms) = (LogLimits::default(), NOW_MS + elapsed_ms);
        let log = restore(&*bytes, bytes.len() as u64, &id(), limits, now_ms).unwrap().log;
        (read(&log).len() as u64, log.dropped(), log.last())
    };
    let hour = 60 * 60 * 1_000;
    assert_eq!(after(0), (100, 0, 100));
    assert_eq!(after(365 * 24 * hour), (0, 100, 100));
    // Rows change after each ten, and whole segments are dropped.
    assert_eq!(after(6 * hour - (time_of(100) - time_of(55))), (51, 49, 100));
}

#[test]
fn clock_of_1970_at_either_time_is_no_error() {
    let (log, mut bytes) = (log(1..=100), Vec::new());
    let mut encoder = FileEncoder::new(&id(), &mut bytes);
    assert!(encoder.append(&log, 0, &mut bytes));
    let read_at = |bytes: &[u8], now_ms| {
        let limits = LogLimits::default();
        restore(bytes, bytes.len() as u64, &id(), limits, now_ms).unwrap().log.len()
    };
    assert_eq!((read_at(&bytes, 60_000), read_at(&bytes, NOW_MS)), (100, 0));
    assert_eq!(read_at(&file(&log), 0), 100);
}

#[test]
fn file_that_is_larger_than_the_log_keeps_the_newest() {
    let bytes = file(&log(1..=5_000));
    let limits = LogLimits { bytes: 16 * 1024, age: Duration::MAX };
    let log = restore_with(&bytes, limits).log;
    assert!(log.bytes() <= limits.bytes && log.len() > 50, "{} reports", log.len());
    assert_eq!(log.last(), 5_000);
    assert_eq!(read(&log), sequences(log.first()..=5_000));
    let none = restore_with(&bytes, LogLimits { bytes: 0, ..limits });
    assert_eq!((none.damaged_bytes, none.log.len(), none.log.last()), (0, 0, 5_000));
}
