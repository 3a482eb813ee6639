use std::sync::{Arc, Mutex};

use fleetgauge_proto::report::ABSENT;

use super::controlled::{ReadResult, SourceControl, controlled, shown, spec, write};
use super::*;
use crate::metrics::{MetricSet, Selection};
use crate::tables::Output;
use crate::test_log::Log;

mod collector_status;
mod limits;
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
    Sampler::new(&table_set([], &sources).unwrap(), sources)
}

/// Returns a sampler with two sources, disks and mounts, and their controls.
fn sampler() -> (Sampler, SourceControl, SourceControl) {
    let ((disks, disk_spec), (mounts, mount_spec)) = (controlled("disks"), controlled("mounts"));
    (sampler_of(vec![disk_spec, mount_spec]), disks, mounts)
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

/// Returns controlled sources with these names, and their sampler.
fn controls(names: &[&'static str]) -> (Vec<SourceControl>, Sampler) {
    let (controls, specs) = names.iter().map(|name| controlled(name)).unzip();
    (controls, sampler_of(specs))
}

fn answer(control: &SourceControl, row: (&'static str, f64)) {
    control.answer.send(Ok(vec![row])).unwrap();
}

#[tokio::test]
async fn hung_source_affects_only_its_own_values() {
    let (controls, mut sampler) = controls(&["disks", "mounts", "netdev"]);
    for (control, device) in controls.iter().zip(["sda", "/", "eth0"]) {
        answer(control, (device, 1.0));
    }
    assert_eq!(shown(&sampler.sample(LONG, &Limits::default()).await), ["sda=1", "/=1", "eth0=1"]);
    for value in [2.0, 3.0, 4.0] {
        answer(&controls[0], ("sda", value));
        answer(&controls[2], ("eth0", value));
        let (disks, netdev) = (format!("sda={value}"), format!("eth0={value}"));
        assert_eq!(shown(&sampler.sample_without(&[1])), [disks, "/".into(), netdev]);
    }
    let reads = controls.iter().map(|control| control.started.try_iter().count());
    assert_eq!(reads.collect::<Vec<_>>(), [4, 2, 4], "a hung source is not read again");
}

#[tokio::test]
async fn five_hung_sources_do_not_affect_the_sources_between_them() {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"];
    let (controls, mut sampler) = controls(&names);
    let hung = [0, 2, 4, 6, 9];
    for value in [1.0, 2.0] {
        let healthy = |source: usize| !hung.contains(&source);
        for (source, control) in controls.iter().enumerate().filter(|(source, _)| healthy(*source))
        {
            answer(control, (names[source], value));
        }
        let rows = names.iter().enumerate().map(|(source, name)| {
            if healthy(source) { format!("{name}={value}") } else { String::new() }
        });
        let rows: Vec<_> = rows.collect();
        assert_eq!(shown(&sampler.sample_without(&hung)), rows);
    }
}

#[tokio::test]
async fn sources_are_read_one_after_another_in_order() {
    let (controls, mut sampler) = controls(&["disks", "mounts"]);
    sampler.start_round();
    controls[0].started.recv().unwrap();
    assert!(controls[1].started.try_recv().is_err());
    answer(&controls[0], ("sda", 1.0));
    controls[1].started.recv().unwrap();
    answer(&controls[1], ("/", 2.0));
    sampler.crew.wait(LONG).await;
    assert_eq!(shown(&sampler.finish_round(&Limits::default())), ["sda=1", "/=2"]);
}

#[tokio::test]
async fn round_ends_at_the_deadline() {
    let (mut sampler, disks, _mounts) = sampler();
    let deadline = Duration::from_millis(20);
    let start = Instant::now();
    assert_eq!(shown(&sampler.sample(deadline, &Limits::default()).await), ["", ""]);
    assert!(start.elapsed() >= deadline);
    sampler.sample_without(&[0, 1]);
    disks.started.recv().unwrap();
    // All sources hang, so that the round has nothing to wait for.
    assert_eq!(shown(&sampler.sample(LONG, &Limits::default()).await), ["", ""]);
    assert!(start.elapsed() < LONG);
}

#[tokio::test]
async fn late_answer_is_dropped_and_the_source_is_read_again() {
    let (mut sampler, disks, mounts) = sampler();
    assert_eq!(shown(&sampler.sample_without(&[0, 1])), ["", ""]);
    // This answer is of the previous round, and arrives during the next one.
    sampler.start_round();
    answer(&mounts, ("/", 9.0));
    sampler.wait_for_all_but(&[0]);
    assert_eq!(shown(&sampler.finish_round(&Limits::default())), ["", ""]);
    // This one arrives between two rounds.
    answer(&disks, ("sda", 99.0));
    sampler.wait_for_all_but(&[]);

    answer(&disks, ("sda", 1.0));
    answer(&mounts, ("/", 2.0));
    assert_eq!(shown(&sampler.sample(LONG, &Limits::default()).await), ["sda=1", "/=2"]);
}

#[tokio::test]
async fn source_that_hangs_when_it_is_created_affects_only_itself() {
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = Mutex::new(released);
    let factory: SourceFactory = Arc::new(move || {
        let _ = released.lock().unwrap().recv();
        Ok(Box::new(Healthy))
    });
    let (disks, disk_spec) = controlled("disks");
    let mut sampler = sampler_of(vec![spec("mounts", factory), disk_spec]);
    for value in [1.0, 2.0] {
        answer(&disks, ("sdb", value));
        assert_eq!(shown(&sampler.sample_without(&[0])), ["", &format!("sdb={value}")]);
    }
    drop(release);
    sampler.wait_for_all_but(&[]);
    answer(&disks, ("sdb", 3.0));
    assert_eq!(shown(&sampler.sample(LONG, &Limits::default()).await), ["sda=1", "sdb=3"]);
}

struct Panics;

impl Source for Panics {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        output.row(1, &["no such table"]);
        Ok(())
    }
}

#[tokio::test]
async fn source_that_panics_affects_only_itself_and_is_created_again() {
    let first = Mutex::new(true);
    let factory: SourceFactory = Arc::new(move || {
        let first = std::mem::replace(&mut *first.lock().unwrap(), false);
        Ok(if first { Box::new(Panics) as Box<dyn Source> } else { Box::new(Healthy) })
    });
    let healthy: SourceFactory = Arc::new(|| Ok(Box::new(Healthy)));
    let mut sampler = sampler_of(vec![spec("disks", factory), spec("mounts", healthy)]);
    assert_eq!(shown(&sampler.sample(LONG, &Limits::default()).await), ["", "sda=1"]);
    assert_eq!(shown(&sampler.sample(LONG, &Limits::default()).await), ["sda=1", "sda=1"]);
}

#[tokio::test]
async fn source_that_was_not_read_is_logged_with_the_cause() {
    let log = Log::default();
    let _logging = log.install();
    let (controls, mut sampler) = controls(&["disks", "mounts"]);
    sampler.start_round();
    controls[0].started.recv().unwrap();
    sampler.finish_round(&Limits::default());
    let lines = log.lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("disks") && lines[0].contains("no answer in time"), "{lines:?}");
    assert!(lines[1].contains("mounts") && lines[1].contains("not read in time"), "{lines:?}");
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
        (Selection::of(MetricSet::Basic).sampler(), Instant::now() + LONG / 2);
    loop {
        let sample = sampler.sample(LONG, &Limits::default()).await;
        assert_eq!((sample.rows.len(), sample.values.len()), (1, 6));
        if sample.values.iter().all(|value| value.is_finite()) {
            return;
        }
        assert!(Instant::now() < deadline, "{sample:?}");
    }
}
