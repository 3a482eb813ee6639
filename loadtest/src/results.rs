//! What a test has found out, as JSON and as one page to look at; the same shape whatever was
//! tested.

mod glossary;
pub mod html;
mod outline;
mod plot;
mod text;
pub mod timeline;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cli::Output;
use crate::finding::Finding;
use timeline::Timeline;

/// Findings told in words; the others are counted.
const TOLD: usize = 20;

/// Everything that a test found out.
#[derive(Debug, Clone, Serialize)]
pub struct Results {
    /// Which test: a command of this program.
    pub scenario: &'static str,
    /// Version of this program, and of the collectors that it starts.
    pub version: &'static str,
    /// The command line, to repeat it.
    pub command: String,
    /// When it began, in seconds since 1970.
    pub began_unix_seconds: u64,
    /// How long it took.
    pub took_seconds: f64,
    /// On what it ran.
    pub machine: Machine,
    /// What was asked for, by the names of the flags.
    pub settings: Value,
    /// Whether every check held.
    pub verdict: Verdict,
    /// What was measured. A part of the name is the unit: `ms`, `us`, `seconds`, `bytes`, `cores`,
    /// `percent`; without one it is a count.
    pub figures: Value,
    /// What went on from second to second.
    pub timeline: Timeline,
}

/// On what a test ran.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Machine {
    pub system: String,
    pub cores: usize,
    pub memory_bytes: Option<u64>,
}

/// Whether every check held.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// It did: no finding.
    pub passed: bool,
    /// What was checked, and how often: pages, deaths, clones ….
    pub checks: BTreeMap<String, u64>,
    /// What could not be checked here, and why.
    pub skipped: Vec<String>,
    /// Findings by their reason.
    pub findings: BTreeMap<String, u64>,
    /// The first of them, and the first of each reason.
    pub first_findings: Vec<Told>,
}

/// A finding in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The name it is counted by.
    pub reason: String,
    /// What was found, and when.
    pub what: String,
}

/// Something that should not be; its text says what, in plain words.
pub trait Problem: fmt::Display {
    /// The stable name it is counted by.
    fn reason(&self) -> &'static str;
}

impl Problem for Finding {
    fn reason(&self) -> &'static str {
        Self::reason(self)
    }
}

impl Verdict {
    /// Nothing was checked yet, and nothing found.
    #[must_use]
    pub fn new() -> Self {
        Self { passed: true, ..Self::default() }
    }

    /// Adds findings, `when` saying where they are from.
    pub fn add<P: Problem>(&mut self, when: &str, findings: impl IntoIterator<Item = P>) {
        for finding in findings {
            self.passed = false;
            let reason = finding.reason().to_owned();
            *self.findings.entry(reason.clone()).or_default() += 1;
            self.tell(Told { reason, what: format!("{when}: {finding}") });
        }
    }

    /// Keeps a finding's words if there is room. The first of each reason always has it.
    fn tell(&mut self, told: Told) {
        let is_first = self.first_findings.iter().all(|earlier| earlier.reason != told.reason);
        if is_first || self.first_findings.len() < TOLD {
            self.first_findings.push(told);
        }
    }

    /// Adds what another has checked and found.
    pub fn merge(&mut self, other: Self) {
        self.passed &= other.passed;
        for (what, times) in other.checks {
            *self.checks.entry(what).or_default() += times;
        }
        for (reason, findings) in other.findings {
            *self.findings.entry(reason).or_default() += findings;
        }
        self.skipped.extend(other.skipped);
        other.first_findings.into_iter().for_each(|told| self.tell(told));
    }

    /// Counts checks that were made.
    pub fn checked(&mut self, what: &str, times: u64) {
        *self.checks.entry(what.to_owned()).or_default() += times;
    }

    /// How many findings there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.findings.values().sum()
    }
}

impl Machine {
    /// This one.
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

/// The files that results go to, opened before the test: its figures must not be lost to a
/// directory that does not exist.
#[derive(Debug)]
pub struct Files {
    json: Option<File>,
    html: Option<File>,
}

impl Files {
    /// Those that were asked for.
    ///
    /// # Errors
    /// Which flag's file cannot be written.
    pub fn create(output: &Output) -> anyhow::Result<Self> {
        let create = |flag: &str, path: &Option<std::path::PathBuf>| {
            let open = |path: &Path| {
                File::create(path)
                    .with_context(|| format!("{flag} {} cannot be written", path.display()))
            };
            path.as_deref().map(open).transpose()
        };
        Ok(Self {
            json: create("--report", &output.report)?,
            html: create("--html", &output.html)?,
        })
    }

