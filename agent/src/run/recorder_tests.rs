use super::*;
use crate::metrics::{MetricSet, Selection};
use crate::report_log::ReplayCursor;
use crate::report_log::file::{FileEncoder, restore};
use crate::test_log::Log;

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
    recorder.acknowledge(3, 0, recorder.zero);
    assert_eq!(recorder.offer(), Some(4));
    recorder.acknowledge(5, 0, recorder.zero);
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

/// Returns the recorder of the next process, whose host is at this time.
fn restarted(recorder: &Recorder, host_ms: u64) -> Recorder {
    let (id, mut file) = (fleetgauge_proto::AgentId::try_new("web-1").unwrap(), Vec::new());
    let mut encoder = FileEncoder::new(&id, &mut file);
    assert!(recorder.with_log(|log| encoder.append(log, host_ms, &mut file)));
    let limits = LogLimits::default();
    let log = restore(&*file, file.len() as u64, &id, limits, host_ms).unwrap().log;
    Recorder::continuing(log, limits, Instant::now(), Duration::from_millis(host_ms))
}

/// Returns the recorder of a process that took two samples in a session.
fn after_a_session() -> Recorder {
    let recorder = recorder(1 << 20);
    recorder.welcomed(COLLECTOR_MS, at(&recorder, 0), true);
    assert_eq!((record(&recorder, 1), record(&recorder, 16)), (1, 2));
    recorder
}

const BEFORE: [(u64, u64); 2] = [(1, COLLECTOR_MS + 1_000), (2, COLLECTOR_MS + 16_000)];

#[test]
fn numbers_and_times_continue_those_of_the_earlier_process() {
    let recorder = restarted(&after_a_session(), HOST_MS + 30_000);
    assert_eq!((recorder.offer(), recorder.newest()), (Some(1), BEFORE[1]));
    recorder.welcomed(COLLECTOR_MS + 31_000, at(&recorder, 1), true);
    record(&recorder, 2);
    assert_eq!(logged(&recorder), [&BEFORE[..], &[(3, COLLECTOR_MS + 32_000)]].concat());
    assert_eq!(recorder.newest(), (3, COLLECTOR_MS + 32_000));
}

#[test]
fn times_rise_over_a_restart_if_the_next_collector_is_behind() {
    let recorder = restarted(&after_a_session(), HOST_MS + 30_000);
    recorder.welcomed(COLLECTOR_MS, at(&recorder, 1), true);
    record(&recorder, 2);
    record(&recorder, 40);
    let expected = [(3, COLLECTOR_MS + 16_002), (4, COLLECTOR_MS + 39_000)];
    assert_eq!(logged(&recorder), [BEFORE, expected].concat());
}

#[test]
fn only_estimates_are_corrected_after_a_restart() {
    // The clock of the host may be behind or far ahead, and may have been set meanwhile.
    for host_ms in [0, 5_000, HOST_MS + 30_000, u64::from(u32::MAX) * 1_000] {
        let recorder = restarted(&after_a_session(), host_ms);
        record(&recorder, 1);
        record(&recorder, 16);
        recorder.welcomed(COLLECTOR_MS + 50_000, at(&recorder, 20), true);
        record(&recorder, 31);
        let own = [(3, COLLECTOR_MS + 31_000), (4, COLLECTOR_MS + 46_000)];
        let expected = [&BEFORE[..], &own, &[(5, COLLECTOR_MS + 61_000)]].concat();
        assert_eq!(logged(&recorder), expected, "{host_ms}");
    }
}

#[test]
fn estimates_of_two_processes_are_corrected_together() {
    let first = recorder(1 << 20);
    record(&first, 1);
    let second = restarted(&first, HOST_MS + 30_000);
    record(&second, 2);
    let third = restarted(&second, HOST_MS + 60_000);
    third.welcomed(COLLECTOR_MS, at(&third, 0), true);
    record(&third, 3);
    let own = [(1, COLLECTOR_MS - 59_000), (2, COLLECTOR_MS - 28_000), (3, COLLECTOR_MS + 3_000)];
    assert_eq!(logged(&third), own);
}

#[test]
fn estimates_above_a_clock_that_went_back_are_not_in_the_future() {
    let first = recorder(1 << 20);
    record(&first, 1);
    let second = restarted(&first, 0);
    record(&second, 1);
    record(&second, 16);
    second.welcomed(COLLECTOR_MS, at(&second, 20), true);
    record(&second, 31);
    let times = logged(&second);
    assert!(times.is_sorted_by(|a, b| a.0 < b.0 && a.1 + 2 <= b.1), "{times:?}");
    assert!(times[2].1 <= COLLECTOR_MS, "{times:?}");
    assert_eq!(times[3], (4, COLLECTOR_MS + 11_000));
}

#[test]
fn dropped_reports_are_logged_once_a_minute() {
    let (log, recorder) = (Log::default(), recorder(4 * 1024));
    let _logging = log.install();
    for seconds in 1..=600 {
        record(&recorder, seconds);
    }
    let dropped = recorder.with_log(ReportLog::dropped);
    let lines = log.lines();
    assert!((3..=10).contains(&lines.len()), "{lines:?}");
    let count = |line: &String| -> u64 {
        assert!(line.contains("WARN reports dropped from the log"), "{line}");
        line.split_once("count=").unwrap().1.parse().unwrap()
    };
    let told: u64 = lines.iter().map(count).sum();
    assert!(told <= dropped && told > dropped / 2, "{told} of {dropped}");
}

#[test]
fn estimates_are_above_earlier_times_if_the_next_collector_is_behind() {
    let recorder = restarted(&after_a_session(), HOST_MS + 30_000);
    record(&recorder, 1);
    record(&recorder, 16);
    recorder.welcomed(COLLECTOR_MS, at(&recorder, 20), true);
    record(&recorder, 31);
    let own = [(3, COLLECTOR_MS + 16_002), (4, COLLECTOR_MS + 31_002), (5, COLLECTOR_MS + 31_004)];
    assert_eq!(logged(&recorder), [&BEFORE[..], &own].concat());
}
