//! The plan of a schema: the parts of its lines that are the same for all agents, rendered once.
//!
//! The labels of a series are stored once for all of its lines. Each bucket or quantile line adds
//! only its bound or quantile. So the memory of a plan is proportional to the size of its schema.
//! [`PlanSize`](super::PlanSize) computes it before the plan is built.

use fleetgauge_proto::Schema;
use fleetgauge_proto::schema::{Family, FamilyKind, Series};

use super::Format;
use super::escape::{counted, write_label};
use super::number::label_number;
use super::snapshot::CLOSE;

/// The constant parts of all lines of a schema, by family.
#[derive(Debug)]
pub struct Plan {
    families: Box<[FamilyPlan]>,
}

/// The constant parts of a family's lines. A line consists of `name{`, the agent's labels,
/// `,own="…",le="…"} ` and the value.
#[derive(Debug)]
pub(super) struct FamilyPlan {
    /// Start of the lines with a parameter (bucket bound or quantile), such as `name_bucket{`;
    /// empty if the family has no such lines.
    pub(super) parameter: Box<str>,
    /// Starts of the lines without a parameter, such as `name_count{` and `name_sum{`, in the order
    /// of the values.
    pub(super) plain: Box<[Box<str>]>,
    /// Whether every value is rendered as 1.
    pub(super) is_info: bool,
    pub(super) series: Box<[SeriesPlan]>,
}

/// The own labels of one series, and the parameters of its lines.
#[derive(Debug)]
pub(super) struct SeriesPlan {
    /// Index of the series' first value in a row.
    pub(super) offset: usize,
    /// Number of values of the series.
    pub(super) width: usize,
    /// The own labels of the series, followed by [`CLOSE`]; empty if it has none.
    pub(super) labels: Box<str>,
    /// Text of the parameters in each format; empty if the series has none.
    parameters: Box<[ParameterText]>,
}

/// The texts of all lines with a parameter, such as `,le="0.5"} `, concatenated.
#[derive(Debug)]
pub(super) struct ParameterText {
    text: Box<str>,
    ends: Box<[u32]>,
}

/// The lines that each series of a metric type has.
pub(super) struct Shape {
    pub(super) parameter: Option<ParameterLines>,
    /// Name suffixes of the lines without a parameter, in the order of their values. In a row,
    /// these values follow the values of the lines with a parameter.
    pub(super) plain: &'static [&'static str],
}

/// The lines with a parameter: buckets or quantiles. Their values are the first of a series.
pub(super) struct ParameterLines {
    pub(super) suffix: &'static str,
    label: &'static str,
    /// Whether a line for `+Inf` follows, which the schema's parameters do not contain.
    is_open_ended: bool,
}

impl Shape {
    pub(super) const fn of(kind: FamilyKind) -> Self {
        let (parameter, plain): (_, &[_]) = match kind {
            FamilyKind::Gauge | FamilyKind::Unknown => (None, &[""]),
            FamilyKind::Counter => (None, &["_total"]),
            FamilyKind::Info => (None, &["_info"]),
            FamilyKind::Histogram => (Some(ParameterLines::BUCKETS), &["_count", "_sum"]),
            FamilyKind::Summary => (Some(ParameterLines::QUANTILES), &["_count", "_sum"]),
        };
        Self { parameter, plain }
    }
}

impl ParameterLines {
    const BUCKETS: Self = Self { suffix: "_bucket", label: "le", is_open_ended: true };
    const QUANTILES: Self = Self { suffix: "", label: "quantile", is_open_ended: false };

    /// Returns the number of bucket or quantile lines of a series, `+Inf` included.
    pub(super) fn lines(&self, series: &Series) -> usize {
        series.parameters.len() + usize::from(self.is_open_ended)
    }

    /// Returns the size of the text in [`ParameterText`], in bytes.
    pub(super) fn text_bytes(&self, series: &Series, format: Format) -> usize {
        self.parameters(series).map(|value| counted(|out| self.write(value, format, out))).sum()
    }

