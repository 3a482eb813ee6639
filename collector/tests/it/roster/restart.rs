//! The collector as a process that is killed and started again.

use std::path::Path;

use rustix::process::Signal;

use crate::support::agent::{Agent, Identity, identity};
use crate::support::command::{Process, command};
use crate::support::frames::gauges;
use crate::support::{eventually, http};

/// Starts a collector that awaits returning agents for `return_timeout`.
fn start(directory: &Path, return_timeout: &str) -> Process {
    let directory = directory.to_str().unwrap();
    let return_timeout = ["--return-timeout", return_timeout];
    let often = ["--state-interval", "1s", "--drain-timeout", "1s", "--state-dir", directory];
    // The tests' agents report until something has happened.
    let unpaced = ["--max-reports-per-interval", "1000000"];
    Process::start(&[&often[..], &return_timeout, &unpaced].concat())
}

fn get(process: &Process, path: &str) -> String {
    http::request(process.http, "GET", path, &[]).text()
}

fn up(process: &Process, id: &str) -> Option<f64> {
    let series = format!("fleetgauge_agent_up{{agent=\"{id}\"}} ");
    let page = get(process, "/metrics/roster");
    page.lines().find_map(|line| line.strip_prefix(&series)?.parse().ok())
}

/// An agent with a short interval, so that two intervals pass quickly.
fn join(process: &Process, id: &str) -> Agent {
    let quick = Identity { interval_ms: 2_000, ..identity(id) };
    Agent::join(process.agents, &quick, &gauges(&["load"]), &[1.0])
}

fn kept(directory: &Path, what: &str) -> bool {
    std::fs::read_to_string(directory.join("roster.jsonl")).is_ok_and(|file| file.contains(what))
}

#[test]
fn restarted_collector_knows_the_missing_agents_after_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path();
    let mut collector = start(state, "1s");
    let [mut stays, mut dies, went] = ["stays", "dies", "went"].map(|id| join(&collector, id));
    went.reset();
    eventually("the state is saved", || {
        stays.report(&[1.0]);
        dies.report(&[1.0]);
        kept(state, "{\"connected\":{\"id\":\"dies\"")
            && kept(state, "{\"departed\":{\"id\":\"went\"")
    });
    collector.signal(Signal::KILL);
    collector.ends();

    let mut collector = start(state, "15s");
    assert_eq!(get(&collector, "/readyz"), "ready; warming up, 0 of 2 agents returned\n");
    assert_eq!((up(&collector, "stays"), up(&collector, "dies")), (None, None));
    assert_eq!(up(&collector, "went"), Some(0.0));
    let _stays = join(&collector, "stays");
    assert_eq!(up(&collector, "stays"), Some(1.0));
    assert_eq!(get(&collector, "/readyz"), "ready; warming up, 1 of 2 agents returned\n");
    let own = get(&collector, "/metrics/self");
    for figure in
        ["fleetgauge_warming_up 1", "fleetgauge_agents_awaited 2", "fleetgauge_agents_returned 1"]
    {
        assert!(own.contains(figure), "{own}");
    }
    eventually("the other connection is closed", || up(&collector, "dies") == Some(0.0));
    let why = "fleetgauge_agent_departed_info{agent=\"dies\",reason=\"not_returned\"} 1";
    assert!(get(&collector, "/metrics/roster").contains(why));
    assert_eq!(get(&collector, "/readyz"), "ready\n");
    assert!(get(&collector, "/metrics/self").contains("fleetgauge_warming_up 0"));
    assert!(collector.logs("warmed up").contains("returned=1"));
}

#[test]
fn graceful_stop_saves_the_connected_agents() {
    let directory = tempfile::tempdir().unwrap();
    let mut collector = start(directory.path(), "1s");
    let _agents = (join(&collector, "a"), join(&collector, "b"));
    collector.signal(Signal::TERM);
    assert!(collector.ends().success());
    let collector = start(directory.path(), "3600s");
    assert_eq!(get(&collector, "/readyz"), "ready; warming up, 0 of 2 agents returned\n");
}

#[test]
fn damaged_state_file_is_set_aside() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("roster.jsonl");
    for damaged in [
        "{\"roster\":{\"version\":1,\"written\":0}}\n{\"conn",
        "nonsense\n",
        "{\"roster\":{\"version\":9,\"written\":0}}\n",
    ] {
        std::fs::write(&file, damaged).unwrap();
        let mut collector = start(directory.path(), "1s");
        assert_eq!(get(&collector, "/readyz"), "ready\n");
        assert!(get(&collector, "/metrics/self").contains("fleetgauge_state_errors_total 1"));
        let mut agent = join(&collector, "a");
        eventually("a new file", || {
            agent.report(&[1.0]);
            kept(directory.path(), "{\"connected\":{\"id\":\"a\"")
        });
        collector.signal(Signal::KILL);
        collector.ends();
        let aside = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut aside = aside.filter(|path| path.to_str().unwrap().contains(".damaged-"));
        let aside = aside.next().unwrap_or_else(|| panic!("not set aside: {damaged}"));
        assert_eq!(std::fs::read_to_string(&aside).unwrap(), damaged);
        std::fs::remove_file(aside).unwrap();
    }
}

#[test]
fn unusable_state_directory_is_an_error_at_start() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let below = file.path().join("state");
    let flags = ["--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--state-dir"];
    let output = command(&flags).arg(&below).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("state_dir") && said.contains(below.to_str().unwrap()), "{said}");
}

#[test]
fn failing_disk_is_counted_and_the_collector_continues() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path(), "1s");
    std::fs::create_dir(directory.path().join("roster.jsonl.new")).unwrap();
    let _agent = join(&collector, "a");
    eventually("it is counted", || {
        let own = get(&collector, "/metrics/self");
        own.lines().any(|line| {
            line.strip_prefix("fleetgauge_state_errors_total ").is_some_and(|count| count != "0")
        })
    });
    assert_eq!(up(&collector, "a"), Some(1.0));
    std::fs::remove_dir(directory.path().join("roster.jsonl.new")).unwrap();
    eventually("the state is saved after all", || kept(directory.path(), "\"a\""));
}

#[test]
fn expected_agents_that_never_connect_are_down() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("expected");
    std::fs::write(&file, "# ours\nhere\nnever # since Tuesday\n").unwrap();
    let flags = ["--expected-agents", file.to_str().unwrap(), "--return-timeout", "2s"];
    let collector = Process::start(&flags);
    let _here = Agent::join(collector.agents, &identity("here"), &gauges(&["load"]), &[1.0]);
    assert_eq!((up(&collector, "here"), up(&collector, "never")), (Some(1.0), None));
    eventually("the connection is closed", || up(&collector, "never") == Some(0.0));
    let why = "fleetgauge_agent_departed_info{agent=\"never\",reason=\"never_seen\"} 1";
    assert!(get(&collector, "/metrics/roster").contains(why));
    assert_eq!(up(&collector, "here"), Some(1.0));
}
