//! Pages for people, the same as streams that keep an open page up to date, and as JSON.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State as AppState};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use fleetgauge_proto::AgentId;
use serde::Serialize;

use super::error::HttpError;
use super::query::{Query, quoted};
use super::response::ResponseOptions;
use super::{HttpState, INDEX, json, negotiate, watch};
use crate::web::html;
use crate::web::listing::{Search, Sort, State};
use crate::web::open_agent::OpenAgent;
use crate::web::overview::Overview;
use crate::web::profile::Profile;
use crate::web::{FleetCopy, HEADLINES};

type Answer = Result<Response, HttpError>;

const HTML: &str = "text/html; charset=utf-8";
/// Maximum length of a text to search for, in bytes.
const MAX_TEXT: usize = 256;
/// Parameters of a search.
const SEARCH: [&str; 8] = ["q", "label", "state", "sort", "page", "cpu", "memory", "disk"];
/// Headers of pages: nothing from elsewhere, no other scripts, not inside of other pages, and no
/// copies in caches.
const PROTECTION: [(HeaderName, HeaderValue); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
             img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
    ),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// Returns the overview of the fleet to browsers, and a list of all paths to other clients.
pub(super) async fn overview(
    AppState(http): AppState<Arc<HttpState>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    options: ResponseOptions,
) -> Answer {
    Query::try_new(query.as_deref(), &[])?;
    let is_watched = negotiate::takes_events(&headers);
    if !is_watched && !negotiate::takes_html(&headers) {
        return Ok(options.small("text/plain; charset=utf-8", INDEX.into()));
    }
    let page = |http: &HttpState| fleet_of(http).overview_page(&http.collector);
    if is_watched {
        return Ok(watched(&http, &options, move |http| page(http).content().to_owned()));
    }
    let page = blocking(&http, move |http| page(http).document());
    Ok(shown(options, page.await?))
}

/// Returns the figures of the overview as JSON.
pub(super) async fn overview_json(
    AppState(http): AppState<Arc<HttpState>>,
    RawQuery(query): RawQuery,
    options: ResponseOptions,
) -> Answer {
    Query::try_new(query.as_deref(), &[])?;
    let body = blocking(&http, |http| line(&Overview::of(&fleet_of(http), &http.collector)));
    Ok(options.small(json::CONTENT_TYPE, body.await?))
}

/// Returns the page of the agents that a search finds.
pub(super) async fn agents(
    AppState(http): AppState<Arc<HttpState>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    options: ResponseOptions,
) -> Answer {
    let search = search(query.as_deref())?;
    let page = move |http: &HttpState| fleet_of(http).list_page(&search);
    if negotiate::takes_events(&headers) {
        return Ok(watched(&http, &options, move |http| page(http).content().to_owned()));
    }
    let page = blocking(&http, move |http| page(http).document());
    Ok(shown(options, page.await?))
}

/// Returns the agents that a search finds as JSON.
pub(super) async fn search_json(
    AppState(http): AppState<Arc<HttpState>>,
    RawQuery(query): RawQuery,
    options: ResponseOptions,
) -> Answer {
    let search = search(query.as_deref())?;
    let body = blocking(&http, move |http| line(&search.list(&fleet_of(http))));
    Ok(options.small(json::CONTENT_TYPE, body.await?))
}

/// Returns the page of one agent.
pub(super) async fn agent(
    AppState(http): AppState<Arc<HttpState>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    options: ResponseOptions,
) -> Answer {
    let query = Query::try_new(query.as_deref(), &["filter"])?;
    let filter = limited("filter", query.get("filter").unwrap_or_default())?.to_owned();
    let mut open = AgentId::try_new(&id).ok().map(|known| OpenAgent::new(known, filter));
    let mut page = move |http: &HttpState| match &mut open {
        Some(open) => agent_page(open, http),
        None => (StatusCode::NOT_FOUND, html::not_connected(&id, None, 0)),
    };
    if negotiate::takes_events(&headers) {
        return Ok(watched(&http, &options, move |http| page(http).1.content().to_owned()));
    }
    let render = move |http: &HttpState| {
        let (status, page) = page(http);
        (status, page.document())
    };
    let (status, page) = blocking(&http, render).await?;
    Ok((status, shown(options, page)).into_response())
}

/// Returns the page of an agent as it is now, and its status.
fn agent_page(open: &mut OpenAgent, http: &HttpState) -> (StatusCode, html::Page) {
    let now = http.collector.clock.moment().unix;
    if let Some(view) = open.look(&http.collector) {
        return (StatusCode::OK, html::host(&view, now));
    }
    // Of the copy, because the roster can be long, and a stream asks every second.
    let fleet = fleet_of(http);
    let departed = fleet.departed.iter().find(|row| row.departure.id == open.id);
    let departure = departed.map(|row| &row.departure);
    (StatusCode::NOT_FOUND, html::not_connected(open.id.as_str(), departure, now))
}

