use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fleetgauge_proto::report::ABSENT;

use super::controlled::{ReadResult, SourceControl, controlled, shown, spec, write};
use super::*;
use crate::metrics::MetricSet;
use crate::test_log::Log;

mod reported;

/// Timeout of a test.
const LONG: Duration = Duration::from_secs(60);

/// A source that always has the same row.
struct Healthy;

impl Source for Healthy {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        write(vec![("sda", 1.0)], output)
    }
}

fn sampler_of(sources: Vec<SourceSpec>) -> Sampler {
    let tables = TableSet::try_new([], sources.iter().map(|source| &*source.tables)).unwrap();
    Sampler::new(&tables, sources)
}

/// Returns a sampler with two sources, disks and mounts, and their controls.
fn sampler() -> (Sampler, SourceControl, SourceControl) {
    let ((disks, disk_spec), (mounts, mount_spec)) = (controlled("disks"), controlled("mounts"));
    (sampler_of(vec![disk_spec, mount_spec]), disks, mounts)
}

/// Waits for one answer and processes it.
async fn process_one(sampler: &mut Sampler) {
    let answer = sampler.answers.recv().await.unwrap();
    sampler.process(answer);
}

#[tokio::test]
async fn sample_has_the_rows_of_each_source_in_order() {
    let (mut sampler, disks, mounts) = sampler();
    disks.answer.send(Ok(vec![("sdb", 2.0), ("sda", 1.0), ("sdc", ABSENT)])).unwrap();
    mounts.answer.send(Ok(vec![("/", 3.0)])).unwrap();
    assert_eq!(shown(&sampler.sample(LONG, &Limits::default()).await), ["sda=1 sdb=2 sdc", "/=3"]);
}

#[tokio::test]
async fn row_that_a_source_does_not_set_is_removed() {
    let (mut sampler, disks, mounts) = sampler();
    for (rows, expected) in [
        (vec![("sda", 1.0), ("sdb", 2.0)], "sda=1 sdb=2"),
        (vec![("sdb", 2.0)], "sdb=2"),
        (vec![], ""),
        (vec![("sda", 3.0)], "sda=3"),
    ] {
        disks.answer.send(Ok(rows)).unwrap();
        mounts.answer.send(Ok(vec![])).unwrap();
        assert_eq!(shown(&sampler.sample(LONG, &Limits::default()).await), [expected, ""]);
    }
}

#[tokio::test]
async fn rows_of_a_failed_source_stay_with_absent_values_until_it_answers() {
    let (mut sampler, disks, mounts) = sampler();
    for (answer, expected) in [
        (Ok(vec![("sda", 1.0), ("sdb", 2.0)]), "sda=1 sdb=2"),
        (Err(SourceError::new("permission denied")), "sda sdb"),
        (Err(SourceError::new("permission denied")), "sda sdb"),
        (Ok(vec![("sdb", 3.0), ("sdc", 4.0)]), "sdb=3 sdc=4"),
    ] {
        disks.answer.send(answer).unwrap();
        mounts.answer.send(Ok(vec![("/", 5.0)])).unwrap();
        assert_eq!(shown(&sampler.sample(LONG, &Limits::default()).await), [expected, "/=5"]);
    }
}

#[tokio::test]
async fn unchanged_rows_are_shared_between_samples() {
    let (mut sampler, disks, mounts) = sampler();
    let mut sample = async || {
        disks.answer.send(Ok(vec![("sda", 1.0)])).unwrap();
        mounts.answer.send(Ok(vec![])).unwrap();
        sampler.sample(LONG, &Limits::default()).await
    };
    let (first, second) = (sample().await, sample().await);
    assert!(Arc::ptr_eq(&first.rows[0], &second.rows[0]));
}

#[tokio::test]
async fn hung_source_affects_only_its_own_values() {
    let (mut sampler, disks, mounts) = sampler();
    mounts.answer.send(Ok(vec![("/", 1.0)])).unwrap();
    disks.answer.send(Ok(vec![("sda", 1.0)])).unwrap();
    sampler.sample(LONG, &Limits::default()).await;
    for _ in 0..3 {
        sampler.start_round();
        disks.answer.send(Ok(vec![("sda", 1.0)])).unwrap();
        process_one(&mut sampler).await;
        assert_eq!(shown(&sampler.finish_round(&Limits::default())), ["sda=1", "/"]);
    }
    for _ in 0..2 {
        mounts.started.recv().unwrap();
    }
    assert!(mounts.started.try_recv().is_err(), "a hung source got another request");
    assert_eq!(disks.started.try_iter().count(), 4);
}

