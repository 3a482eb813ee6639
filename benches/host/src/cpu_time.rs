//! CPU time of a process, in nanoseconds.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;

/// Returns the CPU time of all threads, user and system, but for threads that have ended. Threads
/// of the agent end only when they have been idle for 10 s.
///
/// # Errors
/// If the process has exited, or the kernel counts no run time.
pub fn of(pid: u32) -> anyhow::Result<Duration> {
    let tasks = Path::new("/proc").join(pid.to_string()).join("task");
    let mut nanoseconds = 0;
    for task in fs::read_dir(&tasks).context("the process has exited")? {
        match fs::read_to_string(task?.path().join("schedstat")) {
            Ok(text) => nanoseconds += run_time(&text).context("schedstat without a run time")?,
            // The thread has ended.
            Err(_) if tasks.join(pid.to_string()).join("schedstat").exists() => {}
            Err(error) => return Err(error).context("reading schedstat"),
        }
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// Parses the first number: time on a CPU in nanoseconds.
fn run_time(schedstat: &str) -> Option<u64> {
    schedstat.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn cpu_time_of_a_process_never_falls_and_ends_with_it() {
        let waiting = Command::new("cat").stdin(Stdio::piped()).spawn();
        let mut waiting = waiting.expect("cat starts");
        let before = of(waiting.id()).expect("the process runs");
        assert!(of(waiting.id()).expect("the process runs") >= before);
        drop(waiting.stdin.take());
        waiting.wait().expect("the process ends");
        assert!(of(waiting.id()).is_err());
    }

    #[test]
    fn run_time_is_the_first_number() {
        assert_eq!(run_time("123456 789 10\n"), Some(123_456));
        assert_eq!(run_time(""), None);
        assert_eq!(run_time("x 1 2\n"), None);
    }
}
