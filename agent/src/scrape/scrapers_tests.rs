use std::sync::Arc;
use std::time::Duration;

use fleetgauge_common::http_client::HttpAuth;
use fleetgauge_proto::Limits;
use tokio::sync::Notify;

use super::super::fake_exporter::{Answer, FakeExporter, page, response, settings};
use super::*;
use crate::sampler::{Sampler, table_set};
use crate::tables::{TableSet, exposition};
use crate::test_log::Log;

/// Timeout of a test, and the time that a round has.
const LONG: Duration = Duration::from_secs(60);

struct Fixture {
    scrapers: Scrapers,
    state: TableState,
}

impl Fixture {
    /// Scrapes in each round.
    fn new(settings: &[ScrapeSettings]) -> Self {
        let every_round = |settings: &ScrapeSettings| {
            let mut settings = settings.clone();
            settings.interval = Duration::from_millis(1);
            settings
        };
        let scrapers = Scrapers::new(&settings.iter().map(every_round).collect::<Vec<_>>());
        let set = TableSet::try_new([], std::iter::empty()).unwrap();
        let state = TableState::new(set.with_found_sources(scrapers.sources()));
        Self { scrapers, state }
    }

    /// Runs a round. Returns the samples of each exporter.
    async fn round(&mut self, round: Duration) -> Vec<Vec<String>> {
        self.scrapers.begin_round(round, &mut self.state, 0).await;
        self.state.clear_values(0);
        self.scrapers.wait(round).await;
        self.scrapers.end_round(round, &mut self.state, 0).await;
        let exporters = 1..=self.scrapers.targets.len();
        exporters.map(|source| self.state.found_lines(source)).collect()
    }

    /// Returns the gauges about scrapes, without those about durations.
    fn status(&self) -> Vec<String> {
        let mut lines = exposition::lines(&[], &self.scrapers.status);
        lines.retain(|line| !line.starts_with("scrape_duration_seconds{"));
        lines.retain(|line| !line.contains("_total{"));
        lines
    }

    /// Returns the counters about scrapes.
    fn counters(&self) -> Vec<String> {
        let mut lines = exposition::lines(&[], &self.scrapers.status);
        lines.retain(|line| line.contains("_total{"));
        lines
    }
}

fn status(up: u8, samples: u8) -> Vec<String> {
    let labels = "{instance=\"here\",job=\"test\"}";
    vec![format!("scrape_samples_scraped{labels} {samples}"), format!("up{labels} {up}")]
}

fn line(text: &str) -> String {
    let (name, value) = text.split_once(' ').unwrap();
    format!("{name}{{instance=\"here\",job=\"test\"}} {value}")
}

#[tokio::test]
async fn stopped_exporter_is_down_and_its_series_are_gone_at_once() {
    let log = Log::default();
    let _logging = log.install();
    let mut fake = FakeExporter::start(page("a 1\nb 2\n")).await;
    let mut fixture = Fixture::new(&[fake.settings()]);
    assert_eq!(fixture.round(LONG).await, [[line("a 1"), line("b 2")]]);
    assert_eq!(fixture.status(), status(1, 2));
    fake.set_answer(page("b 3\n"));
    assert_eq!(fixture.round(LONG).await, [[line("b 3")]]);
    fake.stop().await;
    for _ in 0..3 {
        assert_eq!(fixture.round(LONG).await, [[""; 0]]);
        assert_eq!(fixture.status(), status(0, 0));
    }
    let lines = log.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    for part in ["scrape failed", "job=\"test\"", "instance=\"here\"", "reason=\"connect\""] {
        assert!(lines[0].contains(part), "{lines:?}");
    }
}

#[tokio::test]
async fn failure_and_recovery_are_logged_once() {
    let log = Log::default();
    let _logging = log.install();
    let fake = FakeExporter::start(page("x\n")).await;
    let mut fixture = Fixture::new(&[fake.settings()]);
    for (body, samples) in [("x\n", 0), ("x\n", 0), ("a 1\n", 1), ("a 1\n", 1), ("x\n", 0)] {
        fake.set_answer(page(body));
        assert_eq!(fixture.round(LONG).await[0].len(), samples);
    }
    let lines = log.lines();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[0].contains("reason=\"bad_line\" cause=line 1 has no value"), "{lines:?}");
    assert!(lines[1].contains("scrape recovered"), "{lines:?}");
}

#[tokio::test]
async fn left_out_samples_are_logged_once_with_their_number() {
    let log = Log::default();
    let _logging = log.install();
    let fake = FakeExporter::start(page("up 5\na 1\na 2\n")).await;
    let mut fixture = Fixture::new(&[fake.settings()]);
    for _ in 0..2 {
        assert_eq!(fixture.round(LONG).await, [[line("a 1")]]);
    }
    let lines = log.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("samples=2 cause=\"the agent itself has"), "{lines:?}");
    assert_eq!(fixture.status(), status(1, 3));
}

#[tokio::test]
async fn failures_and_left_out_samples_are_counted() {
    let mut fake = FakeExporter::start(page("up 5\na 1\na 2\n")).await;
    let mut fixture = Fixture::new(&[fake.settings()]);
    let left_out =
        |count| line("scrape_samples_left_out_total 0").replace(" 0", &format!(" {count}"));
    let failed = |reason, count| {
        format!(
            "scrape_failures_total{{instance=\"here\",job=\"test\",reason=\"{reason}\"}} {count}"
        )
    };
    for round in 1..=2 {
        fixture.round(LONG).await;
        assert_eq!(fixture.counters(), [left_out(2 * round)]);
    }
    fake.set_answer(page("x\n"));
    for round in 1..=2 {
        fixture.round(LONG).await;
        assert_eq!(fixture.counters(), [failed("bad_line", round), left_out(4)]);
    }
    fake.stop().await;
    fixture.round(LONG).await;
    assert_eq!(fixture.counters(), [failed("bad_line", 2), failed("connect", 1), left_out(4)]);
}

