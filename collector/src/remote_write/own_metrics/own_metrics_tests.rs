use std::time::SystemTime;

use fleetgauge_receiver::{Answer as EngineAnswer, Receiver, ReceiverSettings};
use prometheus_client::metrics::family::Family as MetricFamily;
use prometheus_client::metrics::gauge::Gauge;
use tempfile::NamedTempFile;

use super::*;
use crate::config::Flags;

/// Time in which a request is answered in any case.
const LONG: Duration = Duration::from_secs(60);

type Label = Vec<(&'static str, &'static str)>;

/// Forwards a registry with the gauge `g` to an engine.
struct Forwarded {
    engine: Receiver,
    collector: Arc<CollectorState>,
    gauge: MetricFamily<Label, Gauge>,
    own: OwnMetrics,
    _settings: NamedTempFile,
}

impl Forwarded {
    fn start(keys: &str) -> Self {
        let engine = Receiver::start(ReceiverSettings::default()).unwrap();
        let settings = NamedTempFile::new().unwrap();
        let table = format!(
            "[[remote_write]]\nurl = \"{}\"\nname = \"engine\"\ncompression = \"snappy\"\n{keys}\n",
            engine.url()
        );
        std::fs::write(settings.path(), table).unwrap();
        let flags = Flags::default().with("config", settings.path().to_str().unwrap());
        let mut unused = MetricsRegistry::default();
        let config = Config::try_new(flags).unwrap();
        let collector = Arc::new(CollectorState::new(config, &mut unused));
        collector.clock.set_time_of_day(SystemTime::now());
        let mut metrics = MetricsRegistry::default();
        let gauge = MetricFamily::<Label, Gauge>::default();
        metrics.register("g", "A gauge", gauge.clone());
        let destination = &collector.forwarder.as_ref().unwrap().destinations()[0];
        let own = OwnMetrics::new(&collector, destination, &Arc::new(metrics), "c-1:1234");
        Self { engine, own, gauge, collector, _settings: settings }
    }

    fn set(&self, label: &'static str, value: i64) {
        self.gauge.get_or_create(&vec![("l", label)]).set(value);
    }

    /// Takes a sample and sends what is queued, as after an interval.
    async fn tick(&mut self) {
        self.collector.clock.advance(INTERVAL);
        self.own.sample();
        self.own.not_before = Instant::now();
        self.own.flush().await;
    }

    /// Returns the values of a series, and whether its last sample is a stale marker.
    fn values(&self, label: &str) -> (Vec<f64>, bool) {
        let ledger = self.engine.ledger();
        let labels =
            [("__name__", "g"), ("instance", "c-1:1234"), ("job", snapshot::JOB), ("l", label)];
        let Some(series) = ledger.find(&labels) else { return (Vec::new(), false) };
        let samples = series.samples();
        let is_ended = samples.last().is_some_and(|sample| sample.is_stale_marker());
        let values = samples.iter().filter(|sample| !sample.is_stale_marker());
        (values.map(|sample| sample.value()).collect(), is_ended)
    }

    fn dropped(&self) -> Vec<(DropReason, u64)> {
        let metrics = &self.own.destination.metrics;
        let all = DropReason::ALL.map(|reason| (reason, metrics.dropped_for(reason)));
        all.into_iter().filter(|(_, samples)| *samples > 0).collect()
    }
}

#[tokio::test]
async fn series_that_is_removed_ends_right_after_its_last_sample() {
    let mut own = Forwarded::start("");
    own.set("a", 1);
    own.set("b", 2);
    own.tick().await;
    own.gauge.remove(&vec![("l", "b")]);
    own.set("a", 3);
    own.tick().await;
    assert_eq!(own.values("a"), (vec![1.0, 3.0], false));
    assert_eq!(own.values("b"), (vec![2.0], true));
    let ledger = own.engine.ledger();
    assert_eq!((ledger.markers_total(), ledger.findings().violations()), (1, 0));
    assert_eq!(ledger.mixed_requests_total(), 0);
}

#[tokio::test]
async fn all_series_end_at_a_clean_stop() {
    let own = Forwarded::start("");
    own.set("a", 1);
    let Forwarded { engine, own: forwarded, collector, gauge, _settings } = own;
    let stop = CancellationToken::new();
    let running = tokio::spawn(forwarded.run(stop.clone(), CancellationToken::new()));
    // The series and `up`.
    engine.wait_until(LONG, |ledger| ledger.samples_total() == 2).await.unwrap();
    stop.cancel();
    running.await.unwrap();
    let ledger = engine.ledger();
    // A marker is a sample too.
    assert_eq!((ledger.samples_total(), ledger.markers_total()), (4, 2));
    drop((collector, gauge));
}