    fn parameters(&self, series: &Series) -> impl Iterator<Item = f64> {
        let last = self.is_open_ended.then_some(f64::INFINITY);
        series.parameters.iter().copied().chain(last)
    }

    fn write(&self, parameter: f64, format: Format, out: &mut impl std::fmt::Write) {
        write_label(self.label, &label_number(parameter, format == Format::OpenMetrics), out);
        let _ = out.write_str(CLOSE);
    }
}

impl ParameterText {
    fn new(parameter: &ParameterLines, series: &Series, format: Format) -> Self {
        let mut text = String::with_capacity(parameter.text_bytes(series, format));
        let ends = parameter.parameters(series).map(|value| {
            parameter.write(value, format, &mut text);
            u32::try_from(text.len()).unwrap_or(u32::MAX)
        });
        let ends = ends.collect();
        Self { text: text.into(), ends }
    }

    /// Returns the text of each line, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        let mut begin = 0;
        self.ends.iter().map(move |end| {
            let end = *end as usize;
            let line = &self.text[begin..end];
            begin = end;
            line
        })
    }
}

impl Plan {
    pub(crate) fn new(schema: &Schema) -> Self {
        Self { families: schema.families.iter().map(FamilyPlan::new).collect() }
    }

    /// Returns the memory that the plan takes, in bytes.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        let parameters = |text: &ParameterText| text.text.len() + size_of_val(&*text.ends);
        let series = |series: &SeriesPlan| {
            series.labels.len()
                + size_of_val(&*series.parameters)
                + series.parameters.iter().map(parameters).sum::<usize>()
        };
        let family = |family: &FamilyPlan| {
            family.parameter.len()
                + size_of_val(&*family.plain)
                + family.plain.iter().map(|opening| opening.len()).sum::<usize>()
                + size_of_val(&*family.series)
                + family.series.iter().map(series).sum::<usize>()
        };
        size_of_val(&*self.families) + self.families.iter().map(family).sum::<usize>()
    }

    pub(super) fn family(&self, position: usize) -> &FamilyPlan {
        &self.families[position]
    }
}

impl FamilyPlan {
    fn new(family: &Family) -> Self {
        let shape = family.kind.map(Shape::of);
        let opening = |suffix: &str| format!("{}{suffix}{{", family.name).into_boxed_str();
        let plan = |shape: &Shape| {
            let plan = |series: &Series| SeriesPlan::new(shape.parameter.as_ref(), series);
            family.series.iter().map(plan).collect()
        };
        Self {
            parameter: shape
                .as_ref()
                .and_then(|shape| shape.parameter.as_ref())
                .map_or_else(Box::default, |parameter| opening(parameter.suffix)),
            plain: shape.iter().flat_map(|shape| shape.plain).map(|s| opening(s)).collect(),
            is_info: family.kind == Some(FamilyKind::Info),
            // Families of unknown kinds are not rendered.
            series: shape.as_ref().map_or_else(Box::default, plan),
        }
    }
}

impl SeriesPlan {
    fn new(parameter: Option<&ParameterLines>, series: &Series) -> Self {
        let mut labels = String::with_capacity(counted(|out| write_own_labels(series, out)));
        write_own_labels(series, &mut labels);
        let parameters = parameter.map_or_else(Box::default, |parameter| {
            let text = |format| ParameterText::new(parameter, series, format);
            Format::ALL.map(text).into()
        });
        let Series { offset, width, .. } = *series;
        Self { offset, width, labels: labels.into(), parameters }
    }

    /// Returns the text of the parameters in this format; `None` if the series has none.
    pub(super) fn parameters(&self, format: Format) -> Option<&ParameterText> {
        self.parameters.get(format as usize)
    }
}

/// Writes the own labels of a series as `,own="value"} `, or nothing if it has none.
pub(super) fn write_own_labels(series: &Series, out: &mut impl std::fmt::Write) {
    let mut labels = series.labels.iter().peekable();
    let has_labels = labels.peek().is_some();
    for (name, value) in labels {
        write_label(name, value, out);
    }
    if has_labels {
        let _ = out.write_str(CLOSE);
    }
}
