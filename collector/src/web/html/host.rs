//! One agent.

use maud::{Markup, html};

use super::super::HEADLINES;
use super::super::profile::{AgentSeries, MAX_SERIES, Profile, Sample, SeriesFamily};
use super::{END, MAX_TEXT, Page, ago, chart, text};
use crate::roster::Departure;

/// Returns the page of a connected agent. `filter` is what its series were filtered by, `now` the
/// time in unix seconds.
pub(crate) fn host(agent: &Profile, series: &AgentSeries, filter: &str, now: u64) -> Page {
    let id = text::visible(&agent.id, MAX_TEXT);
    let content = html! {
        h1 { (id) " " span.state.up { "up" } }
        div.columns {
            article {
                dl {
                    @for headline in HEADLINES {
                        dt { (headline.title) }
                        dd { (chart::meter(agent.values.get(headline.key).copied().flatten())) }
                    }
                }
            }
            (END) article { (identity(agent, now)) }
        }
        h2 { "Series" }
        (self::series(agent, series, filter))
    };
    Page { title: id, path: "", content }
}

fn identity(agent: &Profile, now: u64) -> Markup {
    html! {
        dl {
            dt { "Address" }
            dd { (agent.address) }
            @if let Some(version) = &agent.version {
                dt { "Version" }
                dd { (text::visible(version, MAX_TEXT)) }
            }
            dt { "Connected" }
            dd { (ago(agent.since, now)) }
            dt { "Last report" }
            dd {
                (ago(agent.last_report, now))
                ", one every " (f64::from(agent.interval_ms) / 1e3) " s"
            }
            @for (name, value) in &agent.labels {
                dt { (text::visible(name, MAX_TEXT)) }
                dd { bdi { (text::visible(value, MAX_TEXT)) } }
            }
        }
    }
}

fn series(agent: &Profile, series: &AgentSeries, filter: &str) -> Markup {
    html! {
        form.search role="search" {
            label {
                "Name or label "
                input type="search" name="filter" value=(filter) maxlength="100";
            }
            button { "Filter" }
            a href={ "/metrics/agents/" (agent.id) } { "metrics page" }
        }
        (END) p role="status" {
            (text::count(series.found as u64)) " series with values"
            @if series.found > MAX_SERIES { ", of which " (MAX_SERIES) " are shown" }
        }
        div.families { @for family in &series.families { (self::family(family)) } }
    }
}

fn family(family: &SeriesFamily) -> Markup {
    html! {
        (END) section.family {
            h3 { (family.name) }
            @if !family.help.is_empty() { p.note { (text::visible(&family.help, MAX_TEXT)) } }
            div.scroll {
                table { tbody { @for sample in &family.samples { (row(sample, &family.name)) } } }
            }
        }
    }
}

fn row(sample: &Sample, family: &str) -> Markup {
    let human = text::value(&sample.name, &sample.value);
    html! {
        (END) tr {
            th scope="row" {
                @if sample.name != family { (sample.name) " " }
                @for (name, value) in &sample.labels {
                    span.label { (name) "=" bdi { (text::visible(value, MAX_TEXT)) } } " "
                }
                @if sample.labels.is_empty() && sample.name == family { "value" }
            }
            td.number {
                @if let Some(human) = human { span title=(sample.value) { (human) } }
                @else { (sample.value) }
            }
        }
    }
}

/// Returns the page of an agent that is not connected.
pub(crate) fn not_connected(id: &str, departure: Option<&Departure>, now: u64) -> Page {
    let id = text::visible(id, MAX_TEXT);
    let content = html! {
        h1 { (id) }
        @if let Some(departure) = departure {
            p {
                span.state.missing { "not connected" }
                " It left " (ago(departure.at, now))
                ": " (super::reason(departure.reason.name())) "."
            }
        } @else {
            p { "This collector has no agent with this id. " a href="/agents" { "All agents" } }
        }
    };
    Page { title: id, path: "", content }
}
