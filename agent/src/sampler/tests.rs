use std::sync::mpsc as std_mpsc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::*;
use crate::test_log::Log;

const MEMORY: Memory = Memory { total: 10, available: 4 };
const FILESYSTEM: Filesystem = Filesystem { used: 1, available: 3 };

type Result1 = Result<Reading, SourceError>;

/// A source that answers when the test says so.
struct Puppet {
    began: std_mpsc::Sender<()>,
    answers: std_mpsc::Receiver<Result1>,
}

impl Source for Puppet {
    fn read(&mut self) -> Result1 {
        self.began.send(()).unwrap();
        // A test that has ended lets its threads go.
        self.answers.recv().unwrap_or_else(|gone| Err(SourceError::new(gone)))
    }
}

/// The strings of a puppet: when it was asked, and what it is to say.
struct Strings {
    began: std_mpsc::Receiver<()>,
    say: std_mpsc::Sender<Result1>,
}

fn puppet() -> (Strings, MakeSource) {
    let (began_tx, began) = std_mpsc::channel();
    let (say, answers) = std_mpsc::channel();
    let puppet = Mutex::new(Some(Puppet { began: began_tx, answers }));
    let make: MakeSource = Arc::new(move || Ok(Box::new(puppet.lock().unwrap().take().unwrap())));
    (Strings { began, say }, make)
}

/// A sampler of a memory and a filesystem source, and their strings.
fn sampler() -> (Sampler, Strings, Strings) {
    let (memory, make_memory) = puppet();
    let (filesystem, make_filesystem) = puppet();
    let sampler =
        Sampler::with_sources(vec![("memory", make_memory), ("filesystem", make_filesystem)]);
    (sampler, memory, filesystem)
}

/// Waits for one answer and hands it to the sampler.
async fn take_one(sampler: &mut Sampler) {
    let answer = sampler.answers.recv().await.unwrap();
    sampler.take(answer);
}

#[tokio::test]
async fn every_source_gives_its_own() {
    let (mut sampler, memory, filesystem) = sampler();
    memory.say.send(Ok(Reading::Memory(MEMORY))).unwrap();
    filesystem.say.send(Ok(Reading::Filesystem(FILESYSTEM))).unwrap();
    let readings = sampler.sample(Duration::from_secs(60)).await;
    let expected = Readings { cpu: None, memory: Some(MEMORY), filesystem: Some(FILESYSTEM) };
    assert_eq!(readings, expected);
}

#[tokio::test]
async fn a_source_that_hangs_takes_only_its_own_values_away() {
    let (mut sampler, memory, filesystem) = sampler();
    for _ in 0..3 {
        sampler.ask();
        memory.say.send(Ok(Reading::Memory(MEMORY))).unwrap();
        take_one(&mut sampler).await;
        let readings = sampler.finish();
        assert_eq!(readings, Readings { memory: Some(MEMORY), ..Readings::default() });
    }
    filesystem.began.recv().unwrap();
    assert!(filesystem.began.try_recv().is_err(), "a hung source was asked again");
    assert_eq!(memory.began.try_iter().count(), 3);
}

#[tokio::test]
async fn a_round_waits_for_late_sources_no_longer_than_the_deadline() {
    let (mut sampler, _memory, _filesystem) = sampler();
    let deadline = Duration::from_millis(20);
    let start = Instant::now();
    assert_eq!(sampler.sample(deadline).await, Readings::default());
    assert!(start.elapsed() >= deadline);
    // Nobody is asked in this round, so nobody is waited for.
    let long = Duration::from_secs(60);
    assert_eq!(sampler.sample(long).await, Readings::default());
    assert!(start.elapsed() < long);
}

#[tokio::test]
async fn a_source_that_recovers_is_asked_anew() {
    let (mut sampler, memory, filesystem) = sampler();
    sampler.ask();
    sampler.finish();
    // What comes now is of the past, and not of this round.
    sampler.ask();
    filesystem.say.send(Ok(Reading::Filesystem(Filesystem { used: 9, available: 9 }))).unwrap();
    take_one(&mut sampler).await;
    assert_eq!(sampler.finish(), Readings::default());

    memory.say.send(Ok(Reading::Memory(Memory { total: 99, available: 99 }))).unwrap();
    take_one(&mut sampler).await;
    memory.say.send(Ok(Reading::Memory(MEMORY))).unwrap();
    filesystem.say.send(Ok(Reading::Filesystem(FILESYSTEM))).unwrap();
    let readings = sampler.sample(Duration::from_secs(60)).await;
    assert_eq!((readings.memory, readings.filesystem), (Some(MEMORY), Some(FILESYSTEM)));
}

