//! Formats results as an HTML page without scripts that needs no network.

use std::fmt::Write;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;

use super::glossary::{TERMS, about};
use super::plot::{COLOURS, Line, Plot, Scale};
use super::tables::{Table, cell, phases, quantity, tables, words};
use super::text::counts;
use super::timeline::{Second, Timeline};
use super::{Results, comparison, summary};
use crate::judge::verdict::Verdict;

/// Style sheet of the page.
const STYLE: &str = include_str!("page.css");
/// End of the year 9999, in seconds since 1970. Later dates cannot be formatted; a baseline can
/// have any.
const LAST_DATE: u64 = 253_402_300_799;

/// Renders results as an HTML page.
///
/// # Errors
/// If a plot cannot be drawn.
pub fn page(results: &Results) -> anyhow::Result<String> {
    let mut page = String::new();
    let Results { scenario, version, verdict, .. } = results;
    let outcome = if verdict.passed { "passed" } else { "failed" };
    write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>fleetgauge load test: {scenario}, {outcome}</title>\n<style>\n{STYLE}</style>\n\
         </head>\n<body>\n<header class=\"{outcome}\">\n\
         <h1>Load test: {scenario}<span class=\"verdict\">{outcome}</span></h1>\n\
         <p class=\"about\">{}</p>\n",
        about(scenario)
    )?;
    write_summary(&mut page, results)?;
    write_head(&mut page, results)?;
    write_verdict(&mut page, verdict)?;
    page.push_str("</header>\n<main>\n<h2>Timeline</h2>\n");
    write_events(&mut page, &results.timeline)?;
    write_plots(&mut page, &results.timeline)?;
    write_comparison(&mut page, results)?;
    page.push_str(
        "<h2>Figures</h2>\n\
         <p>Numbers without a unit are counts. The terms are explained below.</p>\n\
         <section class=\"tables\">\n",
    );
    for table in std::iter::once(phases(results)).chain(tables("", &results.figures)) {
        write_table(&mut page, &table)?;
    }
    write!(
        page,
        "</section>\n<h2>Terms</h2>\n<dl>\n{}</dl>\n</main>\n\
         <footer>fleetgauge-loadtest {version}. Names and units of all figures are \
         those of the JSON report.</footer>\n</body>\n</html>\n",
        terms()
    )?;
    Ok(page)
}

/// Writes the summary in words, and the figures that matter in large type.
fn write_summary(page: &mut String, results: &Results) -> anyhow::Result<()> {
    let sentences = summary::sentences(results).join(" ");
    writeln!(page, "<p class=\"summary\">{}</p>\n<ul class=\"key\">", escaped(&sentences))?;
    for figure in summary::key_figures(results) {
        writeln!(
            page,
            "<li><span>{}</span><b>{}</b><small>{}</small></li>",
            escaped(figure.name),
            unbroken(&escaped(&figure.value)),
            escaped(&figure.compared)
        )?;
    }
    page.push_str("</ul>\n");
    Ok(())
}

/// Writes each figure beside that of the baseline, if there is one.
fn write_comparison(page: &mut String, results: &Results) -> anyhow::Result<()> {
    let Some(comparison) = &results.comparison else { return Ok(()) };
    writeln!(page, "<h2>Compared with {}</h2>", escaped(&comparison.baseline))?;
    if !comparison.caveats.is_empty() {
        let caveats = comparison.caveats.iter().map(|it| format!("<li>{}</li>\n", escaped(it)));
        let caveats: String = caveats.collect();
        writeln!(page, "<ul class=\"skipped\">\n{caveats}</ul>")?;
    }
    page.push_str("<section class=\"tables\">\n");
    for table in comparison::tables(results) {
        write_table(page, &table)?;
    }
    page.push_str("</section>\n");
    Ok(())
}

/// Writes the legend of the event numbers in the plots.
fn write_events(page: &mut String, timeline: &Timeline) -> anyhow::Result<()> {
    page.push_str(
        "<p>Point at a plot to see its values. The numbers at the top of each plot mark these \
         events:</p>\n<ol>\n",
    );
    for event in &timeline.events {
        let at = quantity((event.at_seconds * 10.0).round() / 10.0, "s");
        writeln!(page, "<li>{} <span>{at}</span></li>", escaped(&event.what))?;
    }
    page.push_str("</ol>\n");
    Ok(())
}

fn terms() -> String {
    let terms = TERMS.iter().map(|(term, meaning)| {
        format!("<div><dt>{}</dt><dd>{}</dd></div>\n", escaped(term), escaped(meaning))
    });
    terms.collect()
}

fn write_head(page: &mut String, results: &Results) -> anyhow::Result<()> {
    let machine = &results.machine;
    let memory = machine.memory_bytes.map_or(Value::Null, Value::from);
    writeln!(
        page,
        "<p>{} · took {} · {}, {} cores, {}</p>\n<pre>{}</pre>",
        date(results.began_unix_seconds),
        cell("_seconds", &results.took_seconds.round().into()),
        escaped(&machine.system),
        machine.cores,
        cell("_bytes", &memory),
        escaped(&results.command)
    )?;
    page.push_str("<ul class=\"settings\">\n");
    for (name, value) in results.settings.as_object().into_iter().flatten() {
        writeln!(
            page,
            "<li>{} <b>{}</b></li>",
            escaped(&words(name)),
            escaped(&cell(name, value))
        )?;
    }
    page.push_str("</ul>\n");
    Ok(())
}

