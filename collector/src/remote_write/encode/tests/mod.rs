pub(crate) mod fixture;
mod pages;
mod renames;
mod templates;
mod version_2;

use fleetgauge_proto::message::Table;
use fleetgauge_proto::report::ABSENT;

use super::super::rules::Rules;
use super::*;
use fixture::{Agent, TIME, catalog, column, decoded, family, gauges, rules};

/// The request of an agent with a gauge, a histogram with an absent value, and a table of rows.
const REQUEST: &str = include_str!("request.hex");

fn small_agent() -> Agent {
    let families = [family("load", 1), family("wait_seconds", 3), family("disk_bytes", 2)];
    let fixed = vec![column(0, 1, &[("mode", "idle")]), column(1, 3, &[])];
    let tables = vec![
        Table { row_labels: vec![], columns: fixed },
        Table { row_labels: vec!["device"], columns: vec![column(2, 2, &[])] },
    ];
    let rows = [(0, 1, vec!["sda", "sdb"])];
    let values = [0.5, 1.0, 2.0, 3.0, 4.0, 5.5, 77.0, ABSENT];
    Agent::new(&[("dc", "fra")], &[catalog(0, &families, tables)], &rows, &values)
}

#[test]
fn request_has_the_bytes_of_the_test_vector() {
    let (request, samples) = small_agent().request(&Rules::default());
    assert_eq!(samples, 1 + 6 + 1 + 1);
    let hex: String = request.iter().map(|byte| format!("{byte:02x}")).collect();
    let expected: String = REQUEST.split_whitespace().collect();
    assert_eq!(hex, expected);
}

#[test]
fn uppercase_names_come_before_the_metric_name() {
    let families = [family("load", 1)];
    let columns = vec![column(0, 1, &[("Zone", "z"), ("_x", "y")])];
    let tables = vec![Table { row_labels: vec!["A"], columns }];
    let agent =
        Agent::new(&[("B", "b")], &[catalog(0, &families, tables)], &[(0, 0, vec!["a"])], &[1.0]);
    let expected = r#"A="a",B="b",Zone="z",__name__="load",_x="y",agent="web-1""#;
    assert_eq!(agent.names(&rules(|_| ())), [expected]);
}

#[test]
fn empty_row_labels_are_left_out() {
    let tables = vec![Table { row_labels: vec!["a", "z"], columns: vec![column(0, 1, &[])] }];
    let rows = [(0, 0, vec!["", "1", "2", "", "3", "4"])];
    let agent = Agent::new(&[], &[catalog(0, &[family("load", 1)], tables)], &rows, &[1.0]);
    let expected = [
        r#"__name__="load",agent="web-1",z="1""#,
        r#"__name__="load",a="2",agent="web-1""#,
        r#"__name__="load",a="3",agent="web-1",z="4""#,
    ];
    assert_eq!(agent.names(&rules(|_| ())), expected);
}

#[test]
fn labels_of_all_origins_at_their_maximum_are_sorted() {
    let name = |prefix: char, n: usize| -> &'static str { format!("{prefix}{n}").leak() };
    let long: &'static str = "ü".repeat(512).leak();
    let names =
        |first: usize| move |n: usize| name(['a', 'b', 'c'][(n + first) % 3], n * 3 + first);
    let statics: Vec<_> = (0..32).map(|n| (names(0)(n), long)).collect();
    let own: Vec<_> = (0..32).map(|n| (names(1)(n), long)).collect();
    let tables = vec![Table {
        row_labels: (0..32).map(names(2)).collect(),
        columns: vec![column(0, 3, &own)],
    }];
    let external = (0..32).map(|n| (format!("d{n}"), "e".repeat(1024))).collect();
    let rows = [(0, 0, vec![long; 32])];
    let catalog = catalog(0, &[family("load", 3)], tables);
    let agent = Agent::new(&statics, &[catalog], &rows, &[1.0]);
    let series = agent.names(&rules(|rules| rules.external_labels = external));
    assert_eq!(series.len(), 6);
    assert_eq!(series[0].matches('=').count(), 1 + 1 + 4 * 32 + 1);
}

#[test]
fn agent_without_catalogs_is_up() {
    let agent = Agent::new(&[("dc", "x\"y")], &[], &[], &[]);
    let expected = r#"__name__="fleetgauge_agent_up",agent="web-1",dc="x\"y""#;
    assert_eq!(agent.series(&Rules::default()), [(expected.to_owned(), 1.0_f64.to_bits())]);
    assert_eq!(agent.series(&rules(|_| ())), []);
}

#[test]
fn port_of_a_classic_client_is_a_label() {
    let mut agent = Agent::new(&[("dc", "fra")], &[gauges(0, &["load"])], &[], &[1.0]);
    agent.labels = "agent=\"web-1\",client_no=\"4711\",dc=\"fra\"".into();
    let expected = r#"__name__="load",agent="web-1",client_no="4711",dc="fra""#;
    assert_eq!(agent.names(&rules(|_| ())), [expected]);
}

#[test]
fn markers_are_written_for_the_given_series_only() {
    let agent = small_agent();
    let all = agent.present();
    assert_eq!(all.len(), 4);
    let mut gone = agent.values.clone();
    // A bucket of the histogram.
    gone[2] = ABSENT;
    let vanished = all.minus(&CellSet::of(agent.layout(), &gone)).unwrap();
    let mut encoder = Encoder::new(Arc::default());
    let mut out = Vec::new();
    let cells = 0..agent.layout().cells() + 1;
    let markers = Points::markers(&vanished, TIME);
    let written = encoder.series(&agent.labels, agent.layout(), &[markers], cells, &mut out);
    let markers = decoded(&out);
    assert_eq!(written, Written { samples: 0, markers: 6 });
    assert_eq!(markers.len(), 6);
    for (labels, value) in markers {
        assert!(labels.contains("wait_seconds"), "{labels}");
        assert_eq!(value, 0x7ff0_0000_0000_0002);
    }
}

#[test]
fn too_few_values_are_absent() {
    let mut agent = small_agent();
    for len in 0..agent.values.len() {
        agent.values.truncate(agent.values.len() - 1);
        let series = agent.series(&rules(|_| ()));
        assert!(series.len() < 9, "{len}");
        assert!(agent.present().len() <= 4);
    }
}
