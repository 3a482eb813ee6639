use std::fs;

use tempfile::TempDir;

use super::*;

const STAT: &str = "cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 100 0 50 800 50 0 0 0 0 0\nintr 1 2\n";
/// After STAT: 100 ticks, 60 of them idle, 15 waiting for disks.
const LATER: &str = "cpu  115 1 55 860 65 1 1 2 0 0\n";
const MEMINFO: &str = "MemTotal:       1000 kB\nMemFree:  1 kB\nMemAvailable:    400 kB\n";

/// What has not happened by then never will. Only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(30);

/// A `/proc` of our own.
struct Proc(TempDir);

impl Proc {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> &Self {
        fs::write(self.0.path().join(name), text).unwrap();
        self
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.0.path().join(name)).unwrap();
    }

    fn cpu(&self) -> CpuSource {
        CpuSource::at(self.0.path()).unwrap()
    }

    fn memory(&self) -> MemorySource {
        MemorySource::at(self.0.path())
    }
}

/// The reading, or what is wrong, without the directory.
fn read(source: &mut dyn Source) -> Result<Reading, String> {
    source.read().map_err(|error| {
        let error = error.to_string();
        error.rsplit_once('/').map_or(error.clone(), |(_, what)| what.to_owned())
    })
}

fn busy(usage_ratio: f64) -> Result<Reading, String> {
    Ok(Reading::Cpu(Cpu { usage_ratio }))
}

fn kib(total: u64, available: u64) -> Result<Reading, String> {
    Ok(Reading::Memory(Memory { total: total * 1024, available: available * 1024 }))
}

fn failed(why: &str) -> Result<Reading, String> {
    Err(why.to_owned())
}

#[test]
fn usage_is_what_was_neither_idle_nor_waiting() {
    let proc = Proc::new();
    let mut cpu = proc.write("stat", STAT).cpu();
    proc.write("stat", LATER);
    assert_eq!(read(&mut cpu), busy(0.25));
}

#[test]
fn guests_are_not_counted_twice() {
    let proc = Proc::new();
    let mut cpu = proc.write("stat", STAT).cpu();
    proc.write("stat", "cpu  200 0 50 800 50 0 0 0 100 0\n");
    assert_eq!(read(&mut cpu), busy(1.0));
}

#[test]
fn a_file_that_vanishes_is_an_error_until_it_is_back() {
    let proc = Proc::new();
    let mut cpu = proc.write("stat", STAT).cpu();
    let mut memory = proc.write("meminfo", MEMINFO).memory();
    assert_eq!(read(&mut memory), kib(1000, 400));
    proc.remove("stat");
    proc.remove("meminfo");
    for _ in 0..2 {
        let gone = "No such file or directory (os error 2)";
        assert_eq!(read(&mut cpu), failed(&format!("stat: {gone}")));
        assert_eq!(read(&mut memory), failed(&format!("meminfo: {gone}")));
    }
    proc.write("stat", LATER).write("meminfo", MEMINFO);
    assert_eq!(read(&mut cpu), busy(0.25));
    assert_eq!(read(&mut memory), kib(1000, 400));
}

#[test]
fn a_truncated_file_is_an_error() {
    let proc = Proc::new();
    let mut cpu = proc.write("stat", STAT).cpu();
    for length in 0..LATER.len() {
        proc.write("stat", &LATER[..length]);
        assert_eq!(read(&mut cpu), failed("stat: cpu is missing"), "{length}");
    }
    let memory = &mut proc.memory();
    for length in 0..MEMINFO.len() {
        proc.write("meminfo", &MEMINFO[..length]);
        let error = read(memory).unwrap_err();
        assert!(error.ends_with("is missing"), "{length}: {error}");
    }
}

