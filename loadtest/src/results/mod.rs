//! Results of a test: JSON, text and an HTML page, with the same structure for every test.

pub mod comparison;
mod glossary;
mod hover;
pub mod html;
pub mod output;
mod plot;
pub mod quantiles;
mod summary;
mod tables;
mod text;
pub mod timeline;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::Value;

use crate::judge::verdict::Verdict;
use comparison::{Baseline, Comparison};
pub(crate) use tables::quantity;
use timeline::Timeline;

/// The results of a test.
#[derive(Debug, Clone, Serialize)]
pub struct Results {
    /// Name of the command, such as `run` or `storm`.
    pub scenario: &'static str,
    /// Version of this program and of the collectors that it starts.
    pub version: &'static str,
    /// The command line, to repeat the test.
    pub command: String,
    /// Start, in seconds since 1970.
    pub began_unix_seconds: u64,
    /// Duration of the test.
    pub took_seconds: f64,
    /// The machine that the test ran on.
    pub machine: Machine,
    /// Settings, by the names of the flags.
    pub settings: Value,
    /// Checks and findings.
    pub verdict: Verdict,
    /// Measurements. A part of each name is the unit: `ms`, `us`, `seconds`, `bytes`, `cores`,
    /// `percent`; without one it is a count.
    pub figures: Value,
    /// Phases, counts per second, scrapes and events of the test.
    pub timeline: Timeline,
    /// Comparison with an earlier test, for text and HTML page; the JSON is without.
    #[serde(skip)]
    comparison: Option<Comparison>,
}

impl Results {
    /// Compares the test with an earlier one.
    pub fn compare(&mut self, baseline: Baseline) {
        self.comparison = Some(baseline.compare(self));
    }
}

/// The machine that a test ran on.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Machine {
    pub system: String,
    pub cores: usize,
    pub memory_bytes: Option<u64>,
}

impl Machine {
    /// Describes the machine that this program runs on.
    #[must_use]
    pub fn this() -> Self {
        Self {
            system: system(),
            cores: std::thread::available_parallelism().map_or(1, Into::into),
            memory_bytes: memory_bytes(),
        }
    }
}

#[cfg(target_os = "linux")]
fn system() -> String {
    let name = rustix::system::uname();
    let (system, release) = (name.sysname().to_string_lossy(), name.release().to_string_lossy());
    format!("{system} {release}")
}

#[cfg(not(target_os = "linux"))]
fn system() -> String {
    std::env::consts::OS.to_owned()
}

#[cfg(target_os = "linux")]
fn memory_bytes() -> Option<u64> {
    use procfs::Current;
    procfs::Meminfo::current().ok().map(|memory| memory.mem_total)
}

#[cfg(not(target_os = "linux"))]
fn memory_bytes() -> Option<u64> {
    None
}

/// Builds the results of a running test, and measures how long the test takes.
#[derive(Debug)]
pub struct ResultsBuilder {
    scenario: &'static str,
    started: SystemTime,
}

impl ResultsBuilder {
    /// Begins the results of this command, at the start of the test.
    #[must_use]
    pub fn start(scenario: &'static str) -> Self {
        Self { scenario, started: SystemTime::now() }
    }

    /// Returns the results of the test, which ends with this call.
    ///
    /// # Errors
    /// If the results cannot be serialized, which does not happen for plain data.
    pub fn finish(
        self,
        settings: Value,
        verdict: Verdict,
        figures: impl Serialize,
        timeline: Timeline,
    ) -> anyhow::Result<Results> {
        Ok(Results {
            scenario: self.scenario,
            version: env!("CARGO_PKG_VERSION"),
            command: command_line(),
            began_unix_seconds: self
                .started
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default()
                .as_secs(),
            took_seconds: self.started.elapsed().unwrap_or(Duration::ZERO).as_secs_f64(),
            machine: Machine::this(),
            settings,
            verdict,
            figures: serde_json::to_value(figures)?,
            timeline,
            comparison: None,
        })
    }
}

/// The command line without the program's directory.
fn command_line() -> String {
    let given = std::env::args().skip(1);
    std::iter::once("fleetgauge-loadtest".to_owned()).chain(given).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::timeline::{Lag, Phase, ScrapeRecord, Second, TimelineEvent};
    use super::*;
    use crate::judge::finding::Finding;

    fn results() -> Results {
        let second = |at: u32| Second {
            at_seconds: f64::from(at),
            agents_connected: u64::from(at) * 10,
            agents_shown: Some(u64::from(at) * 9),
            reports: 100,
            lag: (at > 3).then_some(Lag {
                p50_ms: 0.5,
                p99_ms: 2.0,
                max_ms: 40.0,
                written_p99_ms: 1.0,
                own_p99_ms: 1.0,
            }),
            collector_cores: Some(0.2),
            collector_resident_bytes: Some(40_000_000),
        };
        let scrape =
            ScrapeRecord { at_seconds: 5.0, took_ms: 3.0, bytes: 5_000, samples: Some(600) };
        let timeline = Timeline {
            phases: vec![Phase { what: "recovering".to_owned(), took_seconds: 4.0 }],
            seconds: (0..60).map(second).collect(),
            scrapes: vec![scrape],
            events: vec![TimelineEvent { at_seconds: 20.0, what: "killed <all>".to_owned() }],
        };
        let figures = json!({ "back": { "half_seconds": 1.5, "all_seconds": 4.0 } });
        ResultsBuilder::start("storm")
            .finish(json!({ "agents": 600, "pacing": true }), Verdict::new(), figures, timeline)
            .unwrap()
    }

    #[test]
    fn the_html_report_is_self_contained() {
        let page = html::page(&results()).unwrap();
        for outside in ["<script", "<link", "src=", "href=", "@import", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert_eq!(page.matches("<svg").count(), 7);
        // Each axis names its quantity and unit.
        assert_eq!(page.matches("seconds since the start").count(), 7);
        for unit in ["agents", "ms, logarithmic", "cores", "MiB", "reports a second"] {
            assert!(page.contains(&format!(">\n{unit}\n</text>")), "{unit}: {page}");
        }
        assert!(page.contains("<h1>Load test: storm"), "{page}");
        assert!(page.contains("<dt>lag</dt>") && page.contains("<td>4&nbsp;s</td>"), "{page}");
        for shown in ["storm", "passed", "killed &lt;all&gt;", "1.5 s", "agents <b>600</b>"] {
            assert!(page.contains(shown), "{shown}: {page}");
        }
    }

    #[test]
    fn findings_fail_the_test_and_are_shown() {
        let mut results = results();
        results.verdict.checked("pages", 3);
        results.verdict.add("page 2", (0..30).map(|agents| Finding::NotDisconnected { agents }));
        results.verdict.add("at the end", [Finding::NoCheckpoint]);
        let (text, page) = (results.to_string(), html::page(&results).unwrap());
        assert!(text.contains("time") && text.contains("recovering 4 s"), "{text}");
        assert!(
            text.contains("FAILED: 31 findings (1 no checkpoint, 30 not disconnected)"),
            "{text}"
        );
        assert!(
            text.contains("page 2: 0 agents could not")
                && text.contains("and 10 more")
                && text.contains("at the end: no page was judged"),
            "{text}"
        );
        assert!(page.contains("failed") && page.contains("page 2: 0 agents could not"), "{page}");
    }
}
