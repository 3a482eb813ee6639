//! Figures as tables, derived from the structure of the JSON. A figure's name includes its unit;
//! see [`super::Results::figures`].

use serde_json::{Map, Value};

use super::Results;

/// A table with a heading.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Table {
    /// Path of the table within the figures.
    pub(super) title: String,
    /// Column headings; empty for a table of names and values.
    pub(super) columns: Vec<String>,
    /// Row headings and cells.
    pub(super) rows: Vec<(String, Vec<String>)>,
}

/// Names of figures with counts by cause. Each is shown in a single cell.
const CAUSES: [&str; 3] = ["answers", "refused", "ended_by_collector"];
/// Name of the figure that lists the other figures of its object that are based on too few ticks of
/// CPU time. The tables mark the listed figures.
const FEW_TICKS: &str = "few_ticks";

/// Converts figures to tables, in the same order. The plain values of an object become a table of
/// names and values. Its members that are objects of plain values become the rows of another table.
pub(super) fn tables(title: &str, figures: &Value) -> Vec<Table> {
    let Value::Object(object) = figures else { return Vec::new() };
    let object: &Map<_, _> =
        &object.iter().map(|(name, value)| (name.clone(), numbered(value))).collect();
    let plain = object.iter().filter(|(name, value)| !is_nested(name, value));
    let plain = plain.filter(|(name, _)| *name != FEW_TICKS);
    let few = object.get(FEW_TICKS).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mark = |name: &String| if few.iter().any(|few| few == name) { " (few ticks)" } else { "" };
    let rows = plain.map(|(name, value)| (words(name), vec![cell(name, value) + mark(name)]));
    let rows: Vec<_> = rows.collect();
    let rows_of = object.iter().filter_map(|(name, value)| Some((name, row(name, value)?)));
    let matrix: Vec<_> = rows_of.collect();
    let mut tables = Vec::new();
    if !rows.is_empty() {
        tables.push(Table { title: title.to_owned(), columns: Vec::new(), rows });
    }
    // A single object of values is a table; several of the same shape share one.
    if let [(_, first), others @ ..] = &matrix[..]
        && others.iter().all(|(_, other)| other.keys().eq(first.keys()))
        && !others.is_empty()
    {
        tables.push(across(title, &matrix));
    } else {
        for (name, value) in &matrix {
            tables.extend(self::tables(&under(title, name), &Value::Object((*value).clone())));
        }
    }
    for (name, value) in
        object.iter().filter(|(name, value)| is_nested(name, value) && row(name, value).is_none())
    {
        tables.extend(self::tables(&under(title, name), value));
    }
    tables
}

/// Returns a table with the duration of each phase.
pub(super) fn phases(results: &Results) -> Table {
    let seconds = |seconds: f64| vec![cell("_seconds", &((seconds * 10.0).round() / 10.0).into())];
    let phases = results.timeline.phases.iter();
    let phases = phases.map(|part| (part.what.clone(), seconds(part.took_seconds)));
    let all = std::iter::once(("all".to_owned(), seconds(results.took_seconds)));
    Table { title: "time".to_owned(), columns: Vec::new(), rows: all.chain(phases).collect() }
}

/// Converts a list of objects to an object whose keys are the positions in the list, from 1.
pub(super) fn numbered(value: &Value) -> Value {
    match value {
        Value::Array(items) if items.iter().any(Value::is_object) => {
            let items = items.iter().zip(1..);
            items.map(|(item, number): (_, u32)| (number.to_string(), item.clone())).collect()
        }
        other => other.clone(),
    }
}

/// Returns the title of a table within another.
pub(super) fn under(title: &str, name: &str) -> String {
    if title.is_empty() { words(name) } else { format!("{title}: {}", words(name)) }
}

fn across(title: &str, matrix: &[(&String, &Map<String, Value>)]) -> Table {
    let columns: Vec<&String> = matrix.iter().take(1).flat_map(|(_, row)| row.keys()).collect();
    let rows = matrix.iter().map(|(name, row)| {
        (words(name), row.iter().map(|(name, value)| cell(name, value)).collect())
    });
    Table {
        title: title.to_owned(),
        columns: columns.into_iter().map(|name| words(name)).collect(),
        rows: rows.collect(),
    }
}

fn is_nested(name: &str, value: &Value) -> bool {
    !CAUSES.contains(&name) && value.as_object().is_some_and(|object| !object.is_empty())
}

/// Returns `value` as an object if it has members and no member is nested; see [`is_nested`].
fn row<'a>(name: &str, value: &'a Value) -> Option<&'a Map<String, Value>> {
    if !is_nested(name, value) {
        return None;
    }
    let object = value.as_object().filter(|object| !object.is_empty())?;
    object.iter().all(|(name, value)| !is_nested(name, value)).then_some(object)
}

/// Units as they appear in the names of figures, and as displayed.
const UNITS: [(&str, &str); 6] = [
    ("percent", "%"),
    ("seconds", "s"),
    ("cores", "cores"),
    ("bytes", "bytes"),
    ("us", "us"),
    ("ms", "ms"),
];

fn unit(part: &str) -> Option<&'static str> {
    UNITS.iter().find(|(name, _)| *name == part).map(|(_, unit)| *unit)
}

