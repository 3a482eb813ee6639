//! Token authorization of agents.

use std::io::Read;

use fleetgauge_collector::peers::close_reason::CloseReason;
use fleetgauge_collector::peers::handle::Signal;
use fleetgauge_proto::Code;
use fleetgauge_proto::limits::MAX_CREDENTIAL_BYTES;

use crate::support::agent::{Agent, Identity, identity};
use crate::support::collector::Collector;
use crate::support::driven::{Rig, Sent};
use crate::support::frames::{gauges, ping, report};
use crate::support::secrets::{Files, entry, guarded};

/// Returns a credentials file: two agents with a token each, and a shared token for all others.
fn three() -> String {
    let web_1 = entry("agent = 'web-1'", &["token of web-1"], "");
    let web_2 = entry("agent = 'web-2'", &["token of web-2"], "");
    web_1 + &web_2 + &entry("agent = '*'", &["token of all"], "") + &entry("agent = 'old'", &[], "")
}

fn collector(files: &Files) -> Collector {
    Collector::with(guarded(Some(&files.write("agents", &three())), None, &[]))
}

/// Returns all bytes that the collector sends in answer to a Hello followed by reports.
fn answer(collector: &Collector, identity: &Identity<'_>) -> Vec<u8> {
    let catalog = gauges(&["load"]);
    let mut agent = Agent::connect(collector.agents);
    agent.send(&identity.hello(&catalog));
    let mut answer = vec![0];
    agent.stream.read_exact(&mut answer).unwrap();
    agent.send(&[catalog.bytes, report(1, &[1.0]), ping(1)].concat());
    agent.finish();
    agent.stream.read_to_end(&mut answer).unwrap();
    answer
}

/// Checks that the agent is rejected, counted under this cause, and not exposed.
fn is_refused(collector: &Collector, identity: &Identity<'_>, cause: &str) {
    let counter = format!("fleetgauge_unauthorized_total{{cause=\"{cause}\"}}");
    let before = (collector.metric(&counter), collector.rejects("unauthorized"));
    let mut agent = Agent::greet(collector.agents, identity, &gauges(&["load"]));
    let (text, retry) = agent.expect_reject(Code::Unauthorized);
    assert_eq!((&*text, retry), (Code::Unauthorized.meaning(), None), "{cause}");
    let after = (collector.metric(&counter), collector.rejects("unauthorized"));
    assert_eq!(after, (before.0 + 1.0, before.1 + 1.0), "{cause}");
}

#[test]
fn agent_with_its_own_token_is_exposed() {
    let files = Files::new();
    let collector = collector(&files);
    let catalog = gauges(&["load"]);
    for (id, token) in
        [("web-1", "token of web-1"), ("web-2", "token of web-2"), ("db-1", "token of all")]
    {
        let _agent =
            Agent::join(collector.agents, &identity(id).with_credential(token), &catalog, &[1.0]);
        assert_eq!(collector.page().values_of(id), [1.0]);
    }
}

#[test]
fn token_of_another_agent_is_rejected() {
    let files = Files::new();
    let collector = collector(&files);
    let web_1 = identity("web-1").with_credential("token of web-1");
    let _honest = Agent::join(collector.agents, &web_1, &gauges(&["load"]), &[1.0]);
    for host in [1, 66] {
        is_refused(
            &collector,
            &identity("web-2").with_credential("token of web-1").on_host(host),
            "wrong_token",
        );
        is_refused(
            &collector,
            &identity("web-1").with_credential("token of web-2").on_host(host),
            "wrong_token",
        );
    }
    assert!(!collector.page().shows("web-2"));
    assert_eq!(collector.page().values_of("web-1"), [1.0], "the other agent is not affected");
}

#[test]
fn shared_token_is_rejected_for_an_agent_with_its_own() {
    let files = Files::new();
    is_refused(
        &collector(&files),
        &identity("web-1").with_credential("token of all"),
        "wrong_token",
    );
}

#[test]
fn wrong_shared_token_is_rejected() {
    let files = Files::new();
    let collector = collector(&files);
    for wrong in ["", "token of al", "token of all ", "Token of all", "token of web-1"] {
        let cause = if wrong.is_empty() { "no_credential" } else { "wrong_token" };
        is_refused(&collector, &identity("db-1").with_credential(wrong), cause);
    }
}

