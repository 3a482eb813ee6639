//! Agents and their tokens.

use std::io::Read;

use fleetgauge_collector::peers::close_reason::CloseReason;
use fleetgauge_collector::peers::handle::Signal;
use fleetgauge_proto::Code;
use fleetgauge_proto::limits::MAX_CREDENTIAL_BYTES;

use crate::support::agent::{Agent, Who, who};
use crate::support::collector::Collector;
use crate::support::driven::{Rig, Said};
use crate::support::frames::{gauges, ping, report};
use crate::support::secrets::{Files, entry, guarded};

/// Two agents with a token each, and one for all others.
fn three() -> String {
    let web_1 = entry("agent = 'web-1'", &["token of web-1"], "");
    let web_2 = entry("agent = 'web-2'", &["token of web-2"], "");
    web_1 + &web_2 + &entry("agent = '*'", &["token of all"], "") + &entry("agent = 'old'", &[], "")
}

fn collector(files: &Files) -> Collector {
    Collector::with(guarded(Some(&files.write("agents", &three())), None, &[]))
}

/// All bytes of the collector in answer to a Hello and to reports after it.
fn answer(collector: &Collector, who: &Who<'_>) -> Vec<u8> {
    let schema = gauges(&["load"]);
    let mut agent = Agent::connect(collector.agents);
    agent.send(&who.hello(&schema));
    let mut answer = vec![0];
    agent.stream.read_exact(&mut answer).unwrap();
    agent.send(&[schema.bytes, report(1, &[1.0]), ping(1)].concat());
    agent.finish();
    agent.stream.read_to_end(&mut answer).unwrap();
    answer
}

/// Refused, counted under this cause, and not shown.
fn is_refused(collector: &Collector, who: &Who<'_>, cause: &str) {
    let counter = format!("fleetgauge_unauthorized_total{{cause=\"{cause}\"}}");
    let before = (collector.figure(&counter), collector.rejects("unauthorized"));
    let mut agent = Agent::greet(collector.agents, who, &gauges(&["load"]));
    let (text, retry) = agent.expect_reject(Code::Unauthorized);
    assert_eq!((&*text, retry), (Code::Unauthorized.meaning(), None), "{cause}");
    let after = (collector.figure(&counter), collector.rejects("unauthorized"));
    assert_eq!(after, (before.0 + 1.0, before.1 + 1.0), "{cause}");
}

#[test]
fn an_agent_with_its_own_token_is_shown() {
    let files = Files::new();
    let collector = collector(&files);
    let schema = gauges(&["load"]);
    for (id, token) in
        [("web-1", "token of web-1"), ("web-2", "token of web-2"), ("db-1", "token of all")]
    {
        let _agent = Agent::join(collector.agents, &who(id).showing(token), &schema, &[1.0]);
        assert_eq!(collector.page().values_of(id), [1.0]);
    }
}

#[test]
fn another_agent_s_token() {
    let files = Files::new();
    let collector = collector(&files);
    let web_1 = who("web-1").showing("token of web-1");
    let _honest = Agent::join(collector.agents, &web_1, &gauges(&["load"]), &[1.0]);
    for host in [1, 66] {
        is_refused(
            &collector,
            &who("web-2").showing("token of web-1").on_host(host),
            "wrong_token",
        );
        is_refused(
            &collector,
            &who("web-1").showing("token of web-2").on_host(host),
            "wrong_token",
        );
    }
    assert!(!collector.page().shows("web-2"));
    assert_eq!(collector.page().values_of("web-1"), [1.0], "the honest one is undisturbed");
}

#[test]
fn the_shared_token_for_an_agent_that_has_its_own() {
    let files = Files::new();
    is_refused(&collector(&files), &who("web-1").showing("token of all"), "wrong_token");
}

#[test]
fn the_shared_token_wrong() {
    let files = Files::new();
    let collector = collector(&files);
    for wrong in ["", "token of al", "token of all ", "Token of all", "token of web-1"] {
        let cause = if wrong.is_empty() { "no_credential" } else { "wrong_token" };
        is_refused(&collector, &who("db-1").showing(wrong), cause);
    }
}

#[test]
fn no_credential() {
    let files = Files::new();
    let collector = collector(&files);
    for id in ["web-1", "db-1", "old"] {
        is_refused(&collector, &who(id), "no_credential");
    }
}

#[test]
fn the_token_of_a_retired_agent() {
    let files = Files::new();
    let collector = collector(&files);
    is_refused(&collector, &who("old").showing("token of all"), "unknown_agent");
}

#[test]
fn the_longest_legal_credential() {
    let longest = "x".repeat(MAX_CREDENTIAL_BYTES);
    let files = Files::new();
    let path = files.write("agents", &entry("agent = 'web-1'", &[&longest], ""));
    let collector = Collector::with(guarded(Some(&path), None, &[]));
    let web_1 = who("web-1").showing(&longest);
    let _agent = Agent::join(collector.agents, &web_1, &gauges(&["load"]), &[1.0]);
    assert!(collector.page().shows("web-1"));
    let other = "y".repeat(MAX_CREDENTIAL_BYTES);
    is_refused(&collector, &who("web-1").showing(&other), "wrong_token");
}

