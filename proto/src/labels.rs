//! Labels: their wire form and the validated set.

use crate::codec::{BorrowDecode, Encode};
use crate::limits::{MAX_LABEL_VALUE_BYTES, MAX_LABELS};
use crate::names::{check_series_label_name, check_static_label_name};
use crate::violation::Violation;

/// A label as it is encoded in Hello and Catalog. Not validated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, BorrowDecode)]
pub struct Label<'a> {
    /// Label name.
    pub name: &'a str,
    /// Label value, any UTF-8.
    pub value: &'a str,
}

/// Validated labels of an agent or a column, sorted by name.
///
/// Names are valid, unique and not reserved; more names are reserved on agents than on columns.
/// Labels with an empty value are dropped: Prometheus
/// treats them as absent.
///
/// ```
/// use fleetgauge_proto::message::Label;
/// use fleetgauge_proto::{Code, StaticLabels};
///
/// let labels = [Label { name: "rack", value: "7" }, Label { name: "dc", value: "fra" }];
/// let labels = StaticLabels::try_new(&labels)?;
/// assert_eq!(labels.iter().next(), Some(("dc", "fra")));
///
/// let reserved = StaticLabels::try_new(&[Label { name: "job", value: "node" }]);
/// assert_eq!(reserved.unwrap_err().code(), Code::ReservedLabel);
/// # Ok::<(), fleetgauge_proto::Violation>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct StaticLabels(Box<[(Box<str>, Box<str>)]>);

impl StaticLabels {
    /// Validates labels of an agent. Names of empty labels are checked too, but they count towards
    /// no limit.
    ///
    /// # Errors
    /// The first of: too many labels, an invalid or reserved name, a value that is too long, a
    /// duplicate name.
    pub fn try_new(labels: &[Label<'_>]) -> Result<Self, Violation> {
        Self::checked(labels, check_static_label_name)
    }

    /// Validates labels of a column. `added` is the label that the collector adds to its samples.
    pub(crate) fn of_column(labels: &[Label<'_>], added: Option<&str>) -> Result<Self, Violation> {
        Self::checked(labels, |name| {
            check_series_label_name(name)?;
            if added == Some(name) {
                return Err(Violation::ReservedLabel(name.into()));
            }
            Ok(())
        })
    }

    fn checked(
        labels: &[Label<'_>],
        check_name: impl Fn(&str) -> Result<(), Violation>,
    ) -> Result<Self, Violation> {
        let count = labels.iter().filter(|label| !label.value.is_empty()).count();
        if count > MAX_LABELS {
            return Err(Violation::TooManyLabels { count, max: MAX_LABELS });
        }
        for label in labels {
            check_name(label.name)?;
            if label.value.len() > MAX_LABEL_VALUE_BYTES {
                return Err(Violation::LabelValueTooLong(label.name.into()));
            }
        }
        let mut sorted = labels.to_vec();
        sorted.sort_unstable_by_key(|label| label.name);
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0].name == pair[1].name) {
            return Err(Violation::DuplicateLabel(pair[0].name.into()));
        }
        let present = sorted.iter().filter(|label| !label.value.is_empty());
        Ok(Self(present.map(|label| (label.name.into(), label.value.into())).collect()))
    }

    /// Iterates over names and values, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Returns whether a label has this name.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.0.binary_search_by(|(own, _)| (**own).cmp(name)).is_ok()
    }

    /// Returns the total size of all names and values, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.iter().map(|(name, value)| name.len() + value.len()).sum()
    }
}
