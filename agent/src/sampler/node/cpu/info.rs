//! Models of CPUs, from `/proc/cpuinfo`.

use super::{BUGS, FLAGS, INFO, MAX_CPUS};
use crate::sampler::SourceError;
use crate::sampler::node::NodeOptions;
use crate::sampler::node::column::{gauge, table};
use crate::sampler::node::every::{Every, RARELY};
use crate::sampler::node::files::{KeptFile, parse_file};
use crate::sampler::node::filter::Filter;
use crate::tables::{ColumnSpec, Output, TableSpec};

const LABELS: &[&str] = &[
    "package",
    "core",
    "cpu",
    "vendor",
    "family",
    "model",
    "model_name",
    "microcode",
    "stepping",
    "cachesize",
];
/// Index of the label `cpu`.
const CPU: usize = 2;

const INFO_COLUMNS: [ColumnSpec; 1] = [gauge("node_cpu_info", "Model of the CPU; always 1.")];
const FLAG_COLUMNS: [ColumnSpec; 1] =
    [gauge("node_cpu_flag_info", "Feature that the first CPU has; always 1.")];
const BUG_COLUMNS: [ColumnSpec; 1] =
    [gauge("node_cpu_bug_info", "Hardware bug that the first CPU has; always 1.")];

/// Returns the tables.
pub(super) fn tables() -> [TableSpec; 3] {
    [table(LABELS, &INFO_COLUMNS), table(&["flag"], &FLAG_COLUMNS), table(&["bug"], &BUG_COLUMNS)]
}

/// Reads the models of CPUs, rarely: the file is slow to read on hosts with many CPUs, and models
/// hardly ever change.
#[derive(Debug)]
pub(super) struct CpuInfo {
    file: KeptFile,
    rarely: Every,
    /// Which flags are reported. `None`: none.
    flag_filter: Option<Filter>,
    /// Which bugs are reported. `None`: none.
    bug_filter: Option<Filter>,
    parsed: Parsed,
}

/// Label values of rows.
#[derive(Debug, Default)]
struct Parsed {
    cpus: Vec<[Box<str>; LABELS.len()]>,
    flags: Vec<Box<str>>,
    bugs: Vec<Box<str>>,
}

impl CpuInfo {
    /// Returns whether an option selects information about CPUs.
    pub(super) fn is_selected(options: &NodeOptions) -> bool {
        let has_pattern = |name| !options.text(name).is_empty();
        options.switch("cpu.info")
            || has_pattern("cpu.info.flags-include")
            || has_pattern("cpu.info.bugs-include")
    }

    pub(super) fn new(options: &NodeOptions) -> Self {
        let filter = |name| (!options.text(name).is_empty()).then(|| options.filter(name, ""));
        Self {
            file: KeptFile::new(options.procfs("cpuinfo")),
            rarely: Every::new(RARELY),
            flag_filter: filter("cpu.info.flags-include"),
            bug_filter: filter("cpu.info.bugs-include"),
            parsed: Parsed::default(),
        }
    }

    pub(super) fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        if self.rarely.is_due() || self.parsed.cpus.is_empty() {
            let mut parsed = parse_file(&mut self.file, parse)?;
            select(&mut parsed.flags, self.flag_filter.as_ref());
            select(&mut parsed.bugs, self.bug_filter.as_ref());
            self.parsed = parsed;
        }
        for labels in &self.parsed.cpus {
            output.row(INFO, &labels.each_ref().map(|label| &**label))[0] = 1.0;
        }
        for (table, names) in [(FLAGS, &self.parsed.flags), (BUGS, &self.parsed.bugs)] {
            for name in names {
                output.row(table, &[name])[0] = 1.0;
            }
        }
        Ok(())
    }
}

/// Removes the names that are not selected.
fn select(names: &mut Vec<Box<str>>, filter: Option<&Filter>) {
    names.retain(|name| filter.is_some_and(|filter| filter.selects(name)));
}

/// Parses the file. Each CPU starts with a line `processor`; the other lines differ between
/// architectures.
fn parse(text: &str) -> Result<Parsed, &'static str> {
    let mut parsed = Parsed::default();
    for (key, value) in text.lines().filter_map(|line| line.split_once(':')) {
        let (key, value) = (key.trim(), value.trim());
        if key == "processor" && value.parse::<u32>().is_ok() {
            if parsed.cpus.len() == MAX_CPUS {
                break;
            }
            let mut labels: [Box<str>; LABELS.len()] = Default::default();
            labels[CPU] = value.into();
            parsed.cpus.push(labels);
            continue;
        }
        let names = || value.split_ascii_whitespace().map(Box::from).collect();
        match (key, parsed.cpus.len()) {
            ("flags" | "Features", 1) => parsed.flags = names(),
            ("bugs", 1) => parsed.bugs = names(),
            _ => {}
        }
        if let (Some(label), Some(labels)) = (label(key), parsed.cpus.last_mut()) {
            labels[label] = value.into();
        }
    }
    if parsed.cpus.is_empty() { Err("no CPU") } else { Ok(parsed) }
}

/// Returns the index of the label that has the value of a line.
fn label(key: &str) -> Option<usize> {
    let name = match key {
        "physical id" => "package",
        // RISC-V names a core by its hardware thread.
        "core id" | "hart" => "core",
        // PowerPC has the model here.
        "vendor_id" | "vendor" | "cpu" => "vendor",
        "cpu family" => "family",
        "model" => "model",
        "model name" | "cpu model" | "isa" => "model_name",
        "microcode" => "microcode",
        "stepping" => "stepping",
        "cache size" => "cachesize",
        _ => return None,
    };
    LABELS.iter().position(|label| *label == name)
}
