//! The plan of a catalog: the parts of its lines that are the same for all agents, rendered once.
//!
//! The labels of a column are stored once, however many lines it has; each line of a histogram or
//! summary adds a bound or quantile. So the memory of a plan is proportional to its catalog.
//! [`CatalogSize`](super::CatalogSize) computes it before the plan is built.

use fleetgauge_proto::Catalog;
use fleetgauge_proto::catalog::{Column, Family, FamilyKind};

use super::Format;
use super::escape::{counted, write_label};
use super::number::label_number;

/// The lines of every column, by family.
#[derive(Debug)]
pub struct Plan {
    families: Box<[FamilyPlan]>,
}

/// The lines of a family. A line is `name{`, the agent's labels, the column's labels, the row's
/// labels, the bound or quantile, `} `, the value.
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
    pub(super) columns: Box<[ColumnPlan]>,
}

/// The place of a column's values, and the labels and parameters of its lines.
#[derive(Debug)]
pub(super) struct ColumnPlan {
    /// Index of its table in the catalog.
    pub(super) table: usize,
    /// Index of its first value in a row.
    pub(super) offset: usize,
    /// Number of its values in a row.
    pub(super) width: usize,
    /// Labels of the column, such as `,mode="idle"`; empty without them.
    pub(super) labels: Box<str>,
    /// Text of the parameters in each format; empty if the series has none.
    parameters: Box<[ParameterText]>,
}

/// The text `,le="0.5"` of each line, concatenated.
#[derive(Debug)]
pub(super) struct ParameterText {
    text: Box<str>,
    ends: Box<[u32]>,
}

/// The lines that a column of a kind has in each row.
pub(crate) struct KindLines {
    pub(crate) parameter: Option<ParameterLines>,
    /// Name suffixes of the lines without a parameter, in the order of their values. In a row,
    /// these values follow the values of the lines with a parameter.
    pub(crate) plain: &'static [&'static str],
}

/// The lines with a parameter, one for each of the first values of a column.
pub(crate) struct ParameterLines {
    pub(crate) suffix: &'static str,
    pub(crate) label: &'static str,
    /// Whether to add a `+Inf` line: the column's parameters do not contain +Inf.
    is_open_ended: bool,
}

impl KindLines {
    pub(crate) const fn of(kind: FamilyKind) -> Self {
        let (parameter, plain): (_, &[_]) = match kind {
            FamilyKind::Gauge | FamilyKind::Unknown | FamilyKind::CounterAsNamed => (None, &[""]),
            FamilyKind::Counter => (None, &["_total"]),
            FamilyKind::Info => (None, &["_info"]),
            FamilyKind::Histogram => (Some(ParameterLines::BUCKETS), &["_count", "_sum"]),
            FamilyKind::Summary => (Some(ParameterLines::QUANTILES), &["_count", "_sum"]),
        };
        Self { parameter, plain }
    }

    /// Returns the number of lines of a column in a row.
    pub(crate) fn samples(&self, column: &Column) -> usize {
        let parameter = self.parameter.as_ref().map_or(0, |parameter| parameter.lines(column));
        parameter + self.plain.len()
    }
}

impl ParameterLines {
    const BUCKETS: Self = Self { suffix: "_bucket", label: "le", is_open_ended: true };
    const QUANTILES: Self = Self { suffix: "", label: "quantile", is_open_ended: false };

    /// Returns the number of bucket or quantile lines of a column, `+Inf` included.
    pub(super) fn lines(&self, column: &Column) -> usize {
        column.parameters.len() + usize::from(self.is_open_ended)
    }

    /// Returns the text size of [`ParameterText`].
    pub(super) fn text_bytes(&self, column: &Column, format: Format) -> usize {
        self.parameters(column).map(|value| counted(|out| self.write(value, format, out))).sum()
    }

    /// Returns the values of the label, one for each line.
    pub(crate) fn parameters(&self, column: &Column) -> impl Iterator<Item = f64> {
        let last = self.is_open_ended.then_some(f64::INFINITY);
        column.parameters.iter().copied().chain(last)
    }

