//! Labels that credentials pin, and labels that agents may set.

use fleetgauge_proto::Code;

use crate::support::agent::{Agent, Identity, Received, identity};
use crate::support::collector::Collector;
use crate::support::frames::{
    GAUGE, catalog_in, catalog_of, family, gauges, label, labelled, single, table,
};
use crate::support::secrets::{Files, entry, guarded};

fn saying<'a>(labels: &[(&'a str, &'a str)]) -> Identity<'a> {
    let labels = labels.iter().map(label).collect();
    Identity { labels, ..identity("web-1").with_credential("token") }
}

fn collector(files: &Files) -> Collector {
    let pinned = entry("agent = 'web-*'", &["token"], "labels = { site = 'fra', tenant = 'a' }");
    let entries = format!("{pinned}\n{}", entry("agent = 'other'", &["other-token"], ""));
    Collector::with(guarded(Some(&files.write("agents", &entries)), None, &["role"]))
}

#[test]
fn pinned_labels_are_on_every_series() {
    let files = Files::new();
    let collector = collector(&files);
    for (said, shown) in [
        (&[][..], "site=\"fra\",tenant=\"a\""),
        (&[("tenant", "a")], "site=\"fra\",tenant=\"a\""),
        (&[("role", "db")], "role=\"db\",site=\"fra\",tenant=\"a\""),
    ] {
        let _agent = Agent::join(collector.agents, &saying(said), &gauges(&["load"]), &[1.0]);
        let series = format!("load{{agent=\"web-1\",{shown}}}");
        assert_eq!(collector.page().value(&series), Some(1.0), "{}", collector.page().0);
    }
}

#[test]
fn label_of_another_tenant_is_rejected() {
    let files = Files::new();
    let collector = collector(&files);
    for (said, named) in
        [(&[("tenant", "b")][..], "tenant"), (&[("site", "")], ""), (&[("rack", "7")], "rack")]
    {
        let mut agent = Agent::greet(collector.agents, &saying(said), &gauges(&["load"]));
        if named.is_empty() {
            // A label with an empty value is no label.
            agent.expect_welcome(&gauges(&["load"]));
            continue;
        }
        let (text, retry) = agent.expect_reject(Code::LabelNotAllowed);
        assert!(text.contains(named) && retry.is_none(), "{text}");
    }
    assert!(collector.page().0.is_empty());
}

#[test]
fn series_with_a_label_of_another_tenant_is_rejected() {
    let files = Files::new();
    let collector = collector(&files);
    let families = [family("load", GAUGE)];
    let in_column = catalog_of(&families, &[labelled(0, &[("tenant", "b")])]);
    let in_rows = catalog_in(0, &families, &[table(&["tenant"], &[single(0)])]);
    for catalog in [&in_column, &in_rows] {
        let mut agent = Agent::greet(collector.agents, &saying(&[]), catalog);
        agent.expect_welcome(catalog);
        agent.send(&catalog.bytes);
        let (text, retry) = agent.expect_reject(Code::LabelNotAllowed);
        assert!(text.contains("tenant") && retry.is_none(), "{text}");
    }
    // An agent that was connected with an allowed catalog, and one whose catalog is known.
    let mut agent = Agent::join(collector.agents, &saying(&[]), &gauges(&["load"]), &[1.0]);
    agent.send(&in_column.bytes);
    agent.expect_reject(Code::LabelNotAllowed);
    let other = identity("other").with_credential("other-token");
    let mut known = Agent::join(collector.agents, &other, &in_column, &[1.0]);
    known.report(&[2.0]);
    let mut agent = Agent::greet(collector.agents, &saying(&[]), &in_column);
    assert_eq!(agent.receive(), Received::Welcome { interval_ms: 15_000, catalogs_known: false });
    agent.send(&in_column.bytes);
    agent.expect_reject(Code::LabelNotAllowed);
    assert_eq!(collector.page().values_of("other"), [2.0]);
    assert!(!collector.page().shows("web-1"));
}

#[test]
fn welcome_names_the_labels_that_the_credential_pins() {
    let files = Files::new();
    let collector = collector(&files);
    let mut agent = Agent::greet(collector.agents, &saying(&[]), &gauges(&["load"]));
    assert_eq!(agent.expect_pinned_labels(), ["site", "tenant"]);
    let other = identity("other").with_credential("other-token");
    let mut agent = Agent::greet(collector.agents, &other, &gauges(&["load"]));
    assert!(agent.expect_pinned_labels().is_empty());
}

#[test]
fn labels_can_be_forbidden_without_credentials() {
    let collector = Collector::with(guarded(None, None, &[""]));
    let _agent = Agent::join(collector.agents, &identity("web-1"), &gauges(&["load"]), &[1.0]);
    let labels = vec![label(&("role", "db"))];
    let other = Identity { labels, ..identity("web-2") };
    let mut agent = Agent::greet(collector.agents, &other, &gauges(&["load"]));
    agent.expect_reject(Code::LabelNotAllowed);
    assert_eq!(collector.rejects("label_not_allowed"), 1.0);
}
