//! Clocks that jump a day forward and back. libfaketime changes the programs' wall clock; the
//! monotonic clock continues.

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;

use crate::programs::{Collector, Program, built};

use super::{shows, until, value};

/// How long the fleet is watched after every jump: more than three intervals.
const WATCHED: Duration = Duration::from_secs(5);

/// Length of a date at the start of a log line: 2026-01-31.
const DATE: usize = 10;

/// A wall clock that can be changed: a file with an offset that libfaketime reads.
struct Clock(NamedTempFile);

impl Clock {
    fn new() -> Self {
        let clock = Self(NamedTempFile::new().unwrap());
        clock.jump("+0");
        clock
    }

    /// Sets the offset from the true time, in seconds.
    fn jump(&self, seconds: &str) {
        let mut file = std::fs::File::create(self.0.path()).unwrap();
        writeln!(file, "{seconds}").unwrap();
    }

    /// Returns a command whose program uses this clock.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(built(program));
        command.env("LD_PRELOAD", libfaketime()).env("FAKETIME_NO_CACHE", "1");
        command.env("FAKETIME_TIMESTAMP_FILE", self.0.path());
        command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        command
    }
}

fn libfaketime() -> PathBuf {
    let arch = std::env::consts::ARCH;
    let library = PathBuf::from(format!("/usr/lib/{arch}-linux-gnu/faketime/libfaketime.so.1"));
    assert!(library.exists(), "{} is not installed", library.display());
    library
}

fn agent(id: &str, clock: &Clock, collector: &Collector) -> Program {
    let mut command = clock.command("fleetgauge-agent");
    command.args(["--id", id, "--collector", &collector.agents, "--interval", "1s"]);
    Program::start(command)
}

/// Returns the collector's wall-clock time, taken from the time of the latest report.
fn time_of_day(collector: &Collector) -> i64 {
    let page: serde_json::Value = serde_json::from_str(&collector.get("/api/agents", "")).unwrap();
    let agents = page["agents"].as_array().unwrap();
    agents.iter().map(|agent| agent["last_report"].as_i64().unwrap()).max().unwrap()
}

#[test]
#[ignore = "needs libfaketime"]
fn clock_jumps_of_a_day_lose_no_series() {
    let (ours, theirs, sound) = (Clock::new(), Clock::new(), Clock::new());
    let collector = Collector::start_by(
        ours.command("fleetgauge-collector"),
        "127.0.0.1:0",
        "127.0.0.1:0",
        &[],
    );
    let fleet = [agent("sound", &sound, &collector), agent("jumps", &theirs, &collector)];
    let page = || collector.get("/metrics/agents", "");
    let both = |page: &str| shows(page, "sound") && shows(page, "jumps");
    until("both agents", 10, || both(&page()));
    let began = time_of_day(&collector);
    let counted = || value(&collector.get("/metrics/self", ""), "fleetgauge_reports_total");
    for (whose, clock) in [("collector", &ours), ("agent", &theirs)] {
        for jump in ["+86400", "+0", "-86400", "+0"] {
            clock.jump(jump);
            let (begun, before) = (Instant::now(), counted());
            while begun.elapsed() < WATCHED {
                let page = page();
                assert!(both(&page), "{whose} {jump}: {page}");
                std::thread::sleep(Duration::from_millis(50));
            }
            let (reports, seconds) = (counted() - before, begun.elapsed().as_secs_f64());
            println!("the {whose}'s clock {jump}: {reports} reports in {seconds:.1} s");
            // Two agents report every second: intervals do not depend on the time of day.
            assert!((reports - 2.0 * seconds).abs() <= 2.5, "{whose} {jump}: {reports}");
            if whose == "collector" {
                let moved = time_of_day(&collector) - began - jump.parse::<i64>().unwrap();
                assert!((0..60).contains(&moved), "the clock did not jump: {moved}");
            }
        }
    }
    // An agent that starts with a wrong clock reports on time, too.
    let today = fleet[0].log()[..DATE].to_owned();
    drop(fleet);
    theirs.jump("-86400");
    let late = agent("jumps", &theirs, &collector);
    until("the agent that starts late", 10, || shows(&page(), "jumps"));
    assert_ne!(late.log()[..DATE], today, "its clock is right");
}
