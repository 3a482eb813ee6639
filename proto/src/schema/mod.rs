//! Validated schemas: the families and series of an agent's reports, in order.
//!
//! [`crate::message::Schema`] is the wire form. [`Schema::try_new`] validates it.

mod family_kind;

pub use family_kind::FamilyKind;

use std::collections::{BTreeSet, HashSet};

use crate::fingerprint::Fingerprint;
use crate::frame::{Frame, HEADER_LEN, VERSION};
use crate::labels::StaticLabels;
use crate::limits::{MAX_HELP_BYTES, MAX_PARAMETERS, MAX_WIDTH};
use crate::message::{self, Limits, Message};
use crate::names;
use crate::violation::Violation;

/// A metric family and its series.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// Metric name without the suffix of its type, such as `_total`.
    pub name: Box<str>,
    /// Metric type; `None` for a type of a later version, whose values are not exposed.
    pub kind: Option<FamilyKind>,
    /// Unit, with which the name ends; empty if the family has none.
    pub unit: Box<str>,
    /// Help text; may be empty.
    pub help: Box<str>,
    /// Series in the order of the schema.
    pub series: Vec<Series>,
}

impl Family {
    /// Iterates over the family name and all sample names that the family reserves in the text
    /// format and in OpenMetrics.
    pub fn sample_names(&self) -> impl Iterator<Item = String> + '_ {
        let suffixes = self.kind.map_or(&[][..], FamilyKind::suffixes);
        let own = (self.kind.is_some() && !suffixes.contains(&"")).then(|| self.name.to_string());
        own.into_iter().chain(suffixes.iter().map(|suffix| format!("{}{suffix}", self.name)))
    }
}

/// One series of a family.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Index of the series' first value in a report.
    pub offset: usize,
    /// Number of values of the series in a report.
    pub width: usize,
    /// Bucket bounds of a histogram or quantiles of a summary; otherwise empty.
    pub parameters: Box<[f64]>,
    /// Labels of the series.
    pub labels: StaticLabels,
}

/// A validated schema.
///
/// ```
/// use fleetgauge_proto::message::{self, Family, Series};
/// use fleetgauge_proto::schema::FamilyKind;
/// use fleetgauge_proto::{Code, Limits, Schema};
///
/// let temperature = Family {
///     name: "room_temperature_celsius",
///     kind: FamilyKind::Gauge as u8,
///     unit: "celsius",
///     help: "Air temperature.",
/// };
/// let series = Series { family: 0, width: 1, parameters: vec![], labels: vec![] };
/// let mut message =
///     message::Schema { stream: 0, families: vec![temperature], series: vec![series] };
/// let schema = Schema::try_new(&message, &Limits::default())?;
/// assert_eq!((schema.width, schema.series), (1, 1));
///
/// message.families.push(temperature);
/// let violation = Schema::try_new(&message, &Limits::default()).unwrap_err();
/// assert_eq!(violation.code(), Code::DuplicateFamily);
/// # Ok::<(), fleetgauge_proto::Violation>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Schema {
    /// Families in the order of the schema.
    pub families: Box<[Family]>,
    /// Number of values in a report, over all series.
    pub width: usize,
    /// Number of series, over all families.
    pub series: usize,
    /// Label names of all series, sorted, without duplicates.
    pub label_names: Box<[Box<str>]>,
}

impl Schema {
    /// Decodes and validates a Schema frame.
    ///
    /// # Errors
    /// The first [`Violation`] found.
    pub fn try_from_frame(frame: Frame<'_>, limits: &Limits) -> Result<Self, Violation> {
        match Message::decode(frame)? {
            Message::Schema(message) => Self::try_new(&message, limits),
            other => Err(Violation::UnexpectedFrame {
                kind: other.kind(),
                when: "where a Schema belongs",
            }),
        }
    }

    /// Validates a schema.
    ///
    /// # Errors
    /// The first [`Violation`] found.
    pub fn try_new(message: &message::Schema<'_>, limits: &Limits) -> Result<Self, Violation> {
        let (families, series) = (message.families.len(), message.series.len());
        if families > limits.max_families as usize {
            return Err(Violation::TooManyFamilies { count: families, max: limits.max_families });
        }
        if series > limits.max_series as usize {
            return Err(Violation::TooManySeries { count: series, max: limits.max_series });
        }
        let mut families = validate_families(&message.families)?;
        let width = add_series(&message.series, &mut families, limits)?;
        let label_names = label_names(&families);
        Ok(Self { families: families.into(), width, series, label_names })
    }

    /// Checks that no series has a label of the agent.
    ///
    /// Runs for every Hello: one binary search for each agent label, independent of the number of
    /// series.
    ///
    /// # Errors
    /// [`Violation::DuplicateLabel`].
    pub fn check_static_labels(&self, labels: &StaticLabels) -> Result<(), Violation> {
        let is_series_label =
            |name: &&str| self.label_names.binary_search_by(|own| (**own).cmp(name)).is_ok();
        match labels.iter().map(|(name, _)| name).find(is_series_label) {
            Some(duplicate) => Err(Violation::DuplicateLabel(duplicate.into())),
            None => Ok(()),
        }
    }
}

