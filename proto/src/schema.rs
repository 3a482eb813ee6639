//! Schemas: what an agent's reports carry, in order. A [`Schema`] that exists is legal.

use std::collections::{BTreeSet, HashSet};

use sha2::{Digest, Sha256};

use crate::codec::{self, BorrowDecode, Encode};
use crate::error::Violation;
use crate::frame::{Frame, HEADER_LEN};
use crate::limits::{Limits, MAX_HELP_BYTES, MAX_PARAMETERS, MAX_WIDTH};
use crate::message::{self, Message};
use crate::names::{self, StaticLabels};

/// Which schema this is: the first 128 bits of SHA-256 over the Schema payload after its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, BorrowDecode)]
pub struct Fingerprint(
    /// The bits, in the digest's order.
    pub [u8; 16],
);

impl Fingerprint {
    /// The fingerprint of a Schema frame's payload. The stream is checked, as it is no part of it.
    ///
    /// # Errors
    /// The payload does not open with stream 0 in its shortest form.
    pub fn of_payload(payload: &[u8]) -> Result<Self, Violation> {
        let (stream, body) = codec::split_u32(payload)?;
        message::check_stream(stream)?;
        let digest = Sha256::digest(body);
        let mut bits = [0; 16];
        bits.copy_from_slice(&digest[..16]);
        Ok(Self(bits))
    }
}

/// What a family's values mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FamilyKind {
    /// One value that goes up and down.
    Gauge = 1,
    /// One value that only rises, or starts again at zero; exposed as `name_total`.
    Counter = 2,
    /// For each bound the number of observations at or below it, then their count, then their sum.
    Histogram = 3,
    /// For each quantile its value, then the count of observations, then their sum.
    Summary = 4,
    /// One value, shown as 1; what it says is in the labels; exposed as `name_info`.
    Info = 5,
    /// One value of which nothing is known.
    Unknown = 6,
}

impl FamilyKind {
    /// The kind with this number; `None` for one of a later version.
    #[must_use]
    pub const fn from_u8(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Gauge,
            2 => Self::Counter,
            3 => Self::Histogram,
            4 => Self::Summary,
            5 => Self::Info,
            6 => Self::Unknown,
            _ => return None,
        })
    }

    /// The suffixes of the sample names that it takes. `_created` is never exposed: OpenMetrics gives it a meaning.
    #[must_use]
    pub const fn suffixes(self) -> &'static [&'static str] {
        match self {
            Self::Gauge | Self::Unknown => &[""],
            Self::Counter => &["_total", "_created"],
            Self::Histogram => &["_bucket", "_count", "_sum", "_created"],
            Self::Summary => &["", "_count", "_sum", "_created"],
            Self::Info => &["_info"],
        }
    }

    /// Values of a series with so many parameters.
    const fn width(self, parameters: usize) -> usize {
        match self {
            Self::Histogram | Self::Summary => parameters + 2,
            Self::Gauge | Self::Counter | Self::Info | Self::Unknown => 1,
        }
    }

    fn parameters_are_legal(self, parameters: &[f64]) -> bool {
        let rising = parameters.windows(2).all(|pair| pair[0] < pair[1]);
        match self {
            Self::Histogram => rising && parameters.iter().all(|bound| bound.is_finite()),
            Self::Summary => rising && parameters.iter().all(|q| (0.0..=1.0).contains(q)),
            Self::Gauge | Self::Counter | Self::Info | Self::Unknown => parameters.is_empty(),
        }
    }
}

/// A metric family and its series.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// Metric name, without the suffixes that its kind adds.
    pub name: Box<str>,
    /// `None` for a kind of a later version: its values are skipped.
    pub kind: Option<FamilyKind>,
    /// Unit; empty for none. The name ends in it.
    pub unit: Box<str>,
    /// Help text; may be empty.
    pub help: Box<str>,
    /// Its series, in the schema's order.
    pub series: Vec<Series>,
}

impl Family {
    /// Its own name and every sample name that it takes in either format.
    pub fn sample_names(&self) -> impl Iterator<Item = String> + '_ {
        let suffixes = self.kind.map_or(&[][..], FamilyKind::suffixes);
        let own = (self.kind.is_some() && !suffixes.contains(&"")).then(|| self.name.to_string());
        own.into_iter().chain(suffixes.iter().map(|suffix| format!("{}{suffix}", self.name)))
    }
}