#[test]
fn missing_credential_is_rejected() {
    let files = Files::new();
    let collector = collector(&files);
    for id in ["web-1", "db-1", "old"] {
        is_refused(&collector, &identity(id), "no_credential");
    }
}

#[test]
fn retired_agent_is_rejected() {
    let files = Files::new();
    let collector = collector(&files);
    is_refused(&collector, &identity("old").with_credential("token of all"), "unknown_agent");
}

#[test]
fn longest_valid_credential_is_accepted() {
    let longest = "x".repeat(MAX_CREDENTIAL_BYTES);
    let files = Files::new();
    let path = files.write("agents", &entry("agent = 'web-1'", &[&longest], ""));
    let collector = Collector::with(guarded(Some(&path), None, &[]));
    let web_1 = identity("web-1").with_credential(&longest);
    let _agent = Agent::join(collector.agents, &web_1, &gauges(&["load"]), &[1.0]);
    assert!(collector.page().shows("web-1"));
    let other = "y".repeat(MAX_CREDENTIAL_BYTES);
    is_refused(&collector, &identity("web-1").with_credential(&other), "wrong_token");
}

#[test]
fn every_unauthorized_agent_gets_the_same_answer() {
    let files = Files::new();
    let collector = collector(&files);
    let long = "x".repeat(MAX_CREDENTIAL_BYTES);
    let expected = answer(&collector, &identity("web-1"));
    for (id, token) in [
        ("web-1", ""),
        ("web-1", "token of web-2"),
        ("web-1", &long),
        ("old", "token of all"),
        ("nobody", "token of nobody"),
    ] {
        assert_eq!(
            answer(&collector, &identity(id).with_credential(token)),
            expected,
            "{id} {token}"
        );
    }
    let reject = 9;
    assert_eq!(expected[3], reject, "one Reject");
    assert_eq!(expected.len(), 8 + usize::from(expected[4]), "and nothing after it");
    assert!(collector.page().0.is_empty());
}

#[test]
fn unauthorized_agent_learns_nothing_about_its_hello() {
    let files = Files::new();
    let collector = collector(&files);
    let labels = vec![crate::support::frames::label(&("job", "x"))];
    is_refused(&collector, &Identity { labels, ..identity("web-1") }, "no_credential");
}

#[test]
fn revoked_session_ends_and_others_continue() {
    let files = Files::new();
    let path = files.write("agents", &three());
    let rig = Rig::new(guarded(Some(&path), None, &[]));
    let catalog = gauges(&["load"]);
    let join = |id: &str, token: &str| {
        let mut agent = rig.connect();
        agent.receives(&rig, &identity(id).with_credential(token).hello(&catalog));
        agent.receives(&rig, &[catalog.bytes.clone(), report(1, &[1.0])].concat());
        agent.take_sent();
        agent
    };
    let (mut one, mut two) = (join("web-1", "token of web-1"), join("web-2", "token of web-2"));
    let mut stranger = rig.connect();
    files.write("agents", &entry("agent = 'web-2'", &["token of web-2"], ""));
    let before = rig.collector.auth.lock().clone();
    let sources = rig.collector.config.sources.clone();
    let anew = fleetgauge_collector::Config::try_after(sources, &before).unwrap();
    rig.collector.reload(anew.auth);
    for session in [&mut one, &mut two, &mut stranger] {
        session.ticks(&rig);
    }
    assert_eq!(one.take_sent(), [Sent::Reject(Code::CredentialRevoked)]);
    assert_eq!(one.close_reason(), Some(CloseReason::Rejected(Code::CredentialRevoked)));
    assert_eq!((two.close_reason(), stranger.close_reason()), (None, None));
    assert!(!rig.page().shows("web-1") && rig.page().shows("web-2"));
    // Its Hello is checked against the new policy.
    stranger.receives(&rig, &identity("web-1").with_credential("token of web-1").hello(&catalog));
    assert_eq!(stranger.take_sent(), [Sent::Reject(Code::Unauthorized)]);
}

