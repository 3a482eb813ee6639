//! The summary of a test in words: what was run, what was found, the figures that matter.

use serde_json::Value;

use super::Results;
use super::comparison::ratio;
use super::tables::cell;
use super::text::counts;

/// A figure that matters in a scenario.
#[derive(Debug)]
struct Headline {
    /// JSON pointer to it within the figures.
    pointer: &'static str,
    /// A short name.
    name: &'static str,
    /// A clause about it; `{}` is the figure.
    clause: &'static str,
}

/// A figure that matters, of a test.
#[derive(Debug, PartialEq)]
pub(super) struct KeyFigure {
    pub(super) name: &'static str,
    pub(super) value: String,
    /// The value of the baseline and the ratio to it; empty without a baseline.
    pub(super) compared: String,
    clause: String,
}

/// Returns the summary: two to four sentences.
pub(super) fn sentences(results: &Results) -> Vec<String> {
    let mut sentences = vec![what_was_run(results), what_was_found(results)];
    let key = key_figures(results);
    let clauses: Vec<_> = key.iter().map(|figure| figure.clause.as_str()).collect();
    if !clauses.is_empty() {
        sentences.push(capitalized(&format!("{}.", clauses.join("; "))));
    }
    if let Some(comparison) = &results.comparison {
        let changes = key.iter().filter(|figure| !figure.compared.is_empty());
        let changes = changes.map(|figure| format!("{}: {}", figure.name, figure.compared));
        let changes: Vec<_> = changes.collect();
        if !changes.is_empty() {
            let (baseline, changes) = (&comparison.baseline, changes.join("; "));
            let differs = match comparison.caveats.is_empty() {
                true => "",
                false => ", whose settings or version differ",
            };
            sentences.push(format!("Compared with {baseline}{differs}: {changes}."));
        }
    }
    sentences
}

/// Returns the figures that matter in the scenario, without those that were not measured.
pub(super) fn key_figures(results: &Results) -> Vec<KeyFigure> {
    let figure = |headline: &Headline| {
        let Headline { pointer, clause, .. } = headline;
        let unit = pointer.rsplit('/').next().unwrap_or_default();
        let value = results.figures.pointer(pointer).filter(|value| !value.is_null())?;
        let shown = cell(unit, value);
        let before = results.comparison.as_ref().and_then(|it| it.before.pointer(pointer));
        let compared = before.and_then(Value::as_f64).zip(value.as_f64()).map(|(old, new)| {
            format!("{} before, ratio {}", cell(unit, &old.into()), ratio(old, new))
        });
        let clause = clause.replace("{}", &shown);
        let compared = compared.unwrap_or_default();
        Some(KeyFigure { name: headline.name, value: shown, compared, clause })
    };
    headlines(results.scenario).iter().filter_map(figure).collect()
}

fn what_was_run(results: &Results) -> String {
    let setting = |name: &str| results.settings.get(name).filter(|value| !value.is_null());
    let number = |name: &str| setting(name).map(|value| cell(name, value));
    let mut text = match number("agents") {
        Some(agents) => format!("{agents} simulated agents"),
        None => "Simulated agents".to_owned(),
    };
    if let Some(series) = number("series_per_agent") {
        text += &format!(" with {series} series each");
    }
    text += " reported";
    if let Some(interval) = number("interval_seconds") {
        text += &format!(" every {interval}");
    }
    match number("collectors").as_deref() {
        None | Some("1") => text += " to one collector",
        Some(collectors) => text += &format!(" to {collectors} collectors"),
    }
    let took = cell("_seconds", &results.took_seconds.round().into());
    format!("{text}; the whole test took {took}.")
}

fn what_was_found(results: &Results) -> String {
    let verdict = &results.verdict;
    if verdict.passed {
        format!("All checks passed ({}).", counts(&verdict.checks))
    } else {
        let (all, findings) = (verdict.count(), counts(&verdict.findings));
        let found = if all == 1 { "finding" } else { "findings" };
        format!("The test failed with {all} {found}: {findings}.")
    }
}

fn capitalized(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map_or_else(String::new, |first| first.to_uppercase().chain(rest).collect())
}

