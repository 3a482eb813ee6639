//! Many processes: runs over several collectors, and no child that outlives its parent.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::page_proxy::PageProxy;
use crate::{BUSY, PATIENCE, loadtest};

#[test]
fn agents_are_spread_over_started_collectors() {
    let directory = tempfile::tempdir().unwrap();
    let report = directory.path().join("report.json");
    let args = ["run", "--agents", "41", "--collectors", "2", "--duration", "4s"];
    let report_flag = ["--report", report.to_str().unwrap()];
    let output = loadtest(&[&args[..], &BUSY, &report_flag].concat()).output().unwrap();
    let output_text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{output_text}");
    let report: Value = serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap();
    let figures = &report["figures"];
    assert_eq!(figures["connects"]["agents"], 41);
    assert_eq!(figures["generator"]["workers"], 2);
    let settings = &report["settings"];
    assert_eq!([&settings["max_lag_seconds"], &settings["tolerance_seconds"]], [30.0, 5.0]);
    assert_eq!(settings["labels"], 2);
    // Four times each during the run, and once after the agents have disconnected.
    assert_eq!(report["verdict"]["checks"]["pages"], 10);
    assert_eq!(figures["scrapes"]["max_samples"], 6 * 21, "{report:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_are_spread_over_running_collectors() {
    let mut flags = Vec::new();
    for _ in 0..2 {
        let upstream = PageProxy::start(Into::into).await;
        flags.extend(["--collector".to_owned(), upstream.agents.to_string()]);
        flags.extend(["--http".to_owned(), upstream.http.to_string()]);
    }
    let run = tokio::task::spawn_blocking(move || {
        let args = ["run", "--agents", "20", "--duration", "4s"];
        let flags: Vec<_> = flags.iter().map(String::as_str).collect();
        loadtest(&[&args[..], &BUSY, &flags].concat()).output().unwrap()
    });
    let output = run.await.unwrap();
    let output_text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{output_text}");
    assert!(output_text.contains("passed: 10 pages"), "{output_text}");
}

#[test]
fn a_killed_worker_fails_the_run() {
    let mut run = Run::start();
    let worker = run.wait_for_children(4)["worker"][0];
    kill(worker, Signal::KILL);
    assert_eq!(run.0.wait().unwrap().code(), Some(1));
    let output_text = BufReader::new(run.0.stderr.take().unwrap()).lines();
    let output_text: Vec<_> = output_text.map(Result::unwrap).collect();
    assert!(output_text.join("\n").contains("exited during the run"), "{output_text:?}");
}

#[test]
fn ctrl_c_ends_all_children() {
    let mut run = Run::start();
    let children = run.wait_for_children(4);
    kill(run.0.id(), Signal::INT);
    assert_eq!(run.0.wait().unwrap().code(), Some(130));
    gone(&children);
}

#[test]
fn no_child_outlives_a_killed_parent() {
    let mut run = Run::start();
    let children = run.wait_for_children(4);
    kill(run.0.id(), Signal::KILL);
    run.0.wait().unwrap();
    gone(&children);
}

/// A long run over two collectors, killed when the test ends.
struct Run(Child);

impl Run {
    fn start() -> Self {
        let mut run = Command::new(env!("CARGO_BIN_EXE_fleetgauge-loadtest"));
        run.args(["run", "--agents", "4", "--collectors", "2", "--duration", "600s"]);
        Self(run.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// Waits until the run has `count` children. Returns their process ids by command name.
    fn wait_for_children(&self, count: usize) -> BTreeMap<String, Vec<u32>> {
        let until = Instant::now() + PATIENCE;
        loop {
            let mut children = BTreeMap::<_, Vec<_>>::new();
            for child in children_of(self.0.id()) {
                // A child between fork and exec still has its parent's arguments.
                let what =
                    argument_of(child).filter(|what| ["collector", "worker"].contains(&&**what));
                if let Some(what) = what {
                    children.entry(what).or_default().push(child);
                }
            }
            if children.values().map(Vec::len).sum::<usize>() == count {
                return children;
            }
            assert!(Instant::now() < until, "{children:?}");
            // There is no event to wait for when a process starts.
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn children_of(parent: u32) -> Vec<u32> {
    // Processes may exit while the list is read.
    let all =
        procfs::process::all_processes().unwrap().filter_map(|process| process.ok()?.stat().ok());
    let children = all.filter(|stat| stat.ppid.unsigned_abs() == parent);
    children.map(|stat| stat.pid.unsigned_abs()).collect()
}

/// First argument of a process after the program; `None` if it has none or has exited.
fn argument_of(pid: u32) -> Option<String> {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let argument = line.split(|byte| *byte == 0).nth(1)?;
    Some(String::from_utf8_lossy(argument).into_owned())
}

/// Waits until these processes have exited.
fn gone(children: &BTreeMap<String, Vec<u32>>) {
    let until = Instant::now() + PATIENCE;
    for (what, pid) in
        children.iter().flat_map(|(what, pids)| pids.iter().map(move |pid| (what, pid)))
    {
        // A reused process id has another argument.
        while argument_of(*pid).as_deref() == Some(what) {
            assert!(Instant::now() < until, "{what} {pid} lives on");
            // Only the parent is notified when a process exits.
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn kill(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid.try_into().unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}
