//! A simulated host of the demo: shares of CPU, memory and disk in use, by role, hour and story.

use std::f64::consts::TAU;

use fleetgauge_agent::sampler::{Cpu, Filesystem, Memory, Readings};

use super::clock::{DemoTime, HOURS};
use super::roster::{Role, Roster, role_of};
use super::story::{Chapter, STORY, What};

const GIB: u64 = 1 << 30;
/// Hour of the day with the least load; the most is twelve hours later.
const QUIET_HOUR: f64 = 3.0;
/// Share of the way from the former to the expected load that a report moves.
const INERTIA: f64 = 0.3;
/// Maximum random change of CPU and memory usage between two reports.
const CPU_NOISE: f64 = 0.04;
const MEMORY_NOISE: f64 = 0.004;
/// How much of the disk the logs of a day take. They are removed at midnight.
const DAILY_LOGS: f64 = 0.04;
/// Share of a chapter after which a disk or memory is full.
const FULL_AFTER: f64 = 0.75;
/// CPU, memory and disk in use at the worst moment of a chapter.
const WORST: f64 = 0.98;

/// A simulated host.
#[derive(Debug)]
pub(super) struct SimHost {
    rng: fastrand::Rng,
    role: &'static Role,
    utc_offset: f64,
    /// What happens to the host.
    chapters: Vec<&'static Chapter>,
    /// How much busier than others of its role the host is.
    factor: f64,
    /// Shares of CPU, memory and disk in use.
    pub(super) cpu: f64,
    pub(super) memory: f64,
    pub(super) disk: f64,
    /// Share of the disk in use in the morning.
    disk_by_night: f64,
    /// Totals, in bytes.
    pub(super) memory_total: u64,
    pub(super) disk_total: u64,
}

impl SimHost {
    /// Creates a host of the roster.
    pub(super) fn new(agent: u32, roster: Roster, seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed ^ u64::from(agent));
        let role = role_of(agent);
        let affects = |chapter: &&Chapter| chapter.affects(agent, roster);
        Self {
            role,
            utc_offset: roster.site_of(agent).utc_offset,
            chapters: STORY.iter().filter(affects).collect(),
            factor: 0.6 + rng.f64() * 0.6,
            cpu: role.cpu,
            memory: role.memory,
            disk: 0.0,
            disk_by_night: 0.2 + rng.f64() * 0.5,
            memory_total: GIB << rng.u32(3..8),
            disk_total: GIB << rng.u32(6..12),
            rng,
        }
    }

    /// Advances to the next report, at this time.
    pub(super) fn advance(&mut self, time: DemoTime) {
        let hour = time.hour(self.utc_offset);
        let busy = 0.5 - 0.5 * ((hour - QUIET_HOUR) / HOURS * TAU).cos();
        let expected = |night: f64, day: f64, factor: f64| (night + day * busy) * factor;
        let mut cpu = expected(self.role.cpu, self.role.cpu_by_day, self.factor);
        let mut memory = expected(self.role.memory, self.role.memory_by_day, 1.0);
        memory += (self.factor - 0.9) * 0.2;
        let mut disk = self.disk_by_night + DAILY_LOGS * time.hour(0.0) / HOURS;
        for chapter in &self.chapters {
            let Some(progress) = chapter.progress(time) else { continue };
            let worsened = |share: f64, by: f64| share + (WORST - share) * by.min(1.0);
            match chapter.what {
                What::DiskFills => disk = worsened(disk, progress / FULL_AFTER),
                What::MemoryLeaks => memory = worsened(memory, progress / FULL_AFTER),
                What::CpuIsBusy => cpu = WORST,
                What::Flaps | What::IsCutOff | What::IsShutDown => {}
            }
        }
        let mut moved = |from: f64, to: f64, noise: f64| {
            let random = (self.rng.f64() - 0.5) * 2.0 * noise;
            (from + (to - from) * INERTIA + random).clamp(0.005, 0.995)
        };
        self.cpu = moved(self.cpu, cpu, CPU_NOISE);
        self.memory = moved(self.memory, memory, MEMORY_NOISE);
        self.disk = disk;
    }

    /// Returns what an agent on the host would read.
    pub(super) fn readings(&self) -> Readings {
        let (memory, disk) = (self.memory_total as f64, self.disk_total as f64);
        let used = (disk * self.disk) as u64;
        Readings {
            cpu: Some(Cpu { usage_ratio: self.cpu }),
            memory: Some(Memory {
                total: self.memory_total,
                available: (memory * (1.0 - self.memory)) as u64,
            }),
            filesystem: Some(Filesystem { used, available: self.disk_total - used }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::child_main::DEMO_INTERVAL;

    const ROSTER: Roster = Roster { count: 100 };

    /// Returns the host after a day, and the maximum of each share on the way.
    fn after_a_day(name: &str) -> [f64; 3] {
        let agent = ROSTER.host(name).unwrap();
        let mut host = SimHost::new(agent, ROSTER, 7);
        let mut max = [0.0_f64; 3];
        for report in 0..120 {
            host.advance(DemoTime::after(DEMO_INTERVAL * report));
            for (max, share) in max.iter_mut().zip([host.cpu, host.memory, host.disk]) {
                assert!((0.0..=1.0).contains(&share), "{host:?}");
                *max = max.max(share);
            }
        }
        max
    }

    #[test]
    fn troubles_of_the_story_show_in_the_values_of_their_hosts_only() {
        let ([_, _, disk], [_, memory, _], [cpu, ..]) =
            (after_a_day("db-01"), after_a_day("cache-02"), after_a_day("build-01"));
        assert!(disk > 0.97 && memory > 0.95 && cpu > 0.93, "{disk} {memory} {cpu}");
        let [cpu, memory, disk] = after_a_day("queue-05");
        assert!(cpu < 0.7 && memory < 0.7 && disk < 0.8, "{cpu} {memory} {disk}");
    }

    #[test]
    fn load_follows_the_hour_of_the_site() {
        let load = |name: &str, seconds: u64| {
            let mut host = SimHost::new(ROSTER.host(name).unwrap(), ROSTER, 7);
            (0..30).for_each(|_| host.advance(DemoTime::after(Duration::from_secs(seconds))));
            host.cpu
        };
        // 15:00 and 03:00 in Frankfurt.
        assert!(load("web-01", 60) > 3.0 * load("web-01", 180));
        // The same moments in Singapore are 22:00 and 10:00.
        assert!(load("web-20", 60) < load("web-20", 180));
    }
}
