//! A stand-in for a cluster: two Prometheus servers that receive, a router before them, and a third
//! server that reads from both.

use super::super::programs::wait_for;
use super::Forwarding;
use super::engine::{Engine, Kind, VISIBLE};
use super::host::Host;
use super::router;
use super::story::{Fleet, HOSTS, ROUNDS, count};

/// One of the two receivers is down for some reports. The other one gets its series of the requests
/// that are sent again more than once: it refuses samples that are older than its newest ones, also
/// if it has them. So the collector counts some samples as refused that are stored.
#[test]
#[ignore = "needs prometheus"]
fn cluster_with_a_receiver_that_was_down_has_every_sample_once_and_no_ghosts() {
    let [first, mut second] = [(), ()].map(|()| Engine::start(Kind::Prometheus("")));
    let router = router::start(&[&first, &second]);
    let reader = reader_of(&[&first, &second]);
    let collector = Forwarding::to(&format!("http://{router}/api/v1/push"), "");
    let mut fleet = Fleet::connect(&collector.agents);
    let [before, down, all] = ROUNDS;
    fleet.report(1..=before);
    collector.wait_accepted(fleet.samples());
    second.stop();
    fleet.report(before + 1..=down);
    wait_for("a request that fails", 30, || {
        let failed = "fleetgauge_remote_write_requests_total{remote_name=\"engine\",status=\"503";
        (collector.metric(failed) > 0.0).then_some(())
    });
    second.resume();
    fleet.report(down + 1..=all);
    collector.wait_answered(fleet.samples());
    for engine in [&first, &second] {
        let series = engine.now("count({__name__=~\"engine_.*\"})");
        assert!(!series.is_empty(), "an engine has no series: the router does not split");
    }
    fleet.assert_history(&reader);
    fleet.assert_ranges(&reader);
    fleet.kill_first(&reader, "cluster");
    fleet.assert_history(&reader);
    fleet.hosts.insert(0, Host::connect(1, &collector.agents));
    fleet.report([all + 1]);
    wait_for("the agent that has returned", VISIBLE.as_secs(), || {
        (count(&reader) == f64::from(HOSTS)).then_some(())
    });
    fleet.assert_history(&reader);
}

/// Starts a Prometheus that stores nothing and reads from these.
fn reader_of(engines: &[&Engine]) -> Engine {
    let one = |engine: &&Engine| {
        format!("- {{url: \"http://{}/api/v1/read\", read_recent: true}}\n", engine.address())
    };
    let engines: String = engines.iter().map(one).collect();
    Engine::with_config(Kind::Prometheus(""), &format!("remote_read:\n{engines}"))
}
