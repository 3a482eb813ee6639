//! A plot as SVG that inherits its text colour from the page.

use std::error::Error;

use plotters::backend::SVGBackend;
use plotters::chart::ChartBuilder;
use plotters::drawing::IntoDrawingArea;
use plotters::element::{Circle, PathElement, Text};
use plotters::series::LineSeries;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, IntoFont, IntoTextStyle, RGBColor, ShapeStyle};

use super::hover::{self, PlotArea};
use super::tables::quantity;
use super::timeline::TimelineEvent;

/// Width and height of the drawing, which the page scales.
const SIZE: (u32, u32) = (720, 260);
/// Maximum number of points of a line. A reader could not distinguish more.
const POINTS: usize = 360;
/// Minimum distance of two marks, as a fraction of the time axis. Events closer than this get one
/// mark, so that marks never overlap.
const NEAR: f64 = 0.08;
/// From this length on, in seconds, the time axis is labelled in minutes.
const LONG: f64 = 600.0;
const GREY: RGBColor = RGBColor(128, 128, 128);
/// Colours with enough contrast on white and on black.
pub(super) const COLOURS: [RGBColor; 4] =
    [RGBColor(59, 130, 246), RGBColor(234, 137, 21), RGBColor(226, 72, 72), RGBColor(22, 163, 74)];

/// A plot of values over the time of a test, with marks for events.
pub(super) struct Plot<'a> {
    pub(super) title: &'static str,
    /// Unit of the values, for the axis.
    pub(super) unit: &'static str,
    pub(super) scale: Scale,
    pub(super) lines: Vec<Line>,
    pub(super) events: &'a [TimelineEvent],
    /// End of the time axis, in seconds.
    pub(super) until: f64,
}

/// Scale of the value axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    /// Linear, from zero.
    Linear,
    /// Logarithmic.
    Log,
}

/// A line or a scatter of values.
pub(super) struct Line {
    pub(super) name: &'static str,
    /// Seconds since the start of the test, and values.
    pub(super) points: Vec<(f64, f64)>,
    /// Whether to draw points instead of a line.
    pub(super) scattered: bool,
}

impl Line {
    /// Reduces the line to at most [`POINTS`] points: the maximum of each group of neighbours.
    fn thinned(&self) -> Vec<(f64, f64)> {
        let each = self.points.len().div_ceil(POINTS).max(1);
        let highest =
            |points: &[(f64, f64)]| points.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1));
        self.points.chunks(each).filter_map(highest).collect()
    }
}

impl Scale {
    fn place(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Log => value.max(1e-3).log10(),
        }
    }

    fn value(self, place: f64) -> f64 {
        match self {
            Self::Linear => place,
            Self::Log => 10_f64.powf(place),
        }
    }

    /// Axis limits for these positions, with space above the maximum.
    fn axis(self, places: impl Iterator<Item = f64>) -> (f64, f64) {
        let (low, high) = places
            .fold((f64::MAX, f64::MIN), |(low, high), place| (low.min(place), high.max(place)));
        match self {
            _ if low > high => (0.0, 1.0),
            Self::Linear => (0.0, if high > 0.0 { high * 1.15 } else { 1.0 }),
            Self::Log => (low.floor(), (high + 0.1).ceil().max(low.floor() + 1.0)),
        }
    }
}

