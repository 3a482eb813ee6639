//! Writes the section about collectors of `docs/metrics.md`, and checks that it is up to date.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use fleetgauge_proto::catalog::FamilyKind;

use super::{COLLECTORS, Collector, NodeOption, NodeOptions, OptionKind};
use crate::config::NodePaths;
use crate::tables::TableSpec;

/// Lines around the section.
const BEGIN: &str = "<!-- Generated from the code: FLEETGAUGE_BLESS=1 cargo test -p fleetgauge-agent \
                     --lib --features systemd docs_tests -->\n";
const END: &str = "<!-- End of the generated section -->\n";
/// Width at which text is wrapped, as in the rest of the document. Rows of tables cannot be.
const WIDTH: usize = 120;
/// Maximum number of values of a label that the table lists.
const MAX_LISTED: usize = 12;

/// What the declarations do not say, by collector. Those that find families have a note.
const NOTES: &[(&str, &str)] = &[
    (
        "bcache",
        "The `node_bcache_priority_stats_` families are absent without `bcache.priorityStats`: \
         reading them is expensive for the kernel.",
    ),
    (
        "bcachefs",
        "Further counters of the kernel are found when reading: \
         `node_bcachefs_<counter>_total{uuid}`.",
    ),
    (
        "hwmon",
        "Attributes of sensors that the table lacks are found when reading: \
         `node_hwmon_<type>_<attribute>{chip,sensor}`.",
    ),
    (
        "meminfo",
        "Lines that the table lacks are found when reading: `node_memory_<name>_bytes`, without \
         `_bytes` if the line has no unit.",
    ),
    (
        "netdev",
        "`netdev.label-ifalias` adds the label `ifalias` to all statistics. `node_network_address_info` \
         needs `netdev.address-info`.",
    ),
    (
        "netstat",
        "`netstat.fields` selects the families. Those that the kernel has and the table lacks are \
         found when reading: `node_netstat_<protocol>_<field>`, of type untyped.",
    ),
    (
        "rapl",
        "Zones with other names are found when reading: \
         `node_rapl_<zone>_joules_total{index,path}`.",
    ),
    (
        "systemd",
        "The agent has this collector if it was built with the feature `systemd`. Both patterns \
         match whole names. Tasks, restarts and start times need the three switches.",
    ),
    (
        "vmstat",
        "`vmstat.fields` selects the families. Those that the kernel has and the table lacks are \
         found when reading: `node_vmstat_<line>`, of type untyped.",
    ),
    (
        "zfs",
        "Statistics of the kernel module are found when reading, of type untyped: \
         `node_zfs_arc_<row>`, `node_zfs_abd_<row>`, `node_zfs_dbuf_<row>`, `node_zfs_dmu_tx_<row>` \
         and others.",
    ),
];

/// Set `FLEETGAUGE_BLESS=1` to write the section anew.
#[test]
fn documented_collectors_are_those_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let document = fs::read_to_string(&path).unwrap();
    let (head, rest) = document.split_once(BEGIN).expect("the first marker");
    let (old, tail) = rest.split_once(END).expect("the last marker");

    let documented = sections(old);
    let mut expected: BTreeMap<String, String> = COLLECTORS
        .iter()
        .map(|collector| (collector.name.to_owned(), section(collector)))
        .collect();
    if let (false, Some(text)) = (cfg!(feature = "systemd"), documented.get("systemd")) {
        expected.insert("systemd".to_owned(), text.clone());
    }
    if std::env::var_os("FLEETGAUGE_BLESS").is_some() {
        let sections: String = expected.into_values().collect();
        fs::write(path, [head, BEGIN, &sections, "\n", END, tail].concat()).unwrap();
        return;
    }
    for (name, text) in &expected {
        assert_eq!(documented.get(name), Some(text), "docs/metrics.md: set FLEETGAUGE_BLESS=1");
    }
    assert!(documented.keys().eq(expected.keys()), "{:?}", documented.keys());
}

#[test]
fn collectors_that_find_families_have_a_note() {
    let finds = |collector: &Collector| source(collector.name).contains("output.sample(");
    let finding = COLLECTORS.iter().filter(|collector| finds(collector));
    let lacking: Vec<_> =
        finding.map(|collector| collector.name).filter(|name| note(name).is_none()).collect();
    assert!(lacking.is_empty(), "no note: {lacking:?}");
}

#[test]
fn lines_of_text_break_between_words() {
    let word = "x".repeat(WIDTH - 3);
    assert_eq!(wrapped(&format!("a {word} b c"), "  "), format!("a {word}\n  b c"));
    let long = "y".repeat(WIDTH + 1);
    assert_eq!(wrapped(&format!("a {long} b"), ""), format!("a\n{long}\nb"));
}

/// Splits the generated text into the sections of collectors.
fn sections(text: &str) -> BTreeMap<String, String> {
    let parts = text.split("\n### ").skip(1);
    let section = |part: &str| {
        let name = part.lines().next().unwrap_or_default().trim_matches('`').to_owned();
        (name, format!("\n### {}\n", part.trim_end()))
    };
    parts.map(section).collect()
}

