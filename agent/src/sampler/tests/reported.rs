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
        let tables = TableSet::try_new([], sources.iter().map(|source| &*source.tables)).unwrap();
        let profile = profile(Catalogs::try_new(vec![tables.catalog().clone()]).unwrap());
        let mut client = Client::default();
        let collector = FakeCollector::welcome(&mut client, &profile);
        let (sampler, baseline) = (Sampler::new(&tables, sources), Baseline::default());
        Self { sampler, disks, mounts, profile, client, baseline, collector }
    }

    /// Reports the sample of a round. Returns what the collector then has.
    fn report(&mut self) -> Vec<String> {
        let sample = self.sampler.finish_round(&Limits::default());
        let mut out = Vec::new();
        let Self { profile, client, baseline, collector, .. } = self;
        baseline.report(client, profile, &sample, Duration::ZERO, &mut out).unwrap();
        collector.receive(&out);
        shown(&collector.sample())
    }

    /// Runs a round in which both sources answer. Returns what the collector then has.
    async fn round(&mut self, disks: ReadResult, mounts: ReadResult) -> Vec<String> {
        self.sampler.start_round();
        self.disks.answer.send(disks).unwrap();
        self.mounts.answer.send(mounts).unwrap();
        while self.sampler.is_waiting() {
            process_one(&mut self.sampler).await;
        }
        self.report()
    }

    /// Runs a round in which only the disks answer. Returns what the collector then has.
    async fn round_without_mounts(&mut self, disks: ReadResult) -> Vec<String> {
        self.sampler.start_round();
        self.disks.answer.send(disks).unwrap();
        process_one(&mut self.sampler).await;
        self.report()
    }
}

fn failed() -> ReadResult {
    Err(SourceError::new("permission denied"))
}

#[tokio::test]
async fn collector_has_rows_that_come_and_go_and_those_of_sources_that_fail_and_hang() {
    let mut agent = AgentAndCollector::new();
    let root = || Ok(vec![("/", 7.0)]);
    assert_eq!(agent.round(Ok(vec![]), root()).await, ["", "/=7"]);
    assert_eq!(agent.round(Ok(vec![("sdb", 2.0)]), root()).await, ["sdb=2", "/=7"]);
    let both = Ok(vec![("sdb", 3.0), ("sda", 1.0)]);
    assert_eq!(agent.round(both, root()).await, ["sda=1 sdb=3", "/=7"]);
    assert_eq!(agent.round(failed(), root()).await, ["sda sdb", "/=7"]);
    assert_eq!(agent.round(Ok(vec![("sda", 4.0)]), failed()).await, ["sda=4", "/"]);

    // The mounts hang: their row stays, and its value is absent.
    for value in [5.0, 6.0] {
        let disks = Ok(vec![("sda", value)]);
        assert_eq!(agent.round_without_mounts(disks).await, [format!("sda={value}"), "/".into()]);
    }
    // A new session: the collector gets the rows again.
    agent.collector = FakeCollector::welcome(&mut agent.client, &agent.profile);
    assert_eq!(agent.round_without_mounts(Ok(vec![])).await, ["", "/"]);
    assert_eq!(agent.collector.frames, [0, 1, 1]);

    // The late answer ends the hang, and is dropped.
    agent.mounts.answer.send(Ok(vec![("/late", 8.0)])).unwrap();
    process_one(&mut agent.sampler).await;
    assert_eq!(agent.report(), ["", "/"]);
    let mounts = Ok(vec![("/home", 9.0)]);
    assert_eq!(agent.round(Ok(vec![]), mounts).await, ["", "/home=9"]);
}
