//! Generates schemas, labels and ids: mostly valid, and often in conflict with each other.

use arbitrary::{Arbitrary, Result, Unstructured};
use fleetgauge_proto::Limits;
use fleetgauge_proto::message::{Family, Label, Schema, Series};

/// Family names. Some conflict, depending on the kinds of the families.
const NAMES: [&str; 15] = [
    "a",
    "a_total",
    "a_bucket",
    "a_count",
    "a_sum",
    "a_info",
    "a_created",
    "b_bytes",
    "b_bytes_total",
    "b_seconds",
    "_",
    "z9",
    "Z9",
    "process",
    "fleetgauge",
];
const UNITS: [&str; 6] = ["", "", "bytes", "seconds", "total", "a"];
const TEXTS: [&str; 10] =
    ["", "plain", "\\", "\"", "\n", "\\n", "a\\\"b\nc", "\r", "ü \u{2028}\0", "} 1 # EOF"];
const LABEL_NAMES: [&str; 6] = ["a", "b", "_c", "le_", "B", "agent_"];
/// Metric kinds of generated families: all known ones, histogram twice, and an unknown one.
const KINDS: [u8; 8] = [1, 2, 3, 4, 5, 6, 3, 200];
const BOUNDS: [f64; 9] = [-1e300, -1.0, 0.0, 0.005, 0.25, 0.5, 1.0, 16_777_217.0, 1e300];

/// A schema that owns its texts, unlike [`Schema`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Declared {
    pub(crate) families: Vec<DeclaredFamily>,
    pub(crate) series: Vec<DeclaredSeries>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeclaredFamily {
    pub(crate) name: String,
    pub(crate) kind: u8,
    pub(crate) unit: String,
    pub(crate) help: String,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DeclaredSeries {
    pub(crate) family: u32,
    pub(crate) width: u32,
    pub(crate) parameters: Vec<f64>,
    pub(crate) labels: Labels,
}

/// Label names and values of an agent or a series.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Labels(pub(crate) Vec<(String, String)>);

impl Declared {
    pub(crate) fn of(schema: &Schema<'_>) -> Self {
        let family = |family: &Family<'_>| DeclaredFamily {
            name: family.name.to_owned(),
            kind: family.kind,
            unit: family.unit.to_owned(),
            help: family.help.to_owned(),
        };
        let label = |label: &Label<'_>| (label.name.to_owned(), label.value.to_owned());
        let series = |series: &Series<'_>| DeclaredSeries {
            family: series.family,
            width: series.width,
            parameters: series.parameters.clone(),
            labels: Labels(series.labels.iter().map(label).collect()),
        };
        Self {
            families: schema.families.iter().map(family).collect(),
            series: schema.series.iter().map(series).collect(),
        }
    }

    /// Drops families and series until the schema is valid.
    pub(crate) fn legal(self) -> Self {
        let is_legal = |schema: &Self| {
            fleetgauge_proto::Schema::try_new(&schema.message(), &Limits::default()).is_ok()
        };
        let mut legal = Self { families: Vec::new(), series: Vec::new() };
        for family in self.families {
            legal.families.push(family);
            if !is_legal(&legal) {
                legal.families.pop();
            }
        }
        for series in self.series {
            legal.series.push(series);
            if !is_legal(&legal) {
                legal.series.pop();
            }
        }
        legal
    }

    /// Whether a family has series. The shared pages omit a family without series.
    pub(crate) fn has_series(&self, family: usize) -> bool {
        self.series.iter().any(|series| series.family as usize == family)
    }

    pub(crate) fn message(&self) -> Schema<'_> {
        Schema {
            stream: 0,
            families: self.families.iter().map(DeclaredFamily::message).collect(),
            series: self.series.iter().map(DeclaredSeries::message).collect(),
        }
    }
}

impl DeclaredFamily {
    fn message(&self) -> Family<'_> {
        let Self { name, kind, unit, help } = self;
        Family { name, kind: *kind, unit, help }
    }
}

impl DeclaredSeries {
    fn message(&self) -> Series<'_> {
        let Self { family, width, parameters, labels } = self;
        let (parameters, labels) = (parameters.clone(), labels.message());
        Series { family: *family, width: *width, parameters, labels }
    }
}

impl Labels {
    pub(crate) fn message(&self) -> Vec<Label<'_>> {
        self.0.iter().map(|(name, value)| Label { name, value }).collect()
    }

    /// Returns the labels that pages show: those whose value is not empty.
    pub(crate) fn shown(&self) -> impl Iterator<Item = (&str, &str)> {
        let shown = self.0.iter().filter(|(_, value)| !value.is_empty());
        shown.map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl<'a> Arbitrary<'a> for Declared {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let families: Vec<DeclaredFamily> = vec_of(u, 6, DeclaredFamily::arbitrary)?;
        let kinds: Vec<u8> = families.iter().map(|family| family.kind).collect();
        let series = vec_of(u, 8, |u| series(&kinds, u))?;
        Ok(Self { families, series })
    }
}

impl<'a> Arbitrary<'a> for DeclaredFamily {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let kind = if u.ratio(1, 32)? { u.arbitrary()? } else { *u.choose(&KINDS)? };
        let help = if u.ratio(1, 64)? {
            "h".repeat(u.int_in_range(1020..=1028)?)
        } else {
            text(u, &TEXTS)?
        };
        Ok(Self { name: text(u, &NAMES)?, kind, unit: text(u, &UNITS)?, help })
    }
}

impl<'a> Arbitrary<'a> for Labels {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        vec_of(u, 3, |u| Ok((text(u, &LABEL_NAMES)?, text(u, &TEXTS)?))).map(Self)
    }
}

/// Generates a series of one of these families; sometimes of an unknown family, or with a wrong
/// width.
fn series(kinds: &[u8], u: &mut Unstructured<'_>) -> Result<DeclaredSeries> {
    let family = u.int_in_range(0..=kinds.len())?;
    let parameters = match kinds.get(family) {
        Some(3 | 4 | 200) => parameters(u)?,
        _ => Vec::new(),
    };
    let width = match kinds.get(family) {
        Some(3 | 4) => parameters.len() as u32 + 2,
        Some(200) => u.int_in_range(0..=260)?,
        _ => 1,
    };
    let width = if u.ratio(1, 64)? { u.arbitrary()? } else { width };
    let labels = u.arbitrary()?;
    Ok(DeclaredSeries { family: family as u32, width, parameters, labels })
}

/// Generates parameters of a series: mostly increasing values from [`BOUNDS`].
fn parameters(u: &mut Unstructured<'_>) -> Result<Vec<f64>> {
    if u.ratio(1, 16)? {
        return vec_of(u, 300, |u| u.arbitrary());
    }
    let chosen: u16 = u.arbitrary()?;
    let chosen = BOUNDS.iter().enumerate().filter(|(n, _)| chosen >> n & 1 == 1);
    Ok(chosen.map(|(_, bound)| *bound).collect())
}

/// Generates one of these texts, or sometimes an arbitrary one.
fn text(u: &mut Unstructured<'_>, texts: &[&str]) -> Result<String> {
    if u.ratio(1, 16)? {
        <&str>::arbitrary(u).map(str::to_owned)
    } else {
        Ok((*u.choose(texts)?).into())
    }
}

/// Generates up to `max` items.
pub(crate) fn vec_of<'a, T>(
    u: &mut Unstructured<'a>,
    max: usize,
    mut item: impl FnMut(&mut Unstructured<'a>) -> Result<T>,
) -> Result<Vec<T>> {
    let count = u.int_in_range(0..=max)?;
    (0..count).map(|_| item(u)).collect()
}
