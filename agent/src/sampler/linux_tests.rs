use std::fs;

use tempfile::TempDir;

use super::*;

const STAT: &str = "cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 100 0 50 800 50 0 0 0 0 0\nintr 1 2\n";
/// The `cpu` line 100 ticks after STAT: 60 ticks idle, 15 I/O wait.
const LATER: &str = "cpu  115 1 55 860 65 1 1 2 0 0\n";
const MEMINFO: &str = "MemTotal:       1000 kB\nMemFree:  1 kB\nMemAvailable:    400 kB\n";

/// Time after which a test fails.
const TEST_TIMEOUT: Duration = Duration::from_secs(30);

/// A fake `/proc`.
struct Proc(TempDir);

impl Proc {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> &Self {
        fs::write(self.0.path().join(name), text).unwrap();
        self
    }

    fn cpu(&self) -> CpuReader {
        CpuReader::at(self.0.path()).unwrap()
    }

    fn memory(&self) -> MemoryReader {
        MemoryReader::at(self.0.path())
    }
}

/// Returns the reading, or the error without the directory.
fn read(source: &mut dyn HostReader) -> Result<Reading, String> {
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
fn usage_excludes_idle_and_io_wait() {
    let proc = Proc::new();
    let mut cpu = proc.write("stat", STAT).cpu();
    proc.write("stat", LATER);
    assert_eq!(read(&mut cpu), busy(0.25));
}

#[test]
fn guest_time_is_not_counted_twice() {
    let proc = Proc::new();
    let mut cpu = proc.write("stat", STAT).cpu();
    proc.write("stat", "cpu  200 0 50 800 50 0 0 0 100 0\n");
    assert_eq!(read(&mut cpu), busy(1.0));
}

#[test]
fn missing_file_is_an_error_until_it_exists() {
    let proc = Proc::new();
    let gone = "No such file or directory (os error 2)";
    let error = CpuReader::at(proc.0.path()).map(drop).unwrap_err().to_string();
    assert!(error.ends_with(&format!("/stat: {gone}")), "{error}");
    let mut memory = proc.memory();
    for _ in 0..2 {
        assert_eq!(read(&mut memory), failed(&format!("meminfo: {gone}")));
    }
    proc.write("meminfo", MEMINFO);
    assert_eq!(read(&mut memory), kib(1000, 400));
}

#[test]
fn truncated_file_is_an_error() {
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
fn missing_or_bad_field_is_an_error_with_its_name() {
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
        ("MemFree: 1 kB\nMemAvailable: 1 kB\n", "MemTotal is missing"),
        ("MemTotal: 1000 kB\nMemFree: 900 kB\n", "MemAvailable is missing"),
        ("MemTotal: 1000\nMemAvailable: 1 kB\n", "MemTotal is not a number of kB"),
        ("MemTotal: 1000 kB\nMemAvailable: kB\n", "MemAvailable is not a number of kB"),
        ("MemTotal: 0 kB\nMemAvailable: 0 kB\n", "MemTotal is 0"),
    ] {
        proc.write("meminfo", text);
        assert_eq!(read(&mut proc.memory()), failed(&format!("meminfo: {why}")));
    }
}

#[test]
fn counter_that_goes_back_is_an_error_and_the_new_base() {
    let proc = Proc::new();
    let mut cpu = proc.write("stat", STAT).cpu();
    for (text, why) in [
        ("cpu  300 0 50 700 50 0 0 0\n", "the idle CPU time decreased"),
        ("cpu  200 0 50 900 50 0 0 0\n", "the busy CPU time decreased"),
        ("cpu  20 0 5 80 5 0 0 0\n", "the total CPU time did not increase"),
        ("cpu  20 0 5 80 5 0 0 0\n", "the total CPU time did not increase"),
    ] {
        proc.write("stat", text);
        assert_eq!(read(&mut cpu), failed(&format!("stat: {why}")));
    }
    proc.write("stat", "cpu  70 0 5 130 5 0 0 0\n");
    assert_eq!(read(&mut cpu), busy(0.5));
}

#[test]
fn iowait_may_go_back_by_a_tick() {
    let proc = Proc::new();
    let mut cpu = proc.write("stat", STAT).cpu();
    proc.write("stat", "cpu  201 0 50 800 49 0 0 0\n");
    assert_eq!(read(&mut cpu), busy(1.0));
}

#[test]
fn times_of_a_small_machine_may_go_back_by_a_few_ticks() {
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

/// A single reading may fail: CPU times of a virtual machine can go back.
#[test]
fn cpu_readings_are_at_least_the_minimum_interval_apart() {
    let mut cpu = CpuReader::new().unwrap();
    let deadline = Instant::now() + TEST_TIMEOUT;
    loop {
        let first = cpu.read_at;
        let reading = HostReader::read(&mut cpu);
        assert!(cpu.read_at - first >= MIN_INTERVAL);
        if let Ok(Reading::Cpu(Cpu { usage_ratio })) = reading {
            assert!((0.0..=1.0).contains(&usage_ratio), "{usage_ratio}");
            return;
        }
        assert!(Instant::now() < deadline, "{reading:?}");
    }
}

#[test]
fn host_memory_is_read() {
    let Ok(Reading::Memory(memory)) = MemoryReader::new().unwrap().read() else {
        panic!("not a memory reading")
    };
    assert!(memory.available <= memory.total, "{memory:?}");
}
