//! The screen of the whole fleet.

use fleetgauge_common::text;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Color;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::{cell, color, facts, meter, title};
use crate::api::{HEADLINES, Headline, Overview};
use crate::app::App;

/// Width from which the values are beside each other, in columns.
const WIDE: u16 = 96;
/// Number of missing agents in a narrow terminal.
const FEW_MISSING: usize = 4;
/// Width of an id.
const ID: usize = 14;
/// Blocks of a histogram, by height.
const BLOCKS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// Draws the overview.
pub(super) fn draw(app: &App, frame: &mut Frame<'_>, area: Rect) {
    let Some(overview) = &app.overview else {
        frame.render_widget(Paragraph::new("waiting for the collector"), area);
        return;
    };
    let counts = counts(app, overview);
    let headlines = overview.headlines.iter().map(|own| headline(app, own));
    let (missing, collector) = (missing(overview), collector(overview));
    if area.width < WIDE {
        // What is cut at the end is on other screens, too.
        let missing = missing.map(|mut lines| {
            lines.truncate(FEW_MISSING + 1);
            lines
        });
        let sections = std::iter::once(counts).chain(missing).chain([collector]).chain(headlines);
        let lines = sections.flat_map(|section| section.into_iter().chain([Line::default()]));
        frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), area);
        return;
    }
    let height = |lines: &[Line<'_>]| u16::try_from(lines.len() + 1).unwrap_or(u16::MAX);
    let columns: Vec<_> = headlines.collect();
    let tallest = columns.iter().map(|lines| height(lines)).max().unwrap_or(0);
    let rows = [height(&counts), tallest].map(Constraint::Length);
    let [first, second, third] =
        Layout::vertical(rows.into_iter().chain([Constraint::Fill(1)])).areas(area);
    frame.render_widget(Paragraph::new(counts), first);
    let parts = |area| Layout::horizontal([Constraint::Fill(1); 3]).spacing(2).areas::<3>(area);
    for (lines, part) in columns.into_iter().zip(parts(second)) {
        frame.render_widget(Paragraph::new(lines), part);
    }
    let below = missing.into_iter().chain([collector]);
    for (lines, part) in below.zip(parts(third)) {
        frame.render_widget(Paragraph::new(lines), part);
    }
}

/// Returns the overview as plain text.
pub(crate) fn plain(app: &App) -> String {
    let Some(overview) = &app.overview else { return String::new() };
    let headlines = overview.headlines.iter().map(|own| headline(app, own));
    let sections = std::iter::once(counts(app, overview)).chain(missing(overview)).chain(headlines);
    let sections = sections.chain([collector(overview)]);
    let sections = sections.map(|lines| {
        let lines = lines.iter().map(|line| line.to_string().trim_end().to_owned() + "\n");
        lines.collect::<String>()
    });
    sections.collect::<Vec<_>>().join("\n")
}

fn counts(app: &App, overview: &Overview) -> Vec<Line<'static>> {
    let agents = &overview.agents;
    let missing = if agents.missing > 0 { Color::Red } else { Color::Reset };
    let rates = [overview.reports_per_second, overview.samples_per_second];
    let [reports, samples] = rates.map(|rate| rate.map_or_else(|| "–".to_owned(), text::rate));
    vec![
        Line::from_iter([
            Span::styled(format!("{} up", text::count(agents.connected)), color(app, Color::Green)),
            Span::raw("  "),
            Span::styled(format!("{} missing", text::count(agents.missing)), color(app, missing)),
            Span::raw(format!("  {} left within 24 h", text::count(agents.departed_today))),
        ]),
        Line::from(format!(
            "{} series  {reports} reports/s  {samples} samples/s",
            text::count(overview.series)
        )),
    ]
}

fn headline(app: &App, own: &Headline) -> Vec<Line<'static>> {
    let known = HEADLINES.iter().find(|(name, _)| *name == own.name);
    let name = known.map_or_else(|| text::visible(&own.name, ID), |(_, title)| (*title).to_owned());
    let mean = own.mean.map_or_else(|| "–".to_owned(), text::percent);
    let mut lines = vec![
        title(name),
        Line::from(format!("mean {mean} of {}", text::agents(own.count))),
        Line::from(format!("0 % {} 100 %", histogram(&own.bars))),
    ];
    lines.extend(own.worst.iter().map(|worst| {
        let id = [cell(&worst.id, ID), Span::raw(" ")];
        Line::from_iter(id.into_iter().chain(meter(app, Some(worst.value))))
    }));
    lines
}

/// Returns a histogram of one line. A bar that is not empty is visible.
fn histogram(bars: &[u64]) -> String {
    let largest = bars.iter().max().copied().unwrap_or(0).max(1);
    let block = |bar: &u64| {
        let height = (u128::from(*bar) * 8).div_ceil(largest.into()) as usize;
        BLOCKS[height].repeat(2)
    };
    bars.iter().take(100).map(block).collect()
}

/// Returns the missing agents, if there are any.
fn missing(overview: &Overview) -> Option<Vec<Line<'static>>> {
    let rows = overview.missing.iter().map(|own| {
        let ago = text::span(overview.at.saturating_sub(own.at));
        let why = own.reason.replace('_', " ");
        Line::from_iter([cell(&own.id, ID), Span::raw(format!(" {ago} ago  ")), cell(&why, ID)])
    });
    let lines: Vec<_> = std::iter::once(title("Missing")).chain(rows).collect();
    (lines.len() > 1).then_some(lines)
}

fn collector(overview: &Overview) -> Vec<Line<'static>> {
    let own = &overview.collector;
    let (used, max) = (text::bytes(own.memory), text::bytes(own.max_memory));
    let connections = [own.connections, own.max_connections].map(text::count).join(" of ");
    let rows = [
        ("Version".to_owned(), own.version.clone()),
        ("Connections".to_owned(), connections),
        ("Memory".to_owned(), format!("{used} of {max}")),
    ];
    let engines = own
        .engines
        .iter()
        .map(|engine| (text::visible(&engine.name, ID), format!("{:.1} s behind", engine.lag)));
    let facts = facts(rows.into_iter().chain(engines));
    std::iter::once(title("This collector")).chain(facts).collect()
}
