//! Figures of the whole fleet.

use serde::Serialize;

use super::history::KEPT;
use super::presence_log::PresenceChange;
use super::{AgentRow, FleetCopy, HEADLINES, Point};
use crate::state::CollectorState;

/// Number of bars of a histogram: each stands for a tenth.
pub(crate) const BARS: usize = 10;
/// Number of hosts with the largest values that are shown.
const WORST: usize = 10;
/// Number of missing agents that are shown.
const MISSING: usize = 20;
/// Number of arrivals and departures that are shown.
const CHANGES: usize = 10;
/// Age of the oldest change that is shown, in seconds.
const HOUR: u64 = 3_600;
/// Agents that left within this time have departed today, in seconds.
const DAY: u64 = 86_400;

/// Figures of the whole fleet, as in `/api/overview`.
#[derive(Debug, Serialize)]
pub(crate) struct Overview<'a> {
    /// When they were computed, in unix seconds.
    pub(crate) at: u64,
    pub(crate) agents: AgentCounts,
    /// Series of connected agents, absent ones included.
    pub(crate) series: usize,
    /// Reports a second, between the last two points of the history.
    pub(crate) reports_per_second: Option<f64>,
    /// Samples a second, between the same points.
    pub(crate) samples_per_second: Option<f64>,
    pub(crate) headlines: Vec<HeadlineFigures<'a>>,
    pub(crate) missing: Vec<Missing<'a>>,
    pub(crate) last_hour: LastHour,
    pub(crate) collector: CollectorFigures,
    pub(crate) history: Vec<Trend>,
}

/// Numbers of agents.
#[derive(Debug, Serialize)]
pub(crate) struct AgentCounts {
    pub(crate) connected: usize,
    /// Not connected, although they left without Bye, or are expected.
    pub(crate) missing: usize,
    /// Left within a day, missing ones included.
    pub(crate) departed_today: usize,
}

/// A headline value over the fleet.
#[derive(Debug, Serialize)]
pub(crate) struct HeadlineFigures<'a> {
    pub(crate) name: &'static str,
    #[serde(skip)]
    pub(crate) title: &'static str,
    /// Number of agents that have it.
    pub(crate) count: usize,
    pub(crate) mean: Option<f64>,
    /// Numbers of agents with values from 0 to 0.1, from 0.1 to 0.2, and so on; the last one has
    /// those above, too.
    pub(crate) bars: [usize; BARS],
    /// Agents with the largest values.
    pub(crate) worst: Vec<Worst<'a>>,
}

/// An agent with a large value.
#[derive(Debug, Serialize)]
pub(crate) struct Worst<'a> {
    pub(crate) id: &'a str,
    pub(crate) value: f64,
}

/// An agent that is missing.
#[derive(Debug, Serialize)]
pub(crate) struct Missing<'a> {
    pub(crate) id: &'a str,
    /// Time of its departure, in unix seconds.
    pub(crate) at: u64,
    pub(crate) reason: &'static str,
}

/// What has changed within the last hour, or since the start.
#[derive(Debug, Serialize)]
pub(crate) struct LastHour {
    /// Numbers of arrivals and departures.
    pub(crate) arrived: u64,
    pub(crate) left: u64,
    /// The newest of them, the newest first.
    pub(crate) newest: Vec<PresenceChange>,
}

/// State of this collector.
#[derive(Debug, Serialize)]
pub(crate) struct CollectorFigures {
    pub(crate) version: &'static str,
    pub(crate) connections: usize,
    pub(crate) max_connections: usize,
    /// Memory of rows, catalogs and values, in bytes.
    pub(crate) memory: usize,
    pub(crate) max_memory: usize,
    pub(crate) engines: Vec<EngineFigures>,
}

/// State of an engine to which the collector forwards.
#[derive(Debug, Serialize)]
pub(crate) struct EngineFigures {
    pub(crate) name: String,
    /// Age of the oldest sample that the engine has not accepted, in seconds.
    pub(crate) lag: f64,
}

/// The fleet at a moment of the last hour.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Trend {
    /// In unix seconds.
    pub(crate) at: u64,
    pub(crate) agents: usize,
    pub(crate) reports_per_second: Option<f64>,
    pub(crate) samples_per_second: Option<f64>,
}

impl<'a> Overview<'a> {
    pub(crate) fn of(fleet: &'a FleetCopy, collector: &CollectorState) -> Self {
        let points = collector.web.history.points();
        let history = trends(&points, fleet);
        let missing = fleet.missing().take(MISSING).map(|row| Missing {
            id: row.departure.id.as_str(),
            at: row.departure.at,
            reason: row.departure.reason.name(),
        });
        let today = fleet.at.unix.saturating_sub(DAY);
        let departed = fleet.departed.iter();
        Self {
            at: fleet.at.unix,
            agents: AgentCounts {
                connected: fleet.agents.len(),
                missing: fleet.missing().count(),
                departed_today: departed.filter(|row| row.departure.at >= today).count(),
            },
            series: collector.registry.series_count(),
            reports_per_second: history.last().and_then(|last| last.reports_per_second),
            samples_per_second: history.last().and_then(|last| last.samples_per_second),
            headlines: (0..HEADLINES.len()).map(|index| figures(&fleet.agents, index)).collect(),
            missing: missing.collect(),
            last_hour: LastHour::of(collector, &points, fleet.at.unix),
            collector: CollectorFigures::of(collector),
            history,
        }
    }
}

