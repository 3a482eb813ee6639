use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use fleetgauge_proto::catalog::FamilyKind;
use tracing::Level;

use super::*;
use crate::sampler::controlled::{spec, write};
use crate::tables::FoundFamily;
use crate::test_log::Log;

/// What a source does when it is created or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Succeed,
    Fail,
    FindNothing,
    Panic,
}

impl Act {
    fn run(self) -> Result<(), SourceError> {
        match self {
            Self::Succeed => Ok(()),
            Self::Fail => Err(SourceError::new("permission denied")),
            Self::FindNothing => Err(SourceError::NothingFound),
            Self::Panic => panic!("a panic of a test"),
        }
    }
}

/// What is done at each creation and each reading, and what has been done.
#[derive(Default)]
struct Script {
    acts: std::collections::VecDeque<Act>,
    creations: usize,
}

struct Scripted(Arc<Mutex<Script>>);

fn next(script: &Mutex<Script>) -> Act {
    script.lock().unwrap().acts.pop_front().unwrap()
}

impl Source for Scripted {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        next(&self.0).run()?;
        write(vec![("sda", 1.0)], output)
    }
}

/// Runs the job twice. Returns both results (whether they are good), and how often the source was
/// created.
fn run_twice(acts: &[Act]) -> ([bool; 2], usize) {
    let script = Script { acts: acts.iter().copied().collect(), creations: 0 };
    let script = Arc::new(Mutex::new(script));
    let shared = script.clone();
    let factory: SourceFactory = Arc::new(move || {
        shared.lock().unwrap().creations += 1;
        next(&shared).run()?;
        Ok(Box::new(Scripted(shared.clone())))
    });
    let mut job = SourceJob::new(0, spec("disks", factory));
    let results = [(); 2].map(|()| {
        let _ = catch_unwind(AssertUnwindSafe(|| job.run()));
        job.take_result().is_ok()
    });
    assert!(script.lock().unwrap().acts.is_empty());
    (results, script.lock().unwrap().creations)
}

#[test]
fn source_is_created_at_its_first_reading_and_kept() {
    use Act::Succeed;
    assert_eq!(run_twice(&[Succeed, Succeed, Succeed]), ([true, true], 1));
}

#[test]
fn source_that_found_nothing_is_read_again_after_some_rounds() {
    let acts = [Act::Succeed, Act::FindNothing, Act::Succeed];
    let script = Arc::new(Mutex::new(Script { acts: acts.into(), creations: 0 }));
    let factory: SourceFactory = Arc::new(move || {
        next(&script).run()?;
        Ok(Box::new(Scripted(script.clone())))
    });
    let mut job = SourceJob::new(0, spec("disks", factory));
    for round in 0..=ROUNDS_AFTER_NOTHING_FOUND {
        job.run();
        assert_eq!(job.take_result(), Err(SourceError::NothingFound), "round {round}");
    }
    job.run();
    assert_eq!(job.take_result(), Ok(()));
}

/// Finds a device in every second reading.
struct LateDevice(bool);

impl Source for LateDevice {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        self.0 = !self.0;
        write(if self.0 { Vec::new() } else { vec![("sda", 1.0)] }, output)
    }
}

#[test]
fn only_a_collector_without_series_is_read_again_after_some_rounds() {
    for (is_collector, rounds_without) in [(true, 1 + ROUNDS_AFTER_NOTHING_FOUND), (false, 1)] {
        let factory: SourceFactory = Arc::new(|| Ok(Box::new(LateDevice(false))));
        let spec = SourceSpec { is_collector, ..spec("disks", factory) };
        let mut job = SourceJob::new(0, spec);
        // A device that was there once is looked for in every round.
        for series in (0..rounds_without).map(|_| 0).chain([1, 0, 1]) {
            job.run();
            assert_eq!(job.take_result(), Ok(()));
            assert_eq!(job.output().series(), series);
        }
    }
}