#[test]
fn revoked_challenger_does_not_take_over_the_id() {
    let files = Files::new();
    let path = files.write("agents", &three());
    let rig = Rig::new(guarded(Some(&path), None, &[]));
    let catalog = gauges(&["load"]);
    let mut holder = rig.connect();
    holder.receives(&rig, &identity("db-1").with_credential("token of all").hello(&catalog));
    holder.receives(&rig, &[catalog.bytes.clone(), report(1, &[1.0])].concat());
    let mut challenger = rig.connect();
    challenger.receives(
        &rig,
        &identity("db-1").with_credential("token of all").on_host(2).hello(&catalog),
    );
    rig.collector.reload(
        guarded(Some(&files.write("agents", &entry("agent = 'x'", &["y"], ""))), None, &[]).auth,
    );
    challenger.ticks(&rig);
    assert_eq!(challenger.take_sent(), [Sent::Reject(Code::CredentialRevoked)]);
}

#[test]
fn revocation_signal_without_a_new_policy_ends_no_session() {
    let files = Files::new();
    let rig = Rig::new(guarded(Some(&files.write("agents", &three())), None, &[]));
    let catalog = gauges(&["load"]);
    let mut agent = rig.connect();
    agent.receives(&rig, &identity("web-1").with_credential("token of web-1").hello(&catalog));
    agent.take_sent();
    agent.session.handle().raise(Signal::Revoked);
    agent.ticks(&rig);
    assert_eq!((agent.close_reason(), agent.take_sent()), (None, Vec::new()));
}

#[test]
fn sessions_with_labels_no_longer_allowed_end() {
    let files = Files::new();
    let entries = |site: &str| {
        let pinned = format!("labels = {{ site = '{site}' }}");
        files.write(
            "agents",
            &(entry("agent = 'web-*'", &["web"], &pinned) + &entry("agent = '*'", &["all"], "")),
        )
    };
    let rig = Rig::new(guarded(Some(&entries("fra")), None, &[]));
    let catalog = gauges(&["load"]);
    let come = |id, token, said: &[(&'static str, &'static str)]| {
        let mut agent = rig.connect();
        let labels = said.iter().map(crate::support::frames::label).collect();
        agent.receives(
            &rig,
            &Identity { labels, ..identity(id).with_credential(token) }.hello(&catalog),
        );
        agent.take_sent();
        agent
    };
    let mut web = come("web-1", "web", &[("role", "a")]);
    web.receives(&rig, &[catalog.bytes.clone(), report(1, &[1.0])].concat());
    // Labels of pending and challenging agents are checked as well.
    let (mut role, mut rack) =
        (come("db-1", "all", &[("role", "a")]), come("db-2", "all", &[("rack", "7")]));
    role.receives(&rig, &[catalog.bytes.clone(), report(1, &[1.0])].concat());
    let mut waits = rig.connect();
    let labels = vec![crate::support::frames::label(&("rack", "8"))];
    let rival = Identity { labels, ..identity("db-1").with_credential("all") }.on_host(2);
    waits.receives(&rig, &rival.hello(&catalog));
    let reload = |path: &std::path::Path, labels: &[&str]| {
        let anew = guarded(Some(path), None, labels);
        let sources = anew.sources;
        let before = rig.collector.auth.lock().clone();
        let anew = fleetgauge_collector::Config::try_after(sources, &before).unwrap();
        rig.collector.reload(anew.auth);
    };
    reload(&entries("fra"), &["role"]);
    for agent in [&mut web, &mut role, &mut rack, &mut waits] {
        agent.ticks(&rig);
    }
    let revoked = Some(CloseReason::Rejected(Code::CredentialRevoked));
    assert_eq!((web.close_reason(), role.close_reason()), (None, None));
    assert_eq!((rack.close_reason(), waits.close_reason()), (revoked, revoked));
    // With another pinned label the agent reconnects and gets that one.
    reload(&entries("ams"), &["role"]);
    web.ticks(&rig);
    role.ticks(&rig);
    assert_eq!((web.close_reason(), role.close_reason()), (revoked, None));
    assert!(!rig.page().shows("web-1"));
    let mut web = come("web-1", "web", &[("role", "a")]);
    web.receives(&rig, &[catalog.bytes.clone(), report(1, &[2.0])].concat());
    let series = "load{agent=\"web-1\",role=\"a\",site=\"ams\"}";
    assert_eq!(rig.page().value(series), Some(2.0), "{}", rig.page().0);
}
