//! Tables and their columns.

use super::{Family, FamilyKind};
use crate::labels::StaticLabels;
use crate::limits::{MAX_DECIMALS, MAX_LABELS, MAX_PARAMETERS, MAX_WIDTH};
use crate::message;
use crate::names::check_series_label_name;
use crate::violation::Violation;

/// A table: columns whose rows have the same labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Names of the labels that rows have values for. Without any, the table has exactly one row.
    pub row_labels: Box<[Box<str>]>,
    /// Columns, in the order of the values of a row.
    pub columns: Box<[Column]>,
    /// Decimal places of each value of a row.
    pub decimals: Box<[u8]>,
    /// Number of values of a row.
    pub width: usize,
}

/// A column of a table: one series of every row.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Index of its family in the catalog.
    pub family: usize,
    /// Index of its first value in a row.
    pub offset: usize,
    /// Number of its values in a row.
    pub width: usize,
    /// Decimal places that its values usually have.
    pub decimals: u8,
    /// Bucket bounds of a histogram or quantiles of a summary; otherwise empty.
    pub parameters: Box<[f64]>,
    /// Labels that all its series have.
    pub labels: StaticLabels,
}

impl Table {
    /// Validates the table with this index, without its decimal places.
    pub(super) fn try_new(
        declared: &message::Table<'_>,
        index: usize,
        families: &[Family],
    ) -> Result<Self, Violation> {
        check_row_labels(&declared.row_labels)?;
        let mut width = 0;
        let mut columns = Vec::with_capacity(declared.columns.len());
        for declared_column in &declared.columns {
            let column = Column::try_new(declared_column, index, width, families)?;
            let added = families[column.family].kind.and_then(FamilyKind::added_label);
            if let Some(name) = added.filter(|name| declared.row_labels.contains(name)) {
                return Err(Violation::ReservedLabel(name.into()));
            }
            let is_row_label = |(name, _): &(&str, &str)| declared.row_labels.contains(name);
            if let Some((name, _)) = column.labels.iter().find(is_row_label) {
                return Err(Violation::DuplicateLabel(name.into()));
            }
            width += column.width;
            columns.push(column);
        }
        let row_labels = declared.row_labels.iter().map(|name| Box::from(*name)).collect();
        Ok(Self { row_labels, columns: columns.into(), decimals: Box::default(), width })
    }

    /// Fills in the decimal places of a table whose width is within the limit. Columns of later
    /// kinds can be wide without parameters, so their frame does not bound the width.
    pub(super) fn with_decimals(mut self) -> Self {
        let places = |column: &Column| std::iter::repeat_n(column.decimals, column.width);
        self.decimals = self.columns.iter().flat_map(places).collect();
        self
    }

    /// Returns the size of all label names and of the columns' label values, in bytes.
    #[must_use]
    pub fn label_bytes(&self) -> usize {
        let columns = self.columns.iter().map(|column| column.labels.bytes());
        self.row_labels.iter().map(|name| name.len()).chain(columns).sum()
    }
}

impl Column {
    fn try_new(
        declared: &message::Column<'_>,
        table: usize,
        offset: usize,
        families: &[Family],
    ) -> Result<Self, Violation> {
        let family = declared.family as usize;
        let unknown = Violation::BadFamilyIndex { table, family: declared.family };
        let kind = families.get(family).ok_or(unknown)?.kind;
        check_shape(table, kind, declared)?;
        if declared.decimals > MAX_DECIMALS {
            return Err(Violation::BadDecimals { table, decimals: declared.decimals });
        }
        let added = kind.and_then(FamilyKind::added_label);
        Ok(Self {
            family,
            offset,
            width: declared.width as usize,
            decimals: declared.decimals,
            parameters: declared.parameters.as_slice().into(),
            labels: StaticLabels::of_column(&declared.labels, added)?,
        })
    }
}

fn check_row_labels(names: &[&str]) -> Result<(), Violation> {
    if names.len() > MAX_LABELS {
        return Err(Violation::TooManyLabels { count: names.len(), max: MAX_LABELS });
    }
    for (position, name) in names.iter().enumerate() {
        check_series_label_name(name)?;
        if names[..position].contains(name) {
            return Err(Violation::DuplicateLabel((*name).into()));
        }
    }
    Ok(())
}

/// Checks a column's parameters and width against the kind of its family.
fn check_shape(
    table: usize,
    kind: Option<FamilyKind>,
    column: &message::Column<'_>,
) -> Result<(), Violation> {
    let parameters = &column.parameters;
    let legal = kind.is_none_or(|kind| kind.parameters_are_legal(parameters));
    if parameters.len() > MAX_PARAMETERS || !legal {
        return Err(Violation::BadParameters { table });
    }
    let expected = kind.map_or(column.width as usize, |kind| kind.width(parameters.len()));
    if column.width == 0 || column.width > MAX_WIDTH || column.width as usize != expected {
        return Err(Violation::BadWidth { table, width: column.width });
    }
    Ok(())
}
