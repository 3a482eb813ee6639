//! Pages of agents that pass on samples of other exporters.

use std::collections::BTreeMap;

use fleetgauge_page::{Format, Item, Reader, unescape};
use fleetgauge_proto::message::{Family, Table};

use super::OPENMETRICS;
use crate::support::agent::{Agent, Identity, identity};
use crate::support::collector::Collector;
use crate::support::frames::{
    COUNTER, COUNTER_AS_NAMED, CatalogFrame, GAUGE, UNKNOWN, catalog_in, change, family, label,
    labelled, rows, single, table,
};

const PAGES: [(&[&str], Format); 2] = [(&[], Format::Text), (&[OPENMETRICS], Format::OpenMetrics)];

/// Sample names and labels with their values, and the types of families.
#[derive(Debug, Default, PartialEq)]
struct Parsed {
    samples: BTreeMap<(String, BTreeMap<String, String>), f64>,
    kinds: BTreeMap<String, &'static str>,
}

impl Parsed {
    /// Parses a page with the strict parser, which finds repeated series and split families.
    fn read(collector: &Collector, path: &str, headers: &[&str], format: Format) -> Self {
        let answer = collector.get(path, headers);
        assert_eq!((answer.status, answer.whole), (200, true), "{path}");
        let mut page = Self::default();
        let mut on_read = |read: Result<Item<'_>, _>| match read {
            Ok(Item::Family(family)) => {
                page.kinds.insert(family.name.clone(), family.kind);
            }
            Ok(Item::Sample(sample)) => {
                let labels = sample.labels.iter();
                let labels = labels.map(|(name, value)| {
                    (name.to_owned(), unescape(value, true).expect("a legal value"))
                });
                let key = (sample.name.to_owned(), labels.collect());
                assert_eq!(page.samples.insert(key, sample.value), None, "a series twice");
            }
            Err(invalid) => panic!("{invalid:?} on {path}"),
        };
        let mut reader = Reader::new(format);
        reader.push(answer.text().as_bytes(), &mut on_read);
        reader.finish(&mut on_read);
        page
    }

    fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.samples.get(&(name.to_owned(), labels.collect())).copied()
    }

    fn samples_of(&self, agent: &str) -> usize {
        let of_agent =
            |labels: &BTreeMap<String, String>| labels.get("agent").is_some_and(|own| own == agent);
        self.samples.keys().filter(|(_, labels)| of_agent(labels)).count()
    }
}

/// The samples of a database's exporter, as rows of the exporters.
fn database() -> CatalogFrame {
    let families = [
        family("query_seconds_bucket", COUNTER_AS_NAMED),
        family("query_seconds_count", COUNTER_AS_NAMED),
        family("query_seconds_sum", UNKNOWN),
        family("gc_seconds", UNKNOWN),
        family("process_cpu_seconds_total", COUNTER_AS_NAMED),
        family("process_open_fds", GAUGE),
    ];
    let tables = [
        table(&["job", "instance", "le"], &[single(0)]),
        table(&["job", "instance"], &[1, 2, 4, 5].map(single)),
        table(&["instance", "job", "quantile"], &[single(3)]),
    ];
    catalog_in(0, &families, &tables)
}