#[tokio::test]
async fn a_source_that_fails_is_tried_again() {
    let (mut sampler, memory, filesystem) = sampler();
    memory.say.send(Err(SourceError::new("permission denied"))).unwrap();
    filesystem.say.send(Ok(Reading::Filesystem(FILESYSTEM))).unwrap();
    let readings = sampler.sample(Duration::from_secs(60)).await;
    assert_eq!((readings.memory, readings.filesystem), (None, Some(FILESYSTEM)));
    memory.say.send(Ok(Reading::Memory(MEMORY))).unwrap();
    filesystem.say.send(Ok(Reading::Filesystem(FILESYSTEM))).unwrap();
    assert_eq!(sampler.sample(Duration::from_secs(60)).await.memory, Some(MEMORY));
}

#[tokio::test]
async fn a_source_that_cannot_be_made_is_made_later() {
    let made = Arc::new(Mutex::new(0));
    let count = made.clone();
    let make: MakeSource = Arc::new(move || {
        *count.lock().unwrap() += 1;
        if *count.lock().unwrap() < 3 {
            return Err(SourceError::new("not yet"));
        }
        Ok(Box::new(Healthy))
    });
    let mut sampler = Sampler::with_sources(vec![("memory", make)]);
    assert_eq!(sampler.sample(Duration::from_secs(60)).await.memory, None);
    assert_eq!(sampler.sample(Duration::from_secs(60)).await.memory, Some(MEMORY));
}

struct Healthy;

impl Source for Healthy {
    fn read(&mut self) -> Result1 {
        Ok(Reading::Memory(MEMORY))
    }
}

struct Panics;

impl Source for Panics {
    fn read(&mut self) -> Result1 {
        panic!("as this test wants it")
    }
}

#[tokio::test]
async fn a_source_that_panics_gets_a_new_thread() {
    let first = Mutex::new(true);
    let make: MakeSource = Arc::new(move || {
        let first = std::mem::replace(&mut *first.lock().unwrap(), false);
        Ok(if first { Box::new(Panics) as Box<dyn Source> } else { Box::new(Healthy) })
    });
    let mut sampler = Sampler::with_sources(vec![("memory", make)]);
    sampler.ask();
    assert_eq!(sampler.finish(), Readings::default());
    while !sampler.workers[0].thread_has_ended() {
        std::thread::yield_now();
    }
    assert_eq!(sampler.sample(Duration::from_secs(60)).await.memory, Some(MEMORY));
}

#[test]
fn a_round_ends_well_before_the_next() {
    assert_eq!(deadline(Duration::from_secs(15)), DEADLINE);
    assert_eq!(deadline(Duration::from_secs(1)), Duration::from_millis(500));
}

#[tokio::test]
async fn this_host_can_be_sampled() {
    // A single reading may fail: on a virtual machine a CPU's time can go back.
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
async fn a_source_that_fails_is_absent_until_it_is_back_and_each_change_is_logged_once() {
    let (log, proc) = (Log::default(), tempfile::tempdir().unwrap());
    let _logging = log.install();
    let meminfo = proc.path().join("meminfo");
    let write = |text: &str| std::fs::write(&meminfo, text).unwrap();
    let root = proc.path().to_owned();
    let make: MakeSource = Arc::new(move || Ok(Box::new(linux::MemorySource::at(&root))));
    let mut sampler = Sampler::with_sources(vec![("memory", make)]);
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
    for (line, said) in lines.iter().zip(["absent", "back", "absent", "back"]) {
        assert!(line.contains(said) && line.contains("source=\"memory\""), "{lines:?}");
    }
    assert!(lines[0].contains("meminfo: MemAvailable: is missing"), "{lines:?}");
}
