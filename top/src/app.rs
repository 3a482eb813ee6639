//! What is shown, and what keys change.

use std::time::{Duration, Instant};

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::api::{HEADLINES, Listing, Overview, Profile};
use crate::client::{Client, FetchError};

/// Maximum length of a search, in bytes: that of the collector.
const MAX_INPUT: usize = 256;
/// States of agents that `/api/search` selects.
const STATES: [&str; 4] = ["all", "up", "missing", "departed"];
/// Lines that a key moves by a page.
const JUMP: usize = 10;

/// A screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Screen {
    Overview,
    Agents,
    /// The agent with this id.
    Host(String),
}

impl Screen {
    /// Index in [`App::updated`].
    fn index(&self) -> usize {
        match self {
            Self::Overview => 0,
            Self::Agents => 1,
            Self::Host(_) => 2,
        }
    }
}

/// What the collector is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request {
    Overview,
    /// With a query.
    Search(String),
    /// With an id.
    Host(String),
}

/// What the collector answers.
#[derive(Debug)]
pub(crate) enum Answer {
    Overview(Overview),
    Search(Listing),
    Host(Host),
}

/// An agent, and the lines of its metrics page.
#[derive(Debug, Default)]
pub(crate) struct Host {
    pub(crate) profile: Profile,
    pub(crate) series: Vec<String>,
}

impl Request {
    /// Asks the collector.
    pub(crate) async fn send(&self, client: &mut Client) -> Result<Answer, FetchError> {
        match self {
            Self::Overview => client.json("/api/overview").await.map(Answer::Overview),
            Self::Search(query) => {
                client.json(&format!("/api/search?{query}")).await.map(Answer::Search)
            }
            Self::Host(id) => {
                let profile = client.json(&format!("/api/agents/{id}")).await?;
                let page = client.text(&format!("/metrics/agents/{id}")).await?;
                let series = page.lines().filter(|line| !line.starts_with('#'));
                Ok(Answer::Host(Host { profile, series: series.map(short).collect() }))
            }
        }
    }
}

/// Returns a line of an agent's page without the agent's id: all lines have it.
fn short(line: &str) -> String {
    let Some((name, rest)) = line.split_once("{agent=\"") else { return line.to_owned() };
    let Some((_, rest)) = rest.split_once('"') else { return line.to_owned() };
    match rest.strip_prefix(',') {
        Some(labels) => format!("{name}{{{labels}"),
        None => format!("{name}{}", rest.strip_prefix('}').unwrap_or(rest)),
    }
}

/// Which agents are listed, in which order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Search {
    pub(crate) text: String,
    /// Index in [`STATES`].
    state: usize,
    /// Index in [`HEADLINES`]; `None`: by id.
    sort: Option<usize>,
    page: usize,
}

impl Search {
    pub(crate) fn state(&self) -> &'static str {
        STATES[self.state]
    }

    /// Returns the name of the order.
    pub(crate) fn order(&self) -> &'static str {
        self.sort.map_or("id", |headline| HEADLINES[headline].0)
    }

    fn query(&self) -> String {
        form_urlencoded::Serializer::new(String::new())
            .append_pair("q", &self.text)
            .append_pair("state", self.state())
            .append_pair("sort", self.order())
            .append_pair("page", &(self.page + 1).to_string())
            .finish()
    }
}

/// The state of the program.
#[derive(Debug)]
pub(crate) struct App {
    /// Address of the collector.
    pub(crate) collector: String,
    pub(crate) screen: Screen,
    pub(crate) overview: Option<Overview>,
    pub(crate) list: Option<Listing>,
    pub(crate) host: Option<Host>,
    pub(crate) search: Search,
    /// Text that the series of a host contain.
    pub(crate) filter: String,
    /// The request that `list` answers.
    listed: Option<Request>,
    /// When each screen got its values: overview, list, host.
    updated: [Option<Instant>; 3],
    /// Selected line of the list, or first line of the series.
    pub(crate) line: usize,
    /// Whether keys go to the search or the filter.
    pub(crate) is_typing: bool,
    /// Why the last request has no answer.
    pub(crate) problem: Option<FetchError>,
    /// Whether there are colors.
    pub(crate) has_colors: bool,
    pub(crate) is_over: bool,
}

