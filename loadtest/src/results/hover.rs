//! Values that a plot shows when the pointer is on it: tooltips of SVG, which need no script.

use std::fmt::Write;
use std::ops::Range;

use super::plot::Plot;
use super::tables::quantity;

/// Maximum number of areas of a plot with a tooltip each. Narrower ones are hard to point at.
const MAX_SLOTS: usize = 120;

/// The area of a drawing in which values are drawn, in its pixels.
#[derive(Debug, Clone)]
pub(super) struct PlotArea {
    pub(super) x: Range<i32>,
    pub(super) y: Range<i32>,
}

/// Adds areas with tooltips to a drawing. Each has the highest value of every line in its time.
pub(super) fn add(svg: &mut String, plot: &Plot<'_>, area: &PlotArea) {
    let Some(end) = svg.rfind("</svg>") else { return };
    let tail = svg.split_off(end);
    let until = plot.until.max(1.0);
    let slots = slots(plot, until);
    let (left, width) = (f64::from(area.x.start), f64::from(area.x.end - area.x.start));
    let (top, height) = (area.y.start, area.y.end - area.y.start);
    let width_of_slot = width / slots.len() as f64;
    svg.push_str("<g class=\"hover\">\n");
    for (slot, values) in slots.iter().enumerate() {
        let values = plot.lines.iter().zip(values);
        let values = values.filter_map(|(line, value)| {
            Some(format!("\n{}: {} {}", line.name, quantity((*value)?, ""), plot.unit))
        });
        let values: String = values.collect();
        if values.is_empty() {
            continue;
        }
        let when = quantity((until * slot as f64 / slots.len() as f64).round(), "s");
        let x = left + width_of_slot * slot as f64;
        // Writing to a string cannot fail.
        let _ = writeln!(
            svg,
            "<rect x=\"{x:.1}\" y=\"{top}\" width=\"{width_of_slot:.1}\" height=\"{height}\">\
             <title>at {when}{values}</title></rect>"
        );
    }
    svg.push_str("</g>\n");
    svg.push_str(&tail);
}

/// Divides the time axis. Returns the highest value of each line in each part of the time.
fn slots(plot: &Plot<'_>, until: f64) -> Vec<Vec<Option<f64>>> {
    let points = plot.lines.iter().map(|line| line.points.len()).max().unwrap_or(0);
    let count = points.clamp(1, MAX_SLOTS);
    let mut slots = vec![vec![None; plot.lines.len()]; count];
    for (number, line) in plot.lines.iter().enumerate() {
        for (at, value) in &line.points {
            let slot = ((at / until * count as f64) as usize).min(count - 1);
            let highest: &mut Option<f64> = &mut slots[slot][number];
            *highest = Some(highest.map_or(*value, |highest| highest.max(*value)));
        }
    }
    slots
}

#[cfg(test)]
mod tests {
    use super::super::plot::{Line, Scale};
    use super::*;

    fn plot(points: Vec<(f64, f64)>) -> Plot<'static> {
        let line = Line { name: "p99", points, scattered: false };
        let until = 600.0;
        Plot { title: "Lag", unit: "ms", scale: Scale::Log, lines: vec![line], events: &[], until }
    }

    #[test]
    fn hover_shows_the_highest_value_of_its_time() {
        let points = (0..600).map(|at| (f64::from(at), f64::from(at % 10)));
        let svg = plot(points.collect()).svg().unwrap();
        assert_eq!(svg.matches("<title>").count(), MAX_SLOTS, "{svg}");
        assert!(svg.contains("<title>at 0 s\np99: 4 ms</title>"), "{svg}");
        assert!(svg.contains("<title>at 595 s\np99: 9 ms</title>"), "{svg}");
        assert!(svg.trim_end().ends_with("</svg>"), "{svg}");
    }

    #[test]
    fn long_test_has_as_many_tooltips_as_a_short_one() {
        let points: Vec<_> = (0..500_000).map(|at| (f64::from(at) / 1e3, 1.0)).collect();
        assert!(plot(points).svg().unwrap().matches("<rect x=").count() <= MAX_SLOTS + 1);
    }
}
