//! Reloads of the configuration files.

use std::path::Path;

use fleetgauge_collector::Config;
use fleetgauge_collector::config::Flags;
use fleetgauge_proto::Code;
use rustix::process::Signal;

use crate::support::agent::{Agent, identity};
use crate::support::collector::Collector;
use crate::support::command::Process;
use crate::support::frames::gauges;
use crate::support::pki::text;
use crate::support::secrets::{Files, entry, guarded};
use crate::support::{eventually, http};

fn own(http: std::net::SocketAddr) -> String {
    http::request(http, "GET", "/metrics/self", &[]).text()
}

#[test]
fn removing_a_token_closes_its_sessions() {
    let files = Files::new();
    let path = files.write("agents", &entry("agent = '*'", &["old", "new"], ""));
    let collector = Collector::with(guarded(Some(&path), None, &[]));
    let catalog = gauges(&["load"]);
    let join = |id, token| {
        Agent::join(collector.agents, &identity(id).with_credential(token), &catalog, &[1.0])
    };
    let (mut old, mut new) = (join("a", "old"), join("b", "new"));
    files.write("agents", &entry("agent = '*'", &["new"], ""));
    let (_, retry) = old.expect_reject(Code::CredentialRevoked);
    assert!((1_000..=6_000).contains(&retry.unwrap()), "{retry:?}");
    assert!(!collector.page().shows("a"));
    new.report(&[2.0]);
    assert_eq!(collector.page().values_of("b"), [2.0]);
    assert_eq!(collector.closed("credential_revoked"), 1.0);
    let mut again = Agent::greet(collector.agents, &identity("a").with_credential("old"), &catalog);
    again.expect_reject(Code::Unauthorized);
    let _rotated = join("a", "new");
    assert!(collector.page().shows("a"));
}

#[test]
fn invalid_file_changes_nothing_and_is_counted() {
    let files = Files::new();
    let good = entry("agent = '*'", &["token"], "");
    let path = files.write("agents", &good);
    let collector = Collector::with(guarded(Some(&path), None, &[]));
    let catalog = gauges(&["load"]);
    let join = |id| {
        Agent::join(collector.agents, &identity(id).with_credential("token"), &catalog, &[1.0])
    };
    let mut first = join("a");
    let state = || {
        ["reload_failures_total", "last_reload_successful"]
            .map(|name| collector.metric(&format!("fleetgauge_{name}")))
    };
    assert_eq!(state(), [0.0, 1.0]);
    let begun = collector.metric("fleetgauge_last_reload_timestamp_seconds");
    for (number, broken) in ["[[credential]]\nagent = 'x'\n", "", "agent ="].into_iter().enumerate()
    {
        files.write("agents", broken);
        eventually("a failure is counted", || state() == [number as f64 + 1.0, 0.0]);
        assert_eq!(collector.metric("fleetgauge_last_reload_timestamp_seconds"), begun);
        first.report(&[2.0]);
        join("b");
    }
    std::fs::remove_file(&path).unwrap();
    eventually("a failure is counted", || state() == [4.0, 0.0]);
    files.write("agents", &good);
    eventually("the corrected file is loaded", || state() == [4.0, 1.0]);
    assert!(collector.metric("fleetgauge_last_reload_timestamp_seconds") > begun);
    first.report(&[3.0]);
}

/// Kubernetes updates a secret like this: it replaces a symbolic link to a directory.
#[test]
fn replaced_symbolic_link_is_detected() {
    let files = Files::new();
    for (version, token) in [("1", "old"), ("2", "new")] {
        std::fs::create_dir(files.path(version)).unwrap();
        files.write(&format!("{version}/agents"), &entry("agent = '*'", &[token], ""));
    }
    let link = |to: &str| {
        std::os::unix::fs::symlink(to, files.path("next")).unwrap();
        std::fs::rename(files.path("next"), files.path("current")).unwrap();
    };
    link("1");
    let path = files.path("current").join("agents");
    let collector = Collector::with(guarded(Some(&path), None, &[]));
    let catalog = gauges(&["load"]);
    let mut old =
        Agent::join(collector.agents, &identity("a").with_credential("old"), &catalog, &[1.0]);
    link("2");
    old.expect_reject(Code::CredentialRevoked);
    Agent::join(collector.agents, &identity("a").with_credential("new"), &catalog, &[1.0]);
}

