//! How the values of a schema are written: all that is the same for every agent, made once.

use std::fmt::Write;

use fleetgauge_proto::Schema;
use fleetgauge_proto::schema::{Family, FamilyKind, Series};

use super::Format;
use super::head::escape_label_value;
use super::number::label_number;
use super::snapshot::CLOSE;

/// The lines of every series, by family.
#[derive(Debug)]
pub struct Plan {
    families: Box<[Box<[SeriesPlan]>]>,
}

/// The lines of one series.
#[derive(Debug)]
pub(super) struct SeriesPlan {
    /// Position of its first value.
    pub(super) offset: usize,
    /// How many values it has.
    pub(super) width: usize,
    pub(super) samples: Box<[Sample]>,
}

/// One line: `name{` *the agent's labels* `,own="…"} ` *value*.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) opening: Box<str>,
    pub(super) closing: Closing,
    pub(super) value: Source,
}

/// What stands between the agent's labels and the value.
#[derive(Debug)]
pub(super) enum Closing {
    /// Nothing but [`CLOSE`].
    Bare,
    Same(Box<str>),
    /// Numbers in labels are written differently.
    ByFormat {
        text: Box<str>,
        openmetrics: Box<str>,
    },
}

impl Closing {
    fn bytes(&self) -> usize {
        match self {
            Self::Bare => 0,
            Self::Same(closing) => closing.len(),
            Self::ByFormat { text, openmetrics } => text.len() + openmetrics.len(),
        }
    }

    /// What takes the place of [`CLOSE`]; `None` if nothing does.
    pub(super) fn instead(&self, format: Format) -> Option<&str> {
        match (self, format) {
            (Self::Bare, _) => None,
            (Self::Same(closing), _) => Some(closing),
            (Self::ByFormat { text, .. }, Format::Text) => Some(text),
            (Self::ByFormat { openmetrics, .. }, Format::OpenMetrics) => Some(openmetrics),
        }
    }
}

/// Where a line's value comes from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source {
    /// The series' value at this position.
    At(usize),
    /// Always 1.
    One,
}

impl Plan {
    pub(crate) fn new(schema: &Schema) -> Self {
        let plan = |family: &Family| family.series.iter().map(|s| plan_series(family, s)).collect();
        Self { families: schema.families.iter().map(plan).collect() }
    }

    /// Bytes of memory.
    pub(crate) fn bytes(&self) -> usize {
        let all_series = self.families.iter().flatten();
        let samples = all_series.clone().flat_map(|series| &series.samples);
        let texts = samples
            .map(|sample| size_of::<Sample>() + sample.opening.len() + sample.closing.bytes());
        size_of_val(&*self.families)
            + all_series.count() * size_of::<SeriesPlan>()
            + texts.sum::<usize>()
    }

    pub(super) fn family(&self, position: usize) -> &[SeriesPlan] {
        &self.families[position]
    }
}

fn plan_series(family: &Family, series: &Series) -> SeriesPlan {
    let name = &family.name;
    let parameters = &series.parameters;
    let (count, sum) = (parameters.len(), parameters.len() + 1);
    let line = |suffix: &str, closing: Closing, value: Source| Sample {
        opening: format!("{name}{suffix}{{").into(),
        closing,
        value,
    };
    let plain = || match closing(series, None) {
        bare if &*bare == CLOSE => Closing::Bare,
        closing => Closing::Same(closing),
    };
    let with = |label, number| Closing::ByFormat {
        text: closing(series, Some((label, &label_number(number, false)))),
        openmetrics: closing(series, Some((label, &label_number(number, true)))),
    };
    let samples = match family.kind {
        None => Vec::new(),
        Some(FamilyKind::Gauge | FamilyKind::Unknown) => vec![line("", plain(), Source::At(0))],
        Some(FamilyKind::Counter) => vec![line("_total", plain(), Source::At(0))],
        Some(FamilyKind::Info) => vec![line("_info", plain(), Source::One)],
        Some(FamilyKind::Histogram) => {
            let bounds = parameters.iter().chain([&f64::INFINITY]).enumerate();
            bounds
                .map(|(n, bound)| line("_bucket", with("le", *bound), Source::At(n)))
                .chain([
                    line("_count", plain(), Source::At(count)),
                    line("_sum", plain(), Source::At(sum)),
                ])
                .collect()
        }
        Some(FamilyKind::Summary) => parameters
            .iter()
            .enumerate()
            .map(|(n, quantile)| line("", with("quantile", *quantile), Source::At(n)))
            .chain([
                line("_count", plain(), Source::At(count)),
                line("_sum", plain(), Source::At(sum)),
            ])
            .collect(),
    };
    SeriesPlan { offset: series.offset, width: series.width, samples: samples.into() }
}

/// `,own="value",le="1"} `
fn closing(series: &Series, extra: Option<(&str, &str)>) -> Box<str> {
    let mut text = String::new();
    for (name, value) in series.labels.iter().chain(extra) {
        let _ = write!(text, ",{name}=\"{}\"", escape_label_value(value));
    }
    text.push_str(CLOSE);
    text.into()
}
