//! The plan of a schema: everything on its lines that is the same for all agents, rendered once.
//!
//! A series' labels are stored once, whatever the number of its lines; a line of a histogram or
//! summary adds its bound or quantile. So the memory of a plan is proportional to the schema.
//! [`PlanSize`](super::PlanSize) computes it beforehand.

use fleetgauge_proto::Schema;
use fleetgauge_proto::schema::{Family, FamilyKind, Series};

use super::Format;
use super::escape::{counted, write_label};
use super::number::label_number;
use super::snapshot::CLOSE;

/// The lines of every series, by family.
#[derive(Debug)]
pub struct Plan {
    families: Box<[FamilyPlan]>,
}

/// The lines of a family: `name{` *the agent's labels* `,own="…",le="…"} ` *value*.
#[derive(Debug)]
pub(super) struct FamilyPlan {
    /// Start of the lines with a bound or quantile; empty if there are none.
    pub(super) numbered: Box<str>,
    /// Start of the other lines, one for each of a series' last values.
    pub(super) plain: Box<[Box<str>]>,
    /// The value is always 1.
    pub(super) is_info: bool,
    pub(super) series: Box<[SeriesPlan]>,
}

/// The labels of one series, and the bounds or quantiles of its lines.
#[derive(Debug)]
pub(super) struct SeriesPlan {
    /// Index of its first value.
    pub(super) offset: usize,
    /// Number of its values.
    pub(super) width: usize,
    /// Its own labels with [`CLOSE`]; empty if it has none.
    pub(super) labels: Box<str>,
    /// The bounds or quantiles of its first values in each format; empty if there are none.
    numbers: Box<[Numbers]>,
}

/// `,le="0.5"} ` for each line, concatenated.
#[derive(Debug)]
pub(super) struct Numbers {
    text: Box<str>,
    ends: Box<[u32]>,
}

/// The lines of a series of a kind.
pub(super) struct Shape {
    pub(super) numbered: Option<Numbered>,
    /// Suffixes of the lines without bound or quantile, one for each of a series' last values.
    pub(super) plain: &'static [&'static str],
}

/// The lines with a bound or quantile, one for each of a series' first values.
pub(super) struct Numbered {
    pub(super) suffix: &'static str,
    label: &'static str,
    /// Whether a line for +Inf follows, which is no parameter.
    is_open_ended: bool,
}

impl Shape {
    pub(super) const fn of(kind: FamilyKind) -> Self {
        let (numbered, plain): (_, &[_]) = match kind {
            FamilyKind::Gauge | FamilyKind::Unknown => (None, &[""]),
            FamilyKind::Counter => (None, &["_total"]),
            FamilyKind::Info => (None, &["_info"]),
            FamilyKind::Histogram => {
                let buckets = Numbered { suffix: "_bucket", label: "le", is_open_ended: true };
                (Some(buckets), &["_count", "_sum"])
            }
            FamilyKind::Summary => {
                let quantiles = Numbered { suffix: "", label: "quantile", is_open_ended: false };
                (Some(quantiles), &["_count", "_sum"])
            }
        };
        Self { numbered, plain }
    }
}

impl Numbered {
    /// Returns the number of lines of a series.
    pub(super) fn lines(&self, series: &Series) -> usize {
        series.parameters.len() + usize::from(self.is_open_ended)
    }

    /// Returns the text size of [`Numbers`].
    pub(super) fn text_bytes(&self, series: &Series, format: Format) -> usize {
        self.numbers(series).map(|number| counted(|out| self.write(number, format, out))).sum()
    }

    fn numbers(&self, series: &Series) -> impl Iterator<Item = f64> {
        let last = self.is_open_ended.then_some(f64::INFINITY);
        series.parameters.iter().copied().chain(last)
    }

    fn write(&self, number: f64, format: Format, out: &mut impl std::fmt::Write) {
        write_label(self.label, &label_number(number, format == Format::OpenMetrics), out);
        let _ = out.write_str(CLOSE);
    }
}

impl Numbers {
    fn new(numbered: &Numbered, series: &Series, format: Format) -> Self {
        let mut text = String::with_capacity(numbered.text_bytes(series, format));
        let ends = numbered.numbers(series).map(|number| {
            numbered.write(number, format, &mut text);
            u32::try_from(text.len()).unwrap_or(u32::MAX)
        });
        let ends = ends.collect();
        Self { text: text.into(), ends }
    }

    /// Returns the text of each line.
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        let mut begin = 0;
        self.ends.iter().map(move |end| {
            let end = *end as usize;
            let number = &self.text[begin..end];
            begin = end;
            number
        })
    }
}

impl Plan {
    pub(crate) fn new(schema: &Schema) -> Self {
        Self { families: schema.families.iter().map(FamilyPlan::new).collect() }
    }

    /// Returns its bytes of memory.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        let numbers = |numbers: &Numbers| numbers.text.len() + size_of_val(&*numbers.ends);
        let series = |series: &SeriesPlan| {
            series.labels.len()
                + size_of_val(&*series.numbers)
                + series.numbers.iter().map(numbers).sum::<usize>()
        };
        let family = |family: &FamilyPlan| {
            family.numbered.len()
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
            let plan = |series: &Series| SeriesPlan::new(shape.numbered.as_ref(), series);
            family.series.iter().map(plan).collect()
        };
        Self {
            numbered: shape
                .as_ref()
                .and_then(|shape| shape.numbered.as_ref())
                .map_or_else(Box::default, |numbered| opening(numbered.suffix)),
            plain: shape.iter().flat_map(|shape| shape.plain).map(|s| opening(s)).collect(),
            is_info: family.kind == Some(FamilyKind::Info),
            // Families of unknown kinds are not rendered.
            series: shape.as_ref().map_or_else(Box::default, plan),
        }
    }
}

impl SeriesPlan {
    fn new(numbered: Option<&Numbered>, series: &Series) -> Self {
        let mut labels = String::with_capacity(counted(|out| write_own_labels(series, out)));
        write_own_labels(series, &mut labels);
        let numbers = numbered.map_or_else(Box::default, |numbered| {
            Format::ALL.iter().map(|format| Numbers::new(numbered, series, *format)).collect()
        });
        let Series { offset, width, .. } = *series;
        Self { offset, width, labels: labels.into(), numbers }
    }

    /// Returns what the lines with a bound or quantile add to the labels; `None` if there are none.
    pub(super) fn numbers(&self, format: Format) -> Option<&Numbers> {
        self.numbers.get(format as usize)
    }
}

/// Writes `,own="value"} `, or nothing without labels.
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