    /// Writes the results to them.
    ///
    /// # Errors
    /// The system's.
    pub fn write(self, results: &Results) -> anyhow::Result<()> {
        if let Some(mut file) = self.json {
            let json = serde_json::to_string_pretty(results)?;
            writeln!(file, "{json}").context("writing --report")?;
        }
        if let Some(mut file) = self.html {
            file.write_all(html::page(results)?.as_bytes()).context("writing --html")?;
        }
        Ok(())
    }
}

/// A test that is under way: knows when it began.
#[derive(Debug)]
pub struct Began {
    scenario: &'static str,
    at: SystemTime,
}

impl Began {
    /// Now.
    #[must_use]
    pub fn now(scenario: &'static str) -> Self {
        Self { scenario, at: SystemTime::now() }
    }

    /// The results of what began then and is over now.
    ///
    /// # Errors
    /// None: settings and figures are plain data.
    pub fn results(
        self,
        settings: Value,
        verdict: Verdict,
        figures: impl Serialize,
        timeline: Timeline,
    ) -> anyhow::Result<Results> {
        Ok(Results {
            scenario: self.scenario,
            version: env!("CARGO_PKG_VERSION"),
            command: command(),
            began_unix_seconds: self.at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            took_seconds: self.at.elapsed().unwrap_or(Duration::ZERO).as_secs_f64(),
            machine: Machine::this(),
            settings,
            verdict,
            figures: serde_json::to_value(figures)?,
            timeline,
        })
    }
}

/// The command line without the program's directory.
fn command() -> String {
    let given = std::env::args().skip(1);
    std::iter::once("fleetgauge-loadtest".to_owned()).chain(given).collect::<Vec<_>>().join(" ")
}

impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write(self, f)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::timeline::{Lag, Moment, Part, Scraped, Second};
    use super::*;

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
        let scrape = Scraped { at_seconds: 5.0, took_ms: 3.0, bytes: 5_000, samples: Some(600) };
        let timeline = Timeline {
            parts: vec![Part { what: "coming back".to_owned(), took_seconds: 4.0 }],
            seconds: (0..60).map(second).collect(),
            scrapes: vec![scrape],
            events: vec![Moment { at_seconds: 20.0, what: "killed <all>".to_owned() }],
        };
        let figures = json!({ "back": { "half_seconds": 1.5, "all_seconds": 4.0 } });
        Began::now("storm")
            .results(json!({ "agents": 600, "pacing": true }), Verdict::new(), figures, timeline)
            .unwrap()
    }

    #[test]
    fn a_page_needs_nothing_but_itself() {
        let page = html::page(&results()).unwrap();
        for outside in ["<script", "<link", "src=", "href=", "@import", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert_eq!(page.matches("<svg").count(), 7);
        // Axes say what they are of, in which unit.
        assert_eq!(page.matches("seconds since the start").count(), 7);
        for unit in ["agents", "ms, logarithmic", "cores", "MiB", "reports a second"] {
            assert!(page.contains(&format!(">\n{unit}\n</text>")), "{unit}: {page}");
        }
        assert!(page.contains("<h1>Load test: storm"), "{page}");
        assert!(page.contains("<dt>lag</dt>") && page.contains("<td>4 s</td>"), "{page}");
        for shown in ["storm", "passed", "killed &lt;all&gt;", "1.5 s", "agents <b>600</b>"] {
            assert!(page.contains(shown), "{shown}: {page}");
        }
    }

    #[test]
    fn the_first_finding_of_a_reason_is_told_however_many_others_there_are() {
        let mut all = Verdict::new();
        for worker in 0..3 {
            let mut page = Verdict::new();
            page.add("page", (0..30).map(|agents| Finding::NotLeft { agents }));
            if worker == 2 {
                page.add("page", [Finding::NoCheckpoint]);
            }
            all.merge(page);
        }
        assert_eq!(all.first_findings.len(), TOLD + 1);
        assert_eq!(all.first_findings[TOLD].reason, "no_checkpoint");
    }

    #[test]
    fn a_finding_fails_and_is_told() {
        let mut results = results();
        results.verdict.checked("pages", 3);
        results.verdict.add("page 2", (0..30).map(|agents| Finding::NotLeft { agents }));
        results.verdict.add("at the end", [Finding::NoCheckpoint]);
        let (text, page) = (results.to_string(), html::page(&results).unwrap());
        assert!(text.contains("time") && text.contains("coming back 4 s"), "{text}");
        assert!(text.contains("FAILED: 31 findings (1 no checkpoint, 30 not left)"), "{text}");
        assert!(
            text.contains("page 2: 0 agents could not")
                && text.contains("and 10 more")
                && text.contains("at the end: no page was judged"),
            "{text}"
        );
        assert!(page.contains("failed") && page.contains("page 2: 0 agents could not"), "{page}");
    }
}
