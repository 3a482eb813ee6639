//! What stands above a family's samples, and how text is escaped.

use std::fmt::Write;

use fleetgauge_proto::schema::{Family, FamilyKind};

use super::Format;

/// A family's HELP, TYPE and UNIT lines in both formats.
#[derive(Debug)]
pub struct FamilyHead {
    text: String,
    openmetrics: String,
}

impl FamilyHead {
    /// The heading of this family when it is of this kind.
    #[must_use]
    pub fn new(family: &Family, kind: FamilyKind) -> Self {
        Self { text: text_head(family, kind), openmetrics: openmetrics_head(family, kind) }
    }

    /// The lines in this format.
    #[must_use]
    pub fn lines(&self, format: Format) -> &str {
        match format {
            Format::Text => &self.text,
            Format::OpenMetrics => &self.openmetrics,
        }
    }
}

/// In the old format a counter and an info are called by their samples' name, and types it does not know make
/// Prometheus refuse the page.
fn text_head(family: &Family, kind: FamilyKind) -> String {
    let (suffix, kind) = match kind {
        FamilyKind::Gauge => ("", "gauge"),
        FamilyKind::Counter => ("_total", "counter"),
        FamilyKind::Histogram => ("", "histogram"),
        FamilyKind::Summary => ("", "summary"),
        FamilyKind::Info => ("_info", "gauge"),
        FamilyKind::Unknown => ("", "untyped"),
    };
    let name = format!("{}{suffix}", family.name);
    let mut head = String::new();
    if !family.help.is_empty() {
        let help = family.help.replace('\\', "\\\\").replace('\n', "\\n");
        let _ = writeln!(head, "# HELP {name} {help}");
    }
    let _ = writeln!(head, "# TYPE {name} {kind}");
    head
}

fn openmetrics_head(family: &Family, kind: FamilyKind) -> String {
    let (name, unit) = (&family.name, &family.unit);
    let type_name = match kind {
        FamilyKind::Gauge => "gauge",
        FamilyKind::Counter => "counter",
        FamilyKind::Histogram => "histogram",
        FamilyKind::Summary => "summary",
        FamilyKind::Info => "info",
        FamilyKind::Unknown => "unknown",
    };
    let mut head = String::new();
    let _ = writeln!(head, "# TYPE {name} {type_name}");
    if !unit.is_empty() && kind != FamilyKind::Info {
        let _ = writeln!(head, "# UNIT {name} {unit}");
    }
    if !family.help.is_empty() {
        let _ = writeln!(head, "# HELP {name} {}", escape_label_value(&family.help));
    }
    head
}

/// A label value between its quotes; also OpenMetrics' help.
#[must_use]
pub fn escape_label_value(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
