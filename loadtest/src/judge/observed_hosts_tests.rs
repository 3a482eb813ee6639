//! Tests with pages of one wide host: every error is found, and nothing else.

use std::collections::BTreeSet;
use std::time::Duration;

use fleetgauge_page::{Item, ReadResult, Reader};
use fleetgauge_proto::report::is_absent;

use super::super::observed_page::ObservedPage;
use super::*;
use crate::agent_range::AgentRange;
use crate::host_profile::rows::Row;
use crate::host_profile::{HostModel, HostProfile};
use crate::sim_values::{agent_name, static_labels};

const AGENT: u32 = 3;
const LABELS: u8 = 2;
/// Index of the table of disks.
const DISK: usize = 3;
/// Sequence number of the report that the tests use.
const NOW: u64 = 20;

/// A model in which every row of a device is replaced every 2.5 reports, on average.
fn churning() -> HostModel {
    HostModel::try_new(HostProfile::Node, 0.4, Duration::from_secs(15)).unwrap()
}

/// A model without row churn.
fn stable() -> HostModel {
    HostModel { profile: HostProfile::Node, ..HostModel::default() }
}

/// A line of a page; the page has the lines of a family together.
#[derive(Debug, Clone)]
struct PageLine {
    name: String,
    labels: String,
    value: f64,
}

/// The lines of one row of a report.
fn row_lines(layout: &HostLayout, agent: u32, table: usize, row: Row, at: u64) -> Vec<PageLine> {
    let spec = &TABLES[table];
    let mut labels = format!("agent=\"{}\"", agent_name(agent));
    for (name, value) in static_labels(agent, LABELS).unwrap().iter() {
        labels += &format!(",{name}=\"{value}\"");
    }
    let mut values = Vec::new();
    spec.push_row(agent, row, &mut values);
    for (name, value) in spec.row_labels.iter().zip(values) {
        labels += &format!(",{name}=\"{value}\"");
    }
    let line = |(column, pattern): (usize, &CellPattern)| {
        let family = spec.family_of(column);
        let has_mode = spec.column_of(family, None) != Some(column);
        let mode = if has_mode { format!(",mode=\"mode{column}\"") } else { String::new() };
        let value = pattern.cell(agent, row.generation).value(at);
        let labels = format!("{labels}{mode}");
        PageLine { name: spec.sample_name(family), labels, value }
    };
    let lines = layout.row(table, row.number).iter().enumerate().map(line);
    lines.filter(|line| !is_absent(line.value)).collect()
}

/// The lines of a host in a report.
fn lines(model: HostModel, agent: u32, at: u64) -> Vec<PageLine> {
    let layout = HostLayout::new(model.profile);
    let tables = 0..TABLES.len();
    let rows = tables.flat_map(|table| model.rows(agent, table, at).map(move |row| (table, row)));
    rows.flat_map(|(table, row)| row_lines(&layout, agent, table, row, at)).collect()
}

fn page(lines: &[PageLine]) -> String {
    let names: BTreeSet<_> = lines.iter().map(|line| &line.name).collect();
    let family = |name: &String| {
        let own = lines.iter().filter(|line| line.name == *name);
        let own = own.map(|line| format!("{name}{{{}}} {}\n", line.labels, line.value));
        let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
        format!("# TYPE {name} {kind}\n{}", own.collect::<String>())
    };
    names.into_iter().map(family).collect()
}

/// Reads a page as a worker that simulates the agents 3 and 4 of 0 to 9. Returns the findings on
/// its lines, and what the page shows of the two agents.
fn read(model: HostModel, lines: &[PageLine]) -> (Vec<Finding>, Vec<Shown>) {
    let mut observed = ObservedPage::new(PageScope {
        agents: AgentRange { first: AGENT, count: 2 },
        visible: AgentRange { first: 0, count: 10 },
        first_encoded_agent: AGENT,
        labels: LABELS,
        hosts: model,
    });
    let (mut reader, mut findings) = (Reader::default(), Vec::new());
    let mut see = |read: ReadResult<'_>| match read {
        Ok(Item::Sample(sample)) => findings.extend(observed.add(sample).err()),
        Ok(Item::Family(_)) => {}
        Err(invalid) => findings.push(Finding::Unreadable(invalid)),
    };
    reader.push(page(lines).as_bytes(), &mut see);
    reader.finish(&mut see);
    let shown = observed.own_agents().map(|(_, shown)| shown).collect();
    (findings, shown)
}

/// Reasons of the findings on a page with these lines of the first agent.
fn reasons(model: HostModel, lines: &[PageLine]) -> Vec<&'static str> {
    let (found, shown) = read(model, lines);
    let invalid = shown.into_iter().filter_map(|shown| match shown {
        Shown::Invalid(finding) => Some(finding),
        _ => None,
    });
    found.into_iter().chain(invalid).map(|finding| finding.reason()).collect()
}