impl CollectorFigures {
    fn of(collector: &CollectorState) -> Self {
        let CollectorState { admission, config, forwarder, .. } = collector;
        let engines = forwarder.iter().flat_map(|forwarder| forwarder.lags());
        Self {
            version: env!("CARGO_PKG_VERSION"),
            connections: admission.connections.len(),
            max_connections: config.bounds.connections,
            memory: admission.budget.taken(),
            max_memory: admission.budget.limit(),
            engines: engines
                .map(|(name, lag)| EngineFigures { name: name.to_owned(), lag })
                .collect(),
        }
    }
}

impl LastHour {
    fn of(collector: &CollectorState, points: &[Point], now: u64) -> Self {
        let presence = &collector.web.presence;
        let totals = presence.totals();
        // Until the oldest point is an hour old, everything since the start is within the hour.
        let is_full = points.len() == KEPT;
        let before = points.first().filter(|_| is_full).map(|point| point.presence);
        let before = before.unwrap_or_default();
        Self {
            arrived: totals.arrived - before.arrived,
            left: totals.left - before.left,
            newest: presence.newest_since(now.saturating_sub(HOUR), CHANGES),
        }
    }
}

/// Returns the figures of a headline value.
fn figures(agents: &[AgentRow], index: usize) -> HeadlineFigures<'_> {
    let headline = HEADLINES[index];
    let mut bars = [0; BARS];
    let (mut count, mut sum) = (0, 0.0);
    let mut worst: Vec<(&AgentRow, f64)> = Vec::with_capacity(WORST + 1);
    for agent in agents {
        let value = agent.values[index];
        if value.is_nan() {
            continue;
        }
        (count, sum) = (count + 1, sum + value);
        bars[bar(value)] += 1;
        if worst.len() < WORST || worst.last().is_some_and(|last| value > last.1) {
            let at = worst.partition_point(|other| other.1 >= value);
            worst.insert(at, (agent, value));
            worst.truncate(WORST);
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    let mean = (count > 0).then(|| sum / count as f64);
    let worst = worst.into_iter().map(|(agent, value)| Worst { id: agent.id(), value });
    let (name, title) = (headline.key, headline.title);
    HeadlineFigures { name, title, count, mean, bars, worst: worst.collect() }
}

/// Returns the index of the bar that a ratio belongs to.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped before")]
fn bar(ratio: f64) -> usize {
    #[expect(clippy::cast_precision_loss, reason = "a small constant")]
    let bars = BARS as f64;
    (ratio * bars).clamp(0.0, bars - 1.0) as usize
}

/// Returns the points with the rates between them.
fn trends(points: &[Point], fleet: &FleetCopy) -> Vec<Trend> {
    let before = std::iter::once(None).chain(points.iter().map(Some));
    let trend = |(before, point): (Option<&Point>, &Point)| {
        let age = fleet.at.awake.saturating_sub(point.at) / 1_000;
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53 within an interval")]
        let rate = |total: fn(&Point) -> u64| {
            let before = before?;
            let seconds = point.at.saturating_sub(before.at).max(1) as f64 / 1e3;
            Some(total(point).saturating_sub(total(before)) as f64 / seconds)
        };
        Trend {
            at: fleet.at.unix.saturating_sub(age),
            agents: point.agents,
            reports_per_second: rate(|point| point.reports),
            samples_per_second: rate(|point| point.samples),
        }
    };
    before.zip(points).map(trend).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(id: &str, cpu: f64) -> AgentRow {
        let values = [cpu, f64::NAN, f64::NAN];
        AgentRow::new(&format!("agent=\"{id}\""), values)
    }

    #[test]
    fn every_agent_is_in_one_bar_and_the_largest_values_are_listed() {
        let agents: Vec<_> =
            (0..100).map(|n| agent(&format!("a{n}"), f64::from(n) / 99.0)).collect();
        let found = figures(&agents, 0);
        assert_eq!((found.count, found.bars.iter().sum::<usize>()), (100, 100));
        assert!(found.bars.iter().all(|bar| (9..=11).contains(bar)), "{:?}", found.bars);
        let worst: Vec<_> = found.worst.iter().map(|worst| worst.id).collect();
        assert_eq!(worst[..2], ["a99", "a98"]);
        assert_eq!(worst.len(), WORST);
        assert_eq!(figures(&agents, 1).mean, None);
    }

    #[test]
    fn values_beyond_a_ratio_are_in_the_outer_bars() {
        for (value, expected) in [(-1.0, 0), (0.0, 0), (0.1, 1), (1.0, 9), (f64::INFINITY, 9)] {
            assert_eq!(bar(value), expected, "{value}");
        }
    }
}