#[test]
fn users_and_allowed_labels_are_reloaded() {
    let files = Files::new();
    let readers = files.write("readers", &entry("user = 'prometheus'", &["old"], ""));
    let settings = |labels: &str| {
        let readers = readers.display();
        let all = format!("http_credentials = '{readers}'\nallow_labels = [{labels}]\n");
        files.write("settings", &all)
    };
    let path = settings("'role'");
    let flags = Flags::default()
        .with("config", text(&path))
        .with("listen", "127.0.0.1:0")
        .with("http_listen", "127.0.0.1:0");
    let collector = Collector::with(Config {
        drain: std::time::Duration::ZERO,
        ..Config::try_new(flags).unwrap()
    });
    let status = |token: &str| {
        collector.get("/metrics/agents", &[&format!("Authorization: Bearer {token}")]).status
    };
    assert_eq!((status("old"), status("new")), (200, 401));
    files.write("readers", &entry("user = 'prometheus'", &["new"], ""));
    eventually("the new token", || (status("old"), status("new")) == (401, 200));
    settings("");
    let labelled = crate::support::agent::Identity {
        labels: vec![crate::support::frames::label(&("role", "db"))],
        ..identity("a")
    };
    eventually("the label is not allowed any more", || {
        let mut agent = Agent::greet(collector.agents, &labelled, &gauges(&["load"]));
        matches!(
            agent.receive(),
            crate::support::agent::Received::Reject { code: Code::LabelNotAllowed, .. }
        )
    });
}

/// A policy that is only safe on loopback must not come into force on a public address.
#[test]
fn reload_with_other_addresses_is_aborted() {
    let files = Files::new();
    let agents = files.write("agents", &entry("agent = '*'", &["token"], ""));
    let credentials = format!("credentials = '{}'\n", agents.display());
    let settings = |listen: &str, http: &str, more: &str| {
        let all =
            format!("listen = ['{listen}']\nhttp_listen = '{http}'\ndrain_timeout = '0s'\n{more}");
        files.write("settings", &all)
    };
    let first = "127.0.0.1:0";
    let flags = Flags::default().with("config", text(&settings(first, first, &credentials)));
    let collector = Collector::with(Config::try_new(flags).unwrap());
    for (number, (listen, http)) in [("127.0.0.2:0", first), (first, "[::1]:0")].iter().enumerate()
    {
        settings(listen, http, "");
        eventually("a failure is counted", || {
            collector.metric("fleetgauge_reload_failures_total") == number as f64 + 1.0
        });
        let mut stranger = Agent::greet(collector.agents, &identity("a"), &gauges(&["load"]));
        stranger.expect_reject(Code::Unauthorized);
    }
    settings(first, first, "");
    eventually("rules for the addresses of the start", || {
        collector.metric("fleetgauge_last_reload_successful") == 1.0
    });
    let mut agent = Agent::greet(collector.agents, &identity("a"), &gauges(&["load"]));
    agent.expect_welcome(&gauges(&["load"]));
}

fn start(credentials: &Path) -> Process {
    Process::start(&["--credentials", credentials.to_str().unwrap(), "--log", "trace"])
}

#[test]
fn sighup_reloads_without_ending_sessions() {
    let files = Files::new();
    let path = files.write("agents", &entry("agent = '*'", &["token"], ""));
    let mut process = start(&path);
    let catalog = gauges(&["load"]);
    let mut agent =
        Agent::join(process.agents, &identity("a").with_credential("token"), &catalog, &[1.0]);
    process.signal(Signal::HUP);
    process.logs("configuration reloaded");
    agent.report(&[2.0]);
    std::fs::remove_file(&path).unwrap();
    process.signal(Signal::HUP);
    let line = process.logs("configuration reload failed");
    assert!(line.contains("credentials: ") && line.contains(path.to_str().unwrap()), "{line}");
    assert!(line.contains("cannot be read: No such file"), "{line}");
    agent.report(&[3.0]);
    assert!(own(process.http).contains("\nfleetgauge_last_reload_successful 0\n"));
    process.signal(Signal::TERM);
    assert_eq!(process.ends().code(), Some(0));
}

#[test]
fn settings_that_require_a_restart_are_named_and_others_reloaded() {
    let files = Files::new();
    let before = "drain_timeout = '1s'\n[types]\nload = 'gauge'\n";
    let path = files.write("settings", before);
    let arguments = ["--config", path.to_str().unwrap(), "--drain-timeout", "0s"];
    let mut process = Process::start(&arguments);
    let others = "exempt_addresses = []\nmax_connections = 9\n\
                  drain_timeout = '2s'\nallow_labels = ['role']\n";
    files.write("settings", &format!("{others}[types]\nload = 'counter'\n"));
    let line = process.logs("configuration reload");
    // `drain_timeout` is not named, because the flag overrides the file.
    let named = "settings=\"max_connections, exempt_addresses, types\"";
    assert!(line.contains("WARN") && line.contains(named), "{line}");
    process.logs("configuration reloaded");
    let labels = vec![crate::support::frames::label(&("rack", "7"))];
    let labelled = crate::support::agent::Identity { labels, ..identity("a") };
    let mut agent = Agent::greet(process.agents, &labelled, &gauges(&["load"]));
    agent.expect_reject(Code::LabelNotAllowed);
    // The settings are as they were at the start, so none is named.
    files.write("settings", before);
    let line = process.logs("configuration reload");
    assert!(line.contains("configuration reloaded"), "{line}");
}
