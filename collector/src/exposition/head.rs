//! The metadata lines of a family.

use std::fmt::Write;

use fleetgauge_proto::catalog::{Family, FamilyKind};

use super::Format;
use super::escape::{HELP, LABEL, counted, write_escaped};

/// Suffix of the samples of a counter.
const TOTAL: &str = "_total";

/// HELP, TYPE and UNIT lines of a family in both formats.
#[derive(Debug)]
pub struct FamilyHead {
    lines: [Box<str>; Format::ALL.len()],
    /// The lines in OpenMetrics of a counter that is named as is, if it is shown as a counter;
    /// empty
    /// if it cannot be.
    as_counter: Box<str>,
}

impl FamilyHead {
    /// Renders the lines of a family with this metric type.
    #[must_use]
    pub fn new(family: &Family, kind: FamilyKind) -> Self {
        let lines = |format| {
            let mut lines = String::with_capacity(Self::bytes(family, kind, format));
            write_lines(family, kind, format, &mut lines);
            lines.into()
        };
        let mut as_counter = String::with_capacity(counted(|out| write_counter(family, kind, out)));
        write_counter(family, kind, &mut as_counter);
        Self { lines: Format::ALL.map(lines), as_counter: as_counter.into() }
    }

    /// Returns the memory of the texts, in bytes, without storing them.
    #[must_use]
    pub fn memory(family: &Family, kind: FamilyKind) -> usize {
        let lines = Format::ALL.map(|format| Self::bytes(family, kind, format));
        lines.iter().sum::<usize>() + counted(|out| write_counter(family, kind, out))
    }

    /// Returns the size of the lines in this format, in bytes, without storing them.
    #[must_use]
    pub fn bytes(family: &Family, kind: FamilyKind, format: Format) -> usize {
        counted(|out| write_lines(family, kind, format, out))
    }

    /// Returns the lines in this format.
    #[must_use]
    pub fn lines(&self, format: Format) -> &str {
        &self.lines[format as usize]
    }

    /// Returns the lines in this format of a counter that is named as is, where OpenMetrics shows
    /// it
    /// as a counter.
    #[must_use]
    pub(super) fn counter_lines(&self, format: Format) -> &str {
        let is_counter = format == Format::OpenMetrics && !self.as_counter.is_empty();
        if is_counter { &self.as_counter } else { self.lines(format) }
    }
}

fn write_lines(family: &Family, kind: FamilyKind, format: Format, out: &mut impl Write) {
    match format {
        Format::Text => write_text(family, kind, out),
        Format::OpenMetrics => write_openmetrics(family, kind, out),
    }
}

/// Writes HELP and TYPE in the text format. There, the metadata of a counter or info has the name
/// of the samples, with the suffix. Types info and unknown become gauge and untyped, because
/// Prometheus rejects a page with a type that the format does not have.
fn write_text(family: &Family, kind: FamilyKind, out: &mut impl Write) {
    let (suffix, kind) = match kind {
        FamilyKind::Gauge => ("", "gauge"),
        FamilyKind::Counter => ("_total", "counter"),
        FamilyKind::Histogram => ("", "histogram"),
        FamilyKind::Summary => ("", "summary"),
        FamilyKind::Info => ("_info", "gauge"),
        FamilyKind::Unknown => ("", "untyped"),
        FamilyKind::CounterAsNamed => ("", "counter"),
    };
    let name = &family.name;
    if !family.help.is_empty() {
        let _ = write!(out, "# HELP {name}{suffix} ");
        write_escaped(&family.help, HELP, out);
        let _ = out.write_str("\n");
    }
    let _ = writeln!(out, "# TYPE {name}{suffix} {kind}");
}

fn write_openmetrics(family: &Family, kind: FamilyKind, out: &mut impl Write) {
    let (name, unit) = (&family.name, &family.unit);
    let type_name = match kind {
        FamilyKind::Gauge => "gauge",
        FamilyKind::Counter => "counter",
        FamilyKind::Histogram => "histogram",
        FamilyKind::Summary => "summary",
        FamilyKind::Info => "info",
        // The samples of a counter would have to end in `_total`, and nothing else may have its
        // name.
        FamilyKind::Unknown | FamilyKind::CounterAsNamed => "unknown",
    };
    let _ = writeln!(out, "# TYPE {name} {type_name}");
    if !unit.is_empty() && kind != FamilyKind::Info {
        let _ = writeln!(out, "# UNIT {name} {unit}");
    }
    write_openmetrics_help(name, &family.help, out);
}

/// Writes the lines in OpenMetrics of the counter whose samples have the name of this one, which is
/// named as is. Its unit does not end the counter's name.
fn write_counter(family: &Family, kind: FamilyKind, out: &mut impl Write) {
    let named = Some(&*family.name).filter(|_| kind == FamilyKind::CounterAsNamed);
    let name = named.and_then(|name| name.strip_suffix(TOTAL)).filter(|name| !name.is_empty());
    if let Some(name) = name {
        let _ = writeln!(out, "# TYPE {name} counter");
        write_openmetrics_help(name, &family.help, out);
    }
}

fn write_openmetrics_help(name: &str, help: &str, out: &mut impl Write) {
    if !help.is_empty() {
        let _ = write!(out, "# HELP {name} ");
        write_escaped(help, LABEL, out);
        let _ = out.write_str("\n");
    }
}
