//! The newest acknowledged report is kept, for collectors that do not know the series before.

use super::tests::{catalogs, fill, nth, read_all, sequences, time_of};
use super::*;

/// Returns a log of these reports. The collector has acknowledged those up to `acknowledged`.
fn log(sequences: std::ops::RangeInclusive<u64>, acknowledged: u64) -> ReportLog {
    let mut log = ReportLog::default();
    fill(&mut log, &catalogs(2), sequences);
    log.acknowledge(acknowledged);
    log
}

fn read_from(first: u64, log: &ReportLog) -> Vec<u64> {
    read_all(&mut ReplayCursor::from(first), log)
}

#[test]
fn newest_acknowledged_report_is_read_if_the_cursor_begins_with_it() {
    // Rows change after each ten, so this is before, at and after ends of segments.
    for acknowledged in 1..40 {
        let log = log(1..=40, acknowledged);
        assert_eq!(read_from(acknowledged, &log), sequences(acknowledged..=40));
        // Those before it are not needed.
        assert_eq!(read_from(acknowledged - 1, &log), sequences(acknowledged + 1..=40));
        assert_eq!(log.len() as u64, 40 - acknowledged);
    }
}

#[test]
fn checkpoint_moves_with_acknowledgements() {
    let (mut log, catalogs) = (log(1..=1, 0), catalogs(2));
    for sequence in 2..=200 {
        fill(&mut log, &catalogs, sequence..=sequence);
        log.acknowledge(sequence - 1);
        assert_eq!(read_from(sequence - 1, &log), [sequence - 1, sequence]);
        log.acknowledge(sequence);
        assert_eq!(read_from(sequence, &log), [sequence]);
        // An acknowledgement without effect.
        log.acknowledge(sequence - 1);
        assert_eq!(read_from(sequence, &log), [sequence]);
    }
}

#[test]
fn report_that_is_acknowledged_while_it_is_awaited_is_skipped() {
    let mut log = log(1..=40, 10);
    let mut cursor = ReplayCursor::from(10);
    log.acknowledge(15);
    assert_eq!(read_all(&mut cursor, &log), sequences(16..=40));
}

#[test]
fn checkpoint_takes_the_memory_of_one_report() {
    let mut one = ReportLog::default();
    fill(&mut one, &catalogs(2), 64..=64);
    let log = log(1..=64, 64);
    assert!(log.is_empty());
    let bytes = log.bytes();
    assert!((1..=one.bytes()).contains(&bytes), "{bytes} bytes, {} of a report", one.bytes());
}

#[test]
fn rows_that_the_checkpoint_shares_count_once() {
    let rows = nth(20).rows;
    let (mut log, catalogs) = (ReportLog::default(), catalogs(50));
    let values = vec![1.0; 50 + 50 * rows[1].len()];
    let sample = Sample { rows, values };
    for sequence in 1..=SEGMENT_REPORTS as u64 + 1 {
        assert!(log.append(&sample, &catalogs, sequence, time_of(sequence)));
    }
    let layout = catalogs.bytes();
    log.acknowledge(SEGMENT_REPORTS as u64);
    let checkpoint = log.checkpoint.as_ref().unwrap().bytes();
    assert!(checkpoint < layout, "{checkpoint} bytes, {layout} of the catalogs");
    log.acknowledge(u64::MAX);
    let checkpoint = log.checkpoint.as_ref().unwrap().bytes();
    assert!(checkpoint > layout, "{checkpoint} bytes, {layout} of the catalogs");
    let sequence = SEGMENT_REPORTS as u64 + 2;
    assert!(log.append(&sample, &catalogs, sequence, time_of(sequence)));
    let checkpoint = log.checkpoint.as_ref().unwrap().bytes();
    assert!(checkpoint < layout, "{checkpoint} bytes, {layout} of the catalogs");
}

/// A collector that acknowledges some reports and then none.
#[test]
fn checkpoint_does_not_exceed_the_size_and_is_dropped_first() {
    let catalogs = catalogs(2);
    let full = log(1..=4_000, 0).bytes();
    for bytes in [0, 300, 1_000, 4_000, 16_000, full] {
        let mut log = ReportLog::new(LogLimits { bytes, ..LogLimits::default() });
        for sequence in 1..=300 {
            log.append(&nth(sequence), &catalogs, sequence, time_of(sequence));
            if sequence <= 50 {
                log.acknowledge(sequence);
            }
            assert!(log.bytes() <= bytes, "{} bytes of {bytes}", log.bytes());
        }
    }
    let mut log = log(1..=30, 29);
    assert_eq!(read_from(29, &log), [29, 30]);
    log.set_limits(LogLimits { bytes: log.bytes() - 1, ..LogLimits::default() });
    assert_eq!((read_from(29, &log), log.dropped()), (vec![30], 0));
}

/// What is before the first report is unknown then.
#[test]
fn checkpoint_is_dropped_with_the_report_after_it() {
    let age = Duration::from_millis(time_of(30) - time_of(1));
    let mut log = ReportLog::new(LogLimits { age, ..LogLimits::default() });
    fill(&mut log, &catalogs(2), 1..=9);
    log.acknowledge(9);
    fill(&mut log, &catalogs(2), 10..=100);
    assert!(log.checkpoint.is_none());
    assert_eq!(read_from(9, &log), sequences(log.first()..=100));
}

#[test]
fn log_that_is_not_asked_for_keeps_nothing() {
    let mut log = log(1..=40, 39);
    let revision = log.revision();
    log.clear();
    assert_eq!((log.bytes(), log.dropped(), read_from(40, &log)), (0, 0, vec![]));
    assert_ne!(log.revision(), revision, "a file has reports that are not accepted");
}
