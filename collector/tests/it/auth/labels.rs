//! Labels that credentials pin, and labels that agents may set.

use fleetgauge_proto::Code;

use crate::support::agent::{Agent, Identity, identity};
use crate::support::collector::Collector;
use crate::support::frames::{GAUGE, catalog_of, family, gauges, label, labelled};
use crate::support::secrets::{Files, entry, guarded};

fn saying<'a>(labels: &[(&'a str, &'a str)]) -> Identity<'a> {
    let labels = labels.iter().map(label).collect();
    Identity { labels, ..identity("web-1").with_credential("token") }
}

fn collector(files: &Files) -> Collector {
    let entry = entry("agent = 'web-*'", &["token"], "labels = { site = 'fra', tenant = 'a' }");
    Collector::with(guarded(Some(&files.write("agents", &entry)), None, &["role"]))
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

/// The label that the credentials set is on every series, under another name if the series has one.
#[test]
fn label_of_another_tenant_on_a_series_does_not_hide_the_own() {
    let files = Files::new();
    let collector = collector(&files);
    let catalog = catalog_of(&[family("load", GAUGE)], &[labelled(0, &[("tenant", "b")])]);
    let _agent = Agent::join(collector.agents, &saying(&[]), &catalog, &[1.0]);
    let page = collector.page();
    let labels =
        |series: &str| series.contains(",agent_tenant=\"") && series.contains(",tenant=\"b\"");
    assert!(page.samples().all(|(series, _)| labels(series)), "{}", page.0);
    assert_eq!(page.samples().count(), 1);
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
