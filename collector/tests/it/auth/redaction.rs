//! No output of a collector contains a token or the digest of one.

use std::io::Read;

use fleetgauge_proto::Code;
use rustix::process::Signal;

use crate::support::agent::{Agent, identity};
use crate::support::command::{command, unused_address};
use crate::support::frames::gauges;
use crate::support::http;
use crate::support::secrets::{Files, digest, entry};

const SECRETS: [&str; 5] =
    ["hunter2-agent", "hunter2-wrong", "hunter2-reader", "hunter2-bad", "hunter2"];

#[test]
fn secrets_are_not_in_logs_pages_or_arguments() {
    let files = Files::new();
    let agents = files.write("agents", &entry("agent = 'web-1'", &["hunter2-agent"], ""));
    let readers = files.write("readers", &entry("user = 'p'", &["hunter2-reader"], ""));
    let (listen, serve) = (unused_address(), unused_address());
    let log = files.path("log");
    let mut child =
        command(&["--listen", &listen.to_string(), "--http-listen", &serve.to_string()])
            .args(["--log", "trace", "--credentials", agents.to_str().unwrap()])
            .args(["--http-credentials", readers.to_str().unwrap()])
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
    crate::support::eventually("the collector listens", || {
        std::net::TcpStream::connect(serve).is_ok()
    });
    let catalog = gauges(&["load"]);
    let _shown =
        Agent::join(listen, &identity("web-1").with_credential("hunter2-agent"), &catalog, &[1.0]);
    let mut wrong =
        Agent::greet(listen, &identity("web-2").with_credential("hunter2-wrong"), &catalog);
    let mut seen = wrong.expect_reject(Code::Unauthorized).0;
    for path in
        ["/metrics", "/metrics/agents/web-1", "/api/agents", "/api/departed", "/sd/agents", "/"]
    {
        for token in ["hunter2-reader", "hunter2-bad"] {
            let bearer = format!("Authorization: Bearer {token}");
            let answer = http::request(serve, "GET", path, &[&bearer]);
            seen.push_str(&format!("{:?} {}", answer.headers, answer.text()));
        }
    }
    assert!(seen.contains("agent=\"web-1\"") && seen.contains("unauthorized"), "{seen}");
    // An invalid file is logged without its content.
    files.write("agents", "[[credential]]\nagent = 'web-1'\ntokens = ['hunter2']\n");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, Signal::HUP).unwrap();
    crate::support::eventually("the failure is logged", || {
        std::fs::read_to_string(&log).unwrap().contains("configuration reload failed")
    });
    let arguments = std::fs::File::open(format!("/proc/{}/cmdline", child.id()));
    arguments.unwrap().read_to_string(&mut seen).unwrap();
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    child.wait().unwrap();
    seen.push_str(&std::fs::read_to_string(&log).unwrap());
    assert!(
        seen.contains("invalid token; write") && seen.contains("cause=\"wrong_token\""),
        "{seen}"
    );
    for secret in SECRETS {
        assert!(!seen.contains(secret), "{secret} is shown: {seen}");
        assert!(!seen.contains(&digest(secret)[7..]), "the digest of {secret} is shown: {seen}");
    }
}
