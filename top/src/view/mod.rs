//! Draws the screens. Texts of agents are made [visible](text::visible) first, so that none of them
//! reaches the terminal as a control sequence.

mod agents;
mod host;
mod overview;

use std::time::{Duration, Instant};

use fleetgauge_common::text;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use crate::app::{App, Screen};

pub(crate) use overview::plain;

/// Maximum number of characters of a text of an agent: more than an id has.
const MAX_TEXT: usize = 256;
/// Width of a bar that shows a ratio.
const BAR: usize = 10;
/// Ratio from which a bar is shown as hot.
const HOT: f64 = 0.9;

/// Draws the screen.
pub(crate) fn draw(app: &App, frame: &mut Frame<'_>) {
    let header = header(app);
    let height = u16::try_from(header.len()).unwrap_or(u16::MAX);
    let rows = [Constraint::Length(height), Constraint::Fill(1), Constraint::Length(1)];
    let [top, body, bottom] = Layout::vertical(rows).areas(frame.area());
    frame.render_widget(Paragraph::new(header), top);
    match &app.screen {
        Screen::Overview => overview::draw(app, frame, body),
        Screen::Agents => agents::draw(app, frame, body),
        Screen::Host(id) => host::draw(app, id, frame, body),
    }
    frame.render_widget(Paragraph::new(Line::from(keys(app)).reversed()), bottom);
}

fn header(app: &App) -> Vec<Line<'static>> {
    let title = ["fleetgauge".bold(), Span::raw("  "), Span::raw(app.collector.clone())];
    let mut lines = vec![Line::from_iter(title)];
    if let Some(problem) = &app.problem {
        let what = match app.screen {
            Screen::Host(_) if *problem == crate::client::FetchError::NotFound => {
                "this agent is not connected".to_owned()
            }
            _ => stale(&problem.to_string(), app.age(Instant::now())),
        };
        lines.push(Line::styled(what, color(app, Color::Red).add_modifier(Modifier::BOLD)));
    }
    lines
}

/// Returns why values are not up to date. Their age comes first: a narrow terminal cuts the reason.
fn stale(problem: &str, age: Option<Duration>) -> String {
    let problem = text::visible(problem, MAX_TEXT);
    match age {
        Some(age) => format!("stale for {}: {problem}", text::span(age.as_secs())),
        None => problem,
    }
}

fn keys(app: &App) -> &'static str {
    match (&app.screen, app.is_typing) {
        (_, true) => "Enter keep  Esc clear",
        (Screen::Overview, _) => "q quit  a agents  / search  m missing  1 CPU  2 memory  3 disk",
        (Screen::Agents, _) => "q back  Enter open  / search  s order  t state  n p page",
        (Screen::Host(_), _) => "q back  / filter  ↑ ↓ PgUp PgDn scroll",
    }
}

/// Returns a style with this color, if there are colors.
fn color(app: &App, color: Color) -> Style {
    if app.has_colors { Style::new().fg(color) } else { Style::new() }
}

/// Returns a title.
fn title(what: impl Into<String>) -> Line<'static> {
    Line::from(what.into()).bold()
}

/// Returns a text of an agent, in exactly this many columns.
fn cell(what: &str, width: usize) -> Span<'static> {
    let mut shown = text::visible(what, MAX_TEXT);
    while Span::raw(&*shown).width() > width {
        shown.pop();
    }
    let padding = width - Span::raw(&*shown).width();
    Span::raw(shown + &" ".repeat(padding))
}

/// Returns a ratio as percentage and bar.
fn meter(app: &App, ratio: Option<f64>) -> Vec<Span<'static>> {
    let Some(ratio) = ratio else { return vec![Span::raw(format!("{:>5} {:BAR$}", "–", ""))] };
    let full = (ratio.clamp(0.0, 1.0) * BAR as f64).round() as usize;
    let hue = if ratio >= HOT { Color::Red } else { Color::Blue };
    vec![
        Span::raw(format!("{:>5} ", text::percent(ratio))),
        Span::styled("█".repeat(full), color(app, hue)),
        Span::raw("░".repeat(BAR - full)),
    ]
}

/// Returns a table of names and values.
fn facts(rows: impl IntoIterator<Item = (String, String)>) -> Vec<Line<'static>> {
    let rows: Vec<_> = rows.into_iter().collect();
    let width = rows.iter().map(|(name, _)| Span::raw(&**name).width()).max().unwrap_or(0);
    let line = |(name, value): (String, String)| {
        let value = text::visible(&value, MAX_TEXT);
        Line::from_iter([cell(&name, width.min(20)), Span::raw("  "), Span::raw(value)])
    };
    rows.into_iter().map(line).collect()
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
