//! Builds the summary of a run from its measurements.

use std::time::Duration;

use super::Run;
use super::summary::{
    CollectorFigures, Connects, GeneratorFigures, Reports, Scrapes, Sessions, Summary,
};
use crate::results::quantiles::Quantiles;
use crate::usage;
use crate::worker_protocol::PageResult;

impl Summary {
    /// The figures of a finished run.
    #[must_use]
    pub(crate) fn of(run: &Run<'_>) -> Self {
        let total = &run.fleet.total;
        Self {
            connects: connects(run),
            reports: reports(run),
            sessions: Sessions {
                begun: total.welcomed,
                ended_by_bye: total.byes,
                ended_by_reset: total.resets,
                ended_by_collector: total.ended.clone(),
            },
            scrapes: scrapes(&run.checkpoints),
            collector: collector(run),
            generator: generator(run),
        }
    }
}

fn connects(run: &Run<'_>) -> Connects {
    let (agents, total) = (run.agents_connected, &run.fleet.total);
    let took_seconds = (run.connected.at - run.before.at).as_secs_f64();
    Connects {
        agents,
        took_seconds,
        agents_per_second: f64::from(agents) / took_seconds,
        latency: Quantiles::from(&total.times.connect),
        resumed: total.resumed,
        refused: total.refused.clone(),
    }
}

fn reports(run: &Run<'_>) -> Reports {
    let ((from, to), steady) = (run.steady, &run.in_steady);
    Reports {
        written: run.fleet.total.reports,
        steady_per_second: (to.reports - from.reports) as f64 / (to.at - from.at).as_secs_f64(),
        late: steady.late,
        unanswered: steady.unanswered,
        lag: Quantiles::from(&steady.times.lag),
        answer: Quantiles::from(&steady.times.answer),
        written_after: Quantiles::from(&steady.times.written),
        own_lag: Quantiles::from(&steady.times.own_lag),
        lag_while_connecting: Quantiles::from(&run.fleet.ramp.times.lag),
    }
}

fn scrapes(pages: &[PageResult]) -> Scrapes {
    let mut took: Vec<_> = pages.iter().map(|page| page.took_us).collect();
    took.sort_unstable();
    let ms = |us: Option<&u64>| us.map_or(0.0, |us| *us as f64 / 1e3);
    Scrapes {
        count: pages.len(),
        median_ms: ms(took.get(took.len() / 2)),
        max_ms: ms(took.last()),
        largest_bytes: pages.iter().map(|page| page.bytes).max().unwrap_or(0),
        max_samples: pages.iter().map(|page| page.samples).max().unwrap_or(0),
    }
}

fn collector(run: &Run<'_>) -> Option<CollectorFigures> {
    let (before, connected) = (run.before.collectors?.resident, run.connected.collectors?.resident);
    let connecting = run.connected.collectors?.cpu.saturating_sub(run.before.collectors?.cpu);
    let (from, to) = run.steady;
    let cpu = to.collectors?.cpu.saturating_sub(from.collectors?.cpu);
    let cpu_in_scrapes = run.checkpoints.iter().filter_map(|page| page.cpu_us).sum();
    let cpu_in_scrapes = Duration::from_micros(cpu_in_scrapes);
    let reports_in_scrapes: u64 = run.checkpoints.iter().map(|page| page.reports).sum();
    let cpu_outside_scrapes = cpu.saturating_sub(cpu_in_scrapes);
    let reports = to.reports - from.reports;
    let processes = run.collectors;
    let scrapes = run.checkpoints.iter().filter(|page| page.cpu_us.is_some());
    let with_scrapes = processes + scrapes.count();
    Some(CollectorFigures {
        few_ticks: of_few_ticks(&[
            ("cpu_us_per_report", cpu, processes),
            ("cpu_us_per_report_outside_scrapes", cpu_outside_scrapes, with_scrapes),
            ("cpu_cores", cpu, processes),
            ("cpu_us_per_connect", connecting, processes),
        ]),
        cpu_us_per_report: us_each(cpu, reports),
        cpu_us_per_report_outside_scrapes: us_each(
            cpu_outside_scrapes,
            reports.saturating_sub(reports_in_scrapes),
        ),
        cpu_cores: cpu.as_secs_f64() / (to.at - from.at).as_secs_f64(),
        cpu_us_per_connect: us_each(connecting, run.agents_connected.into()),
        resident_bytes_per_agent: each(connected.saturating_sub(before), run),
        resident_bytes_before: before,
        resident_bytes_connected: connected,
        resident_bytes_after: to.collectors?.resident,
        resident_bytes_gone: run.gone.collectors?.resident,
    })
}

fn generator(run: &Run<'_>) -> Option<GeneratorFigures> {
    let (before, connected) = (run.before.workers?.resident, run.connected.workers?.resident);
    let (from, to) = run.steady;
    let cpu = to.workers?.cpu.saturating_sub(from.workers?.cpu);
    Some(GeneratorFigures {
        few_ticks: of_few_ticks(&[
            ("cpu_us_per_report", cpu, run.collectors),
            ("cpu_cores", cpu, run.collectors),
        ]),
        workers: run.collectors,
        resident_bytes_per_agent: each(connected.saturating_sub(before), run),
        resident_bytes_before: before,
        resident_bytes_connected: connected,
        cpu_us_per_report: us_each(cpu, to.reports - from.reports),
        cpu_cores: cpu.as_secs_f64() / (to.at - from.at).as_secs_f64(),
    })
}

/// Returns the names of the figures based on too few ticks of CPU time. Each figure comes with its
/// CPU time and the number of readings summed in it.
fn of_few_ticks(figures: &[(&'static str, Duration, usize)]) -> Vec<&'static str> {
    let few = figures.iter();
    let few = few.filter(|(_, cpu, readings)| usage::is_of_few_ticks(*cpu, *readings));
    few.map(|(name, ..)| *name).collect()
}

fn each(bytes: u64, run: &Run<'_>) -> f64 {
    bytes as f64 / f64::from(run.agents_connected.max(1))
}

fn us_each(cpu: Duration, reports: u64) -> f64 {
    cpu.as_secs_f64() * 1e6 / reports.max(1) as f64
}
