//! A page with every family of node_exporter, whose labels and values are hard to pass on.

use std::fmt::Write;

/// Families of node_exporter: name, type and label names.
const FAMILIES: &str = include_str!("families.tsv");
/// Families from the Go client library and the textfile collector, with types and names that
/// node_exporter's collectors lack.
const OTHER_FAMILIES: &[(&str, &str, &str)] = &[
    ("go_gc_duration_seconds", "summary", ""),
    ("textfile_backup_seconds", "histogram", "repository"),
    ("textfile_job:requests:rate5m", "gauge", "method"),
    ("textfile_requests", "counter", "method,code"),
    ("textfile_alloc_bytes", "gauge", ""),
    ("textfile_alloc_bytes_total", "counter", ""),
];

/// Label values with characters that must be escaped, look like syntax, or take several bytes.
const HARD_TEXTS: [&str; 12] = [
    "say \"when\"",
    "C:\\new",
    "two\nlines",
    "\\",
    "\"",
    "\n",
    "\\n",
    "ends with \\",
    "Größe – 桁 🔥",
    "a=\"b\",c=\"d\"} 1",
    " # TYPE x ",
    "\t\r ",
];

/// Values that a sloppy writer, parser or coding would change.
const HARD_VALUES: [f64; 14] = [
    0.0,
    -0.0,
    1.0,
    0.1 + 0.2,
    1e300,
    -1.5e-7,
    5e-324,
    f64::MAX,
    9_007_199_254_740_993.0,
    1_767_225_600.123,
    12_345.67,
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
];

/// Bucket bounds, and quantiles.
const BOUNDS: [f64; 4] = [0.0, 0.5, 0.99, 1.0];

/// Returns the page in the text format. Every family has a sample with plain labels, one with hard
/// ones, one whose first label is empty, and one without labels.
pub(super) fn page() -> String {
    let known = FAMILIES.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let mut fields = line.split('\t');
        let mut field = || fields.next().unwrap_or_default();
        (field(), field(), field())
    });
    let mut page = String::new();
    for (number, (name, kind, labels)) in known.chain(OTHER_FAMILIES.iter().copied()).enumerate() {
        writeln!(page, "# HELP {name} Family {number}: \\\\ and \\n.\n# TYPE {name} {kind}")
            .unwrap();
        let names: Vec<_> = labels.split(',').filter(|name| !name.is_empty()).collect();
        for (row, labels) in rows(number, &names).into_iter().enumerate() {
            write_samples(&mut page, number + row, (name, kind), &labels);
        }
    }
    page
}

/// Returns the labels of each series as written between braces.
fn rows(number: usize, names: &[&str]) -> Vec<String> {
    let join = |text: &dyn Fn(usize) -> &'static str| {
        let label = |(at, name): (usize, &&str)| {
            let text = text(at).replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            format!("{name}=\"{text}\"")
        };
        names.iter().enumerate().map(label).collect::<Vec<_>>().join(",")
    };
    let hard = |at: usize| HARD_TEXTS[(number + at) % HARD_TEXTS.len()];
    let first_empty = |at: usize| if at == 0 { "" } else { hard(at) };
    let rows = [join(&|_| "plain"), join(&hard), join(&first_empty), String::new()];
    // With one label, the third and fourth rows are the same series; with none, all four are.
    let kept = match names.len() {
        0 => 3..4,
        1 => 0..3,
        _ => 0..4,
    };
    rows[kept].to_vec()
}

/// Writes the samples of one series.
fn write_samples(page: &mut String, number: usize, (name, kind): (&str, &str), labels: &str) {
    let mut line = |suffix: &str, bound: Option<(&str, String)>, value: f64| {
        let bound = bound.map(|(label, bound)| format!("{label}=\"{bound}\""));
        let labels: Vec<_> =
            [labels.to_owned()].into_iter().chain(bound).filter(|one| !one.is_empty()).collect();
        let value = match value {
            _ if value.is_nan() => "NaN".to_owned(),
            f64::INFINITY => "+Inf".to_owned(),
            f64::NEG_INFINITY => "-Inf".to_owned(),
            value => format!("{value:e}"),
        };
        let labels = labels.join(",");
        let labels = if labels.is_empty() { labels } else { format!("{{{labels}}}") };
        writeln!(page, "{name}{suffix}{labels} {value}").unwrap();
    };
    let (count, sum) = ((number + BOUNDS.len()) as f64, 0.1 * number as f64);
    match kind {
        "histogram" => {
            for (at, bound) in BOUNDS.iter().enumerate() {
                line("_bucket", Some(("le", bound.to_string())), (number + at) as f64);
            }
            line("_bucket", Some(("le", "+Inf".to_owned())), count);
        }
        "summary" => {
            for (at, quantile) in BOUNDS.iter().enumerate() {
                let value = HARD_VALUES[at % HARD_VALUES.len()];
                line("", Some(("quantile", quantile.to_string())), value);
            }
        }
        _ => return line("", None, HARD_VALUES[number % HARD_VALUES.len()]),
    }
    line("_sum", None, sum);
    line("_count", None, count);
}
