//! From what a run has measured to its summary.

use std::time::Duration;

use crate::inspection::Scraped;
use crate::run::Run;
use crate::summary::{CollectorFigures, Connects, Quantiles, Reports, Scrapes, Sessions, Summary};
use crate::tally::{Tally, get};

impl Summary {
    /// The figures of a run that is over.
    #[must_use]
    pub(crate) fn of(run: &Run<'_>) -> Self {
        let tally = &run.fleet.shared().tally;
        Self {
            connects: connects(run, tally),
            reports: reports(run, tally),
            sessions: Sessions {
                begun: get(&tally.welcomed),
                ended_by_bye: get(&tally.byes),
                ended_by_reset: get(&tally.resets),
                ended_by_collector: tally.ended.counts(),
            },
            scrapes: scrapes(&run.inspector.scraped[..run.checkpoints]),
            collector: collector(run),
        }
    }
}

fn connects(run: &Run<'_>, tally: &Tally) -> Connects {
    let agents = *tally.reporting.borrow();
    let took_seconds = run.connected.at.as_secs_f64();
    Connects {
        agents,
        took_seconds,
        agents_per_second: agents as f64 / took_seconds,
        latency: Quantiles::from(&tally.times().connect),
        refused: tally.refused.counts(),
    }
}

fn reports(run: &Run<'_>, tally: &Tally) -> Reports {
    let (from, to) = run.steady;
    let times = tally.times();
    Reports {
        written: get(&tally.reports),
        steady_per_second: (to.reports - from.reports) as f64 / (to.at - from.at).as_secs_f64(),
        lag: Quantiles::from(&times.lag),
        own_lag: Quantiles::from(&times.own_lag),
        late: get(&tally.late),
        answer: Quantiles::from(&times.answer),
    }
}

fn scrapes(scraped: &[Scraped]) -> Scrapes {
    let mut took: Vec<_> = scraped.iter().map(|scrape| scrape.took).collect();
    took.sort_unstable();
    let ms = |took: Option<&Duration>| took.map_or(0.0, |took| took.as_secs_f64() * 1e3);
    Scrapes {
        count: scraped.len(),
        median_ms: ms(took.get(took.len() / 2)),
        max_ms: ms(took.last()),
        max_bytes: scraped.iter().map(|scrape| scrape.bytes).max().unwrap_or(0),
        max_samples: scraped.iter().map(|scrape| scrape.samples).max().unwrap_or(0),
    }
}

fn collector(run: &Run<'_>) -> Option<CollectorFigures> {
    let (before, connected) = (run.before.usage?.resident, run.connected.usage?.resident);
    let (from, to) = run.steady;
    let cpu = to.usage?.cpu.saturating_sub(from.usage?.cpu);
    let scraped = &run.inspector.scraped[..run.checkpoints];
    let cpu_in_scrapes = scraped.iter().filter_map(|scrape| scrape.cpu).sum();
    let reports_in_scrapes: u64 = scraped.iter().map(|scrape| scrape.reports).sum();
    let reports = to.reports - from.reports;
    let agents = *run.fleet.shared().tally.reporting.borrow();
    Some(CollectorFigures {
        cpu_us_per_report: us_each(cpu, reports),
        cpu_us_per_report_outside_scrapes: us_each(
            cpu.saturating_sub(cpu_in_scrapes),
            reports.saturating_sub(reports_in_scrapes),
        ),
        cpu_cores: cpu.as_secs_f64() / (to.at - from.at).as_secs_f64(),
        resident_bytes_per_agent: connected.saturating_sub(before) as f64 / agents.max(1) as f64,
        resident_bytes_before: before,
        resident_bytes_connected: connected,
        resident_bytes_after: to.usage?.resident,
    })
}

fn us_each(cpu: Duration, reports: u64) -> f64 {
    cpu.as_secs_f64() * 1e6 / reports.max(1) as f64
}
