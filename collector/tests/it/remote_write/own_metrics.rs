//! The collector's own metrics, forwarded.

use super::Engine;
use crate::support::eventually;

const KEYS: &str = "own_metrics = true\nown_instance = \"c-1\"";

/// Returns the labels of an own series without labels.
fn own<'a>(name: &'a str, instance: &'a str) -> [(&'a str, &'a str); 3] {
    [("__name__", name), ("instance", instance), ("job", "fleetgauge-collector")]
}

#[test]
fn what_metrics_self_shows_is_forwarded() {
    for protocol in ["1.0", "2.0"] {
        let engine = Engine::start();
        let collector = engine.collector(&format!("{KEYS}\nprotocol = \"{protocol}\""));
        engine.until(|ledger| ledger.find(&own("up", "c-1")).is_some());
        assert_eq!(engine.values(&own("up", "c-1"))[0].1, 1.0);
        // The same series as on the page, and `up`.
        let page = collector.page_at("/metrics/self").0;
        let is_sample = |line: &&str| !line.starts_with('#');
        let forwarded = engine.receiver.ledger().series().count();
        let lines = page.lines().filter(is_sample).count();
        // A status of requests is new.
        assert!((lines..=lines + 1).contains(&forwarded), "{forwarded} of {lines}");
        let buckets = {
            let ledger = engine.receiver.ledger();
            let buckets = ledger.series().map(|series| series.labels()).filter(|labels| {
                labels.metric() == "fleetgauge_handshake_seconds_bucket"
                    && labels.get("le") == Some("+Inf")
            });
            buckets.count()
        };
        assert_eq!(buckets, 1);
        eventually("types and help texts arrive", || {
            let ledger = engine.receiver.ledger();
            let found = ledger.metadata().get("fleetgauge_reports_total");
            found.is_some_and(|metadata| !metadata.help.is_empty())
        });
        engine.expect_no_violations();
    }
}

#[test]
fn two_collectors_with_the_same_settings_have_different_series() {
    let engine = Engine::start();
    let keys = "own_metrics = true\nexternal_labels = { cluster = \"eu\" }";
    let _collectors = [engine.collector(keys), engine.collector(keys)];
    let instances = || {
        let ledger = engine.receiver.ledger();
        let up = ledger.series().filter(|series| series.labels().metric() == "up");
        let up = up.filter(|series| series.labels().get("cluster") == Some("eu"));
        up.filter_map(|series| series.labels().get("instance").map(str::to_owned)).count()
    };
    eventually("both are there", || instances() == 2);
    engine.expect_no_violations();
}

#[test]
fn nothing_of_the_collector_is_forwarded_unless_it_is_set() {
    let engine = Engine::start();
    let mut collector = engine.collector("");
    collector.stop();
    collector.join();
    assert_eq!(engine.receiver.ledger().requests_total(), 0);
}
