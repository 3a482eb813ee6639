//! The sizes of fleets in the book follow from the cost of a host.

use super::blocks::text;

/// Seconds between two reports, and between two scrapes.
const INTERVAL: f64 = 15.0;
/// Hosts that one collector was measured with.
const HOSTS_OF_A_COLLECTOR: f64 = 19_000.0;
/// Sizes are rounded to two or three digits.
const TOLERANCE: f64 = 0.04;

/// Parses `1.74 GB`, `220 kbit/s`, `4.92 M` or `1,000`.
fn quantity(cell: &str) -> f64 {
    let (number, unit) = cell.split_once(' ').unwrap_or((cell, ""));
    let factor = match unit.chars().next() {
        Some('G') => 1e9,
        Some('M') => 1e6,
        Some('k') => 1e3,
        Some('u') => 1e-6,
        Some('B') | None => 1.0,
        other => panic!("{other:?} in {cell}"),
    };
    number.replace(',', "").parse::<f64>().unwrap_or_else(|error| panic!("{cell}: {error}"))
        * factor
}

/// Cells of the table's row that starts with this cell.
fn row<'a>(page: &'a str, first: &str) -> Vec<&'a str> {
    let start = format!("| {first} |");
    let row = page.lines().find(|line| line.starts_with(&start));
    let row = row.unwrap_or_else(|| panic!("no row {first}"));
    row.trim_matches('|').split('|').map(str::trim).collect()
}

#[test]
fn sizes_of_fleets_follow_from_the_cost_of_a_host() {
    let page = text("size.md");
    let cost = |name| quantity(row(&page, name)[1]);
    let memory = cost("memory, connected") + cost("memory, while scraped");
    let cores = (cost("CPU of a report") + cost("CPU of a scrape")) / INTERVAL;
    let reports = cost("bytes of a report") * 8.0 / INTERVAL;
    let scrapes = cost("bytes of a scrape") * 8.0 / INTERVAL;
    let series = 492.0;
    for first in ["50", "1,000", "10,000", "100,000", "500,000"] {
        let cells: Vec<_> = row(&page, first).into_iter().map(quantity).collect();
        let hosts = cells[0];
        for (cell, a_host) in cells[1..].iter().zip([series, memory, cores, reports, scrapes]) {
            let expected = hosts * a_host;
            let difference = (cell / expected - 1.0).abs();
            assert!(difference < TOLERANCE, "{first} hosts: {cell} instead of {expected}");
        }
        assert_eq!(cells[6], (hosts / HOSTS_OF_A_COLLECTOR).ceil(), "{first} hosts");
    }
}