/// Joins an agent that passes on the samples of these exporters. All values are `value`.
fn passes_on(collector: &Collector, id: &str, instances: &[&'static str], value: f64) -> Agent {
    let catalog = database();
    let labels = vec![label(&("agent_job", "x")), label(&("dc", "fra"))];
    let named = Identity { labels, ..identity(id) };
    let mut agent = Agent::open(collector.agents, &named, &catalog);
    let job = "mysql";
    let buckets = instances.iter().flat_map(|own| [job, own, "+Inf", job, own, "0.50"]);
    let plain = instances.iter().flat_map(|own| [job, own]);
    let quantiles = instances.iter().flat_map(|own| [*own, job, "0.9"]);
    agent.send(&rows(&[
        change(0, 0, &[], &buckets.collect::<Vec<_>>()),
        change(0, 1, &[], &plain.collect::<Vec<_>>()),
        change(0, 2, &[], &quantiles.collect::<Vec<_>>()),
    ]));
    agent.report(&vec![value; 7 * instances.len()]);
    agent
}

#[test]
fn samples_of_exporters_keep_their_labels() {
    let collector = Collector::start();
    // Two exporters with the same families on one agent, and one of them on another agent as well.
    let agents = [
        passes_on(&collector, "one", &["db:1", "db:2"], 1.0),
        passes_on(&collector, "two", &["db:1"], 2.0),
    ];
    for (headers, format) in PAGES {
        let page = Parsed::read(&collector, "/metrics", headers, format);
        assert_eq!((page.samples_of("one"), page.samples_of("two")), (14, 7));
        for (id, instance, value) in
            [("one", "db:1", 1.0), ("one", "db:2", 1.0), ("two", "db:1", 2.0)]
        {
            let fixed = [("agent", id), ("agent_job", "x"), ("dc", "fra")];
            let fixed = [&fixed[..], &[("job", "mysql"), ("instance", instance)]].concat();
            for (name, more) in [
                ("query_seconds_bucket", &[("le", "0.50")][..]),
                ("query_seconds_bucket", &[("le", "+Inf")]),
                ("query_seconds_count", &[]),
                ("query_seconds_sum", &[]),
                ("gc_seconds", &[("quantile", "0.9")]),
                ("process_cpu_seconds_total", &[]),
                ("process_open_fds", &[]),
            ] {
                let labels = [&fixed, more].concat();
                assert_eq!(page.value(name, &labels), Some(value), "{name} {labels:?}");
            }
            let own = Parsed::read(&collector, &format!("/metrics/agents/{id}"), headers, format);
            assert_eq!(own.samples_of(id), own.samples.len());
            assert_eq!(own.samples.len(), page.samples_of(id));
        }
        let name = if format == Format::Text {
            "process_cpu_seconds_total"
        } else {
            "process_cpu_seconds"
        };
        assert_eq!(page.kinds[name], "counter");
        if cfg!(target_os = "linux") {
            assert!(page.value("process_open_fds", &[]).is_some(), "the collector's own");
        }
    }
    let discovered = collector.get("/sd/agents", &[]).text();
    assert!(discovered.contains("\"instance\":\"one\""), "{discovered}");
    assert!(!discovered.contains("db:1"), "{discovered}");
    drop(agents);
}

#[test]
fn exporter_that_shares_counters_with_an_agent_of_another_kind_has_one_family() {
    let collector = Collector::start();
    let own = [family("requests", COUNTER)];
    let own = catalog_in(0, &own, &[table(&[], &[labelled(0, &[("le", "x")])])]);
    let own = Agent::join(collector.agents, &identity("own"), &own, &[1.0]);
    let passed = [family("requests_total", COUNTER_AS_NAMED)];
    let passed = catalog_in(0, &passed, &[table(&["job", "instance"], &[single(0)])]);
    let mut other = Agent::open(collector.agents, &identity("other"), &passed);
    other.send(&rows(&[change(0, 0, &[], &["web", "a:1", "web", "b:1"])]));
    other.report(&[2.0, 3.0]);
    for (headers, format) in PAGES {
        let page = Parsed::read(&collector, "/metrics/agents", headers, format);
        assert_eq!(page.kinds.values().collect::<Vec<_>>(), [&"counter"]);
        assert_eq!(page.samples.len(), 3);
        assert_eq!(page.value("requests_total", &[("agent", "own"), ("le", "x")]), Some(1.0));
        let passed = [("agent", "other"), ("job", "web"), ("instance", "b:1")];
        assert_eq!(page.value("requests_total", &passed), Some(3.0));
    }
    drop((own, other));
}

/// As many families as node_exporter and a database's exporter have together.
#[test]
fn page_of_many_families_and_agents_has_no_series_twice() {
    const FAMILIES: usize = 900;
    const AGENTS: usize = 8;
    let kinds = [("", GAUGE), ("_total", COUNTER_AS_NAMED), ("_bucket", UNKNOWN)];
    // Every gauge has the name of a counter, as in exporters in Go.
    let families: Vec<_> =
        (0..FAMILIES).map(|n| (format!("f{}{}", n / 3, kinds[n % 3].0), kinds[n % 3].1)).collect();
    let families: Vec<Family<'_>> =
        families.iter().map(|(name, kind)| family(name, *kind)).collect();
    let columns = |kind: usize| (kind..FAMILIES).step_by(3).map(|n| single(n as u32));
    let plain: Vec<_> = columns(0).chain(columns(1)).collect();
    let tables: [Table<'_>; 2] = [
        table(&["job", "instance"], &plain),
        table(&["job", "instance", "le"], &columns(2).collect::<Vec<_>>()),
    ];
    let catalog = catalog_in(0, &families, &tables);
    let collector = Collector::start();
    let agents = (0..AGENTS).map(|n| {
        let id = format!("agent-{n}");
        let mut agent = Agent::open(collector.agents, &identity(&id), &catalog);
        agent.send(&rows(&[
            change(0, 0, &[], &["node", "a:1", "node", "b:1"]),
            change(0, 1, &[], &["node", "a:1", "1", "node", "b:1", "1"]),
        ]));
        agent.report(&vec![1.0; 2 * FAMILIES]);
        agent
    });
    let agents: Vec<_> = agents.collect();
    for (headers, format) in PAGES {
        let page = Parsed::read(&collector, "/metrics/agents", headers, format);
        assert_eq!(page.kinds.len(), FAMILIES);
        assert_eq!(page.samples.len(), 2 * FAMILIES * AGENTS);
    }
    drop(agents);
}