/// Returns one agent as JSON.
pub(super) async fn agent_json(
    AppState(http): AppState<Arc<HttpState>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    options: ResponseOptions,
) -> Answer {
    Query::try_new(query.as_deref(), &[])?;
    let id = AgentId::try_new(&id).ok();
    let profile = id.and_then(|id| Profile::of(&id, &http.collector));
    let profile =
        profile.ok_or_else(|| HttpError::not_found("agent not connected; see /api/agents"))?;
    Ok(options.small(json::CONTENT_TYPE, line(&profile)))
}

/// Returns the style sheet of all pages.
pub(super) async fn style(options: ResponseOptions) -> Response {
    unchanging(options.small("text/css; charset=utf-8", html::STYLE.into()))
}

/// Returns the script of all pages.
pub(super) async fn script(options: ResponseOptions) -> Response {
    unchanging(options.small("text/javascript; charset=utf-8", html::SCRIPT.into()))
}

/// Returns the icon of all pages.
pub(super) async fn icon(options: ResponseOptions) -> Response {
    unchanging(options.small("image/svg+xml", html::ICON.into()))
}

fn unchanging(mut response: Response) -> Response {
    let age = HeaderValue::from_static("private, max-age=600");
    response.headers_mut().insert(header::CACHE_CONTROL, age);
    response
}

/// Returns a stream that keeps a page up to date.
fn watched(
    http: &Arc<HttpState>,
    options: &ResponseOptions,
    content: impl FnMut(&HttpState) -> String + Send + 'static,
) -> Response {
    let mut response = watch::stream(http, options, content);
    response.headers_mut().extend(PROTECTION);
    response
}

fn shown(options: ResponseOptions, page: String) -> Response {
    let mut response = options.small(HTML, page.into_bytes());
    response.headers_mut().extend(PROTECTION);
    response
}

/// Serializes a value, and ends the line.
fn line(value: &impl Serialize) -> Vec<u8> {
    let mut body = serde_json::to_vec(value).unwrap_or_default();
    body.push(b'\n');
    body
}

/// Returns a copy of the fleet that is at most a second old.
fn fleet_of(http: &HttpState) -> Arc<FleetCopy> {
    http.collector.web.fleet.get(&http.collector)
}

/// Runs on a blocking thread, because a large fleet takes milliseconds.
async fn blocking<T: Send + 'static>(
    http: &Arc<HttpState>,
    compute: impl FnOnce(&HttpState) -> T + Send + 'static,
) -> Result<T, HttpError> {
    let http = Arc::clone(http);
    let computed = tokio::task::spawn_blocking(move || compute(&http)).await;
    computed.map_err(|_| HttpError::internal("the page could not be computed"))
}

fn search(query: Option<&str>) -> Result<Search, HttpError> {
    let query = Query::try_new(query, &SEARCH)?;
    let text = |name| limited(name, query.get(name).unwrap_or_default());
    let mut search = Search { text: text("q")?.trim().to_lowercase(), ..Search::default() };
    if query.get("label").is_some() {
        let label = text("label")?;
        let pair = label.split_once('=').ok_or_else(|| invalid("label", label, "role=db"))?;
        search.label = Some((pair.0.to_owned(), pair.1.to_owned()));
    }
    if let Some(name) = query.get("state") {
        let state = State::ALL.iter().find(|(_, own)| *own == name).map(|(state, _)| *state);
        search.state = state.ok_or_else(|| invalid("state", name, "up, missing or departed"))?;
    }
    if let Some(name) = query.get("sort") {
        search.sort =
            Sort::named(name).ok_or_else(|| invalid("sort", name, "id, cpu, memory or disk"))?;
    }
    for (range, headline) in search.ranges.iter_mut().zip(HEADLINES) {
        if let Some(text) = query.get(headline.key) {
            *range =
                Some(parse_range(text).ok_or_else(|| invalid(headline.key, text, "0.8..0.9"))?);
        }
    }
    let page = query.number("page", 1, u32::MAX.into())?;
    search.page = page.and_then(|page| page.try_into().ok()).unwrap_or(1);
    Ok(search)
}

/// Parses a range such as `0.8..0.9`; without an end it has no upper limit.
fn parse_range(text: &str) -> Option<(f64, f64)> {
    let (from, below) = text.split_once("..")?;
    let number = |text: &str| text.parse().ok().filter(|number: &f64| number.is_finite());
    let from = if from.is_empty() { f64::NEG_INFINITY } else { number(from)? };
    let below = if below.is_empty() { f64::INFINITY } else { number(below)? };
    Some((from, below))
}

fn limited<'a>(name: &str, text: &'a str) -> Result<&'a str, HttpError> {
    let is_short = text.len() <= MAX_TEXT;
    is_short
        .then_some(text)
        .ok_or_else(|| HttpError::bad_request(format!("{name} is longer than {MAX_TEXT} bytes")))
}

fn invalid(name: &str, text: &str, example: &str) -> HttpError {
    HttpError::bad_request(format!("invalid {name}={}; use {example}", quoted(text)))
}