/// Index of a line whose value changes with every report.
fn busy(lines: &[PageLine]) -> usize {
    let next = self::lines(stable(), AGENT, NOW + 1);
    lines
        .iter()
        .position(|line| value_of(line, &next).is_some_and(|next| next != line.value))
        .unwrap()
}

/// Value of the same series among other lines; `None` if it is absent.
fn value_of(line: &PageLine, among: &[PageLine]) -> Option<f64> {
    let same = |other: &&PageLine| other.name == line.name && other.labels == line.labels;
    among.iter().find(same).map(|other| other.value)
}

#[test]
fn complete_hosts_tell_their_report() {
    for model in [stable(), churning()] {
        for at in NOW..NOW + 50 {
            let both = [lines(model, AGENT, at), lines(model, AGENT + 1, at + 7)].concat();
            let expected = [Shown::Report(at..=at), Shown::Report(at + 7..=at + 7)];
            assert_eq!(read(model, &both), (vec![], expected.to_vec()), "{at}");
        }
    }
    assert_eq!(read(stable(), &[]), (vec![], vec![Shown::Nothing, Shown::Nothing]));
}

#[test]
fn series_of_other_workers_are_only_counted() {
    let mut others = lines(stable(), AGENT + 2, NOW);
    others[7].value += 1.0;
    assert_eq!(read(stable(), &others), (vec![], vec![Shown::Nothing, Shown::Nothing]));
    let strangers = lines(stable(), 10, NOW);
    assert_eq!(reasons(stable(), &strangers[..1]), ["unknown_series"]);
}

#[test]
fn attackers_of_the_basic_profile_are_no_finding() {
    let basic = |agent| PageLine {
        name: "sim_value_3".to_owned(),
        labels: format!("agent=\"{}\"", agent_name(agent)),
        value: 1.0,
    };
    assert_eq!(reasons(stable(), &[basic(9)]), [] as [&str; 0]);
    assert_eq!(reasons(stable(), &[basic(AGENT)]), ["unknown_series"]);
    assert_eq!(reasons(stable(), &[basic(10)]), ["unknown_series"]);
}

#[test]
fn a_torn_value_is_found() {
    for (now, other) in [(NOW, NOW - 1), (NOW, NOW + 1)] {
        let mut page = lines(stable(), AGENT, now);
        let torn = busy(&page);
        page[torn].value = value_of(&page[torn], &lines(stable(), AGENT, other)).unwrap();
        assert_eq!(reasons(stable(), &page), ["torn"], "{other}");
    }
}

#[test]
fn a_foreign_value_is_found() {
    let mut page = lines(stable(), AGENT, NOW);
    let own = page[100].value;
    let others = [lines(stable(), AGENT + 1, NOW)[100].value, page[101].value, 0.5, -1.0];
    for value in others.into_iter().chain([f64::NAN]) {
        page[100].value = value;
        assert_eq!(reasons(stable(), &page), ["foreign"], "{value}");
    }
    page[100].value = own;
    assert_eq!(reasons(stable(), &page), [] as [&str; 0]);
}

#[test]
fn a_missing_line_is_found() {
    for at in [0, 77, 400] {
        let mut page = lines(stable(), AGENT, NOW);
        page.remove(at);
        assert_eq!(reasons(stable(), &page), ["incomplete"]);
    }
    assert_eq!(reasons(stable(), &lines(stable(), AGENT, NOW)[..1]), ["incomplete"]);
}

#[test]
fn a_repeated_line_is_found() {
    let mut page = lines(stable(), AGENT, NOW);
    page.push(page[77].clone());
    assert_eq!(reasons(stable(), &page), ["unreadable", "duplicate"]);
    page.remove(78);
    assert_eq!(reasons(stable(), &page), ["unreadable", "misplaced"]);
}

#[test]
fn wrong_names_are_found() {
    for (from, to) in [
        ("simnode_cpu_000_seconds_total", "simnode_cpu_000_value_total"),
        ("simnode_cpu_000_seconds_total", "simnode_cpu_000_seconds"),
        ("simnode_host_189_value", "simnode_host_189_seconds"),
        ("simnode_host_189_value", "simnode_host_189_value_total"),
    ] {
        let mut page = lines(stable(), AGENT, NOW);
        let at = page.iter().position(|line| line.name == from).unwrap();
        to.clone_into(&mut page[at].name);
        assert_eq!(reasons(stable(), &page), ["unknown_series", "incomplete"], "{to}");
    }
}

/// A report, and a series that it has and the next one lacks.
fn vanishing(model: HostModel) -> (u64, PageLine) {
    let vanishing = |at| {
        let next = lines(model, AGENT, at + 1);
        lines(model, AGENT, at).into_iter().find(|line| value_of(line, &next).is_none())
    };
    (NOW..).find_map(|at| Some((at, vanishing(at)?))).unwrap()
}

#[test]
fn an_absent_value_that_is_shown_is_found() {
    let (at, last) = vanishing(stable());
    let page = [lines(stable(), AGENT, at + 1), vec![last]].concat();
    assert_eq!(reasons(stable(), &page), ["torn"]);
}