impl App {
    pub(crate) fn new(collector: String, has_colors: bool) -> Self {
        Self {
            collector,
            screen: Screen::Overview,
            overview: None,
            list: None,
            host: None,
            listed: None,
            updated: [None; 3],
            search: Search::default(),
            filter: String::new(),
            line: 0,
            is_typing: false,
            problem: None,
            has_colors,
            is_over: false,
        }
    }

    /// Returns what the screen needs.
    pub(crate) fn request(&self) -> Request {
        match &self.screen {
            Screen::Overview => Request::Overview,
            Screen::Agents => Request::Search(self.search.query()),
            Screen::Host(id) => Request::Host(id.clone()),
        }
    }

    /// Takes an answer, unless the screen needs another one meanwhile.
    pub(crate) fn answer(&mut self, request: &Request, answer: Result<Answer, FetchError>) {
        if *request != self.request() {
            return;
        }
        self.problem = None;
        if answer.is_ok() {
            self.updated[self.screen.index()] = Some(Instant::now());
        }
        match answer {
            Ok(Answer::Overview(overview)) => self.overview = Some(overview),
            Ok(Answer::Search(list)) => {
                self.search.page = list.page.saturating_sub(1);
                self.line = self.line_in(&list, request);
                (self.list, self.listed) = (Some(list), Some(request.clone()));
            }
            Ok(Answer::Host(host)) => self.host = Some(host),
            Err(error) => {
                if error == FetchError::NotFound {
                    self.host = None;
                }
                self.problem = Some(error);
            }
        }
    }

    /// Returns the line to select in a list that has arrived. The selection stays on its agent,
    /// because Enter must open the agent that the user has seen there.
    fn line_in(&self, list: &Listing, request: &Request) -> usize {
        let before = self.list.as_ref().filter(|_| self.listed.as_ref() == Some(request));
        let selected = before.and_then(|before| before.agents.get(self.line));
        let found = selected.and_then(|agent| list.position(&agent.id));
        found.unwrap_or_else(|| self.line.min(list.agents.len().saturating_sub(1)))
    }

    /// Returns the age of the values on the screen, if there are any.
    pub(crate) fn age(&self, now: Instant) -> Option<Duration> {
        let has_values = match self.screen {
            Screen::Overview => self.overview.is_some(),
            Screen::Agents => self.list.is_some(),
            Screen::Host(_) => self.host.is_some(),
        };
        let updated = self.updated[self.screen.index()].filter(|_| has_values);
        updated.map(|updated| now.saturating_duration_since(updated))
    }