/// Returns the three figures that matter in a scenario.
fn headlines(scenario: &str) -> &'static [Headline] {
    match scenario {
        "run" | "churn" => &RUN,
        "storm" => &STORM,
        "deaths" => &DEATHS,
        "clones" => &CLONES,
        "scrape" => &SCRAPE,
        "watch" => &WATCH,
        "soak" => &SOAK,
        "hostile" => &HOSTILE,
        "forward" => &FORWARD,
        _ => &[],
    }
}

const fn headline(pointer: &'static str, name: &'static str, clause: &'static str) -> Headline {
    Headline { pointer, name, clause }
}

const RUN: [Headline; 3] = [
    headline(
        "/reports/answer/p99_ms",
        "99 % of reports processed within",
        "the collectors processed 99 % of the reports within {}",
    ),
    headline("/collector/cpu_us_per_report", "CPU per report", "a report cost them {} of CPU"),
    headline(
        "/collector/resident_bytes_per_agent",
        "memory per agent",
        "an agent took {} of their memory",
    ),
];
const STORM: [Headline; 3] = [
    headline("/back/all_seconds", "all agents back after", "all agents were back after {}"),
    headline("/attempts/per_success", "attempts per agent", "the mean number of attempts was {}"),
    headline("/memory/peak_bytes", "peak memory", "the collectors' memory peaked at {}"),
];
const DEATHS: [Headline; 3] = [
    headline(
        "/time_to_removal/killed_process/p99_ms",
        "killed agents gone within",
        "99 % of the killed agents were gone from the pages within {}",
    ),
    headline(
        "/time_to_removal/rst/p99_ms",
        "reset connections gone within",
        "99 % of those with a reset connection within {}",
    ),
    headline(
        "/time_to_removal/frozen_process/p99_ms",
        "frozen agents gone within",
        "99 % of the frozen ones within {}",
    ),
];
const CLONES: [Headline; 3] = [
    headline("/clones/tried", "clones", "{} clones tried to report under an id in use"),
    headline("/clones/welcomed", "clones welcomed", "{} of them were welcomed"),
    headline(
        "/readmitted/connection closed/p99_ms",
        "rebooted hosts back within",
        "99 % of the rebooted hosts were welcomed within {}",
    ),
];
const SCRAPE: [Headline; 3] = [
    headline(
        "/answered/no_scrapes/p99_ms",
        "p99 without scrapes",
        "99 % of the reports were processed within {} without scrapes",
    ),
    headline("/answered/plain/p99_ms", "p99 with plain scrapes", "within {} with plain scrapes"),
    headline("/answered/gzip/p99_ms", "p99 with gzip scrapes", "within {} with gzip scrapes"),
];
const WATCH: [Headline; 3] = [
    headline(
        "/pages/overview/first_byte_p50_ms",
        "first byte of the overview",
        "the first byte of the overview came after {}",
    ),
    headline("/open_pages/cpu_percent", "cost of open pages", "the open pages cost {} of a core"),
    headline(
        "/answered/open/p99_ms",
        "99 % of reports processed within",
        "99 % of the reports were processed within {} meanwhile",
    ),
];
const SOAK: [Headline; 3] = [
    headline(
        "/lag/p99_ms",
        "99 % of reports processed within",
        "99 % of the reports were processed within {}",
    ),
    headline(
        "/collectors/0/resident_bytes",
        "memory of a collector",
        "a collector had {} of memory at the end",
    ),
    headline("/collectors/0/rise_bytes", "trend of memory", "its trend was {}"),
];
const HOSTILE: [Headline; 3] = [
    headline(
        "/answered/quiet/p99_ms",
        "p99 without attackers",
        "99 % of the reports were processed within {} without attackers",
    ),
    headline("/answered/attacked/p99_ms", "p99 under attack", "within {} under attack"),
    headline("/memory/resident_peak_bytes", "peak memory", "the collector's memory peaked at {}"),
];
const FORWARD: [Headline; 3] = [
    headline(
        "/age/p99_ms",
        "age of samples, p99",
        "99 % of the samples reached the engine within {}",
    ),
    headline(
        "/marked_after/max_ms",
        "series of dead agents ended within",
        "all series of dead agents had ended within {}",
    ),
    headline("/cpu_per_sample_us", "CPU per sample", "a sample cost the collectors {} of CPU"),
];

#[cfg(test)]
#[path = "summary_tests.rs"]
mod tests;