#[tokio::test]
async fn secrets_are_not_logged() {
    let log = Log::default();
    let _logging = log.install();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "hunter2").unwrap();
    let denied = "HTTP/1.1 401 hunter2\r\nContent-Length: 7\r\n\r\nhunter2";
    let fake = FakeExporter::start(Answer::Keep(denied.into())).await;
    let password_file = file.path().to_path_buf();
    let auth = HttpAuth::Basic { username: "me".into(), password_file };
    let mut fixture = Fixture::new(&[ScrapeSettings { auth, ..fake.settings() }]);
    fixture.round(LONG).await;
    let lines = log.lines();
    assert!(lines[0].contains("HTTP status 401"), "{lines:?}");
    // "me:hunter2" in base64.
    assert!(!lines[0].contains("hunter2") && !lines[0].contains("bWU6"), "{lines:?}");
}

#[tokio::test]
async fn page_that_is_late_counts_for_the_next_round_and_the_last_one_stays() {
    let fake = FakeExporter::start(page("a 1\n")).await;
    let mut fixture = Fixture::new(&[fake.settings()]);
    assert_eq!(fixture.round(LONG).await, [[line("a 1")]]);
    let answer = Arc::new(Notify::new());
    fake.set_answer(Answer::Late(Arc::clone(&answer), response("", b"a 2\nb 2\n")));
    let short = Duration::from_millis(1);
    for _ in 0..3 {
        assert_eq!(fixture.round(short).await, [[line("a 1")]]);
        assert_eq!(fixture.status(), status(1, 1));
    }
    // A round does not wait for an exporter that has been late.
    let round = timeout(LONG / 2, fixture.round(LONG)).await;
    assert_eq!(round.unwrap(), [[line("a 1")]]);
    // The page belongs to the second request.
    fake.set_answer(Answer::Hang);
    answer.notify_one();
    let mut lines = vec![vec![line("a 1")]];
    while lines == [[line("a 1")]] {
        // Such a round never waits: let the scrape run.
        tokio::task::yield_now().await;
        lines = fixture.round(short).await;
    }
    assert_eq!(lines, [[line("a 2"), line("b 2")]]);
    assert_eq!(fixture.status(), status(1, 2));
}

#[tokio::test]
async fn exporter_is_scraped_at_its_own_interval() {
    let fake = FakeExporter::start(page("a 1\n")).await;
    let mut scraper = Scraper::new(ScrapeSettings { interval: LONG, ..fake.settings() });
    let start = Instant::now();
    let mut requests = Vec::new();
    for seconds in [0, 15, 30, 45, 60, 75, 119, 120, 400, 415, 460] {
        scraper.start(start + Duration::from_secs(seconds));
        scraper.wait().await;
        scraper.join(LONG).await;
        requests.push(fake.requests().len());
    }
    assert_eq!(requests, [1, 1, 1, 1, 2, 2, 2, 3, 4, 4, 5]);
}

#[tokio::test]
async fn exporters_do_not_affect_each_other() {
    let good = FakeExporter::start(page("a 1\n")).await;
    let bad = FakeExporter::start(page("a 2\nx\n")).await;
    let other = ScrapeSettings { job: "bad".into(), ..bad.settings() };
    let mut fixture = Fixture::new(&[other, good.settings()]);
    for _ in 0..2 {
        assert_eq!(fixture.round(LONG).await, [vec![], vec![line("a 1")]]);
    }
    let ups = fixture.status();
    assert_eq!(
        ups[2..],
        ["up{instance=\"here\",job=\"bad\"} 0", "up{instance=\"here\",job=\"test\"} 1"]
    );
}

#[tokio::test]
async fn exporter_whose_series_are_left_out_is_down() {
    let fake = FakeExporter::start(page("a 1\nb 2\nc 3\nd 4\ne 5\nf 6\ng 7\nh 8\ni 9\n")).await;
    let settings = ScrapeSettings { interval: Duration::from_millis(1), ..fake.settings() };
    let tables = table_set([], &[]).unwrap();
    let mut sampler = Sampler::with_exporters(&tables, Vec::new(), &[settings]);
    for (max_series, series, up) in [(13, 13, 1.0), (12, 4, 0.0), (12, 4, 0.0), (13, 13, 1.0)] {
        let limits = Limits { max_series, ..Limits::default() };
        let values = sampler.sample(LONG, &limits).await.values;
        let [.., samples, last] = *values else { panic!("{values:?}") };
        assert_eq!((values.len(), samples, last), (series, 9.0, up), "{max_series}");
    }
}

#[tokio::test]
async fn without_exporters_there_are_no_samples() {
    let mut fixture = Fixture::new(&[]);
    assert_eq!((fixture.round(LONG).await.len(), fixture.scrapers.sources()), (0, 0));
    assert!(fixture.status().is_empty());
}

/// A port without listener.
#[tokio::test]
async fn exporter_that_never_ran_is_down() {
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let mut fixture = Fixture::new(&[settings(port)]);
    assert_eq!(fixture.round(LONG).await, [[""; 0]]);
    assert_eq!(fixture.status(), status(0, 0));
}