    /// Handles a key.
    pub(crate) fn press(&mut self, key: KeyEvent) {
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            self.is_over = true;
        } else if self.is_typing {
            self.type_key(key.code);
        } else {
            match self.screen {
                Screen::Overview => self.press_in_overview(key.code),
                Screen::Agents => self.press_in_agents(key.code),
                Screen::Host(_) => self.press_in_host(key.code),
            }
        }
    }

    fn type_key(&mut self, key: KeyCode) {
        let text = match self.screen {
            Screen::Host(_) => &mut self.filter,
            _ => &mut self.search.text,
        };
        match key {
            KeyCode::Char(c) if text.len() + c.len_utf8() <= MAX_INPUT => text.push(c),
            KeyCode::Backspace => {
                text.pop();
            }
            KeyCode::Esc => {
                text.clear();
                self.is_typing = false;
            }
            KeyCode::Enter => self.is_typing = false,
            _ => return,
        }
        self.line = 0;
        self.search.page = 0;
    }

    fn press_in_overview(&mut self, key: KeyCode) {
        match key {
            KeyCode::Char('q') | KeyCode::Esc => self.is_over = true,
            KeyCode::Char('a') | KeyCode::Enter => self.list_agents(Search::default()),
            KeyCode::Char('/') => {
                self.list_agents(Search::default());
                self.is_typing = true;
            }
            KeyCode::Char('m') => self.list_agents(Search { state: 2, ..Search::default() }),
            KeyCode::Char(digit @ '1'..='3') => {
                let sort = Some(digit as usize - '1' as usize);
                self.list_agents(Search { sort, ..Search::default() });
            }
            _ => {}
        }
    }

    fn list_agents(&mut self, search: Search) {
        (self.screen, self.search, self.list, self.line) = (Screen::Agents, search, None, 0);
    }

    fn press_in_agents(&mut self, key: KeyCode) {
        let last = self.list.as_ref().map_or(0, |list| list.agents.len().saturating_sub(1));
        let pages = self.list.as_ref().map_or(1, |list| list.pages);
        match key {
            KeyCode::Char('q') | KeyCode::Esc => self.screen = Screen::Overview,
            KeyCode::Char('/') => self.is_typing = true,
            KeyCode::Char('s') => {
                let next = self.search.sort.map_or(0, |sort| sort + 1);
                self.search.sort = (next < HEADLINES.len()).then_some(next);
                self.search.page = 0;
            }
            KeyCode::Char('t') => {
                self.search.state = (self.search.state + 1) % STATES.len();
                self.search.page = 0;
            }
            KeyCode::Char('n') => self.search.page = (self.search.page + 1).min(pages.max(1) - 1),
            KeyCode::Char('p') => self.search.page = self.search.page.saturating_sub(1),
            KeyCode::Enter | KeyCode::Right => self.open_selected(),
            _ => self.line = moved(self.line, key).min(last),
        }
    }

    fn open_selected(&mut self) {
        let selected = self.list.as_ref().and_then(|list| list.agents.get(self.line));
        // The id becomes part of a path. The collector sends no other ids.
        let is_path = |id: &str| {
            let is_safe = |c: char| c.is_ascii_alphanumeric() || "-._~:@".contains(c);
            !id.is_empty() && id.chars().all(is_safe)
        };
        if let Some(agent) = selected.filter(|agent| is_path(&agent.id)) {
            self.screen = Screen::Host(agent.id.clone());
            (self.host, self.line) = (None, 0);
            self.filter.clear();
        }
    }

    fn press_in_host(&mut self, key: KeyCode) {
        match key {
            KeyCode::Char('q') | KeyCode::Esc | KeyCode::Left => {
                let Screen::Host(id) = std::mem::replace(&mut self.screen, Screen::Agents) else {
                    return;
                };
                let list = self.list.as_ref();
                self.line = list.and_then(|list| list.position(&id)).unwrap_or(0);
            }
            KeyCode::Char('/') => self.is_typing = true,
            _ => self.line = moved(self.line, key).min(self.series().count().saturating_sub(1)),
        }
    }

    /// Returns the series of the host that the filter finds.
    pub(crate) fn series(&self) -> impl Iterator<Item = &str> {
        let filter = self.filter.to_lowercase();
        let all = self.host.iter().flat_map(|host| &host.series).map(String::as_str);
        all.filter(move |line| filter.is_empty() || line.to_lowercase().contains(&filter))
    }
}

/// Returns the line after a key that moves.
fn moved(line: usize, key: KeyCode) -> usize {
    match key {
        KeyCode::Up | KeyCode::Char('k') => line.saturating_sub(1),
        KeyCode::Down | KeyCode::Char('j') => line + 1,
        KeyCode::PageUp => line.saturating_sub(JUMP),
        KeyCode::PageDown => line + JUMP,
        KeyCode::Home => 0,
        KeyCode::End => usize::MAX,
        _ => line,
    }
}

#[cfg(test)]
#[path = "app_tests.rs"]
mod tests;