    fn write(&self, parameter: f64, format: Format, out: &mut impl std::fmt::Write) {
        write_label(self.label, &label_number(parameter, format == Format::OpenMetrics), out);
    }
}

impl ParameterText {
    fn new(parameter: &ParameterLines, column: &Column, format: Format) -> Self {
        let mut text = String::with_capacity(parameter.text_bytes(column, format));
        let ends = parameter.parameters(column).map(|value| {
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
    pub(crate) fn new(catalog: &Catalog) -> Self {
        let mut families: Vec<_> = catalog.families.iter().map(FamilyPlanBuilder::new).collect();
        for (index, table) in catalog.tables.iter().enumerate() {
            for column in &table.columns {
                // Families of unknown kinds are not rendered.
                let Some(kind) = catalog.families[column.family].kind else { continue };
                let lines = KindLines::of(kind);
                families[column.family].columns.push(ColumnPlan::new(&lines, index, column));
            }
        }
        Self { families: families.into_iter().map(FamilyPlanBuilder::build).collect() }
    }

    /// Returns its memory, in bytes.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        let parameters = |text: &ParameterText| text.text.len() + size_of_val(&*text.ends);
        let column = |column: &ColumnPlan| {
            column.labels.len()
                + size_of_val(&*column.parameters)
                + column.parameters.iter().map(parameters).sum::<usize>()
        };
        let family = |family: &FamilyPlan| {
            family.parameter.len()
                + size_of_val(&*family.plain)
                + family.plain.iter().map(|opening| opening.len()).sum::<usize>()
                + size_of_val(&*family.columns)
                + family.columns.iter().map(column).sum::<usize>()
        };
        size_of_val(&*self.families) + self.families.iter().map(family).sum::<usize>()
    }

    /// Returns the place of each column of a family: the index of its table, and that of its first
    /// value in a row.
    pub(crate) fn places(&self, family: usize) -> impl Iterator<Item = (usize, usize)> {
        self.family(family).columns.iter().map(|column| (column.table, column.offset))
    }

    pub(super) fn family(&self, position: usize) -> &FamilyPlan {
        &self.families[position]
    }
}

/// A [`FamilyPlan`] under construction.
struct FamilyPlanBuilder {
    parameter: Box<str>,
    plain: Box<[Box<str>]>,
    is_info: bool,
    columns: Vec<ColumnPlan>,
}

impl FamilyPlanBuilder {
    fn new(family: &Family) -> Self {
        let lines = family.kind.map(KindLines::of);
        let opening = |suffix: &str| format!("{}{suffix}{{", family.name).into_boxed_str();
        let parameter = lines.as_ref().and_then(|lines| lines.parameter.as_ref());
        Self {
            parameter: parameter.map_or_else(Box::default, |parameter| opening(parameter.suffix)),
            plain: lines.iter().flat_map(|lines| lines.plain).map(|s| opening(s)).collect(),
            is_info: family.kind == Some(FamilyKind::Info),
            columns: Vec::new(),
        }
    }

    fn build(self) -> FamilyPlan {
        let Self { parameter, plain, is_info, columns } = self;
        FamilyPlan { parameter, plain, is_info, columns: columns.into() }
    }
}

impl ColumnPlan {
    fn new(lines: &KindLines, table: usize, column: &Column) -> Self {
        let mut labels = String::with_capacity(counted(|out| write_own_labels(column, out)));
        write_own_labels(column, &mut labels);
        let parameters = lines.parameter.as_ref().map_or_else(Box::default, |parameter| {
            let text = |format| ParameterText::new(parameter, column, format);
            Format::ALL.map(text).into()
        });
        let Column { offset, width, .. } = *column;
        Self { table, offset, width, labels: labels.into(), parameters }
    }

    /// Returns the text of the parameters in this format; `None` if the series has none.
    pub(super) fn parameters(&self, format: Format) -> Option<&ParameterText> {
        self.parameters.get(format as usize)
    }
}

/// Writes `,own="value"` for each label of the column.
pub(super) fn write_own_labels(column: &Column, out: &mut impl std::fmt::Write) {
    for (name, value) in column.labels.iter() {
        write_label(name, value, out);
    }
}