#[test]
fn a_value_that_is_not_shown_again_is_found() {
    let (at, line) = vanishing(stable());
    let again = (at + 1..).find(|at| value_of(&line, &lines(stable(), AGENT, *at)).is_some());
    let mut page = lines(stable(), AGENT, again.unwrap());
    page.retain(|other| other.labels != line.labels || other.name != line.name);
    assert_eq!(reasons(stable(), &page), ["incomplete"]);
}

#[test]
fn wrong_labels_are_found() {
    let good = lines(stable(), AGENT, NOW);
    let at = good.iter().position(|line| line.labels.contains("mode=\"mode3\"")).unwrap();
    let disk = good.iter().position(|line| line.labels.contains("dm-000003n001")).unwrap();
    for (at, from, to) in [
        (at, "mode3", "mode8"),
        (at, ",mode=\"mode3\"", ""),
        (at, "cpu=\"000\"", "cpu=\"004\""),
        (at, "cpu=\"000\"", "device=\"000\""),
        (at, ",cpu=\"000\"", ""),
        (at, "rack=\"3\"", "rack=\"4\""),
        (at, ",rack=\"3\"", ""),
        (at, ",zone", ",room=\"3\",zone"),
        (disk, "dm-000003n001", "dm-000004n001"),
        (disk, "dm-000003n001", "dm-000003n002"),
        (disk, "dm-000003n001", "sda"),
    ] {
        let mut page = good.clone();
        page[at].labels = page[at].labels.replace(from, to);
        assert_ne!(page[at].labels, good[at].labels);
        assert_eq!(reasons(stable(), &page), ["wrong_labels"], "{to}");
    }
}

/// Finds the first report from [`NOW`] on that lacks a disk of the report before. Returns its
/// sequence number and the disk's row.
fn removal() -> (u64, Row) {
    let disks = |at| churning().rows(AGENT, DISK, at).collect::<Vec<_>>();
    let removed = |at| disks(at - 1).into_iter().find(|row| !disks(at).contains(row));
    (NOW..).find_map(|at| Some((at, removed(at)?))).unwrap()
}

#[test]
fn a_removed_row_is_found() {
    let (at, removed) = removal();
    let layout = HostLayout::new(HostProfile::Node);
    // Its last values, or values that go on rising.
    for values_of in [at - 1, at, at + 1] {
        let lines =
            [lines(churning(), AGENT, at), row_lines(&layout, AGENT, DISK, removed, values_of)];
        assert_eq!(reasons(churning(), &lines.concat()), ["removed_row"], "{values_of}");
        let reversed = [&lines[1][..], &lines[0]].concat();
        assert_eq!(reasons(churning(), &reversed), ["removed_row"], "{values_of}");
        // A single series of the row suffices.
        let one = [&lines[0][..], &lines[1][..1]].concat();
        assert_eq!(reasons(churning(), &one), ["removed_row"], "{values_of}");
    }
}

#[test]
fn a_missing_row_is_found() {
    for model in [stable(), churning()] {
        for (table, spec) in TABLES.iter().enumerate().skip(1) {
            let rows: Vec<_> = model.rows(AGENT, table, NOW).collect();
            for missing in rows {
                let mut values = Vec::new();
                spec.push_row(AGENT, missing, &mut values);
                let own = format!("{}=\"{}\"", spec.row_labels[0], values[0]);
                let mut page = lines(model, AGENT, NOW);
                let name = format!("simnode_{}_", spec.name);
                page.retain(|line| !(line.labels.contains(&own) && line.name.starts_with(&name)));
                assert_eq!(reasons(model, &page), ["incomplete"], "{own}");
            }
        }
    }
}

#[test]
fn a_row_that_no_report_has_is_found() {
    let layout = HostLayout::new(HostProfile::Node);
    let churn = churning().churn;
    let never = (0..).map(|generation| Row { number: 0, generation });
    let absent = { never }.find(|row| churn.sequences(AGENT, DISK, *row).is_none()).unwrap();
    let replaced = Row { number: 0, generation: 1 };
    for (model, row) in [(churning(), absent), (stable(), replaced)] {
        let more = row_lines(&layout, AGENT, DISK, row, NOW);
        let page = [lines(model, AGENT, NOW), more].concat();
        assert_eq!(reasons(model, &page), ["foreign"], "{row:?}");
    }
}

#[test]
fn rows_before_their_report_are_found() {
    // The rows of a report with the values of the one before.
    let (at, _) = removal();
    let layout = HostLayout::new(HostProfile::Node);
    let tables = 0..TABLES.len();
    let rows =
        tables.flat_map(|table| churning().rows(AGENT, table, at).map(move |row| (table, row)));
    let page: Vec<_> =
        rows.flat_map(|(table, row)| row_lines(&layout, AGENT, table, row, at - 1)).collect();
    let found = reasons(churning(), &page);
    assert!(matches!(found[..], ["torn" | "incomplete" | "misplaced"]), "{found:?}");
}
