//! The labels of a series of a wide host, split in one pass: a page has hundreds of them per host.

use fleetgauge_page::Labels;

use crate::host_profile::tables::{MAX_ROW_LABELS, MODE, TableSpec};
use crate::sim_values::{AGENT, LABELS, is_number, label_index};

/// The labels of a series. Those that it lacks are empty.
#[derive(Debug, Default)]
pub(super) struct SeriesLabels<'a> {
    pub(super) agent: &'a str,
    /// Values of the row labels, in the order of the table.
    pub(super) row: [&'a str; MAX_ROW_LABELS],
    pub(super) mode: Option<&'a str>,
    statics: [&'a str; LABELS.len()],
    /// Number of labels.
    count: usize,
    /// Number of row labels.
    in_row: usize,
    /// Whether there is a label that series of the table do not have.
    has_unknown: bool,
}

impl<'a> SeriesLabels<'a> {
    /// Splits the labels of a series of a table. The reader has checked that no name is repeated.
    pub(super) fn read(labels: Labels<'a>, table: &TableSpec) -> Self {
        let mut read = Self::default();
        for (name, value) in labels.iter() {
            read.count += 1;
            if name == AGENT {
                read.agent = value;
            } else if let Some(at) = label_index(name) {
                read.statics[at] = value;
            } else if name == MODE {
                read.mode = Some(value);
            } else if let Some(at) = table.row_labels.iter().position(|own| *own == name) {
                read.row[at] = value;
                read.in_row += 1;
            } else {
                read.has_unknown = true;
            }
        }
        read
    }

    /// Whether the label set is complete: `agent`, all row labels, optionally `mode`, and exactly
    /// the first `count` static labels, with the values of this agent. Does not check other values.
    pub(super) fn are_of(&self, agent: u32, table: &TableSpec, count: u8) -> bool {
        let expected = 1 + usize::from(count) + usize::from(self.mode.is_some()) + self.in_row;
        let statics = LABELS.iter().zip(self.statics).take(count.into());
        self.count == expected
            && !self.has_unknown
            && self.in_row == table.row_labels.len()
            && statics.into_iter().all(|((_, values), shown)| is_number(shown, agent % values))
    }
}
