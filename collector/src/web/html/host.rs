//! One agent.

use fleetgauge_common::text;
use maud::{Markup, html};

use super::super::HEADLINES;
use super::super::devices::{Devices, Filesystem, Interface};
use super::super::open_agent::AgentView;
use super::super::profile::{AgentSeries, MAX_SERIES, Profile, Sample, SeriesFamily};
use super::{END, MAX_TEXT, Page, ago, chart, isolated};
use crate::roster::Departure;

/// Returns the page of a connected agent. `now` is in unix seconds.
pub(crate) fn host(view: &AgentView<'_>, now: u64) -> Page {
    let agent = &view.profile;
    let id = text::visible(&agent.id, MAX_TEXT);
    let content = html! {
        h1 { (id) " " span.state.up { "up" } }
        div.columns {
            (headlines(view))
            (END) article { (identity(agent, now)) }
        }
        (devices(&view.series.devices))
        h2 { "Series" }
        (self::series(agent, view.series, view.filter))
    };
    Page { title: id, path: "", content }
}

fn headlines(view: &AgentView<'_>) -> Markup {
    html! {
        (END) article {
            dl.headlines {
                @for (index, headline) in HEADLINES.iter().enumerate() {
                    @let label = format!("{} since this page was opened", headline.title);
                    (END) dt { (headline.title) }
                    dd {
                        (chart::meter(view.profile.values.get(headline.key).copied().flatten()))
                        (chart::sparkline(&view.trail.points(index), &label))
                    }
                }
            }
        }
    }
}

fn devices(devices: &Devices) -> Markup {
    html! {
        @if !devices.filesystems.is_empty() || !devices.interfaces.is_empty() {
            div.columns.wide {
                (END) article {
                    h2 { "Filesystems" }
                    (filesystems(&devices.filesystems))
                }
                (END) article {
                    h2 { "Network interfaces" }
                    (interfaces(&devices.interfaces))
                }
            }
        }
    }
}

fn filesystems(all: &[Filesystem]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Filesystems" {
            table {
                thead {
                    tr {
                        th scope="col" { "Mounted on" }
                        th scope="col" { "Used" }
                        th.number scope="col" { "Available" }
                        th.number scope="col" { "Size" }
                        th scope="col" { "Device" }
                    }
                }
                tbody {
                    @for own in all {
                        (END) tr {
                            th scope="row" { (isolated(&own.mountpoint, MAX_TEXT)) }
                            td.nowrap { (chart::meter(Some(own.usage()))) }
                            td.number { (text::bytes(own.available)) }
                            td.number { (text::bytes(own.size)) }
                            td.note {
                                (isolated(&own.device, MAX_TEXT))
                                " " (text::visible(&own.kind, MAX_TEXT))
                            }
                        }
                    }
                }
            }
        }
    }
}

fn interfaces(all: &[Interface]) -> Markup {
    let rate = |rate: Option<f64>| rate.map_or("–".to_owned(), |rate| text::bytes(rate) + "/s");
    html! {
        div.scroll tabindex="0" role="region" aria-label="Network interfaces" {
            table {
                thead {
                    tr {
                        th scope="col" { "Interface" }
                        th.number scope="col" { "Receives" }
                        th.number scope="col" { "Sends" }
                        th.number scope="col" { "Received" }
                        th.number scope="col" { "Sent" }
                        th.number scope="col" { "Errors" }
                    }
                }
                tbody {
                    @for own in all {
                        (END) tr {
                            th scope="row" {
                                (isolated(&own.name, MAX_TEXT))
                                @if own.is_down() { " " span.state.departed { "down" } }
                            }
                            td.number { (rate(own.rate.map(|rate| rate.received))) }
                            td.number { (rate(own.rate.map(|rate| rate.sent))) }
                            td.number { (text::bytes(own.traffic.received)) }
                            td.number { (text::bytes(own.traffic.sent)) }
                            td.number { (own.errors) }
                        }
                    }
                }
            }
        }
    }
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
                dd { (isolated(value, MAX_TEXT)) }
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
    let is_single = |sample: &Sample| sample.labels.is_empty() && sample.name == family.name;
    html! {
        (END) section.family {
            h3 { (family.name) }
            @if let [sample] = &family.samples[..] && is_single(sample) {
                b { (value(sample)) }
            }
            @if !family.help.is_empty() { p.note { (text::visible(&family.help, MAX_TEXT)) } }
            @if !family.samples.iter().all(is_single) {
                table { tbody { @for sample in &family.samples { (row(sample, &family.name)) } } }
            }
        }
    }
}

fn row(sample: &Sample, family: &str) -> Markup {
    html! {
        (END) tr {
            th scope="row" {
                @if sample.name != family { (sample.name) " " }
                @for (name, value) in &sample.labels {
                    i { (name) "=" (isolated(value, MAX_TEXT)) } " "
                }
            }
            td { (value(sample)) }
        }
    }
}

/// Returns a value with its unit, and as it is on the metrics page.
fn value(sample: &Sample) -> Markup {
    html! {
        @if let Some(human) = text::value(&sample.name, &sample.value) {
            span title=(sample.value) { (human) }
        } @else {
            (sample.value)
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
