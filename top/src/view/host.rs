//! The screen of one agent.

use std::time::{SystemTime, UNIX_EPOCH};

use fleetgauge_common::text;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::{cell, facts, meter, title};
use crate::api::{HEADLINES, Profile};
use crate::app::App;

/// Maximum number of characters of a series.
const MAX_SERIES: usize = 400;

/// Draws an agent.
pub(super) fn draw(app: &App, id: &str, frame: &mut Frame<'_>, area: Rect) {
    let mut top = vec![title(text::visible(id, super::MAX_TEXT))];
    let Some(host) = &app.host else {
        frame.render_widget(Paragraph::new(top), area);
        return;
    };
    let profile = &host.profile;
    let values = [profile.cpu, profile.memory, profile.disk];
    for ((_, name), value) in HEADLINES.iter().zip(values) {
        let name = [cell(name, 16), Span::raw(" ")];
        top.push(Line::from_iter(name.into_iter().chain(meter(app, value))));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    top.extend(identity(profile, now));
    let found = app.series().count();
    let cursor = if app.is_typing { "▏" } else { "" };
    let filter = text::visible(&app.filter, 60);
    top.push(Line::default());
    top.push(title(format!("{} series  filter: {filter}{cursor}", text::count(found as u64))));
    let height = u16::try_from(top.len()).unwrap_or(u16::MAX).min(area.height);
    let [above, body] =
        Layout::vertical([Constraint::Length(height), Constraint::Fill(1)]).areas(area);
    frame.render_widget(Paragraph::new(top), above);
    let shown = app.series().skip(app.line).take(body.height.into());
    let lines: Vec<_> = shown.map(|line| Line::from(text::visible(line, MAX_SERIES))).collect();
    frame.render_widget(Paragraph::new(lines), body);
}

fn identity(profile: &Profile, now: u64) -> Vec<Line<'static>> {
    let ago = |at: u64| format!("{} ago", text::span(now.saturating_sub(at)));
    let every = match profile.interval_ms {
        whole if whole % 1_000 == 0 => text::span(whole / 1_000),
        other => format!("{} s", other as f64 / 1_000.0),
    };
    let rows = [
        ("Address".to_owned(), profile.address.clone()),
        ("Version".to_owned(), profile.version.clone().unwrap_or_else(|| "–".to_owned())),
        ("Connected".to_owned(), ago(profile.since)),
        ("Last report".to_owned(), format!("{}, one every {every}", ago(profile.last_report))),
        ("Series".to_owned(), text::count(profile.series)),
    ];
    let labels = profile.labels.iter().take(8).map(|(name, value)| (name.clone(), value.clone()));
    facts(rows.into_iter().chain(labels))
}
