//! The overview of the fleet.

use fleetgauge_common::text;
use maud::{Markup, html};

use super::super::overview::{
    CollectorFigures, HeadlineFigures, LastHour, Missing, Overview, Trend,
};
use super::{END, Page, agent_link, ago, chart, reason};
use crate::peers::close_reason::CloseReason;

/// Reason of agents that leave on purpose.
const BYE: &str = CloseReason::Bye.reason();

/// Returns the page of the whole fleet.
pub(crate) fn overview(fleet: &Overview<'_>) -> Page {
    let content = html! {
        h1 { "Fleet" }
        (tiles(fleet))
        section aria-label="Distributions" {
            div.columns { @for headline in &fleet.headlines { (distribution(headline)) } }
        }
        div.columns {
            (missing(&fleet.missing, fleet.agents.missing, fleet.at))
            (last_hour(&fleet.last_hour, fleet.at))
            (collector(&fleet.collector))
        }
    };
    Page { title: "Fleet".to_owned(), path: "/", content }
}

fn tiles(fleet: &Overview<'_>) -> Markup {
    let agents = &fleet.agents;
    let rate = fleet.reports_per_second;
    html! {
        div.tiles {
            (END) div.tile {
                a href="/agents?state=up" { b { (text::count(agents.connected as u64)) } " up" }
                (chart::trend(&fleet.history, "Connected agents during the last hour", |trend| {
                    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
                    Some(trend.agents as f64)
                }))
            }
            (END) div.tile.bad[agents.missing > 0] {
                a href="/agents?state=missing" {
                    b { (text::count(agents.missing as u64)) } " missing"
                }
                p.note { (text::count(agents.departed_today as u64)) " left within 24 hours and stayed away" }
            }
            (END) div.tile {
                span {
                    b { (rate.map_or("–".to_owned(), text::rate)) } " reports/s"
                }
                (chart::trend(&fleet.history, "Reports a second during the last hour",
                    |Trend { reports_per_second, .. }| *reports_per_second))
            }
            (END) div.tile {
                span { b { (text::count(fleet.series as u64)) } " series" }
                p.note {
                    @if let Some(rate) = fleet.samples_per_second {
                        (text::rate(rate)) " samples/s · "
                    }
                    a href="/metrics/fleet" { "distribution of every gauge" }
                }
            }
        }
    }
}

fn distribution(headline: &HeadlineFigures<'_>) -> Markup {
    let HeadlineFigures { name, title, count, mean, bars, worst } = headline;
    html! {
        (END) article {
            h2 { (title) }
            @if *count == 0 {
                p.note { "No connected agent reports it." }
            } @else {
                p.note {
                    "mean " (text::percent(mean.unwrap_or(f64::NAN)))
                    " of " (text::agents(*count))
                }
                (chart::histogram(name, title, bars))
                table {
                    caption { "Largest values" }
                    tbody {
                        @for one in worst {
                            (END) tr {
                                th scope="row" { (agent_link(one.id)) }
                                td { (chart::meter(Some(one.value))) }
                            }
                        }
                    }
                }
                p { a href={ "/agents?sort=" (name) } { "all, the largest first" } }
            }
        }
    }
}

fn missing(shown: &[Missing<'_>], count: usize, now: u64) -> Markup {
    html! {
        (END) article {
            h2 { "Missing" }
            @if shown.is_empty() {
                p.note { "Every agent that is expected, or left without Bye, is connected." }
            } @else {
                table {
                    thead { tr { th { "Agent" } th { "Left" } th { "Reason" } } }
                    tbody {
                        @for one in shown {
                            (END) tr {
                                th scope="row" { (agent_link(one.id)) }
                                td.nowrap { (ago(one.at, now)) }
                                td { (reason(one.reason)) }
                            }
                        }
                    }
                }
                @if count > shown.len() {
                    p { a href="/agents?state=missing" { "all " (text::count(count as u64)) } }
                }
            }
        }
    }
}

fn last_hour(hour: &LastHour, now: u64) -> Markup {
    html! {
        (END) article {
            h2 { "Last hour" }
            p.note {
                (text::count(hour.arrived)) " connected, " (text::count(hour.left)) " left"
            }
            table {
                tbody {
                    @for change in &hour.newest {
                        (END) tr {
                            th scope="row" { (agent_link(change.id.as_str())) }
                            td {
                                @if let Some(why) = change.left {
                                    span.state.missing[why != BYE].departed[why == BYE] { "left" }
                                    " " (reason(why))
                                } @else {
                                    span.state.up { "connected" }
                                }
                            }
                            td.nowrap { (ago(change.at, now)) }
                        }
                    }
                }
            }
        }
    }
}

fn collector(figures: &CollectorFigures) -> Markup {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let bytes = |bytes: usize| text::bytes(bytes as f64);
    html! {
        (END) article {
            h2 { "This collector" }
            dl {
                dt { "Version" }
                dd { (figures.version) }
                dt { "Connections" }
                dd {
                    (text::count(figures.connections as u64))
                    " of at most " (text::count(figures.max_connections as u64))
                }
                dt { "Memory for agents" }
                dd { (bytes(figures.memory)) " of at most " (bytes(figures.max_memory)) }
                @for engine in &figures.engines {
                    dt { "Lag of engine " (engine.name) }
                    dd { (format!("{:.1} s", engine.lag)) }
                }
            }
        }
    }
}
