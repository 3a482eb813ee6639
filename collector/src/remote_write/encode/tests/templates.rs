//! The template cache.

use super::super::cache::{MAX_CATALOGS, MAX_TEMPLATE_BYTES, MAX_TEMPLATES};
use super::*;

#[test]
fn agents_with_equal_names_share_templates() {
    let mut encoder = Encoder::new(Arc::default());
    let catalogs = [gauges(0, &["a", "b"])];
    for values in [["1", "2"], ["3", "4"]] {
        let [x, y] = values;
        let agent = Agent::new(&[("x", x), ("y", y)], &catalogs, &[], &[1.0]);
        let (request, _) = agent.request_by(&mut encoder);
        assert_eq!(decoded(&request), agent.series(&Rules::default()));
    }
    // One of the catalog and one of `fleetgauge_agent_up`.
    assert_eq!(encoder.cache.size().0, 2);
    let agent = Agent::new(&[("x", "1")], &catalogs, &[], &[1.0]);
    let (request, _) = agent.request_by(&mut encoder);
    assert_eq!(decoded(&request), agent.series(&Rules::default()));
    assert_eq!(encoder.cache.size().0, 4);
}

#[test]
fn agents_with_many_label_names_fill_no_memory() {
    let catalogs = [gauges(0, &["a"])];
    let agent = Agent::new(&[], &catalogs, &[], &[1.0]);
    let mut encoder = Encoder::new(Arc::default());
    let mut most = 0;
    for n in 0..MAX_TEMPLATES {
        let labels = format!("agent=\"a\",own_{n}=\"1\"");
        let (layout, mut out) = (agent.layout(), Vec::new());
        encoder.series(&labels, layout, &[agent.samples()], 0..2, &mut out);
        assert!(decoded(&out)[0].0.contains(&format!("own_{n}=")));
        most = most.max(encoder.cache.size().0);
    }
    // Each has a template of the catalog and one of `fleetgauge_agent_up`.
    assert_eq!(most, MAX_TEMPLATES);
}

#[test]
fn large_templates_of_many_label_names_fill_no_memory() {
    let long: &'static str = "x".repeat(1000).leak();
    let own = |column: u32| -> Vec<_> {
        (0..32).map(|n| (&*format!("l{column}_{n}").leak(), long)).collect()
    };
    let columns = (0..15).map(|n| column(n, 1, &own(n))).collect();
    let families: Vec<_> = (0..15).map(|n| family(format!("m{n}").leak(), 1)).collect();
    let tables = vec![Table { row_labels: vec![], columns }];
    let agent = Agent::new(&[], &[catalog(0, &families, tables)], &[], &[1.0]);
    let mut encoder = Encoder::new(Arc::default());
    let mut most = 0;
    for n in 0..80 {
        let labels = format!("agent=\"a\",own_{n}=\"1\"");
        let (layout, mut out) = (agent.layout(), Vec::new());
        encoder.series(&labels, layout, &[agent.samples()], 0..15, &mut out);
        most = most.max(encoder.cache.size().1);
    }
    assert!((MAX_TEMPLATE_BYTES / 2..=MAX_TEMPLATE_BYTES).contains(&most), "{most} bytes");
}

#[test]
fn agents_with_many_catalogs_fill_no_memory() {
    let first = Agent::new(&[], &[], &[], &[]);
    let rules = rules(|rules| {
        rules.rename_metrics = [("a".to_owned(), "b".to_owned())].into();
    });
    let mut encoder = Encoder::new(Arc::new(rules));
    let mut most = 0;
    for n in 0..MAX_CATALOGS + 10 {
        let catalog = gauges(0, &[format!("m{n}").leak()]);
        let labels = first.labels.clone();
        let agent = Agent::in_registry(&first.registry, labels, &[catalog], &[], &[1.0]);
        assert_eq!(agent.request_by(&mut encoder).1, 1);
        most = most.max(encoder.cache.compared_catalogs());
    }
    assert_eq!(most, MAX_CATALOGS);
    assert_eq!(encoder.cache.size().0, MAX_TEMPLATES);
}

/// Sequences of pieces are shared by columns without labels of their own; the text of labels is
/// stored once per column, not per bucket.
#[test]
fn histograms_and_wide_rows_take_memory_in_proportion_to_the_catalog() {
    let long: &'static str = "x".repeat(1000).leak();
    let own: Vec<_> = (0..32).map(|n| (&*format!("a{n}").leak(), long)).collect();
    let mut wide = column(0, 3, &own);
    wide.parameters = (0..256).map(f64::from).collect();
    wide.width = 258;
    let names: Vec<&'static str> = (0..32).map(|n| &*format!("b{n}").leak()).collect();
    let families: Vec<_> =
        (0..500).map(|n| family(format!("m{n}").leak(), if n == 0 { 3 } else { 1 })).collect();
    let columns = (1..500).map(|own| column(own, 1, &[])).collect();
    let tables = vec![
        Table { row_labels: vec![], columns: vec![wide] },
        Table { row_labels: names, columns },
    ];
    let agent = Agent::new(&[("dc", "fra")], &[catalog(0, &families, tables)], &[], &[1.0]);
    let mut encoder = Encoder::new(Arc::default());
    agent.request_by(&mut encoder);
    let (_, bytes) = encoder.cache.size();
    assert!(bytes < 200_000, "{bytes} bytes");
}

#[test]
fn encoding_again_allocates_nothing() {
    let agent = small_agent();
    let mut encoder = Encoder::new(Arc::default());
    let mut out = Vec::with_capacity(64 * 1024);
    let cells = 0..agent.layout().cells() + 1;
    let mut encode = |out: &mut Vec<u8>| {
        out.clear();
        let (labels, layout) = (&agent.labels, agent.layout());
        encoder.series(labels, layout, &[agent.samples()], cells.clone(), out)
    };
    encode(&mut out);
    let allocated = allocation_counter::measure(|| {
        encode(&mut out);
    });
    assert_eq!(allocated.count_total, 0);
}
