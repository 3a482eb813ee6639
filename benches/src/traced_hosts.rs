//! Hosts that report the pages of a trace, each with rows and values of its own.

use crate::hosts::share;
use crate::trace::decimals::{is_whole, round};
use crate::{Page, Trace};

/// Row labels whose values each host has for itself.
const OWN_LABELS: [&str; 4] = ["device", "mountpoint", "address", "nodename"];

/// Hosts with the series of a trace. Each has devices, mount points, addresses and a name of its
/// own, so that no two hosts share these texts.
#[derive(Debug)]
pub struct TracedHosts {
    trace: Trace,
    /// Which values of a page differ between the pages of the trace.
    moves: Vec<bool>,
}

impl TracedHosts {
    /// Creates hosts from a trace whose pages all have the same rows.
    ///
    /// # Panics
    /// If the rows of the pages differ.
    #[must_use]
    pub fn new(trace: Trace) -> Self {
        let (first, rest) = trace.pages().split_first().expect("a trace has pages");
        let mut moves = vec![false; first.values.len()];
        for page in rest {
            assert!(page.rows == first.rows, "the pages have the same rows");
            let values = first.values.iter().zip(&page.values);
            for (moves, (first, value)) in moves.iter_mut().zip(values) {
                *moves |= first.to_bits() != value.to_bits();
            }
        }
        Self { trace, moves }
    }

    /// Returns the trace.
    #[must_use]
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Returns the rows and values that the host with this number reports in this step. After the
    /// last page of the trace, its first one follows: counters start again.
    ///
    /// Values that change within the trace are scaled by a factor of the host. Scaled values have
    /// no more decimal places than those of the trace.
    #[must_use]
    pub fn page(&self, number: usize, step: usize) -> Page {
        let pages = self.trace.pages();
        let page = &pages[step % pages.len()];
        let scale = 0.5 + share(number);
        let cells = page.values.iter().zip(&self.moves).zip(self.trace.decimals(page));
        let values = cells.map(|((value, moves), decimals)| match value * scale {
            _ if !moves => *value,
            scaled if is_whole(*value, decimals) => round(scaled, decimals),
            scaled => scaled,
        });
        let mut page = Page { rows: page.rows.clone(), values: values.collect() };
        self.rename_rows(number, &mut page);
        page
    }

    fn rename_rows(&self, number: usize, page: &mut Page) {
        for (table, rows) in page.rows.iter_mut().enumerate() {
            for row in rows {
                let labels = self.trace.row_labels(table).iter().zip(row);
                for (_, value) in labels.filter(|(name, _)| OWN_LABELS.contains(&name.as_str())) {
                    if !value.is_empty() {
                        // Rows with a common prefix keep their order.
                        value.insert_str(0, &format!("{number:06}"));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_rows_of_their_own_in_ascending_order() {
        let hosts = TracedHosts::new(Trace::idle());
        let [one, other] = [1, 2].map(|number| hosts.page(number, 0));
        for (index, (one, other)) in one.rows.iter().zip(&other.rows).enumerate() {
            assert!(one.is_sorted_by(|a, b| a < b));
            let own = |name: &String| OWN_LABELS.contains(&name.as_str());
            if hosts.trace().row_labels(index).iter().any(own) {
                assert!(one.iter().all(|row| !other.contains(row)), "{one:?}");
            }
        }
    }

    #[test]
    fn some_values_change_between_steps_and_rows_do_not() {
        let hosts = TracedHosts::new(Trace::idle());
        let [one, other] = [1, 2].map(|step| hosts.page(7, step));
        assert_eq!(one.rows, other.rows);
        let changed = one.values.iter().zip(&other.values).filter(|(a, b)| a != b).count();
        assert!((50..150).contains(&changed), "{changed} values changed");
    }

    #[test]
    fn values_of_all_hosts_have_the_decimal_places_of_their_columns() {
        let hosts = TracedHosts::new(Trace::idle());
        let trace = hosts.trace();
        for number in [1, 500, 996] {
            let page = hosts.page(number, 1);
            let cells = trace.pages()[1].values.iter().zip(&page.values);
            for ((of_trace, value), decimals) in cells.zip(trace.decimals(&page)) {
                assert_eq!(is_whole(*of_trace, decimals), is_whole(*value, decimals), "{value}");
            }
        }
    }
}