impl Plot<'_> {
    /// Converts bytes to a unit with round numbers on the axis.
    pub(super) fn in_round_units(mut self) -> Self {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let (unit, size) = match points().fold(0.0, |max, (_, value)| value.max(max)) {
            max if self.unit != "bytes" || max < 10_240.0 => return self,
            max if max < 10_485_760.0 => ("KiB", 1_024.0),
            _ => ("MiB", 1_048_576.0),
        };
        self.unit = unit;
        self.lines
            .iter_mut()
            .flat_map(|line| &mut line.points)
            .for_each(|(_, value)| *value /= size);
        self
    }

    /// Label of the value axis.
    fn axis(&self) -> String {
        let scale = if self.scale == Scale::Log { ", logarithmic" } else { "" };
        format!("{}{scale}", self.unit)
    }

    /// Draws the plot, without title and legend.
    pub(super) fn svg(&self) -> Result<String, Box<dyn Error + '_>> {
        let mut svg = String::new();
        let plot_area = {
            let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
            let places = self.lines.iter().flat_map(|line| &line.points);
            let (low, high) = self.scale.axis(places.map(|(_, value)| self.scale.place(*value)));
            let mut chart = ChartBuilder::on(&area)
                .margin_top(24)
                .margin_right(40)
                .x_label_area_size(44)
                .y_label_area_size(96)
                .build_cartesian_2d(0.0..self.until.max(1.0), low..high)?;
            let ticks = if self.scale == Scale::Log { (high - low) as usize + 1 } else { 5 };
            chart
                .configure_mesh()
                .disable_x_mesh()
                .bold_line_style(GREY.mix(0.25))
                .light_line_style(GREY.mix(0.0))
                .axis_style(GREY.mix(0.5))
                .y_labels(ticks)
                .y_desc(self.axis())
                .x_desc(if self.until >= LONG {
                    "minutes since the start"
                } else {
                    "seconds since the start"
                })
                .y_label_formatter(&|place| quantity(self.scale.value(*place), ""))
                .x_label_formatter(&|seconds| clock(*seconds, self.until))
                .label_style(("sans-serif", 15))
                .axis_desc_style(("sans-serif", 15))
                .draw()?;
            for at in self.events.iter().map(|event| event.at_seconds) {
                chart.draw_series([PathElement::new([(at, low), (at, high)], GREY.mix(0.6))])?;
            }
            for (at, mark) in marks(self.events, self.until) {
                let style = ("sans-serif", 15).into_font().into_text_style(&area);
                let style = style.pos(Pos::new(HPos::Left, VPos::Bottom));
                chart.draw_series([Text::new(mark, (at, high), style)])?;
            }
            // The first line is drawn last, on top.
            for (line, colour) in self.lines.iter().zip(COLOURS).rev() {
                let points = line.thinned().into_iter();
                let points = points.map(|(at, value)| (at, self.scale.place(value)));
                if line.scattered {
                    let style = ShapeStyle::from(colour.mix(0.8)).filled();
                    chart.draw_series(points.map(|point| Circle::new(point, 3, style)))?;
                } else {
                    chart.draw_series(LineSeries::new(points, colour.stroke_width(2)))?;
                }
            }
            area.present()?;
            let (x, y) = chart.plotting_area().get_pixel_range();
            PlotArea { x, y }
        };
        hover::add(&mut svg, self, &plot_area);
        Ok(svg)
    }
}

/// Event numbers and their positions on the time axis; events close to each other share a mark.
fn marks(events: &[TimelineEvent], until: f64) -> Vec<(f64, String)> {
    let mut groups: Vec<(f64, usize, usize)> = Vec::new();
    for (event, number) in events.iter().zip(1..) {
        match groups.last_mut() {
            Some((at, _, last)) if event.at_seconds - *at < until * NEAR => *last = number,
            _ => groups.push((event.at_seconds, number, number)),
        }
    }
    let mark = |first: usize, last: usize| match last - first {
        0 => first.to_string(),
        1 => format!("{first}, {last}"),
        _ => format!("{first}–{last}"),
    };
    groups.into_iter().map(|(at, first, last)| (at, mark(first, last))).collect()
}

/// Formats a tick label of the time axis, in minutes if the axis is long.
fn clock(seconds: f64, until: f64) -> String {
    quantity(if until >= LONG { seconds / 60.0 } else { seconds }, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_events_do_not_overlap() {
        let at = |at_seconds: f64| TimelineEvent { at_seconds, what: String::new() };
        let events = [0.0, 3.0, 50.0, 91.0, 92.0, 98.0].map(at);
        let marks = marks(&events, 100.0);
        let shown: Vec<_> = marks.iter().map(|(at, mark)| (*at, mark.as_str())).collect();
        assert_eq!(shown, [(0.0, "1, 2"), (50.0, "3"), (91.0, "4–6")]);
        assert!(marks.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 100.0 * NEAR));
    }
}