#[test]
fn source_is_created_again_if_creating_it_failed_or_panicked() {
    use Act::{Fail, Panic, Succeed};
    assert_eq!(run_twice(&[Fail, Succeed, Succeed]), ([false, true], 2));
    assert_eq!(run_twice(&[Panic, Succeed, Succeed]), ([false, true], 2));
}

#[test]
fn source_that_fails_is_read_again_and_one_that_panics_is_created_again() {
    use Act::{Fail, Panic, Succeed};
    assert_eq!(run_twice(&[Succeed, Fail, Succeed]), ([false, true], 1));
    assert_eq!(run_twice(&[Succeed, Panic, Succeed, Succeed]), ([false, true], 2));
}

#[test]
fn panic_is_the_cause_of_a_missing_result() {
    let factory: SourceFactory = Arc::new(|| panic!("a panic of a test"));
    let mut job = SourceJob::new(0, spec("disks", factory));
    let _ = catch_unwind(AssertUnwindSafe(|| job.run()));
    let error = job.take_result().unwrap_err();
    assert!(error.to_string().contains("panicked"), "{error}");
}

#[test]
fn failure_recovery_and_rows_left_out_are_logged_once() {
    let log = Log::default();
    let _logging = log.install();
    let mut source = SourceLog::new("disks");
    let failure = SourceError::new("meminfo: MemAvailable: is missing");
    let SourceSpec { tables, .. } = spec("disks", Arc::new(|| unreachable!()));
    let mut output = Output::new(&tables);
    output.begin();
    write(vec![("sda", 1.0), ("sda", 2.0)], &mut output).unwrap();
    output.finish();
    for _ in 0..2 {
        source.succeeded(&Output::default());
        source.failed(&failure);
        source.failed(&failure);
        source.succeeded(&output);
        source.succeeded(&output);
    }
    let lines = log.lines();
    let expected = ["unavailable", "recovered", "left out"];
    assert_eq!(lines.len(), 6, "{lines:?}");
    for (line, said) in lines.iter().zip(expected.iter().cycle()) {
        assert!(line.contains(said) && line.contains("source=\"disks\""), "{lines:?}");
    }
    assert!(lines[0].contains("meminfo: MemAvailable: is missing"), "{lines:?}");
    assert!(lines[2].contains("rows=1"), "{lines:?}");
}

#[test]
fn samples_that_are_left_out_are_logged_once_with_their_reasons() {
    let log = Log::default();
    let _logging = log.install();
    let mut output = Output::default();
    output.begin();
    for kind in [FamilyKind::Gauge, FamilyKind::Unknown, FamilyKind::Gauge] {
        output.sample(FoundFamily { name: "zpool_reads", kind, help: "" }, &[], 1.0);
    }
    output.finish();
    let mut source = SourceLog::new("zfs");
    source.succeeded(&output);
    source.succeeded(&output);
    let lines = log.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    for part in ["samples left out", "source=\"zfs\"", "samples=2", "or another type"] {
        assert!(lines[0].contains(part), "{lines:?}");
    }
}

#[test]
fn source_that_finds_nothing_is_logged_once_for_debugging_only() {
    let log = Log::default();
    // Prepares tracing for several subscribers.
    let _info = Log::default().install();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .without_time()
        .with_target(false)
        .with_max_level(Level::DEBUG)
        .finish();
    let _debug = tracing::subscriber::set_default(subscriber);
    let mut source = SourceLog::new("hwmon");
    for _ in 0..3 {
        source.failed(&SourceError::NothingFound);
    }
    source.succeeded(&Output::default());
    source.failed(&SourceError::NothingFound);
    source.failed(&SourceError::new("permission denied"));
    source.failed(&SourceError::NothingFound);
    let nothing = "DEBUG source found nothing source=\"hwmon\"";
    let unavailable = "WARN source unavailable source=\"hwmon\" cause=permission denied";
    assert_eq!(log.lines(), [nothing, nothing, unavailable, nothing]);
}
