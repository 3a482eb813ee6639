//! A fleet, an engine that is down for some reports, and an agent that dies.

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::super::programs::wait_for;
use super::Forwarding;
use super::engine::{Engine, Kind, OUT_OF_ORDER, VISIBLE};
use super::host::{ALL, History, Host, STEP_MS};

/// Number of hosts.
pub(super) const HOSTS: u32 = 3;
/// Reports before the engine stops, until it is back, and in all.
pub(super) const ROUNDS: [u32; 3] = [5, 12, 18];
/// Interval between two queries for a series that is to end.
const QUERY_INTERVAL: Duration = Duration::from_millis(5);

/// The fleet, and what engines must have of it.
pub(super) struct Fleet {
    pub(super) hosts: Vec<Host>,
    pub(super) expected: History,
    first_ms: i64,
}

impl Fleet {
    pub(super) fn connect(collector: &str) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        // Some minutes ago, so that no report is ahead of the clock. Not at a full second.
        let first_ms = i64::try_from(now.as_secs()).unwrap() * 1_000 - 90_000 + 137;
        let hosts = (1..=HOSTS).map(|number| Host::connect(number, collector)).collect();
        Self { hosts, expected: History::new(), first_ms }
    }

    /// Time of a report.
    pub(super) fn time(&self, round: u32) -> i64 {
        self.first_ms + i64::from(round) * STEP_MS
    }

    pub(super) fn report(&mut self, rounds: impl IntoIterator<Item = u32>) {
        for round in rounds {
            let unix_ms = self.time(round);
            for host in &mut self.hosts {
                host.report(round, unix_ms, &mut self.expected);
            }
        }
    }

    /// Number of samples reported.
    pub(super) fn samples(&self) -> usize {
        self.expected.values().map(Vec::len).sum()
    }

    /// Checks that the engine has each sample once, with its time and value, and no other.
    pub(super) fn assert_history(&self, engine: &Engine) {
        let until_ms = self.time(ROUNDS[2] + 10);
        let limit = VISIBLE.as_secs();
        let count = |history: &History| history.values().map(Vec::len).sum::<usize>();
        wait_for("all samples", limit, || {
            (count(&engine.samples(ALL, until_ms)) >= self.samples()).then_some(())
        });
        assert_same(&engine.samples(ALL, until_ms), &self.expected);
    }

    /// Checks that a series has a value at the time of each of its samples, and none at the times
    /// of reports without it: not for the five minutes that engines look back.
    pub(super) fn assert_ranges(&self, engine: &Engine) {
        let found = engine.range(ALL, self.time(1), self.time(ROUNDS[2]), STEP_MS);
        assert_same(&found, &self.expected);
    }

    /// Ends the connection of the first host, and waits until its series are gone.
    pub(super) fn kill_first(&mut self, engine: &Engine, name: &str) {
        let doomed = self.hosts.remove(0);
        let of_doomed = format!("{{agent=\"{}\"}}", doomed.id());
        let up = format!("fleetgauge_agent_up{of_doomed}");
        assert_eq!(engine.now(&up).len(), 1);
        let killed = Instant::now();
        drop(doomed);
        // Without stale markers, engines would show the series for five minutes more.
        while !engine.now(&up).is_empty() {
            assert!(killed.elapsed() < VISIBLE, "the series of a dead agent stay");
            std::thread::sleep(QUERY_INTERVAL);
        }
        println!("{name}: gone {} ms after FIN", killed.elapsed().as_millis());
        wait_for("the end of all series of the dead agent", VISIBLE.as_secs(), || {
            engine.now(&of_doomed).is_empty().then_some(())
        });
        assert_eq!(count(engine), f64::from(HOSTS - 1));
    }
}

/// Fails with the series that differ.
fn assert_same(found: &History, expected: &History) {
    let differs = |labels: &&super::Labels| found.get(*labels) != expected.get(*labels);
    let different: BTreeSet<_> = found.keys().chain(expected.keys()).filter(differs).collect();
    if let Some(first) = different.first() {
        let (found, expected) = (found.get(*first), expected.get(*first));
        panic!("{} series differ; {first:?}:\n{found:?} instead of\n{expected:?}", different.len());
    }
}

/// Number of agents that are connected.
pub(super) fn count(engine: &Engine) -> f64 {
    let counts = engine.now("count(fleetgauge_agent_up)");
    counts.values().next().map_or(0.0, |samples| samples[0].1)
}

/// Forwards to an engine that is down for some reports, and kills an agent.
fn outage_and_death(name: &str, kind: Kind, keys: &str) {
    let mut engine = Engine::start(kind);
    let collector = Forwarding::to(&engine.url(), keys);
    let mut fleet = Fleet::connect(&collector.agents);
    let [before, down, all] = ROUNDS;
    fleet.report(1..=before);
    collector.wait_accepted(fleet.samples());
    engine.stop();
    fleet.report(before + 1..=down);
    wait_for("a request that fails", 30, || {
        let failed = "fleetgauge_remote_write_requests_total{remote_name=\"engine\",status=\"conn";
        (collector.metric(failed) > 0.0).then_some(())
    });
    engine.resume();
    fleet.report(down + 1..=all);
    collector.wait_accepted(fleet.samples());
    collector.assert_none_dropped();
    fleet.assert_history(&engine);
    fleet.assert_ranges(&engine);
    assert_eq!(count(&engine), f64::from(HOSTS));

    fleet.kill_first(&engine, name);
    fleet.assert_history(&engine);
    // Both engines know no zstd: the first request falls back to snappy, and no sample is lost.
    let refused = collector
        .metric("fleetgauge_remote_write_requests_total{remote_name=\"engine\",status=\"400");
    assert!(refused >= 1.0, "{refused}");
    collector.assert_none_dropped();
    // The agent returns, and its series continue.
    fleet.hosts.insert(0, Host::connect(1, &collector.agents));
    fleet.report([all + 1]);
    wait_for("the agent that has returned", VISIBLE.as_secs(), || {
        (count(&engine) == f64::from(HOSTS)).then_some(())
    });
    fleet.assert_history(&engine);
    // Prometheus 2.42 and VictoriaMetrics 1.79 accept metadata and do not show it.
    wait_for("metadata that the engine has accepted", 30, || {
        (collector.metric("fleetgauge_remote_write_metadata_total{") > 0.0).then_some(())
    });
}

#[test]
#[ignore = "needs prometheus"]
fn prometheus_gets_every_sample_once_and_no_ghosts() {
    outage_and_death("Prometheus", Kind::Prometheus(""), "");
}

#[test]
#[ignore = "needs prometheus"]
fn prometheus_with_an_out_of_order_window_gets_every_sample_once_and_no_ghosts() {
    let kind = Kind::Prometheus(OUT_OF_ORDER);
    outage_and_death("Prometheus with a window", kind, "out_of_order = true\n");
}

#[test]
#[ignore = "needs victoria-metrics"]
fn victoria_metrics_gets_every_sample_once_and_no_ghosts() {
    outage_and_death("VictoriaMetrics", Kind::VictoriaMetrics, "");
}
