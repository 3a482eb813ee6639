//! An agent that reports metrics of every kind, with labels and texts that need escaping.

use std::time::Duration;

use fleetgauge_agent::catalogs::Catalogs;
use fleetgauge_agent::identity::Nonces;
use fleetgauge_agent::profile::Profile;
use fleetgauge_agent::tables::Sample;
use fleetgauge_proto::catalog::FamilyKind;
use fleetgauge_proto::message::{Catalog, Column, Family, Label, Table};
use fleetgauge_proto::report::ABSENT;
use fleetgauge_proto::{AgentId, StaticLabels};

use super::reporter::Reporter;

/// A label value with every character that must be escaped, and with non-ASCII characters.
pub(crate) const AWKWARD: &str = "C:\\new\n\"quoted\" – ü";

/// A series: index of its family, labels, parameters and values.
type Row = (usize, &'static [(&'static str, &'static str)], &'static [f64], &'static [f64]);

/// The series of the agent.
const SERIES: &[Row] = &[
    (0, &[("room", "north")], &[], &[21.5]),
    (0, &[("room", AWKWARD)], &[], &[-3.25]),
    (0, &[("room", "none")], &[], &[ABSENT]),
    (0, &[("room", "odd")], &[], &[f64::NEG_INFINITY]),
    (1, &[], &[], &[1e15]),
    (2, &[], &[0.1, 1.0, 2.5], &[3.0, 5.0, 6.0, 7.0, 12.5]),
    (3, &[], &[0.5, 0.99], &[0.2, 0.9, 40.0, 9.75]),
    (4, &[("release", "7.1"), ("colour", "green")], &[], &[1.0]),
    (5, &[], &[], &[0.125]),
];

/// One family of each kind but `CounterAsNamed`, whose name promtool would report.
const FAMILIES: &[(&str, FamilyKind, &str, &str)] = &[
    ("sampled_temperature_celsius", FamilyKind::Gauge, "celsius", "How warm it is \\ \"here\"\n."),
    ("sampled_sent_bytes", FamilyKind::Counter, "bytes", "What was sent."),
    ("sampled_wait_seconds", FamilyKind::Histogram, "seconds", "How long they waited."),
    ("sampled_answer_seconds", FamilyKind::Summary, "seconds", "How long answers took."),
    ("sampled_build", FamilyKind::Info, "", "What runs."),
    ("sampled_oddity", FamilyKind::Unknown, "", "Nobody knows."),
];

/// Id of the agent.
pub(crate) const ID: &str = "every.kind:1";

/// Connects and reports once. Pages show the agent until the result is dropped.
pub(crate) fn report_to(collector: &str) -> Reporter {
    report_as(ID, collector)
}

/// Like [`report_to`], with another id.
pub(crate) fn report_as(id: &str, collector: &str) -> Reporter {
    let values: Vec<f64> = SERIES.iter().flat_map(|(.., values)| values.iter().copied()).collect();
    report_once(&profile(id), &values, collector)
}

/// Connects with this profile and reports once. The agent is shown until the result is dropped.
pub(crate) fn report_once(profile: &Profile, values: &[f64], collector: &str) -> Reporter {
    let mut reporter = Reporter::connect(profile.clone(), collector);
    reporter.report(&Sample { rows: profile.catalogs.no_rows(), values: values.to_vec() });
    reporter
}

fn profile(id: &str) -> Profile {
    let label = |(name, value): &(&'static str, &'static str)| Label { name, value };
    let family = |&(name, kind, unit, help): &(_, FamilyKind, _, _)| {
        let kind = kind as u8;
        Family { name, kind, unit, help }
    };
    let column = |&(family, labels, parameters, values): &Row| Column {
        family: u32::try_from(family).unwrap(),
        width: u32::try_from(values.len()).unwrap(),
        decimals: 0,
        parameters: parameters.to_vec(),
        labels: labels.iter().map(label).collect(),
    };
    let columns = SERIES.iter().map(column).collect();
    let catalog = Catalog {
        stream: 0,
        slot: 0,
        families: FAMILIES.iter().map(family).collect(),
        tables: vec![Table { row_labels: Vec::new(), columns }],
    };
    Profile {
        id: AgentId::try_new(id).unwrap(),
        nonces: Nonces { host: [1; 16], process: [2; 16] },
        labels: StaticLabels::try_new(&[Label { name: "site", value: AWKWARD }]).unwrap(),
        interval: Duration::from_secs(60),
        agent_version: "test",
        catalogs: Catalogs::try_new(vec![catalog]).unwrap(),
    }
}
