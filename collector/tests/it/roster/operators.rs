//! Changes of the roster by operators: departed agents are deleted, and expected agents reloaded.

use std::path::Path;

use rustix::process::Signal;

use crate::support::agent::{Agent, identity};
use crate::support::collector::Collector;
use crate::support::command::Process;
use crate::support::eventually;
use crate::support::frames::gauges;
use crate::support::http::{self, Answer};
use crate::support::secrets::{Files, entry};

const READS: &str = "Authorization: Bearer reads";
const FORGETS: &str = "Authorization: Bearer forgets";

fn readers(files: &Files) -> String {
    let readers = entry("user = 'prometheus'", &["reads"], "")
        + &entry("user = 'ops'", &["forgets"], "may_forget = true");
    files.write("readers", &readers).display().to_string()
}

fn ask(process: &Process, method: &str, path: &str, headers: &[&str]) -> Answer {
    http::request(process.http, method, path, headers)
}

fn get(process: &Process, path: &str) -> String {
    ask(process, "GET", path, &[READS]).text()
}

fn up(process: &Process, id: &str) -> Option<f64> {
    let series = format!("fleetgauge_agent_up{{agent=\"{id}\"}} ");
    let page = get(process, "/metrics/roster");
    page.lines().find_map(|line| line.strip_prefix(&series)?.parse().ok())
}

fn join(process: &Process, id: &str) -> Agent {
    Agent::join(process.agents, &identity(id), &gauges(&["load"]), &[1.0])
}

fn kept(directory: &Path, id: &str) -> bool {
    let file = std::fs::read_to_string(directory.join("roster.jsonl"));
    file.is_ok_and(|file| file.contains(&format!("\"id\":\"{id}\"")))
}

#[test]
fn user_with_may_forget_deletes_a_departed_agent() {
    let files = Files::new();
    let readers = readers(&files);
    let state = files.path("state");
    let flags = ["--state-interval", "1s", "--drain-timeout", "0s", "--http-credentials", &readers];
    let directory = ["--state-dir", state.to_str().unwrap()];
    let mut process = Process::start(&[&flags[..], &directory].concat());
    let _stays = join(&process, "stays");
    join(&process, "gone").reset();
    eventually("the departure is saved", || {
        up(&process, "gone") == Some(0.0) && kept(&state, "gone")
    });

    let gone = "/api/departed/gone";
    for (method, path, credential, status) in [
        ("DELETE", gone, None, 401),
        ("DELETE", gone, Some("Authorization: Bearer wrong"), 401),
        ("DELETE", gone, Some(READS), 403),
        ("GET", gone, Some(FORGETS), 405),
        ("POST", gone, Some(FORGETS), 405),
        ("DELETE", "/api/departed", Some(FORGETS), 405),
        ("DELETE", "/api/departed/stays", Some(FORGETS), 404),
        ("DELETE", "/api/departed/nobody", Some(FORGETS), 404),
        ("DELETE", "/api/departed/no%20id", Some(FORGETS), 404),
        ("DELETE", "/api/departed/gone?all=1", Some(FORGETS), 400),
    ] {
        let headers: Vec<_> = credential.into_iter().collect();
        let answer = ask(&process, method, path, &headers);
        assert_eq!((answer.status, answer.whole), (status, true), "{method} {path} {credential:?}");
        let allowed = (status == 405 && path == gone).then_some("DELETE");
        assert!(allowed.is_none() || answer.header("allow") == allowed, "{answer:?}");
    }
    assert_eq!((up(&process, "gone"), up(&process, "stays")), (Some(0.0), Some(1.0)));

    let answer = ask(&process, "DELETE", gone, &[FORGETS]);
    assert_eq!((answer.status, answer.whole), (204, true));
    assert_eq!((up(&process, "gone"), up(&process, "stays")), (None, Some(1.0)));
    assert!(!get(&process, "/api/departed").contains("gone"));
    eventually("the departure is removed from the state file", || !kept(&state, "gone"));
    assert_eq!(ask(&process, "DELETE", gone, &[FORGETS]).status, 404);
    let own = get(&process, "/metrics/self");
    assert!(own.contains("\nfleetgauge_departed_deleted_total 1.0\n"), "{own}");
    assert!(own.contains("\nfleetgauge_http_unauthorized_total 3\n"), "{own}");
    let line = process.logs("departed agent deleted");
    assert!(line.contains("agent=gone") && line.contains("user=\"ops\""), "{line}");
}

/// An unauthenticated client cannot change anything, not even on loopback.
#[test]
fn delete_without_credentials_returns_403() {
    let collector = Collector::start();
    Agent::join(collector.agents, &identity("gone"), &gauges(&["load"]), &[1.0]).reset();
    eventually("the session has ended", || collector.closed("reset") == 1.0);
    let answer = http::request(collector.http, "DELETE", "/api/departed/gone", &[]);
    assert_eq!((answer.status, answer.whole), (403, true));
    assert!(answer.text().contains("may_forget"), "{}", answer.text());
    assert!(collector.get("/api/departed", &[]).text().contains("gone"));
}

#[test]
fn expected_agents_are_reloaded() {
    let files = Files::new();
    let readers = readers(&files);
    let expect = files.write("expect", "here\nnever\n");
    let flags = ["--return-timeout", "1s", "--drain-timeout", "0s", "--http-credentials", &readers];
    let mut process =
        Process::start(&[&flags[..], &["--expected-agents", expect.to_str().unwrap()]].concat());
    let _here = join(&process, "here");
    eventually("the missing agent is down", || up(&process, "never") == Some(0.0));
    let delete =
        |id: &str| ask(&process, "DELETE", &format!("/api/departed/{id}"), &[FORGETS]).status;
    assert_eq!(delete("never"), 409, "an expected agent cannot be deleted");

    files.write("expect", "here\nnew\n");
    process.signal(Signal::HUP);
    eventually("the new agent is down", || up(&process, "new") == Some(0.0));
    assert_eq!((up(&process, "here"), up(&process, "never")), (Some(1.0), None));
    let why = "fleetgauge_agent_departed_info{agent=\"new\",reason=\"never_seen\"} 1";
    assert!(get(&process, "/metrics/roster").contains(why));

    files.write("expect", "here\nno id\n");
    process.signal(Signal::HUP);
    let line = process.logs("configuration reload failed");
    assert!(line.contains("--expected-agents: ") && line.contains("expect, line 2: "), "{line}");
    assert_eq!(up(&process, "new"), Some(0.0));
    // No signal is needed: a changed file is detected.
    files.write("expect", "here\n");
    eventually("no agent is missing", || up(&process, "new").is_none());
    let _new = join(&process, "new");
    assert_eq!(up(&process, "new"), Some(1.0));
}
