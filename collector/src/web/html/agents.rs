//! The list of agents.

use fleetgauge_common::text;
use maud::{Markup, html};

use super::super::HEADLINES;
use super::super::listing::{Left, Listed, Listing, Search, Sort, State};
use super::{END, MAX_LABEL, MAX_LABELS, Page, agent_link, ago, chart, isolated, reason};

/// Returns the page of the agents that a search finds. `now` is in unix seconds.
pub(crate) fn agents(search: &Search, list: &Listing<'_>, now: u64) -> Page {
    let content = html! {
        h1 { "Agents" }
        (form(search))
        (END) p role="status" { (text::agents(list.found)) (filters(search)) }
        @if list.agents.is_empty() {
            p.note { "No agent matches. " a href="/agents" { "Show all." } }
        } @else {
            div.scroll {
                table.list {
                    thead {
                        tr {
                            (head("Agent", Sort::Id, search))
                            th scope="col" { "State" }
                            @for (index, headline) in HEADLINES.iter().enumerate() {
                                (head(headline.title, Sort::Headline(index), search))
                            }
                            th scope="col" { "Labels" }
                        }
                    }
                    tbody { @for agent in &list.agents { (row(agent, search, now)) } }
                }
            }
            (pages(search, list))
        }
    };
    Page { title: "Agents".to_owned(), path: "/agents", content }
}

fn form(search: &Search) -> Markup {
    html! {
        form.search action="/agents" role="search" {
            label {
                "Id or label "
                input type="search" name="q" value=(search.text) maxlength="100" autofocus;
            }
            label {
                "State "
                select name="state" {
                    @for (state, name) in State::ALL {
                        option value=(name) selected[state == search.state] { (name) }
                    }
                }
            }
            label {
                "Order "
                select name="sort" {
                    @for sort in Sort::all() {
                        option value=(sort.name()) selected[sort == search.sort] { (sort.name()) }
                    }
                }
            }
            @if let Some((name, value)) = &search.label {
                input type="hidden" name="label" value={ (name) "=" (value) };
            }
            button { "Search" }
        }
    }
}

/// Says which filters apply that the form does not show.
fn filters(search: &Search) -> Markup {
    html! {
        @if let Some((name, value)) = &search.label {
            " with " code { (name) "=" (text::visible(value, MAX_LABEL)) }
        }
        @for (range, headline) in search.ranges.iter().zip(HEADLINES) {
            @if let Some((from, below)) = range {
                " with " (headline.title) " from " (text::percent(*from))
                @if below.is_finite() { " to " (text::percent(*below)) }
            }
        }
        @if search.label.is_some() || search.ranges.iter().any(Option::is_some) {
            " · " a href="/agents" { "all agents" }
        }
    }
}

fn head(title: &str, sort: Sort, search: &Search) -> Markup {
    let order = (search.sort == sort).then_some(match sort {
        Sort::Id => "ascending",
        Sort::Headline(_) => "descending",
    });
    let link = Search { sort, page: 1, ..search.clone() }.link();
    html! { th scope="col" aria-sort=[order] { a href=(link) { (title) } } }
}

fn row(agent: &Listed<'_>, search: &Search, now: u64) -> Markup {
    html! {
        (END) tr {
            th scope="row" { (agent_link(agent.id)) }
            td {
                span.state.(agent.state) { (agent.state) }
                @if let Some(Left { at, reason: why }) = agent.departed {
                    " " (ago(at, now)) ", " (reason(why))
                }
            }
            @for headline in HEADLINES {
                td { (chart::meter(agent.values.get(headline.key).copied().flatten())) }
            }
            td.labels {
                @for (name, value) in agent.labels.iter().take(MAX_LABELS) {
                    (label(name, value, search)) " "
                }
                @if agent.labels.len() > MAX_LABELS {
                    "and " (agent.labels.len() - MAX_LABELS) " more"
                }
            }
        }
    }
}

/// Returns a label that links to the agents with it.
fn label(name: &str, value: &str, search: &Search) -> Markup {
    let is_short = name.len() + value.len() <= MAX_LABEL;
    let shown = html! {
        (text::visible(name, MAX_LABEL)) "=" (isolated(value, MAX_LABEL))
    };
    // A page with the links of long labels would be large.
    let link = is_short.then(|| {
        let label = Some((name.to_owned(), value.to_owned()));
        Search { label, page: 1, ..search.clone() }.link()
    });
    html! {
        @if let Some(link) = link { a.label href=(link) { (shown) } }
        @else { span.label { (shown) } }
    }
}

fn pages(search: &Search, list: &Listing<'_>) -> Markup {
    let to = |page: usize| Search { page, ..search.clone() }.link();
    html! {
        @if list.pages > 1 {
            (END) nav.pages aria-label="Pages of the list" {
                @if list.page > 1 { a href=(to(list.page - 1)) rel="prev" { "Previous" } }
                span { "page " (list.page) " of " (list.pages) }
                @if list.page < list.pages { a href=(to(list.page + 1)) rel="next" { "Next" } }
            }
        }
    }
}
