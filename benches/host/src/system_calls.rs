//! Counts the system calls of a process with strace.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

/// Runs `work` and returns the number of system calls of the process meanwhile, with the result;
/// `None` if strace is not installed.
///
/// # Errors
/// If strace may not trace the process, or `work` fails.
pub fn count<T>(
    pid: u32,
    dir: &Path,
    work: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<Option<(u64, T)>> {
    let summary = dir.join("strace");
    let mut command = Command::new("strace");
    command.args(["-f", "-c", "-o"]).arg(&summary).args(["-p", &pid.to_string()]);
    let Ok(mut strace) = command.stderr(Stdio::piped()).spawn() else { return Ok(None) };
    let messages = strace.stderr.take().context("a pipe")?;
    let mut messages = BufReader::new(messages).lines().map_while(Result::ok);
    // It attaches to all threads before it prints this. Later lines are about new threads.
    let Some(first) = messages.next().filter(|line| line.contains("attached")) else {
        // It may trace all the same, after a warning.
        let _ = strace.kill();
        let _ = strace.wait();
        bail!("strace cannot trace process {pid}");
    };
    // Read the others, or strace would block when the pipe is full.
    let rest = std::thread::spawn(move || messages.for_each(drop));
    let result = work();
    kill_process(Pid::from_child(&strace), Signal::INT)?;
    strace.wait()?;
    let _ = rest.join();
    let text = fs::read_to_string(summary)?;
    let calls = total(&text).with_context(|| format!("no total of system calls after {first}"))?;
    Ok(Some((calls, result?)))
}

/// Returns the number of calls in the last line of a summary.
fn total(summary: &str) -> Option<u64> {
    let line = summary.lines().rfind(|line| line.ends_with("total"))?;
    // Share of the time, seconds, microseconds per call, calls, errors if any.
    line.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::total;

    #[test]
    fn total_is_the_number_of_calls() {
        let summary = "% time     seconds  usecs/call     calls    errors syscall\n\
                       ------ ----------- ----------- --------- --------- ----------------\n\
                       100.00    0.000003           0         4         1 read\n\
                       ------ ----------- ----------- --------- --------- ----------------\n";
        assert_eq!(total(summary), None);
        let with_errors =
            format!("{summary}100.00    0.000003           0         4         1 total\n");
        assert_eq!(total(&with_errors), Some(4));
        let without =
            format!("{summary}100.00    0.000003           0        12           total\n");
        assert_eq!(total(&without), Some(12));
    }
}