/// Name of a figure without its unit, in words.
pub(super) fn words(name: &str) -> String {
    let words: Vec<_> = name.split('_').filter(|part| unit(part).is_none()).collect();
    let words = if words.is_empty() { name.replace('_', " ") } else { words.join(" ") };
    words.replace("cpu", "CPU")
}

/// Formats a figure with its unit.
pub(super) fn cell(name: &str, value: &Value) -> String {
    let unit = name.split('_').find_map(unit).unwrap_or_default();
    match value {
        Value::Null => "–".to_owned(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        Value::Number(number) => quantity(number.as_f64().unwrap_or(f64::NAN), unit),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) => {
            items.iter().map(|item| cell(name, item)).collect::<Vec<_>>().join(", ")
        }
        Value::Object(counts) if counts.is_empty() => "none".to_owned(),
        Value::Object(counts) => {
            let counts =
                counts.iter().map(|(cause, count)| format!("{} {}", cell("", count), words(cause)));
            counts.collect::<Vec<_>>().join(", ")
        }
    }
}

/// Formats a number with its unit.
pub(crate) fn quantity(value: f64, unit: &str) -> String {
    match unit {
        "bytes" if value >= 1024.0 * 1024.0 => {
            format!("{} MiB", number(value / 1024.0 / 1024.0))
        }
        "" => number(value),
        "%" => format!("{}%", number(value)),
        _ => format!("{} {unit}", number(value)),
    }
}

/// Formats a number for display: with three decimals below 1, up to three significant digits below
/// 1,000, and all digits before the point, in groups of three.
fn number(value: f64) -> String {
    let decimals = match value.abs() {
        _ if value.fract() == 0.0 => 0,
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    let mut text = format!("{value:.decimals$}");
    if decimals > 0 {
        text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let mut grouped = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{grouped}{point}{fraction}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_readable() {
        for (value, text) in [
            (0.0, "0"),
            (1_234_567.0, "1,234,567"),
            (-1_000.0, "-1,000"),
            (999.0, "999"),
            (0.123_456, "0.123"),
            (1.234_5, "1.23"),
            (12.345, "12.3"),
            (1_234.5, "1,234"),
        ] {
            assert_eq!(number(value), text);
        }
        assert_eq!(quantity(950.0, "bytes"), "950 bytes");
        assert_eq!(quantity(3.5 * 1_048_576.0, "bytes"), "3.5 MiB");
        assert_eq!(quantity(12.0, "ms"), "12 ms");
        for (name, shown) in [
            ("cpu_us_per_report", "CPU per report: 3 us"),
            ("churn_percent_per_second", "churn per second: 3%"),
            ("took_seconds", "took: 3 s"),
            ("bytes", "bytes: 3 bytes"),
        ] {
            assert_eq!(format!("{}: {}", words(name), cell(name, &3.into())), shown);
        }
    }

    #[test]
    fn counts_by_cause_are_one_cell() {
        let figures = json!({ "attacks": {
            "garbage": { "made": 5, "answers": { "bad_magic": 3, "nothing": 2 } },
            "flood": { "made": 1, "answers": {} },
        } });
        let table = tables("", &figures).remove(0);
        assert_eq!(table.columns, ["made", "answers"]);
        assert_eq!(table.rows[0].1, ["5", "3 bad magic, 2 nothing"]);
        assert_eq!(table.rows[1].1, ["1", "none"]);
    }

    #[test]
    fn figures_of_too_few_ticks_are_marked() {
        let figures = json!({ "cpu_cores": 0.5, "held_bytes": 7, "few_ticks": ["cpu_cores"] });
        let rows = tables("", &figures).remove(0).rows;
        let shown: Vec<_> =
            rows.iter().map(|(name, cells)| format!("{name} {}", cells[0])).collect();
        assert_eq!(shown, ["CPU 0.5 cores (few ticks)", "held 7 bytes"]);
    }

    #[test]
    fn figures_become_tables_in_their_order() {
        let figures = json!({
            "took_seconds": 1.5,
            "deaths": {
                "bye": { "ended": 5, "p50_ms": 20.0 },
                "rst": { "ended": 4, "p50_ms": null },
            },
            "reports": { "written": 7, "lag": { "p50_ms": 1.25, "max_ms": 2.5 } },
            "refused": {},
            "collectors": [{ "held": 1 }, { "held": 2 }],
        });
        let tables = tables("", &figures);
        let seen: Vec<_> = tables.iter().map(|table| table.title.as_str()).collect();
        assert_eq!(seen, ["", "deaths", "reports", "reports: lag", "collectors"]);
        let rows = |text: &[(&str, &[&str])]| -> Vec<(String, Vec<String>)> {
            let cells = |cells: &[&str]| cells.iter().map(|&cell| cell.to_owned()).collect();
            text.iter().map(|(name, row)| ((*name).to_owned(), cells(row))).collect()
        };
        assert_eq!(tables[0].rows, rows(&[("took", &["1.5 s"]), ("refused", &["none"])]));
        assert_eq!(tables[1].columns, ["ended", "p50"]);
        assert_eq!(tables[1].rows, rows(&[("bye", &["5", "20 ms"]), ("rst", &["4", "–"])]));
        assert_eq!(tables[2].rows, rows(&[("written", &["7"])]));
        assert_eq!(tables[3].rows, rows(&[("p50", &["1.25 ms"]), ("max", &["2.5 ms"])]));
        assert_eq!(tables[4].rows, rows(&[("1", &["1"]), ("2", &["2"])]));
    }
}
