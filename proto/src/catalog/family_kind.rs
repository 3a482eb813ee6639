//! Metric types.

/// The metric type of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FamilyKind {
    /// One value that goes up and down.
    Gauge = 1,
    /// One value that only rises, or resets to zero; exposed as `name_total`.
    Counter = 2,
    /// A cumulative count for each bucket bound, then the count and the sum of all observations.
    Histogram = 3,
    /// A value for each quantile, then the count and the sum of all observations.
    Summary = 4,
    /// One value, exposed as 1 under `name_info`. The labels carry the information.
    Info = 5,
    /// One value of unknown type.
    Unknown = 6,
    /// One value that only rises, or resets to zero; exposed under the family's own name.
    ///
    /// For counters of other exporters, whose names need not end in `_total`. OpenMetrics requires
    /// `_total` of a counter, so there a family without it has type unknown.
    CounterAsNamed = 7,
}

impl FamilyKind {
    /// Returns the metric type of a wire number; `None` for a type of a later version.
    #[must_use]
    pub const fn from_u8(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Gauge,
            2 => Self::Counter,
            3 => Self::Histogram,
            4 => Self::Summary,
            5 => Self::Info,
            6 => Self::Unknown,
            7 => Self::CounterAsNamed,
            _ => return None,
        })
    }

    /// Returns its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
            Self::Info => "info",
            Self::Unknown => "unknown",
            Self::CounterAsNamed => "counter_as_named",
        }
    }

    /// Returns the metric type with this name; `None` if there is none.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        (1..=7).filter_map(Self::from_u8).find(|kind| kind.name() == name)
    }

    /// Returns the suffixes of the sample names that the family reserves.
    ///
    /// They include `_created`: it is not exposed, but OpenMetrics gives it a meaning.
    #[must_use]
    pub const fn suffixes(self) -> &'static [&'static str] {
        match self {
            Self::Gauge | Self::Unknown | Self::CounterAsNamed => &[""],
            Self::Counter => &["_total", "_created"],
            Self::Histogram => &["_bucket", "_count", "_sum", "_created"],
            Self::Summary => &["", "_count", "_sum", "_created"],
            Self::Info => &["_info"],
        }
    }

    /// Iterates over the name of a family of this kind, and all sample names that it reserves in
    /// the text format and in OpenMetrics.
    pub fn sample_names(self, family: &str) -> impl Iterator<Item = String> + '_ {
        let suffixes = self.suffixes();
        let own = (!suffixes.contains(&"")).then(|| family.to_owned());
        own.into_iter().chain(suffixes.iter().map(move |suffix| format!("{family}{suffix}")))
    }

    /// Returns the name of the label that the collector adds to samples of this kind.
    pub(super) const fn added_label(self) -> Option<&'static str> {
        match self {
            Self::Histogram => Some("le"),
            Self::Summary => Some("quantile"),
            Self::Gauge | Self::Counter | Self::Info | Self::Unknown | Self::CounterAsNamed => None,
        }
    }

    /// Returns the number of values of a series with `parameters` bounds or quantiles.
    pub(super) const fn width(self, parameters: usize) -> usize {
        match self {
            Self::Histogram | Self::Summary => parameters + 2,
            Self::Gauge | Self::Counter | Self::Info | Self::Unknown | Self::CounterAsNamed => 1,
        }
    }

    /// Returns whether bucket bounds or quantiles are valid for this metric type.
    pub(super) fn parameters_are_legal(self, parameters: &[f64]) -> bool {
        let rising = parameters.windows(2).all(|pair| pair[0] < pair[1]);
        match self {
            Self::Histogram => rising && parameters.iter().all(|bound| bound.is_finite()),
            Self::Summary => rising && parameters.iter().all(|q| (0.0..=1.0).contains(q)),
            Self::Gauge | Self::Counter | Self::Info | Self::Unknown | Self::CounterAsNamed => {
                parameters.is_empty()
            }
        }
    }
}