#[tokio::test]
async fn round_ends_at_the_deadline() {
    let (mut sampler, _disks, _mounts) = sampler();
    let deadline = Duration::from_millis(20);
    let start = Instant::now();
    assert_eq!(shown(&sampler.sample(deadline, &Limits::default()).await), ["", ""]);
    assert!(start.elapsed() >= deadline);
    // No source is idle, so the round does not wait.
    assert_eq!(shown(&sampler.sample(LONG, &Limits::default()).await), ["", ""]);
    assert!(start.elapsed() < LONG);
}

#[tokio::test]
async fn late_answer_is_dropped_and_the_source_is_read_again() {
    let (mut sampler, disks, mounts) = sampler();
    sampler.start_round();
    sampler.finish_round(&Limits::default());
    // This answer is of the previous round.
    sampler.start_round();
    mounts.answer.send(Ok(vec![("/", 9.0)])).unwrap();
    process_one(&mut sampler).await;
    assert_eq!(shown(&sampler.finish_round(&Limits::default())), ["", ""]);

    disks.answer.send(Ok(vec![("sda", 99.0)])).unwrap();
    process_one(&mut sampler).await;
    disks.answer.send(Ok(vec![("sda", 1.0)])).unwrap();
    mounts.answer.send(Ok(vec![("/", 2.0)])).unwrap();
    assert_eq!(shown(&sampler.sample(LONG, &Limits::default()).await), ["sda=1", "/=2"]);
}

#[tokio::test]
async fn source_is_created_again_after_an_error() {
    let created = Arc::new(Mutex::new(0));
    let count = created.clone();
    let factory: SourceFactory = Arc::new(move || {
        *count.lock().unwrap() += 1;
        if *count.lock().unwrap() < 3 {
            return Err(SourceError::new("not yet"));
        }
        Ok(Box::new(Healthy))
    });
    let mut sampler = sampler_of(vec![spec("disks", factory)]);
    assert_eq!(shown(&sampler.sample(LONG, &Limits::default()).await), [""]);
    assert_eq!(shown(&sampler.sample(LONG, &Limits::default()).await), ["sda=1"]);
}

struct Panics;

impl Source for Panics {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        output.row(1, &["no such table"]);
        Ok(())
    }
}

#[tokio::test]
async fn panicked_source_gets_a_new_thread() {
    let first = Mutex::new(true);
    let factory: SourceFactory = Arc::new(move || {
        let first = std::mem::replace(&mut *first.lock().unwrap(), false);
        Ok(if first { Box::new(Panics) as Box<dyn Source> } else { Box::new(Healthy) })
    });
    let mut sampler = sampler_of(vec![spec("disks", factory)]);
    sampler.start_round();
    assert_eq!(shown(&sampler.finish_round(&Limits::default())), [""]);
    while !sampler.threads[0].thread_has_ended() {
        std::thread::yield_now();
    }
    assert_eq!(shown(&sampler.sample(LONG, &Limits::default()).await), ["sda=1"]);
}

#[test]
fn deadline_is_at_most_half_an_interval() {
    assert_eq!(deadline(Duration::from_secs(15)), MAX_ROUND);
    assert_eq!(deadline(Duration::from_secs(1)), Duration::from_millis(500));
}

#[tokio::test]
async fn host_is_sampled() {
    // A single reading may fail: CPU times of a virtual machine can go back.
    let (mut sampler, deadline) =
        (crate::metrics::Selection::of(MetricSet::Basic).sampler(), Instant::now() + LONG / 2);
    loop {
        let sample = sampler.sample(LONG, &Limits::default()).await;
        assert_eq!((sample.rows.len(), sample.values.len()), (1, 6));
        if sample.values.iter().all(|value| value.is_finite()) {
            return;
        }
        assert!(Instant::now() < deadline, "{sample:?}");
    }
}

#[tokio::test]
async fn failure_recovery_and_skipped_rows_are_logged_once() {
    let log = Log::default();
    let _logging = log.install();
    let (disks, spec) = controlled("disks");
    let mut sampler = sampler_of(vec![spec]);
    let failure = || Err(SourceError::new("meminfo: MemAvailable: is missing"));
    for _ in 0..2 {
        for answer in [
            Ok(vec![("sda", 1.0)]),
            failure(),
            failure(),
            Ok(vec![("sda", 1.0), ("sda", 2.0)]),
            Ok(vec![("sda", 1.0), ("sda", 2.0)]),
        ] {
            disks.answer.send(answer).unwrap();
            sampler.sample(LONG, &Limits::default()).await;
        }
    }
    let lines = log.lines();
    let expected = ["unavailable", "recovered", "skipped"];
    assert_eq!(lines.len(), 6, "{lines:?}");
    for (line, said) in lines.iter().zip(expected.iter().cycle()) {
        assert!(line.contains(said) && line.contains("source=\"disks\""), "{lines:?}");
    }
    assert!(lines[0].contains("meminfo: MemAvailable: is missing"), "{lines:?}");
    assert!(lines[2].contains("rows=1"), "{lines:?}");
}