/// Returns the label names of all series, sorted, without duplicates.
fn label_names(families: &[Family]) -> Box<[Box<str>]> {
    let series = families.iter().flat_map(|family| &family.series);
    let names = series.flat_map(|series| series.labels.iter()).map(|(name, _)| name);
    let sorted: BTreeSet<_> = names.collect();
    sorted.into_iter().map(Box::from).collect()
}

/// Validates the families and checks that they share no sample name.
fn validate_families(declared: &[message::Family<'_>]) -> Result<Vec<Family>, Violation> {
    let mut sample_names = HashSet::new();
    let mut families = Vec::with_capacity(declared.len());
    for family in declared {
        let family = validate_family(family)?;
        if let Some(taken) = family.sample_names().find(|name| sample_names.contains(name)) {
            return Err(Violation::DuplicateFamily(taken.into()));
        }
        sample_names.extend(family.sample_names());
        families.push(family);
    }
    Ok(families)
}

fn validate_family(declared: &message::Family<'_>) -> Result<Family, Violation> {
    let message::Family { name, kind, unit, help } = *declared;
    names::check_metric_name(name)?;
    let kind = FamilyKind::from_u8(kind);
    let mut suffixes = kind.map_or(&[][..], FamilyKind::suffixes).iter();
    if suffixes.any(|suffix| !suffix.is_empty() && name.ends_with(suffix)) {
        return Err(Violation::BadMetricName(name.into()));
    }
    let stem = name.strip_suffix(unit).and_then(|stem| stem.strip_suffix('_'));
    if !unit.is_empty() && (!names::is_identifier(unit) || stem.is_none_or(str::is_empty)) {
        return Err(Violation::BadUnit(name.into()));
    }
    if help.len() > MAX_HELP_BYTES {
        return Err(Violation::HelpTooLong(name.into()));
    }
    let family = Family {
        name: name.into(),
        kind,
        unit: unit.into(),
        help: help.into(),
        series: Vec::new(),
    };
    let mut samples = family.sample_names();
    if names::is_reserved_metric(name) || samples.any(|name| names::is_reserved_metric(&name)) {
        return Err(Violation::ReservedMetricName(name.into()));
    }
    drop(samples);
    Ok(family)
}

/// Validates the series, adds each to its family and assigns its positions in a report. Returns the
/// number of values of a report.
fn add_series(
    declared: &[message::Series<'_>],
    families: &mut [Family],
    limits: &Limits,
) -> Result<usize, Violation> {
    let mut seen = HashSet::new();
    let mut offset = 0;
    let mut label_bytes = 0;
    for (index, series) in declared.iter().enumerate() {
        let unknown = Violation::BadFamilyIndex { series: index, family: series.family };
        let family = families.get_mut(series.family as usize).ok_or(unknown)?;
        check_shape(index, family.kind, series)?;
        let labels = StaticLabels::try_new(&series.labels)?;
        label_bytes += labels.bytes();
        if label_bytes > limits.max_label_bytes as usize {
            return Err(Violation::LabelsTooLong {
                bytes: label_bytes,
                max: limits.max_label_bytes,
            });
        }
        if !seen.insert((series.family, labels.clone())) {
            return Err(Violation::DuplicateSeries(family.name.clone()));
        }
        let width = series.width as usize;
        family.series.push(Series {
            offset,
            width,
            parameters: series.parameters.as_slice().into(),
            labels,
        });
        offset += width;
        if offset > limits.max_values as usize {
            return Err(Violation::TooManyValues { count: offset as u64, max: limits.max_values });
        }
    }
    Ok(offset)
}

/// Checks the parameters and width of a series against the metric type of its family.
fn check_shape(
    index: usize,
    kind: Option<FamilyKind>,
    series: &message::Series<'_>,
) -> Result<(), Violation> {
    let parameters = &series.parameters;
    let legal = kind.is_none_or(|kind| kind.parameters_are_legal(parameters));
    if parameters.len() > MAX_PARAMETERS || !legal {
        return Err(Violation::BadParameters { series: index });
    }
    let expected = kind.map_or(series.width as usize, |kind| kind.width(parameters.len()));
    if series.width > MAX_WIDTH || series.width as usize != expected {
        return Err(Violation::BadWidth { series: index, width: series.width });
    }
    Ok(())
}

/// Encodes a schema. Returns the Schema frame and the fingerprint for Hello.
///
/// # Errors
/// [`Violation::FrameTooLarge`] if it does not fit a frame.
pub fn encode(message: &message::Schema<'_>) -> Result<(Vec<u8>, Fingerprint), Violation> {
    let mut frame = Vec::new();
    Message::Schema(message.clone()).encode(VERSION, &mut frame)?;
    let fingerprint = Fingerprint::of_payload(&frame[HEADER_LEN..])?;
    Ok((frame, fingerprint))
}