#[test]
fn whatever_is_wrong_the_answer_is_the_same_and_nothing_else() {
    let files = Files::new();
    let collector = collector(&files);
    let long = "x".repeat(MAX_CREDENTIAL_BYTES);
    let expected = answer(&collector, &who("web-1"));
    for (id, token) in [
        ("web-1", ""),
        ("web-1", "token of web-2"),
        ("web-1", &long),
        ("old", "token of all"),
        ("nobody", "token of nobody"),
    ] {
        assert_eq!(answer(&collector, &who(id).showing(token)), expected, "{id} {token}");
    }
    let reject = 8;
    assert_eq!(expected[3], reject, "it is one Reject");
    assert_eq!(expected.len(), 8 + usize::from(expected[4]), "and nothing behind it");
    assert!(collector.page().0.is_empty());
}

#[test]
fn what_is_wrong_with_the_rest_of_a_hello_is_not_told_to_strangers() {
    let files = Files::new();
    let collector = collector(&files);
    let labels = vec![crate::support::frames::label(&("job", "x"))];
    is_refused(&collector, &Who { labels, ..who("web-1") }, "no_credential");
}

#[test]
fn a_revoked_session_ends_and_one_that_is_not_goes_on() {
    let files = Files::new();
    let path = files.write("agents", &three());
    let rig = Rig::new(guarded(Some(&path), None, &[]));
    let schema = gauges(&["load"]);
    let join = |id: &str, token: &str| {
        let mut agent = rig.connect();
        agent.receives(&rig, &who(id).showing(token).hello(&schema));
        agent.receives(&rig, &[schema.bytes.clone(), report(1, &[1.0])].concat());
        agent.says();
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
    assert_eq!(one.says(), [Said::Reject(Code::CredentialRevoked)]);
    assert_eq!(one.close_reason(), Some(CloseReason::Rejected(Code::CredentialRevoked)));
    assert_eq!((two.close_reason(), stranger.close_reason()), (None, None));
    assert!(!rig.page().shows("web-1") && rig.page().shows("web-2"));
    // Its Hello is looked at by the new rules.
    stranger.receives(&rig, &who("web-1").showing("token of web-1").hello(&schema));
    assert_eq!(stranger.says(), [Said::Reject(Code::Unauthorized)]);
}

#[test]
fn a_challenger_whose_credential_is_revoked_does_not_inherit() {
    let files = Files::new();
    let path = files.write("agents", &three());
    let rig = Rig::new(guarded(Some(&path), None, &[]));
    let schema = gauges(&["load"]);
    let mut holder = rig.connect();
    holder.receives(&rig, &who("db-1").showing("token of all").hello(&schema));
    holder.receives(&rig, &[schema.bytes.clone(), report(1, &[1.0])].concat());
    let mut newcomer = rig.connect();
    newcomer.receives(&rig, &who("db-1").showing("token of all").on_host(2).hello(&schema));
    rig.collector.reload(
        guarded(Some(&files.write("agents", &entry("agent = 'x'", &["y"], ""))), None, &[]).auth,
    );
    newcomer.ticks(&rig);
    assert_eq!(newcomer.says(), [Said::Reject(Code::CredentialRevoked)]);
}

#[test]
fn a_signal_is_no_more_than_a_reason_to_look() {
    let files = Files::new();
    let rig = Rig::new(guarded(Some(&files.write("agents", &three())), None, &[]));
    let schema = gauges(&["load"]);
    let mut agent = rig.connect();
    agent.receives(&rig, &who("web-1").showing("token of web-1").hello(&schema));
    agent.says();
    agent.session.handle().raise(Signal::Revoked);
    agent.ticks(&rig);
    assert_eq!((agent.close_reason(), agent.says()), (None, Vec::new()));
}

#[test]
fn sessions_end_whose_labels_the_rules_do_not_allow_any_more() {
    let files = Files::new();
    let entries = |site: &str| {
        let pinned = format!("labels = {{ site = '{site}' }}");
        files.write(
            "agents",
            &(entry("agent = 'web-*'", &["web"], &pinned) + &entry("agent = '*'", &["all"], "")),
        )
    };
    let rig = Rig::new(guarded(Some(&entries("fra")), None, &[]));
    let schema = gauges(&["load"]);
    let come = |id, token, said: &[(&'static str, &'static str)]| {
        let mut agent = rig.connect();
        let labels = said.iter().map(crate::support::frames::label).collect();
        agent.receives(&rig, &Who { labels, ..who(id).showing(token) }.hello(&schema));
        agent.says();
        agent
    };
    let mut web = come("web-1", "web", &[("role", "a")]);
    web.receives(&rig, &[schema.bytes.clone(), report(1, &[1.0])].concat());
    // The labels of pending and challenging agents are checked as well.
    let (mut role, mut rack) =
        (come("db-1", "all", &[("role", "a")]), come("db-2", "all", &[("rack", "7")]));
    role.receives(&rig, &[schema.bytes.clone(), report(1, &[1.0])].concat());
    let mut waits = rig.connect();
    let labels = vec![crate::support::frames::label(&("rack", "8"))];
    let rival = Who { labels, ..who("db-1").showing("all") }.on_host(2);
    waits.receives(&rig, &rival.hello(&schema));
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
    // Another label is pinned: it comes back with that one.
    reload(&entries("ams"), &["role"]);
    web.ticks(&rig);
    role.ticks(&rig);
    assert_eq!((web.close_reason(), role.close_reason()), (revoked, None));
    assert!(!rig.page().shows("web-1"));
    let mut web = come("web-1", "web", &[("role", "a")]);
    web.receives(&rig, &[schema.bytes.clone(), report(1, &[2.0])].concat());
    let series = "load{agent=\"web-1\",role=\"a\",site=\"ams\"}";
    assert_eq!(rig.page().value(series), Some(2.0), "{}", rig.page().0);
}