/// The queue of an engine that is away.
#[tokio::test]
async fn samples_of_a_long_outage_are_dropped_oldest_first_and_counted() {
    let mut own = Forwarded::start("");
    own.engine.faults().refuse();
    for round in 0..25 {
        own.set("a", round);
        own.tick().await;
        assert!(own.own.queue.len() <= MAX_QUEUED);
    }
    assert_eq!(own.dropped(), [(DropReason::QueueFull, 5 * 2)]);
    own.engine.faults().clear();
    own.tick().await;
    let newest: Vec<_> = (6_i32..25).chain([24]).map(f64::from).collect();
    assert_eq!(own.values("a"), (newest, false));
    assert_eq!(own.engine.ledger().findings().violations(), 0);
}

#[tokio::test]
async fn pause_that_the_engine_demands_is_kept() {
    let mut own = Forwarded::start("");
    let retry_after = Some("30".to_owned());
    own.engine.faults().answer_next(1, EngineAnswer::Status { status: 429, retry_after });
    own.set("a", 1);
    own.own.sample();
    own.own.flush().await;
    own.own.flush().await;
    assert_eq!(own.engine.ledger().requests_total(), 1);
    assert!(own.own.not_before > Instant::now());
}

#[tokio::test]
async fn samples_beyond_the_maximum_age_are_dropped() {
    let mut own = Forwarded::start("max_age = \"1m\"");
    own.engine.faults().refuse();
    own.set("a", 1);
    own.tick().await;
    own.engine.faults().clear();
    own.collector.clock.advance(Duration::from_secs(100));
    own.set("a", 2);
    own.tick().await;
    assert_eq!(own.values("a"), (vec![2.0], false));
    assert_eq!(own.dropped(), [(DropReason::TooOld, 2)]);
}

#[tokio::test]
async fn refused_samples_do_not_hold_up_the_next_ones() {
    let mut own = Forwarded::start("");
    own.engine.faults().poison(400, |labels| labels.get("l") == Some("bad"));
    own.set("a", 1);
    own.set("bad", 1);
    own.tick().await;
    own.gauge.remove(&vec![("l", "bad")]);
    own.set("a", 2);
    own.tick().await;
    assert_eq!(own.values("a"), (vec![2.0], false));
    assert_eq!(own.dropped(), [(DropReason::Rejected, 3)]);
}

#[tokio::test]
async fn engine_that_never_answers_delays_the_stop_no_longer_than_allowed() {
    let own = Forwarded::start("");
    own.engine.faults().answer(EngineAnswer::Hang);
    own.set("a", 1);
    let destination = Arc::clone(&own.own.destination);
    let Forwarded { engine, own: forwarded, collector, gauge, _settings } = own;
    let (stop, abort) = (CancellationToken::new(), CancellationToken::new());
    let running = tokio::spawn(forwarded.run(stop.clone(), abort.clone()));
    engine.wait_until(LONG, |ledger| ledger.requests_total() == 1).await.unwrap();
    stop.cancel();
    abort.cancel();
    tokio::time::timeout(LONG, running).await.unwrap().unwrap();
    assert_eq!(destination.metrics.dropped_for(DropReason::Stopped), 2);
    assert_eq!(destination.metrics.stale_markers_dropped.get(), 2);
    drop((collector, gauge));
}

#[tokio::test]
async fn clock_that_is_set_back_repeats_no_time() {
    let mut own = Forwarded::start("");
    own.set("a", 1);
    own.own.sample();
    own.collector.clock.set_time_of_day(SystemTime::now() - Duration::from_secs(3_600));
    own.set("a", 2);
    own.own.sample();
    own.own.flush().await;
    assert_eq!(own.values("a"), (vec![1.0, 2.0], false));
    assert_eq!(own.engine.ledger().findings().violations(), 0);
}

#[test]
fn instance_is_where_prometheus_reaches_the_collector() {
    let address = SocketAddr::from(([0, 0, 0, 0], 1234));
    let instance = |flags: Flags| default_instance(&Config::try_new(flags).unwrap(), address);
    let advertised = |text: &str| instance(Flags::default().with("advertise", text));
    assert_eq!(&*advertised("c-1.example.com:80"), "c-1.example.com:80");
    let own = instance(Flags::default());
    assert!(own.ends_with(":1234") && !own.starts_with("0.0.0.0"), "{own}");
}