/// One series of a family.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Position of its first value in a report.
    pub offset: usize,
    /// How many values it has.
    pub width: usize,
    /// Bucket bounds or quantiles.
    pub parameters: Box<[f64]>,
    /// Labels of its own.
    pub labels: StaticLabels,
}

/// A legal schema.
#[derive(Debug, Clone, PartialEq)]
pub struct Schema {
    /// Families in the order of their declaration.
    pub families: Box<[Family]>,
    /// Values in a report.
    pub width: usize,
    /// Number of series.
    pub series: usize,
    /// Names of all series' labels, sorted, each once: an agent's labels are looked up in them.
    pub label_names: Box<[Box<str>]>,
}

impl Schema {
    /// Decodes and checks a Schema frame's payload.
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

    /// The schema, if it is legal.
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
        let mut families = declare_families(&message.families)?;
        let width = place_series(&message.series, &mut families, limits)?;
        let label_names = label_names(&families);
        Ok(Self { families: families.into(), width, series, label_names })
    }

    /// Checks that no label is both the agent's and one of a series. It costs a search for each of the agent's labels,
    /// however many series there are: every Hello asks.
    ///
    /// # Errors
    /// [`Violation::DuplicateLabel`].
    pub fn check_static_labels(&self, labels: &StaticLabels) -> Result<(), Violation> {
        let of_a_series =
            |name: &&str| self.label_names.binary_search_by(|own| (**own).cmp(name)).is_ok();
        match labels.iter().map(|(name, _)| name).find(of_a_series) {
            Some(twice) => Err(Violation::DuplicateLabel(twice.into())),
            None => Ok(()),
        }
    }
}

fn label_names(families: &[Family]) -> Box<[Box<str>]> {
    let series = families.iter().flat_map(|family| &family.series);
    let names = series.flat_map(|series| series.labels.iter()).map(|(name, _)| name);
    let sorted: BTreeSet<_> = names.collect();
    sorted.into_iter().map(Box::from).collect()
}

fn declare_families(declared: &[message::Family<'_>]) -> Result<Vec<Family>, Violation> {
    let mut sample_names = HashSet::new();
    let mut families = Vec::with_capacity(declared.len());
    for family in declared {
        let family = declare_family(family)?;
        if let Some(taken) = family.sample_names().find(|name| sample_names.contains(name)) {
            return Err(Violation::DuplicateFamily(taken.into()));
        }
        sample_names.extend(family.sample_names());
        families.push(family);
    }
    Ok(families)
}

fn declare_family(declared: &message::Family<'_>) -> Result<Family, Violation> {
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

/// Gives every series its place in the reports and its family; returns the values of a report.
fn place_series(
    declared: &[message::Series<'_>],
    families: &mut [Family],
    limits: &Limits,
) -> Result<usize, Violation> {
    let mut seen = HashSet::new();
    let mut offset = 0;
    let mut label_bytes = 0;
    for (number, series) in declared.iter().enumerate() {
        let unknown = Violation::BadFamilyIndex { series: number, family: series.family };
        let family = families.get_mut(series.family as usize).ok_or(unknown)?;
        check_shape(number, family.kind, series)?;
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

fn check_shape(
    number: usize,
    kind: Option<FamilyKind>,
    series: &message::Series<'_>,
) -> Result<(), Violation> {
    let parameters = &series.parameters;
    let legal = kind.is_none_or(|kind| kind.parameters_are_legal(parameters));
    if parameters.len() > MAX_PARAMETERS || !legal {
        return Err(Violation::BadParameters { series: number });
    }
    let expected = kind.map_or(series.width as usize, |kind| kind.width(parameters.len()));
    if series.width > MAX_WIDTH || series.width as usize != expected {
        return Err(Violation::BadWidth { series: number, width: series.width });
    }
    Ok(())
}

/// Encodes a Schema frame and tells its fingerprint: what an agent keeps of its schema.
///
/// # Errors
/// [`Violation::FrameTooLarge`] if it does not fit a frame.
pub fn encode(message: &message::Schema<'_>) -> Result<(Vec<u8>, Fingerprint), Violation> {
    let mut frame = Vec::new();
    Message::Schema(message.clone()).encode(crate::VERSION, &mut frame)?;
    let fingerprint = Fingerprint::of_payload(&frame[HEADER_LEN..])?;
    Ok((frame, fingerprint))
}
