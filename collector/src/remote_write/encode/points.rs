//! What is written for the series of an agent: samples of its reports, and stale markers.

use fleetgauge_proto::report::is_absent;

use super::presence::CellSet;
use super::protobuf::SampleAt;

/// The value that marks a series as stale.
pub(in crate::remote_write) const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// The values of a column in a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cells {
    /// Index of the first one.
    pub(super) first: usize,
    pub(super) width: usize,
}

/// Number of points.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Samples of reports.
    pub samples: usize,
    /// Stale markers.
    pub markers: usize,
}

impl Written {
    /// Returns the sum.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let Self { samples, markers } = other;
        Self { samples: self.samples + samples, markers: self.markers + markers }
    }

    /// Returns this many times as much.
    pub(super) fn times(self, factor: usize) -> Self {
        Self { samples: factor * self.samples, markers: factor * self.markers }
    }

    /// Returns samples and markers together.
    #[must_use]
    pub fn total(self) -> usize {
        self.samples + self.markers
    }
}

/// What is written for series.
pub(super) trait Source {
    /// Returns the number of points of the series of these values, and their size in bytes.
    fn size(&self, cells: Cells) -> (Written, usize);

    /// Appends the points of a series that has some. `value` is the index of its value among the
    /// cells; `None` if its value is always 1.
    fn push(&self, cells: Cells, value: Option<usize>, out: &mut Vec<u8>);
}

/// The values of a report.
#[derive(Debug, Clone, Copy)]
pub(super) struct Samples<'a> {
    values: &'a [f64],
    at: SampleAt,
}

impl Samples<'_> {
    fn has(&self, cells: Cells) -> bool {
        let Cells { first, width } = cells;
        match width {
            0 => true,
            1 => self.values.get(first).is_some_and(|value| !is_absent(*value)),
            _ => {
                let own = self.values.get(first..first + width);
                own.is_some_and(|own| !own.iter().any(|value| is_absent(*value)))
            }
        }
    }
}

impl Source for Samples<'_> {
    fn size(&self, cells: Cells) -> (Written, usize) {
        match self.has(cells) {
            true => (Written { samples: 1, markers: 0 }, self.at.bytes()),
            false => Default::default(),
        }
    }

    fn push(&self, cells: Cells, value: Option<usize>, out: &mut Vec<u8>) {
        let value = value
            .map_or(1.0, |value| self.values.get(cells.first + value).copied().unwrap_or(STALE));
        self.at.push(value, out);
    }
}

/// Stale markers of series.
#[derive(Debug, Clone, Copy)]
pub(super) struct Markers<'a> {
    series: &'a CellSet,
    at: SampleAt,
}

impl Source for Markers<'_> {
    fn size(&self, cells: Cells) -> (Written, usize) {
        match self.series.contains(cells.first) {
            true => (Written { samples: 0, markers: 1 }, self.at.bytes()),
            false => Default::default(),
        }
    }

    fn push(&self, _: Cells, _: Option<usize>, out: &mut Vec<u8>) {
        self.at.push(STALE, out);
    }
}

/// Points of an agent's series at one time.
#[derive(Debug, Clone, Copy)]
pub struct Points<'a>(pub(super) Kind<'a>);

#[derive(Debug, Clone, Copy)]
pub(super) enum Kind<'a> {
    Samples(Samples<'a>),
    Markers(Markers<'a>),
}

impl<'a> Points<'a> {
    /// Creates a sample for each series without absent values.
    #[must_use]
    pub fn samples(values: &'a [f64], unix_ms: i64) -> Self {
        Self(Kind::Samples(Samples { values, at: SampleAt::new(unix_ms) }))
    }

    /// Creates a stale marker for each of these series.
    #[must_use]
    pub fn markers(series: &'a CellSet, unix_ms: i64) -> Self {
        Self(Kind::Markers(Markers { series, at: SampleAt::new(unix_ms) }))
    }
}

/// Points at several times, in their order.
impl Source for [Points<'_>] {
    fn size(&self, cells: Cells) -> (Written, usize) {
        let sizes = self.iter().map(|points| match &points.0 {
            Kind::Samples(samples) => samples.size(cells),
            Kind::Markers(markers) => markers.size(cells),
        });
        sizes.fold(Default::default(), |(written, bytes), own| (written.plus(own.0), bytes + own.1))
    }

    fn push(&self, cells: Cells, value: Option<usize>, out: &mut Vec<u8>) {
        for points in self {
            match &points.0 {
                Kind::Samples(samples) if samples.has(cells) => samples.push(cells, value, out),
                Kind::Markers(markers) if markers.series.contains(cells.first) => {
                    markers.push(cells, value, out);
                }
                _ => {}
            }
        }
    }
}
