//! Charts as SVG, drawn by the collector. They have no scripts and no style attributes.

use fleetgauge_common::text;
use maud::{Markup, html};

use super::super::overview::{BARS, Trend};

use crate::clock::Millis;

/// Width and height of a chart in its own units.
const WIDTH: usize = 300;
const HEIGHT: usize = 80;
/// Height of a line beside a value.
const SPARK_HEIGHT: f64 = 40.0;

/// Returns a histogram of ratios whose bars link to the agents that they count.
pub(super) fn histogram(name: &str, title: &str, bars: &[usize; BARS]) -> Markup {
    let most = bars.iter().copied().max().unwrap_or(0).max(1);
    let width = WIDTH / BARS;
    html! {
        // Not an image for screen readers: they would hide the links of its bars.
        svg.histogram viewBox={ "0 0 " (WIDTH) " " (HEIGHT + 14) } role="group"
            aria-label={ "Number of agents by " (title) } {
            @for (index, count) in bars.iter().copied().enumerate() {
                // A bar of few agents is visible.
                @let height = if count == 0 { 0 } else { (count * HEIGHT / most).max(2) };
                @let range = format!("{} to {} %", index * 10, (index + 1) * 10);
                @let label = format!("{range}: {}", text::agents(count));
                a href=(range_link(name, index)) aria-label=(label) {
                    title { (label) }
                    rect.hit x=(index * width) y="0" width=(width) height=(HEIGHT) {}
                    rect.bar.hot[index >= 9] x=(index * width + 1) y=(HEIGHT - height)
                        width=(width - 2) height=(height) {}
                }
            }
            text x="0" y=(HEIGHT + 12) { "0 %" }
            text.end x=(WIDTH) y=(HEIGHT + 12) { "100 %" }
        }
    }
}

/// Returns the search for the agents of a bar.
fn range_link(name: &str, index: usize) -> String {
    // The last bar has the values above, too.
    let below = if index + 1 == BARS { String::new() } else { format!("0.{}", index + 1) };
    format!("/agents?{name}=0.{index}..{below}&sort={name}")
}

/// Returns a line of the last hour. `label` says what it shows.
pub(super) fn trend(
    points: &[Trend],
    label: &str,
    value: impl Fn(&Trend) -> Option<f64>,
) -> Markup {
    let values: Vec<_> =
        points.iter().filter_map(|point| Some((point.at, value(point)?))).collect();
    let (Some(first), Some(last)) = (values.first(), values.last()) else { return html! {} };
    if last.0 <= first.0 {
        return html! { p.note { "The trend of the last hour begins here." } };
    }
    let most = values.iter().fold(f64::MIN_POSITIVE, |most, (_, value)| most.max(*value));
    let span = last.0 - first.0;
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let place = |(at, value): &(u64, f64)| {
        let x = (at - first.0) as f64 / span as f64 * WIDTH as f64;
        let y = HEIGHT as f64 * (1.0 - value / most);
        format!("{x:.1},{y:.1}")
    };
    let line: Vec<_> = values.iter().map(place).collect();
    html! {
        svg.trend viewBox={ "0 -2 " (WIDTH) " " (HEIGHT + 4) } preserveAspectRatio="none" role="img"
            aria-label=(label) {
            title { (label) }
            polyline points=(line.join(" ")) {}
        }
    }
}

/// Returns a line of ratios from 0 to 1 over time; nothing without two points.
pub(super) fn sparkline(points: &[(Millis, f64)], label: &str) -> Markup {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return html! {} };
    if last.0 <= first.0 {
        return html! {};
    }
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let place = |(at, ratio): &(Millis, f64)| {
        let x = (at - first.0) as f64 / (last.0 - first.0) as f64 * WIDTH as f64;
        let y = SPARK_HEIGHT * (1.0 - ratio.clamp(0.0, 1.0));
        format!("{x:.1},{y:.1}")
    };
    let line: Vec<_> = points.iter().map(place).collect();
    html! {
        svg.spark viewBox={ "0 -1 " (WIDTH) " " (SPARK_HEIGHT + 2.0) } preserveAspectRatio="none"
            role="img" aria-label=(label) {
            title { (label) }
            polyline points=(line.join(" ")) {}
        }
    }
}

/// Returns a bar that shows a ratio. A list has hundreds, so its markup is short: the style sheet
/// has the rest.
pub(super) fn meter(ratio: Option<f64>) -> Markup {
    #[expect(clippy::cast_possible_truncation, reason = "clamped to a small number")]
    let width = ratio.map(|ratio| (ratio.clamp(0.0, 1.0) * 100.0).round() as i64);
    html! {
        @if let (Some(ratio), Some(width)) = (ratio, width) {
            b { (text::percent(ratio)) }
            svg.meter aria-hidden="true" { rect.hot[width >= 90] width={ (width) "%" } {} }
        } @else {
            b { "–" }
        }
    }
}