#[test]
fn a_missing_field_is_an_error_that_names_it() {
    let proc = Proc::new();
    let mut cpu = proc.write("stat", STAT).cpu();
    for (text, why) in [
        ("cpu  115 1 55 860 65 1 1\n", "cpu: steal is missing"),
        ("cpu  115 1 55\n", "cpu: idle is missing"),
        ("cpu  115 1 x 860 65 1 1 2\n", "cpu: system is not a number"),
        ("cpu0 115 1 55 860 65 1 1 2\n", "cpu is missing"),
        ("cpu  1 18446744073709551615 1 1 1 1 1 1\n", "cpu: the times overflow"),
    ] {
        proc.write("stat", text);
        assert_eq!(read(&mut cpu), failed(&format!("stat: {why}")));
    }
    for (text, why) in [
        ("MemFree: 1 kB\nMemAvailable: 1 kB\n", "MemTotal: is missing"),
        ("MemTotal: 1000 kB\nMemFree: 900 kB\n", "MemAvailable: is missing"),
        ("MemTotal: 1000\nMemAvailable: 1 kB\n", "MemTotal: is not a number of kB"),
        ("MemTotal: 1000 kB\nMemAvailable: kB\n", "MemAvailable: is not a number of kB"),
        ("MemTotal: 0 kB\nMemAvailable: 0 kB\n", "MemTotal: is 0"),
    ] {
        proc.write("meminfo", text);
        assert_eq!(read(&mut proc.memory()), failed(&format!("meminfo: {why}")));
    }
}

#[test]
fn a_counter_that_goes_back_is_an_error_and_the_next_reading_starts_there() {
    let proc = Proc::new();
    let mut cpu = proc.write("stat", STAT).cpu();
    for (text, why) in [
        ("cpu  300 0 50 700 50 0 0 0\n", "the idle CPU time went back"),
        ("cpu  200 0 50 900 50 0 0 0\n", "the busy CPU time went back"),
        ("cpu  20 0 5 80 5 0 0 0\n", "the total CPU time did not rise"),
        ("cpu  20 0 5 80 5 0 0 0\n", "the total CPU time did not rise"),
    ] {
        proc.write("stat", text);
        assert_eq!(read(&mut cpu), failed(&format!("stat: {why}")));
    }
    proc.write("stat", "cpu  70 0 5 130 5 0 0 0\n");
    assert_eq!(read(&mut cpu), busy(0.5));
}

#[test]
fn iowait_that_goes_back_by_a_tick_is_noise() {
    let proc = Proc::new();
    let mut cpu = proc.write("stat", STAT).cpu();
    proc.write("stat", "cpu  201 0 50 800 49 0 0 0\n");
    assert_eq!(read(&mut cpu), busy(1.0));
}

#[test]
fn a_few_ticks_back_are_noise_on_a_small_machine() {
    for (before, now, usage) in [
        ("cpu  100 0 50 800 50 0 0 0\n", "cpu  140 0 50 800 46 0 0 0\n", 1.0),
        ("cpu  100 0 50 800 50 0 0 9\n", "cpu  100 0 50 840 50 0 0 5\n", 0.0),
        ("cpu  100 0 50 800 50 0 0 0\n", "cpu  110 0 50 831 49 0 0 0\n", 0.25),
    ] {
        let proc = Proc::new();
        let mut cpu = proc.write("stat", before).cpu();
        proc.write("stat", now);
        assert_eq!(read(&mut cpu), busy(usage), "{now}");
    }
}

/// A single reading may fail: on a virtual machine a time can go back.
#[test]
fn two_cpu_readings_are_far_enough_apart() {
    let mut cpu = CpuSource::new().unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let first = cpu.read;
        let reading = Source::read(&mut cpu);
        assert!(cpu.read - first >= MIN_APART);
        if let Ok(Reading::Cpu(Cpu { usage_ratio })) = reading {
            assert!((0.0..=1.0).contains(&usage_ratio), "{usage_ratio}");
            return;
        }
        assert!(Instant::now() < deadline, "{reading:?}");
    }
}

#[test]
fn this_hosts_memory_can_be_read() {
    let Ok(Reading::Memory(memory)) = MemorySource::new().unwrap().read() else {
        panic!("not of the memory")
    };
    assert!(memory.available <= memory.total, "{memory:?}");
}
