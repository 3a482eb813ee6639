//! A filesystem that does not respond, in a mount namespace of its own: statfs hangs for ever.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use tempfile::NamedTempFile;

use super::{INTERVAL, REPORTS, assert_on_time, failing, fleet, page, samples, value};
use crate::programs::{Collector, agent, built, cannot_run, repository, wait_for};

/// A host with a mount that responds only on request, and its agent. `fuse.py` has the orders.
struct Host {
    program: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    log: NamedTempFile,
}

impl Host {
    /// Starts the host with this agent; `None` if that is not possible.
    fn start(mountpoint: &Path, id: &str, collector: &Collector) -> Option<Self> {
        let log = NamedTempFile::new().unwrap();
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "python3"]);
        command.arg(repository("loadtest/tests/ops/node/fuse.py")).arg(mountpoint);
        command.arg(built("fleetgauge-agent"));
        command.args(["--id", id, "--collector", &collector.agents, "--interval", "1s"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log.reopen().unwrap());
        let mut program = command.env("NO_COLOR", "1").spawn().unwrap();
        let orders = program.stdin.take().unwrap();
        let answers = BufReader::new(program.stdout.take().unwrap());
        let mut host = Self { program, orders, answers, log };
        let is_mounted = host.answer() == "ok\n";
        if !is_mounted {
            cannot_run("mount a FUSE filesystem", host.log().as_bytes());
        }
        is_mounted.then_some(host)
    }

    /// Runs an order of `fuse.py` and waits until it is in effect.
    fn order(&mut self, order: &str) {
        writeln!(self.orders, "{order}").unwrap();
        assert_eq!(self.answer(), "ok\n", "{order}");
    }

    fn answer(&mut self) -> String {
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        answer
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap_or_default()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
        if std::thread::panicking() {
            eprintln!("--- log of the host:\n{}", self.log());
        }
    }
}

/// Whether a line is about this mount.
fn is_of(line: &str, mountpoint: &Path) -> bool {
    line.contains(&format!("mountpoint=\"{}\"", mountpoint.display()))
}

/// Returns the error of a mount, 0 or 1; `None` if the page does not show it.
fn error(page: &str, mountpoint: &Path) -> Option<f64> {
    let lines = samples(page, "node_filesystem_device_error");
    lines.into_iter().find(|line| is_of(line, mountpoint)).map(value)
}

/// Returns the labels of all filesystems whose size a page shows, in order.
fn sizes(page: &str) -> Vec<String> {
    let lines = samples(page, "node_filesystem_size_bytes");
    let labels = lines.into_iter().map(|line| line.rsplit_once(' ').unwrap().0.to_owned());
    let mut labels: Vec<_> = labels.collect();
    labels.sort();
    labels
}

#[test]
#[ignore = "needs root, /dev/fuse and python3"]
fn hung_mount_delays_no_report_and_hides_no_other_filesystem() {
    let collector = Collector::start(&[]);
    let _fleet = fleet(&collector);
    // The same host without the mount.
    let _control = agent("control", &collector, "basic,node");
    let directory = tempfile::tempdir().unwrap();
    let mountpoint = directory.path();
    let Some(mut host) = Host::start(mountpoint, "hung", &collector) else { return };
    let hung = || page(&collector, "hung");
    let control = || page(&collector, "control").unwrap();
    let shows = |expected: Option<f64>| {
        wait_for("the state of the mount", 15, || {
            let page = hung()?;
            (error(&page, mountpoint) == expected).then_some(page)
        })
    };
    shows(Some(1.0));
    let expected = failing(|| Some(control()));
    assert_eq!(failing(hung), expected);
    let mut failures = 0;
    assert_on_time(INTERVAL, REPORTS, hung, |page| {
        let control = control();
        let late = [page, &control].map(super::failed);
        if late.iter().any(|late| late.contains("filesystem")) {
            failures += 1;
            return;
        }
        assert_eq!(error(page, mountpoint), Some(1.0));
        assert_eq!(sizes(page), sizes(&control));
        failures += u32::from(late[0] != expected);
    });
    // A busy machine may delay a collector.
    assert!(failures <= 1, "{failures} reports lack a collector");

    host.order("answer");
    let answering = shows(Some(0.0));
    let size = samples(&answering, "node_filesystem_size_bytes");
    let size = size.into_iter().find(|line| is_of(line, mountpoint)).map(value);
    assert_eq!(size, Some(4_096_000.0));

    host.order("hang");
    let hanging = shows(Some(1.0));
    assert_eq!(sizes(&hanging), sizes(&control()));

    host.order("unmount");
    let gone = shows(None);
    assert_eq!(sizes(&gone), sizes(&control()));
    assert_on_time(INTERVAL, 2, hung, |_| ());
}
