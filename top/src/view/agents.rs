//! The screen of the agents that a search finds.

use fleetgauge_common::text;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::{cell, color, meter};
use crate::api::{Listed, Listing};
use crate::app::App;

/// Width of an id, and of a state.
const ID: usize = 24;
const STATE: usize = 9;
/// Width of a ratio with its bar and the space behind it.
const METER: usize = 18;

/// Draws the list.
pub(super) fn draw(app: &App, frame: &mut Frame<'_>, area: Rect) {
    let rows = [Constraint::Length(2), Constraint::Fill(1)];
    let [top, body] = Layout::vertical(rows).areas(area);
    let waiting = Listing::default();
    let list = app.list.as_ref().unwrap_or(&waiting);
    let cursor = if app.is_typing { "▏" } else { "" };
    let searched = format!("Search: {}{cursor}", text::visible(&app.search.text, 60));
    let found = format!(
        "{} found, page {} of {}, {}, by {}",
        text::count(list.found),
        list.page,
        list.pages,
        app.search.state(),
        app.search.order()
    );
    let found = if app.list.is_some() { found } else { "searching".to_owned() };
    frame.render_widget(Paragraph::new(vec![Line::from(searched), Line::from(found)]), top);
    let mut lines = vec![heading()];
    // The selected row is always in sight.
    let height = usize::from(body.height).saturating_sub(1).max(1);
    let first = (app.line + 1).saturating_sub(height);
    for (index, agent) in list.agents.iter().enumerate().skip(first).take(height) {
        let row = row(app, agent);
        lines.push(if index == app.line { row.reversed() } else { row });
    }
    frame.render_widget(Paragraph::new(lines), body);
}

fn heading() -> Line<'static> {
    let values = ["CPU", "Memory", "Root filesystem"].map(|name| cell(name, METER));
    let cells = [cell("Agent", ID + 1), cell("State", STATE + 1)].into_iter().chain(values);
    Line::from_iter(cells.chain([cell("Labels", 6)])).bold()
}

fn row(app: &App, agent: &Listed) -> Line<'static> {
    let hue = match &*agent.state {
        "up" => Color::Green,
        "missing" => Color::Red,
        _ => Color::Reset,
    };
    let mut cells = vec![cell(&agent.id, ID), Span::raw(" ")];
    cells.push(cell(&agent.state, STATE + 1).style(color(app, hue)));
    for value in [agent.cpu, agent.memory, agent.disk] {
        cells.extend(meter(app, value));
        cells.push(Span::raw("  "));
    }
    let labels = agent.labels.iter().take(6);
    let labels: Vec<_> = labels.map(|(name, value)| format!("{name}={value}")).collect();
    cells.push(Span::raw(text::visible(&labels.join(" "), 120)));
    Line::from_iter(cells)
}