fn section(collector: &Collector) -> String {
    let Collector { name, by_default, .. } = collector;
    let state = if *by_default { "On by default." } else { "Off by default." };
    let summary = wrapped(&format!("{} {state}", summary(name)), "");
    let mut text = format!("\n### `{name}`\n\n{summary}\n");
    if let Some(note) = note(name) {
        write!(text, "\n{}\n", wrapped(note, "")).unwrap();
    }
    if !collector.options.is_empty() {
        text.push_str("\nOptions:\n\n");
    }
    for NodeOption { name, kind, default } in collector.options {
        let kind = match kind {
            OptionKind::Pattern => "pattern",
            OptionKind::Switch => "switch",
            OptionKind::Words(_) => "list",
        };
        let default = match *default {
            "" => "none".to_owned(),
            default => format!("`{default}`"),
        };
        let option = format!("- `{name}`: {kind}, default {default}");
        writeln!(text, "{}", wrapped(&option, "  ")).unwrap();
    }
    text.push_str("\n| family | type | labels | meaning |\n|---|---|---|---|\n");
    for row in rows(collector) {
        text.push_str(&row);
    }
    text
}

/// Breaks lines between words. Lines after the first begin with `indent`.
fn wrapped(text: &str, indent: &str) -> String {
    let mut lines = String::new();
    let mut used = 0;
    for word in text.split(' ') {
        let width = word.chars().count();
        if used > 0 && used + 1 + width > WIDTH {
            lines = lines + "\n" + indent;
            used = indent.len();
        } else if used > 0 {
            lines.push(' ');
            used += 1;
        }
        lines.push_str(word);
        used += width;
    }
    lines
}

/// Returns the rows of the families, also of those that need an option.
fn rows(collector: &Collector) -> Vec<String> {
    let mut rows: Vec<String> = Vec::new();
    let mut names = BTreeSet::new();
    let mut add = |options: NodeOptions, condition: &str| {
        let known = names.clone();
        for table in (collector.tables)(&options) {
            for name in families(&table).into_iter().filter(|name| !known.contains(name)) {
                let row = row(&table, name, condition);
                if !rows.contains(&row) {
                    rows.push(row);
                }
                names.insert(name);
            }
        }
    };
    add(NodeOptions::default(), "");
    for option in collector.options {
        let value = match (option.kind, option.default) {
            (OptionKind::Switch, "true") => "false",
            (OptionKind::Switch, _) => "true",
            (OptionKind::Pattern, _) => ".",
            (OptionKind::Words(_), _) => continue,
        };
        let values = [(option.name.to_owned(), value.to_owned())].into();
        let options = NodeOptions::try_new(NodePaths::default(), values).unwrap();
        let condition = match option.kind {
            OptionKind::Switch => format!(" Only with `{}` = `{value}`.", option.name),
            _ => format!(" Only if `{}` matches.", option.name),
        };
        add(options, &condition);
    }
    rows
}

/// Returns the families of a table, each once.
fn families(table: &TableSpec) -> Vec<&'static str> {
    let mut names = Vec::new();
    for column in &table.columns {
        if !names.contains(&column.family.name) {
            names.push(column.family.name);
        }
    }
    names
}

fn row(table: &TableSpec, name: &str, condition: &str) -> String {
    let columns: Vec<_> =
        table.columns.iter().filter(|column| column.family.name == name).collect();
    let family = columns[0].family;
    let kind = match FamilyKind::from_u8(family.kind).unwrap() {
        FamilyKind::CounterAsNamed => "counter",
        FamilyKind::Unknown => "untyped",
        kind => kind.name(),
    };
    let mut labels: Vec<String> =
        table.row_labels.iter().map(|label| format!("`{label}`")).collect();
    let mut fixed: Vec<(&str, Vec<&str>)> = Vec::new();
    for (label, value) in columns.iter().flat_map(|column| column.labels) {
        match fixed.iter_mut().find(|(known, _)| known == label) {
            Some((_, values)) if values.contains(value) => {}
            Some((_, values)) => values.push(value),
            None => fixed.push((label, vec![value])),
        }
    }
    labels.extend(fixed.iter().map(|(label, values)| match values.len() {
        0..=MAX_LISTED => format!("`{label}` ({})", values.join(", ")),
        count => format!("`{label}` ({count} values)"),
    }));
    let help = family.help.replace('|', "\\|");
    format!("| `{name}` | {kind} | {} | {help}{condition} |\n", labels.join(", "))
}

fn note(name: &str) -> Option<&'static str> {
    NOTES.iter().find(|(collector, _)| *collector == name).map(|(_, note)| *note)
}

/// Returns the first paragraph of the collector's module documentation.
fn summary(name: &str) -> String {
    let source = source(name);
    let lines = source.lines().map_while(|line| line.strip_prefix("//! "));
    lines.collect::<Vec<_>>().join(" ")
}

fn source(name: &str) -> String {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sampler/node");
    let file = |path: PathBuf| fs::read_to_string(directory.join(path)).ok();
    let text = file(format!("{name}.rs").into()).or_else(|| file(format!("{name}/mod.rs").into()));
    text.unwrap_or_else(|| panic!("no file of {name}"))
}
