use std::sync::mpsc as std_mpsc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::*;
use crate::test_log::Log;

const MEMORY: Memory = Memory { total: 10, available: 4 };
const FILESYSTEM: Filesystem = Filesystem { used: 1, available: 3 };

type ReadResult = Result<Reading, SourceError>;

/// A source that the test controls.
struct ControlledSource {
    started: std_mpsc::Sender<()>,
    answers: std_mpsc::Receiver<ReadResult>,
}

impl Source for ControlledSource {
    fn read(&mut self) -> ReadResult {
        self.started.send(()).unwrap();
        // The sender is dropped when the test ends.
        self.answers.recv().unwrap_or_else(|gone| Err(SourceError::new(gone)))
    }
}

/// Controls a source: receives the start of each read, sends its answer.
struct SourceControl {
    started: std_mpsc::Receiver<()>,
    answer: std_mpsc::Sender<ReadResult>,
}

fn controlled_source() -> (SourceControl, SourceFactory) {
    let (started_tx, started) = std_mpsc::channel();
    let (answer, answers) = std_mpsc::channel();
    let source = Mutex::new(Some(ControlledSource { started: started_tx, answers }));
    let factory: SourceFactory =
        Arc::new(move || Ok(Box::new(source.lock().unwrap().take().unwrap())));
    (SourceControl { started, answer }, factory)
}

/// Returns a sampler with a memory and a filesystem source, and their controls.
fn sampler() -> (Sampler, SourceControl, SourceControl) {
    let (memory, memory_factory) = controlled_source();
    let (filesystem, filesystem_factory) = controlled_source();
    let sampler =
        Sampler::with_sources(vec![("memory", memory_factory), ("filesystem", filesystem_factory)]);
    (sampler, memory, filesystem)
}

/// Waits for one answer and processes it.
async fn process_one(sampler: &mut Sampler) {
    let answer = sampler.answers.recv().await.unwrap();
    sampler.process(answer);
}

#[tokio::test]
async fn readings_have_the_value_of_each_source() {
    let (mut sampler, memory, filesystem) = sampler();
    memory.answer.send(Ok(Reading::Memory(MEMORY))).unwrap();
    filesystem.answer.send(Ok(Reading::Filesystem(FILESYSTEM))).unwrap();
    let readings = sampler.sample(Duration::from_secs(60)).await;
    let expected = Readings { cpu: None, memory: Some(MEMORY), filesystem: Some(FILESYSTEM) };
    assert_eq!(readings, expected);
}

#[tokio::test]
async fn hung_source_affects_only_its_own_values() {
    let (mut sampler, memory, filesystem) = sampler();
    for _ in 0..3 {
        sampler.start_round();
        memory.answer.send(Ok(Reading::Memory(MEMORY))).unwrap();
        process_one(&mut sampler).await;
        let readings = sampler.finish_round();
        assert_eq!(readings, Readings { memory: Some(MEMORY), ..Readings::default() });
    }
    filesystem.started.recv().unwrap();
    assert!(filesystem.started.try_recv().is_err(), "a hung source got another request");
    assert_eq!(memory.started.try_iter().count(), 3);
}

#[tokio::test]
async fn round_ends_at_the_deadline() {
    let (mut sampler, _memory, _filesystem) = sampler();
    let deadline = Duration::from_millis(20);
    let start = Instant::now();
    assert_eq!(sampler.sample(deadline).await, Readings::default());
    assert!(start.elapsed() >= deadline);
    // No source is idle, so the round does not wait.
    let long = Duration::from_secs(60);
    assert_eq!(sampler.sample(long).await, Readings::default());
    assert!(start.elapsed() < long);
}

#[tokio::test]
async fn late_answer_is_dropped_and_the_source_is_read_again() {
    let (mut sampler, memory, filesystem) = sampler();
    sampler.start_round();
    sampler.finish_round();
    // This answer is of the previous round.
    sampler.start_round();
    filesystem.answer.send(Ok(Reading::Filesystem(Filesystem { used: 9, available: 9 }))).unwrap();
    process_one(&mut sampler).await;
    assert_eq!(sampler.finish_round(), Readings::default());

    memory.answer.send(Ok(Reading::Memory(Memory { total: 99, available: 99 }))).unwrap();
    process_one(&mut sampler).await;
    memory.answer.send(Ok(Reading::Memory(MEMORY))).unwrap();
    filesystem.answer.send(Ok(Reading::Filesystem(FILESYSTEM))).unwrap();
    let readings = sampler.sample(Duration::from_secs(60)).await;
    assert_eq!((readings.memory, readings.filesystem), (Some(MEMORY), Some(FILESYSTEM)));
}

