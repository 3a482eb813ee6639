//! HTML of the pages.
//!
//! Pages work without script, and take nothing from elsewhere. With script, they get the lines
//! that change. Templates escape every text; those of agents are also made
//! [visible](text::visible).

mod agents;
mod chart;
mod host;
mod overview;

use std::time::{Duration, SystemTime};

use fleetgauge_common::text;
use maud::{DOCTYPE, Markup, PreEscaped, html};

pub(crate) use agents::agents;
pub(crate) use host::{host, not_connected};
pub(crate) use overview::overview;

/// Style sheet of all pages.
pub(crate) const STYLE: &str = include_str!("style.css");
/// Script of all pages.
pub(crate) const SCRIPT: &str = include_str!("live.js");
/// Icon of all pages.
pub(crate) const ICON: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 16 16\">\
    <rect width=\"16\" height=\"16\" rx=\"3\" fill=\"#2563a8\"/>\
    <path d=\"M3 12V9h2v3zm4 0V6h2v6zm4 0V4h2v8z\" fill=\"#fff\"/></svg>";

/// Maximum number of characters of a label's value in a list.
const MAX_LABEL: usize = 40;
/// Maximum number of labels of an agent in a list.
const MAX_LABELS: usize = 6;
/// Last second of the year 9999: later ones cannot be written.
const MAX_UNIX: u64 = 253_402_300_799;
/// Maximum number of characters of other texts of agents: more than an id has.
const MAX_TEXT: usize = 256;

/// End of a line. What changes alone, such as a row, is a line: see [`changes`](super::changes).
const END: PreEscaped<&str> = PreEscaped("\n");

/// A page for people.
#[derive(Debug)]
pub(crate) struct Page {
    title: String,
    /// Path of its entry in the navigation.
    path: &'static str,
    content: Markup,
}

impl Page {
    /// Returns what changes while the page is open, in lines.
    pub(crate) fn content(&self) -> &str {
        &self.content.0
    }

    /// Returns the HTML document.
    pub(crate) fn document(&self) -> String {
        document(&self.title, self.path, &self.content)
    }
}

fn document(title: &str, path: &str, content: &Markup) -> String {
    let links = [("/", "Overview"), ("/agents", "Agents")];
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · fleetgauge" }
                link rel="icon" href="/icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="/style.css";
                script src="/live.js" defer {}
            }
            body {
                a.skip href="#content" { "Skip to content" }
                header {
                    nav aria-label="Pages" {
                        strong { "fleetgauge" }
                        @for (to, name) in links {
                            a href=(to) aria-current=[(to == path).then_some("page")] { (name) }
                        }
                    }
                    nav.raw aria-label="Metrics" {
                        a href="/metrics" { "/metrics" }
                        a href="/metrics/self" { "/metrics/self" }
                        a href="/metrics/roster" { "/metrics/roster" }
                    }
                }
                p.banner role="alert" { "The collector does not answer: what is shown is old." }
                main #content { (content) }
            }
        }
    };
    markup.into_string()
}

/// Returns how long ago a moment was.
fn ago(at: u64, now: u64) -> Markup {
    html! { span title=(utc(at)) { (text::span(now.saturating_sub(at))) " ago" } }
}

/// Returns a unix time as text.
fn utc(unix: u64) -> String {
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(unix.min(MAX_UNIX)));
    time.map_or_else(String::new, httpdate::fmt_http_date)
}

/// Returns a text of an agent. One that can be written from right to left does not affect what is
/// around it.
fn isolated(text: &str, max: usize) -> Markup {
    let shown = text::visible(text, max);
    html! { @if shown.is_ascii() { (shown) } @else { bdi { (shown) } } }
}

/// Returns a link to the page of an agent. Ids contain no characters that need escapes.
fn agent_link(id: &str) -> Markup {
    html! { a href={ "/agents/" (id) } { (text::visible(id, MAX_TEXT)) } }
}

/// Returns the name of a reason for people.
fn reason(name: &str) -> String {
    name.replace('_', " ")
}
