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

/// A part of the time axis, and what its tooltip shows.
#[derive(Debug)]
struct Slot {
    /// First and last time of its points, in seconds.
    times: (f64, f64),
    /// The highest value of each line.
    values: Vec<Option<f64>>,
}

/// Adds areas with tooltips to a drawing. Each has the highest value of every line in its time.
pub(super) fn add(svg: &mut String, plot: &Plot<'_>, area: &PlotArea) {
    let Some(end) = svg.rfind("</svg>") else { return };
    let tail = svg.split_off(end);
    let until = plot.until.max(1.0);
    let slots = slots(plot);
    let width = f64::from(area.x.end - area.x.start);
    let x = |time: f64| f64::from(area.x.start) + width * time.clamp(0.0, until) / until;
    let (top, height) = (area.y.start, area.y.end - area.y.start);
    svg.push_str("<g class=\"hover\">\n");
    for (slot, edges) in slots.iter().zip(edges(&slots, until).windows(2)) {
        let values = plot.lines.iter().zip(&slot.values).filter_map(|(line, value)| {
            Some(format!("\n{}: {} {}", line.name, quantity((*value)?, ""), plot.unit))
        });
        let (when, values) = (quantity(slot.times.0.round(), "s"), values.collect::<String>());
        let (left, width) = (x(edges[0]), x(edges[1]) - x(edges[0]));
        // Writing to a string cannot fail.
        let _ = writeln!(
            svg,
            "<rect x=\"{left:.1}\" y=\"{top}\" width=\"{width:.1}\" height=\"{height}\">\
             <title>at {when}{values}</title></rect>"
        );
    }
    svg.push_str("</g>\n");
    svg.push_str(&tail);
}

/// Groups the points of all lines by time.
fn slots(plot: &Plot<'_>) -> Vec<Slot> {
    let times = plot.lines.iter().flat_map(|line| line.points.iter().map(|(at, _)| *at));
    let mut times: Vec<_> = times.collect();
    times.sort_unstable_by(f64::total_cmp);
    times.dedup();
    let each = times.len().div_ceil(MAX_SLOTS).max(1);
    let slot = |times: &[f64]| {
        let times = (*times.first()?, *times.last()?);
        Some(Slot { times, values: vec![None; plot.lines.len()] })
    };
    let mut slots: Vec<_> = times.chunks(each).filter_map(slot).collect();
    for (number, line) in plot.lines.iter().enumerate() {
        for (at, value) in &line.points {
            let after = slots.partition_point(|slot| slot.times.0 <= *at);
            let Some(slot) = slots.get_mut(after.saturating_sub(1)) else { continue };
            let highest = &mut slot.values[number];
            *highest = Some(highest.map_or(*value, |highest| highest.max(*value)));
        }
    }
    slots
}

/// Returns where the slots begin, and where the last one ends: halfway between their points.
fn edges(slots: &[Slot], until: f64) -> Vec<f64> {
    let between = slots.windows(2).map(|pair| f64::midpoint(pair[0].times.1, pair[1].times.0));
    let between: Vec<_> = between.collect();
    let (first, last) = match (slots, &between[..]) {
        ([first, .., last], [after_first, ..]) => {
            let before_last = between.last().copied().unwrap_or(*after_first);
            (2.0 * first.times.0 - after_first, 2.0 * last.times.1 - before_last)
        }
        _ => (0.0, until),
    };
    [first].into_iter().chain(between).chain([last]).collect()
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
    fn areas_of_few_points_meet_halfway() {
        let svg = plot(vec![(100.0, 1.0), (200.0, 2.0), (400.0, 3.0)]).svg().unwrap();
        let area = |title: &str| {
            let line = svg.lines().find(|line| line.contains(title)).unwrap();
            let number = |name: &str| {
                let (_, rest) = line.split_once(&format!("{name}=\"")).unwrap();
                rest.split_once('"').unwrap().0.parse::<f64>().unwrap()
            };
            (number("x"), number("x") + number("width"))
        };
        let (first, second, third) = (area("at 100 s"), area("at 200 s"), area("at 400 s"));
        assert!((first.1 - second.0).abs() < 0.2 && (second.1 - third.0).abs() < 0.2, "{svg}");
        // 50 s, 150 s and 100 s to each side: 100, 150 and 200 s.
        let widths = [first, second, third].map(|(left, right)| right - left);
        assert!((widths[1] / widths[0] - 1.5).abs() < 0.01, "{widths:?}");
        assert!((widths[2] / widths[0] - 2.0).abs() < 0.01, "{widths:?}");
    }

    #[test]
    fn plot_without_points_has_no_tooltips() {
        assert!(!plot(Vec::new()).svg().unwrap().contains("<title>"));
        assert!(plot(vec![(5.0, 1.0)]).svg().unwrap().contains("<title>at 5 s\np99: 1 ms"));
    }

    #[test]
    fn long_test_has_as_many_tooltips_as_a_short_one() {
        let points: Vec<_> = (0..500_000).map(|at| (f64::from(at) / 1e3, 1.0)).collect();
        assert!(plot(points).svg().unwrap().matches("<rect x=").count() <= MAX_SLOTS + 1);
    }
}
