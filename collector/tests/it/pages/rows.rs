//! Pages of agents with rows.

use super::{OPENMETRICS, grammar};
use crate::support::agent::{Agent, Identity, identity};
use crate::support::collector::Collector;
use crate::support::frames::{
    GAUGE, HISTOGRAM, add_disks, catalog_in, change, disks, family, label, labelled, rows, single,
    table, wide,
};

#[test]
fn rows_of_many_agents_are_on_the_page_until_they_are_removed() {
    let collector = Collector::start();
    let ids: Vec<_> = (0..20).map(|n| format!("a{n}")).collect();
    let mut agents: Vec<_> = ids
        .iter()
        .map(|id| Agent::join(collector.agents, &identity(id), &disks(), &[1.0]))
        .collect();
    let devices: Vec<_> = (0..20).map(|n| format!("nvme{n:02}")).collect();
    let devices: Vec<_> = devices.iter().map(String::as_str).collect();
    for (n, agent) in agents.iter_mut().enumerate() {
        agent.send(&add_disks(&devices[..n]));
        agent.report(&vec![n as f64; 1 + 2 * n]);
    }
    let page = collector.page();
    assert_eq!(page.samples().count(), 20 + 2 * 190);
    for (n, id) in ids.iter().enumerate() {
        assert_eq!(page.values_of(id), vec![n as f64; 1 + 2 * n], "{id}");
        assert_eq!(
            collector.page_at(&format!("/metrics/agents/{id}")).samples().count(),
            1 + 2 * n
        );
    }
    for (n, agent) in agents.iter_mut().enumerate() {
        let all: Vec<u32> = (0..n as u32).collect();
        agent.send(&rows(&[change(0, 1, &all, &[])]));
        agent.report(&[2.0]);
    }
    assert_eq!(collector.page().samples().count(), 20);
}

#[test]
fn page_with_rows_and_renamed_labels_obeys_the_grammar() {
    let collector = Collector::start();
    let families = [family("delay", HISTOGRAM), family("used", GAUGE), family("load", GAUGE)];
    let mode = labelled(2, &[("mode", "idle")]);
    let row_labels = ["device", "path"];
    let tables = [table(&row_labels, &[wide(0, &[0.5, 1.0]), single(1)]), table(&[], &[mode])];
    let catalog = catalog_in(0, &families, &tables);
    let labels = vec![label(&("device", "d")), label(&("mode", "m")), label(&("dc", "fra"))];
    let named = Identity { labels, ..identity("a") };
    let mut agent = Agent::open(collector.agents, &named, &catalog);
    let added = ["", "/a\n\"b\\", "", "/b", "sda", ""];
    agent.send(&rows(&[change(0, 0, &[], &added)]));
    agent.report(&[1.0; 16]);
    let page = collector.page();
    for series in [
        "load{agent=\"a\",dc=\"fra\",device=\"d\",agent_mode=\"m\",mode=\"idle\"}",
        "used{agent=\"a\",dc=\"fra\",agent_device=\"d\",mode=\"m\",path=\"/a\\n\\\"b\\\\\"}",
        "used{agent=\"a\",dc=\"fra\",agent_device=\"d\",mode=\"m\",device=\"sda\"}",
        "delay_bucket{agent=\"a\",dc=\"fra\",agent_device=\"d\",mode=\"m\",path=\"/b\",le=\"0.5\"}",
    ] {
        assert_eq!(page.value(series), Some(1.0), "{series} is not in {}", page.0);
    }
    for (headers, openmetrics) in [(&[][..], false), (&[OPENMETRICS][..], true)] {
        for path in ["/metrics/agents", "/metrics/agents/a"] {
            grammar::check(&collector.get(path, headers).text(), openmetrics);
        }
    }
}
