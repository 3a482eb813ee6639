//! A file of sysfs or procfs that does not respond: a named pipe in its place, which nobody writes.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::process::Command;

use rustix::fs::{CWD, Mode, mkfifoat};
use tempfile::TempDir;

use super::{INTERVAL, REPORTS, assert_on_time, failed, failing, page, samples};
use crate::programs::{Collector, Program, agent_with, built, cannot_run, wait_for};

const FLAGS: [&str; 4] = ["--interval", "1s", "--metrics", "node"];

/// Makes a named pipe. Opening it for reading blocks.
fn make_pipe(path: &Path) {
    mkfifoat(CWD, path, Mode::RUSR | Mode::WUSR).unwrap();
}

/// Ends all calls that wait for a writer of the pipe.
fn release(pipe: &Path) {
    OpenOptions::new().read(true).write(true).open(pipe).unwrap();
}

/// Checks that only this collector of the agent `hung` is late, and that its reports are on time.
fn assert_only_late(collector: &Collector, late: &str) {
    let expected = &failing(|| page(collector, "control")) | &[late.to_owned()].into();
    wait_for("a late collector", 15, || {
        (failed(&page(collector, "hung")?) == expected).then_some(())
    });
    let mut others = 0;
    assert_on_time(
        INTERVAL,
        REPORTS,
        || page(collector, "hung"),
        |page| {
            let failed = failed(page);
            assert!(failed.contains(late), "{failed:?}");
            others += u32::from(failed != expected);
        },
    );
    // A busy machine may delay a collector.
    assert!(others <= 1, "{others} reports lack another collector");
}

/// Waits until no collector of the agent `hung` fails but those of `control`.
fn wait_for_recovery(collector: &Collector) {
    let expected = failing(|| page(collector, "control"));
    wait_for("the collector's recovery", 15, || {
        (failed(&page(collector, "hung")?) == expected).then_some(())
    });
}

/// Creates a directory with some files of sysfs.
fn sysfs() -> TempDir {
    let sysfs = tempfile::tempdir().unwrap();
    let files = [
        ("class/thermal/thermal_zone0/type", "acpitz\n"),
        ("class/thermal/thermal_zone0/temp", "41000\n"),
        ("class/watchdog/watchdog0/timeout", "60\n"),
        ("class/watchdog/watchdog0/timeleft", "30\n"),
    ];
    for (path, text) in files {
        let path = sysfs.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    sysfs
}

#[test]
#[ignore = "needs the programs, and half a minute"]
fn hung_sysfs_file_makes_only_its_collector_late() {
    let collector = Collector::start(&[]);
    let agent = |id: &str, sysfs: &TempDir| {
        let path = format!("--path.sysfs={}", sysfs.path().display());
        agent_with(id, &collector, &[&FLAGS[..], &[&*path]].concat())
    };
    let (healthy, hanging) = (sysfs(), sysfs());
    let file = hanging.path().join("class/watchdog/watchdog0/timeleft");
    let pipe = hanging.path().join("pipe");
    fs::remove_file(&file).unwrap();
    make_pipe(&pipe);
    fs::hard_link(&pipe, &file).unwrap();
    let _agents = [agent("control", &healthy), agent("hung", &hanging)];
    assert_only_late(&collector, "watchdog");
    let page = || page(&collector, "hung").unwrap();
    let has_zone = || samples(&page(), "node_thermal_zone_temp").len() == 1;
    wait_for("the thermal zone", 15, || has_zone().then_some(()));
    assert!(samples(&page(), "node_watchdog_timeout_seconds").is_empty());

    fs::remove_file(&file).unwrap();
    fs::write(&file, "30\n").unwrap();
    release(&pipe);
    wait_for_recovery(&collector);
    let timeleft = "node_watchdog_timeleft_seconds{name=\"watchdog0\"} 30";
    wait_for("the value", 15, || page().contains(timeleft).then_some(()));
}

/// Starts an agent for which this file is in the place of `/proc/loadavg`.
fn agent_with_load(file: &Path, collector: &Collector) -> Program {
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c"]);
    command.args(["mount --bind \"$0\" /proc/loadavg && exec \"$@\""]).arg(file);
    command.arg(built("fleetgauge-agent"));
    command.args(["--id", "hung", "--collector", &collector.agents]).args(FLAGS);
    Program::start(command)
}

#[test]
#[ignore = "needs root"]
fn hung_procfs_file_makes_only_its_collector_late() {
    let mounts = Command::new("unshare").args(["--mount", "true"]).output().unwrap();
    if !mounts.status.success() {
        cannot_run("make a mount namespace", &mounts.stderr);
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("loadavg");
    make_pipe(&pipe);
    let collector = Collector::start(&[]);
    let _control = agent_with("control", &collector, &FLAGS);
    let agent = agent_with_load(&pipe, &collector);
    assert_only_late(&collector, "loadavg");
    assert!(samples(&page(&collector, "hung").unwrap(), "node_load1").is_empty());

    let mut unmount = Command::new("nsenter");
    unmount.args(["--mount", "--target", &agent.pid().to_string()]);
    unmount.args(["umount", "--lazy", "/proc/loadavg"]);
    assert!(unmount.status().unwrap().success());
    release(&pipe);
    wait_for_recovery(&collector);
    let has_load = || samples(&page(&collector, "hung").unwrap(), "node_load1").len() == 1;
    wait_for("the load average", 15, || has_load().then_some(()));
}