fn write_verdict(page: &mut String, verdict: &Verdict) -> anyhow::Result<()> {
    let found = if verdict.passed {
        "No finding".to_owned()
    } else {
        format!("{} findings: {}", verdict.count(), counts(&verdict.findings))
    };
    writeln!(page, "<p>Checked: {}. <b>{found}.</b></p>", counts(&verdict.checks))?;
    let findings: Vec<_> = verdict.first_findings.iter().map(|texts| &texts.what).collect();
    let skipped: Vec<_> = verdict.skipped.iter().collect();
    for (class, entries) in [("findings", findings), ("skipped", skipped)] {
        if !entries.is_empty() {
            let entries = entries.iter().map(|entry| format!("<li>{}</li>\n", escaped(entry)));
            writeln!(page, "<ul class=\"{class}\">\n{}</ul>", entries.collect::<String>())?;
        }
    }
    Ok(())
}

fn write_plots(page: &mut String, timeline: &Timeline) -> anyhow::Result<()> {
    page.push_str("<section class=\"plots\">\n");
    for plot in plots(timeline).into_iter().map(Plot::in_round_units) {
        if plot.lines.iter().all(|line| line.points.is_empty()) {
            continue;
        }
        writeln!(page, "<figure>\n<figcaption>{}", plot.title)?;
        for (line, colour) in plot.lines.iter().zip(COLOURS) {
            let (red, green, blue) = (colour.0, colour.1, colour.2);
            writeln!(
                page,
                "<span><i style=\"background:rgb({red},{green},{blue})\"></i>{}</span>",
                line.name
            )?;
        }
        let svg = plot.svg().map_err(|error| anyhow::anyhow!("{}: {error}", plot.title))?;
        writeln!(page, "</figcaption>\n{svg}</figure>")?;
    }
    page.push_str("</section>\n");
    Ok(())
}

fn plots(timeline: &Timeline) -> Vec<Plot<'_>> {
    let Timeline { seconds, scrapes, events, .. } = timeline;
    let line = |name, value: &dyn Fn(&Second) -> Option<f64>| {
        let points = seconds.iter().filter_map(|second| Some((second.at_seconds, value(second)?)));
        Line { name, points: points.collect(), scattered: false }
    };
    let scraped = |name, value: &dyn Fn(&super::timeline::ScrapeRecord) -> f64| {
        let points = scrapes.iter().map(|scrape| (scrape.at_seconds, value(scrape)));
        Line { name, points: points.collect(), scattered: true }
    };
    let last = seconds.last().map_or(0.0, |second| second.at_seconds);
    let until = scrapes.last().map_or(last, |scrape| scrape.at_seconds.max(last));
    let plot = |title, unit, scale, lines| Plot { title, unit, scale, lines, events, until };
    let lag = |value: fn(&super::timeline::Lag) -> f64| {
        move |second: &Second| second.lag.as_ref().map(value)
    };
    vec![
        plot(
            "Agents",
            "agents",
            Scale::Linear,
            vec![
                line("connected", &|second| Some(second.agents_connected as f64)),
                line("on the pages", &|second| second.agents_shown.map(|shown| shown as f64)),
            ],
        ),
        plot(
            "Lag: from when reports were due until they were processed",
            "ms",
            Scale::Log,
            vec![
                line("p50", &lag(|lag| lag.p50_ms)),
                line("p99", &lag(|lag| lag.p99_ms)),
                line("max", &lag(|lag| lag.max_ms)),
                line("p99 until written", &lag(|lag| lag.written_p99_ms)),
            ],
        ),
        plot(
            "Duration of a scrape",
            "ms",
            Scale::Log,
            vec![scraped("one page", &|page| page.took_ms)],
        ),
        plot(
            "Size of a scrape",
            "bytes",
            Scale::Linear,
            vec![scraped("one page, as sent over the wire", &|page| page.bytes as f64)],
        ),
        plot(
            "CPU of the collectors, in steps of 0.01",
            "cores",
            Scale::Linear,
            vec![line("user and system", &|second| second.collector_cores)],
        ),
        plot(
            "Memory of the collectors",
            "bytes",
            Scale::Linear,
            vec![line("resident", &|second| {
                second.collector_resident_bytes.map(|bytes| bytes as f64)
            })],
        ),
        plot(
            "Reports written",
            "reports a second",
            Scale::Linear,
            vec![line("written", &|second| Some(second.reports as f64))],
        ),
    ]
}

fn write_table(page: &mut String, table: &Table) -> anyhow::Result<()> {
    let title = if table.title.is_empty() { "Figures" } else { &table.title };
    writeln!(page, "<table>\n<caption>{}</caption>", escaped(title))?;
    if !table.columns.is_empty() {
        let heads = table.columns.iter().map(|head| format!("<th>{}</th>", escaped(head)));
        writeln!(page, "<tr><td></td>{}</tr>", heads.collect::<String>())?;
    }
    for (name, cells) in &table.rows {
        let cells = cells.iter().map(|cell| format!("<td>{}</td>", unbroken(&escaped(cell))));
        writeln!(page, "<tr><th>{}</th>{}</tr>", escaped(name), cells.collect::<String>())?;
    }
    page.push_str("</table>\n");
    Ok(())
}

/// Keeps a number and its unit on one line. Lists of counts may wrap.
fn unbroken(cell: &str) -> String {
    if cell.contains(", ") { cell.to_owned() } else { cell.replace(' ', "&nbsp;") }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Formats seconds since 1970 as a date and time in UTC.
pub(super) fn date(unix: u64) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(unix.min(LAST_DATE)))
}
