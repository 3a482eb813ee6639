use super::*;
use crate::metrics::{MetricSet, Selection};
use crate::report_log::ReplayCursor;

const HOST_MS: u64 = 1_000_000;
const COLLECTOR_MS: u64 = 5_000_000;

/// Records a sample this many seconds after the start. Returns its sequence number.
fn record(recorder: &Recorder, seconds: u64) -> u64 {
    let catalogs = Selection::of(MetricSet::Basic).catalogs().clone();
    let sample = Sample { rows: catalogs.no_rows(), values: vec![1.0; 6] };
    recorder.record(at(recorder, seconds), &sample, &catalogs)
}

fn at(recorder: &Recorder, seconds: u64) -> Instant {
    recorder.zero + Duration::from_secs(seconds)
}

fn recorder(bytes: usize) -> Recorder {
    let limits = LogLimits { bytes, ..LogLimits::default() };
    Recorder::new(limits, Instant::now(), Duration::from_millis(HOST_MS))
}

/// Returns sequence numbers and times of the log.
fn logged(recorder: &Recorder) -> Vec<(u64, u64)> {
    let mut cursor = ReplayCursor::default();
    recorder.with_log(|log| {
        let next = || cursor.next(log).map(|report| (report.sequence, report.unix_ms));
        std::iter::from_fn(next).collect()
    })
}

#[test]
fn samples_before_the_first_welcome_get_the_time_of_the_collector() {
    let recorder = recorder(1 << 20);
    assert_eq!((record(&recorder, 1), record(&recorder, 16)), (1, 2));
    assert_eq!(recorder.newest(), (2, HOST_MS + 16_000));
    recorder.welcomed(COLLECTOR_MS, at(&recorder, 20), true);
    assert_eq!(recorder.newest(), (2, COLLECTOR_MS - 4_000));
    record(&recorder, 31);
    let expected = [(1, COLLECTOR_MS - 19_000), (2, COLLECTOR_MS - 4_000)];
    let expected = [&expected[..], &[(3, COLLECTOR_MS + 11_000)]].concat();
    assert_eq!(logged(&recorder), expected);
    // The clock of the next collector does not change times that were sent.
    recorder.welcomed(2 * COLLECTOR_MS, at(&recorder, 40), true);
    assert_eq!(logged(&recorder), expected);
}

#[test]
fn host_clock_that_is_ahead_does_not_delay_the_collectors_time() {
    let recorder = recorder(1 << 20);
    record(&recorder, 1);
    recorder.welcomed(1_000, at(&recorder, 2), true);
    assert_eq!(recorder.newest(), (1, 0));
    record(&recorder, 4);
    assert_eq!(recorder.newest(), (2, 3_000));
}

#[test]
fn log_is_offered_from_its_first_report() {
    let recorder = recorder(1 << 20);
    assert_eq!(recorder.offer(), Some(1));
    for seconds in 1..=5 {
        record(&recorder, seconds);
    }
    assert_eq!(recorder.offer(), Some(1));
    recorder.acknowledge(3);
    assert_eq!(recorder.offer(), Some(4));
    recorder.acknowledge(5);
    assert_eq!(recorder.offer(), Some(6));
    recorder.set_limits(LogLimits { bytes: 0, ..LogLimits::default() });
    assert_eq!(recorder.offer(), None);
}

#[test]
fn agent_without_a_log_numbers_its_samples() {
    let recorder = recorder(0);
    assert_eq!((record(&recorder, 1), record(&recorder, 2)), (1, 2));
    assert_eq!((recorder.offer(), logged(&recorder)), (None, vec![]));
}

#[test]
fn nothing_is_kept_for_a_collector_that_does_not_ask() {
    let recorder = recorder(1 << 20);
    record(&recorder, 1);
    recorder.welcomed(COLLECTOR_MS, at(&recorder, 2), false);
    record(&recorder, 3);
    assert_eq!(logged(&recorder), []);
    // Reports to this collector are numbered by the client.
    recorder.advance(7);
    assert_eq!(recorder.offer(), Some(8));
    recorder.welcomed(COLLECTOR_MS + 2_000, at(&recorder, 4), true);
    assert_eq!(record(&recorder, 5), 8);
    assert_eq!(logged(&recorder), [(8, COLLECTOR_MS + 3_000)]);
}