#[tokio::test]
async fn failed_source_is_read_again() {
    let (mut sampler, memory, filesystem) = sampler();
    memory.answer.send(Err(SourceError::new("permission denied"))).unwrap();
    filesystem.answer.send(Ok(Reading::Filesystem(FILESYSTEM))).unwrap();
    let readings = sampler.sample(Duration::from_secs(60)).await;
    assert_eq!((readings.memory, readings.filesystem), (None, Some(FILESYSTEM)));
    memory.answer.send(Ok(Reading::Memory(MEMORY))).unwrap();
    filesystem.answer.send(Ok(Reading::Filesystem(FILESYSTEM))).unwrap();
    assert_eq!(sampler.sample(Duration::from_secs(60)).await.memory, Some(MEMORY));
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
    let mut sampler = Sampler::with_sources(vec![("memory", factory)]);
    assert_eq!(sampler.sample(Duration::from_secs(60)).await.memory, None);
    assert_eq!(sampler.sample(Duration::from_secs(60)).await.memory, Some(MEMORY));
}

struct Healthy;

impl Source for Healthy {
    fn read(&mut self) -> ReadResult {
        Ok(Reading::Memory(MEMORY))
    }
}

struct Panics;

impl Source for Panics {
    fn read(&mut self) -> ReadResult {
        panic!("expected by the test")
    }
}

#[tokio::test]
async fn panicked_source_gets_a_new_thread() {
    let first = Mutex::new(true);
    let factory: SourceFactory = Arc::new(move || {
        let first = std::mem::replace(&mut *first.lock().unwrap(), false);
        Ok(if first { Box::new(Panics) as Box<dyn Source> } else { Box::new(Healthy) })
    });
    let mut sampler = Sampler::with_sources(vec![("memory", factory)]);
    sampler.start_round();
    assert_eq!(sampler.finish_round(), Readings::default());
    while !sampler.threads[0].thread_has_ended() {
        std::thread::yield_now();
    }
    assert_eq!(sampler.sample(Duration::from_secs(60)).await.memory, Some(MEMORY));
}

#[test]
fn deadline_is_at_most_half_an_interval() {
    assert_eq!(deadline(Duration::from_secs(15)), MAX_ROUND);
    assert_eq!(deadline(Duration::from_secs(1)), Duration::from_millis(500));
}

#[tokio::test]
async fn host_is_sampled() {
    // A single reading may fail: CPU times of a virtual machine can go back.
    let (mut sampler, deadline) = (Sampler::new(), Instant::now() + Duration::from_secs(30));
    loop {
        let readings = sampler.sample(Duration::from_secs(60)).await;
        let Readings { cpu, memory, filesystem } = readings;
        if cpu.is_some() && memory.is_some() && filesystem.is_some() {
            return;
        }
        assert!(Instant::now() < deadline, "{readings:?}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn failure_and_recovery_of_a_source_are_logged_once() {
    let (log, proc) = (Log::default(), tempfile::tempdir().unwrap());
    let _logging = log.install();
    let meminfo = proc.path().join("meminfo");
    let write = |text: &str| std::fs::write(&meminfo, text).unwrap();
    let root = proc.path().to_owned();
    let factory: SourceFactory = Arc::new(move || Ok(Box::new(linux::MemorySource::at(&root))));
    let mut sampler = Sampler::with_sources(vec![("memory", factory)]);
    let good = "MemTotal: 2 kB\nMemAvailable: 1 kB\n";
    let expected = Some(Memory { total: 2048, available: 1024 });
    let wait = Duration::from_secs(60);
    for _ in 0..2 {
        write(good);
        assert_eq!(sampler.sample(wait).await.memory, expected);
        for _ in 0..3 {
            write("MemTotal: 2 kB\n");
            assert_eq!(sampler.sample(wait).await.memory, None);
        }
    }
    write(good);
    assert_eq!(sampler.sample(wait).await.memory, expected);
    let lines = log.lines();
    assert_eq!(lines.len(), 4, "{lines:?}");
    for (line, said) in lines.iter().zip(["unavailable", "recovered", "unavailable", "recovered"]) {
        assert!(line.contains(said) && line.contains("source=\"memory\""), "{lines:?}");
    }
    assert!(lines[0].contains("meminfo: MemAvailable is missing"), "{lines:?}");
}
