//! Static labels with the names of row labels or column labels.

use std::collections::BTreeSet;

use super::*;

/// A catalog of the gauge `load` with the column label `mode`, and a table of rows by `device` and
/// `agent_device` with the gauge `used`.
fn catalog_with_labels(registry: &Registry) -> CatalogPin {
    let mode = Column { labels: vec![rows::label("mode", "idle")], ..column(0) };
    let host = Table { row_labels: vec![], columns: vec![mode, column(2)] };
    let disk = Table { row_labels: vec!["device", "agent_device"], columns: vec![column(1)] };
    let families = [("load", GAUGE), ("used", GAUGE), ("up", GAUGE)];
    pin(registry, 1, catalog_of(&families, vec![host, disk]))
}

/// An agent with these static labels, and the rows (`sda`, `x`) and (`sdb`, ``).
fn labelled(registry: &Registry, id: &str, session: u64, labels: &str) -> Arc<RegisteredAgent> {
    let catalog = catalog_with_labels(registry);
    let mut values = PendingValues::empty();
    registry.set_catalog(&mut values, 0, catalog).unwrap();
    let rows = change(0, 1, &[], &["sda", "x", "sdb", ""]);
    registry.change_rows(&mut values, &[rows], &Limits::default()).unwrap();
    apply(&mut values, &[1.0, 2.0, 3.0, 4.0]);
    let labels = format!("agent=\"{id}\"{labels}").into();
    let agent = PendingAgent { labels, ..pending(id, session) };
    registry.enter(&agent, values, 0).unwrap().agent
}

/// `device` cannot become `agent_device`, so `mode` gets two prefixes as well.
#[test]
fn colliding_static_labels_get_a_prefix() {
    let registry = registry();
    let _ = labelled(&registry, "a", 1, ",dc=\"fra\",device=\"d\",mode=\"m\"");
    let _ = labelled(&registry, "b", 2, ",dc=\"fra\"");
    let expected = [
        "load{agent=\"a\",dc=\"fra\",device=\"d\",agent_agent_mode=\"m\",mode=\"idle\"} 1",
        "load{agent=\"b\",dc=\"fra\",mode=\"idle\"} 1",
        "up{agent=\"a\",dc=\"fra\",device=\"d\",mode=\"m\"} 2",
        "up{agent=\"b\",dc=\"fra\"} 2",
        "used{agent=\"a\",dc=\"fra\",agent_agent_device=\"d\",mode=\"m\",device=\"sda\",\
            agent_device=\"x\"} 3",
        "used{agent=\"a\",dc=\"fra\",agent_agent_device=\"d\",mode=\"m\",device=\"sdb\"} 4",
        "used{agent=\"b\",dc=\"fra\",device=\"sda\",agent_device=\"x\"} 3",
        "used{agent=\"b\",dc=\"fra\",device=\"sdb\"} 4",
    ];
    assert_eq!(page(&registry), expected);
}

#[test]
fn prefixed_labels_do_not_collide_again() {
    let registry = registry();
    // Names with one and two prefixes are taken, so all renamed labels get three.
    let labels =
        ",agent_device=\"1\",device=\"2\",agent_agent_device=\"3\",agent_mode=\"4\",mode=\"5\"";
    let agent = labelled(&registry, "a", 1, labels);
    let lines = page(&registry);
    for line in &lines {
        let labels = line.split_once('{').unwrap().1.split_once('}').unwrap().0;
        let names: Vec<_> =
            labels.split(',').map(|label| label.split_once('=').unwrap().0).collect();
        let distinct: BTreeSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len(), "{line}");
    }
    assert!(lines[0].starts_with("load{"), "{lines:?}");
    assert!(lines[0].contains(",agent_agent_agent_mode=\"5\",mode=\"idle\"}"), "{lines:?}");
    snapshots::assert_page_is_bounded(&agent, &registry.snapshot_of("a").unwrap());
}

/// Agents with fixed layouts are copied as a block, or one by one for a shard.
#[test]
fn colliding_static_labels_of_agents_in_a_block_get_a_prefix() {
    let registry = registry();
    let mode = Column { labels: vec![rows::label("mode", "idle")], ..column(0) };
    let tables = vec![Table { row_labels: vec![], columns: vec![mode, column(1)] }];
    let catalog = pin(&registry, 1, catalog_of(&[("load", GAUGE), ("up", GAUGE)], tables));
    let mut expected = Vec::new();
    for session in 1..200 {
        let id = format!("a{session}");
        let collides = session % 3 == 0;
        let labels = format!("agent=\"{id}\"{}", if collides { ",mode=\"m\"" } else { "" });
        let agent = PendingAgent { labels: labels.into(), ..pending(&id, session) };
        registry.enter(&agent, values_of(&registry, &catalog, &[1.0, 2.0]), 0).unwrap();
        let (renamed, plain) =
            if collides { (",agent_mode=\"m\"", ",mode=\"m\"") } else { ("", "") };
        expected.push(format!("load{{agent=\"{id}\"{renamed},mode=\"idle\"}} 1"));
        expected.push(format!("up{{agent=\"{id}\"{plain}}} 2"));
    }
    expected.sort();
    assert_eq!(page(&registry), expected);
    let shards = (0..3).map(|shard| registry.snapshot_of_shard(FleetShard::new(shard, 3)));
    let mut sharded: Vec<_> = shards.flat_map(|snapshot| lines(&snapshot)).collect();
    sharded.sort();
    assert_eq!(sharded, expected);
}

#[test]
fn text_of_a_label_value_is_no_label() {
    let registry = registry();
    let _ = labelled(&registry, "a", 1, ",dc=\",mode=\",mode=\"m,device=\"");
    let lines = page(&registry);
    assert_eq!(lines[1], "up{agent=\"a\",dc=\",mode=\",mode=\"m,device=\"} 2");
    assert_eq!(
        lines[0],
        "load{agent=\"a\",dc=\",mode=\",agent_mode=\"m,device=\",mode=\"idle\"} 1"
    );
}

/// If the new name could equal a row label, both series would be
/// `m{agent,agent_p="1",p="1",a="x"}`.
#[test]
fn prefixed_labels_do_not_make_series_equal() {
    let registry = registry();
    let one = Column { labels: vec![rows::label("p", "1")], ..column(0) };
    let first = Table { row_labels: vec!["a"], columns: vec![one] };
    let second = Table { row_labels: vec!["a", "agent_p"], columns: vec![column(0)] };
    let catalog = pin(&registry, 1, catalog_of(&[("m", GAUGE)], vec![first, second]));
    let mut values = PendingValues::empty();
    registry.set_catalog(&mut values, 0, catalog).unwrap();
    let limits = Limits::default();
    registry.change_rows(&mut values, &[change(0, 0, &[], &["x"])], &limits).unwrap();
    registry.change_rows(&mut values, &[change(0, 1, &[], &["x", "1"])], &limits).unwrap();
    apply(&mut values, &[1.0, 2.0]);
    let labels = "agent=\"a\",p=\"1\"".into();
    registry.enter(&PendingAgent { labels, ..pending("a", 1) }, values, 0).unwrap();
    let mut series = BTreeSet::new();
    for line in page(&registry) {
        let labels = line.split_once('{').unwrap().1.split_once('}').unwrap().0;
        let labels: BTreeSet<_> = labels.split(',').map(str::to_owned).collect();
        assert!(series.insert(labels), "{line}");
    }
    assert_eq!(series.len(), 2);
}
