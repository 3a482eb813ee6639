//! From the sources to what the collector has.

use super::*;
use crate::catalogs::Catalogs;
use crate::client::fake_collector::{FakeCollector, profile};
use crate::client::{Baseline, Client};
use crate::profile::Profile;

/// An agent with two controlled sources, disks and mounts, and its collector.
struct AgentAndCollector {
    sampler: Sampler,
    disks: SourceControl,
    mounts: SourceControl,
    profile: Profile,
    client: Client,
    baseline: Baseline,
    collector: FakeCollector,
}

impl AgentAndCollector {
    fn new() -> Self {
        let ((disks, disk_spec), (mounts, mount_spec)) =
            (controlled("disks"), controlled("mounts"));
        let sources = vec![disk_spec, mount_spec];
        let tables = table_set([], &sources).unwrap();
        let profile = profile(Catalogs::try_new(vec![tables.catalog().clone()]).unwrap());
        let mut client = Client::default();
        let collector = FakeCollector::welcome(&mut client, &profile);
        let (sampler, baseline) = (Sampler::new(&tables, sources), Baseline::default());
        Self { sampler, disks, mounts, profile, client, baseline, collector }
    }

    /// Runs a round in which all sources answer but these, and reports it. Returns what the
    /// collector then has.
    fn report(&mut self, hung: &[usize]) -> Vec<String> {
        let sample = self.sampler.sample_without(hung);
        let mut out = Vec::new();
        let Self { profile, client, baseline, collector, .. } = self;
        baseline.report(client, profile, &sample, Duration::ZERO, &mut out).unwrap();
        collector.receive(&out);
        shown(&collector.sample())
    }

    /// Reports a round in which both sources answer.
    fn round(&mut self, disks: ReadResult, mounts: ReadResult) -> Vec<String> {
        self.disks.answer.send(disks).unwrap();
        self.mounts.answer.send(mounts).unwrap();
        self.report(&[])
    }

    /// Reports a round in which only the disks answer.
    fn round_without_mounts(&mut self, disks: ReadResult) -> Vec<String> {
        self.disks.answer.send(disks).unwrap();
        self.report(&[1])
    }
}

fn failed() -> ReadResult {
    Err(SourceError::new("permission denied"))
}

#[test]
fn collector_has_rows_that_come_and_go_and_those_of_sources_that_fail_and_hang() {
    let mut agent = AgentAndCollector::new();
    let root = || Ok(vec![("/", 7.0)]);
    assert_eq!(agent.round(Ok(vec![]), root()), ["", "/=7"]);
    assert_eq!(agent.round(Ok(vec![("sdb", 2.0)]), root()), ["sdb=2", "/=7"]);
    let both = Ok(vec![("sdb", 3.0), ("sda", 1.0)]);
    assert_eq!(agent.round(both, root()), ["sda=1 sdb=3", "/=7"]);
    assert_eq!(agent.round(failed(), root()), ["sda sdb", "/=7"]);
    assert_eq!(agent.round(Ok(vec![("sda", 4.0)]), failed()), ["sda=4", "/"]);

    // The mounts hang: their row stays, and its value is absent.
    for value in [5.0, 6.0] {
        let disks = Ok(vec![("sda", value)]);
        assert_eq!(agent.round_without_mounts(disks), [format!("sda={value}"), "/".into()]);
    }
    // A new session: the collector gets the rows again.
    agent.collector = FakeCollector::welcome(&mut agent.client, &agent.profile);
    assert_eq!(agent.round_without_mounts(Ok(vec![])), ["", "/"]);
    assert_eq!(agent.collector.frames, [0, 1, 1]);

    // The late answer ends the hang, and is dropped.
    agent.mounts.answer.send(Ok(vec![("/late", 8.0)])).unwrap();
    agent.sampler.wait_for_all_but(&[]);
    let mounts = Ok(vec![("/home", 9.0)]);
    assert_eq!(agent.round(Ok(vec![]), mounts), ["", "/home=9"]);
}
