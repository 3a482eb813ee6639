//! Checks that this machine is large enough for the fleet: file descriptors, ports and memory; and
//! that it has what a plan needs besides.

use anyhow::bail;
use fleetgauge_common::file_limit;

use crate::child::shifted_clock;
use crate::dial::{AGENTS_PER_SOURCE, has_sources};
use crate::host_profile::HostProfile;
use crate::plan::{Plan, TargetCollectors};

/// File descriptors of a worker apart from agent connections: the engine, the scrapes, its parent.
const WORKER_FILES: u64 = 64;
/// File descriptors of a collector apart from agent connections.
const COLLECTOR_FILES: u64 = fleetgauge_collector::config::RESERVED_FDS;
/// File descriptors that the parent needs for each child.
const CHILD_FILES: u64 = 4;
/// Number of local ports reserved for other programs, and for connections in TIME_WAIT.
const OTHER_PORTS: u64 = 1_000;
/// Kernel memory of one end of a connection, in bytes.
const KERNEL_BYTES: u64 = 4_096;
/// Memory of a collector per agent of the profile `basic`, including a scrape's copy of its values,
/// in bytes.
const COLLECTOR_BYTES: u64 = 1_400;
/// Memory of a scrape per series of a wide host, in bytes: a copy of its value, by row and by
/// column.
const SCRAPE_BYTES_PER_SERIES: u64 = 16;
/// Maximum memory of a worker per agent, in bytes.
const WORKER_BYTES: u64 = 400;
/// Maximum memory of a worker per series of a wide host, in bytes. 1.5 were measured while a page
/// is judged, most of them buffers that do not grow with the fleet.
const WORKER_BYTES_PER_SERIES: u64 = 2;
/// Additional memory per connection with TLS, both ends together, in bytes. Most of it is in the
/// worker.
const TLS_BYTES: u64 = 16_000;
/// Memory of a collector and its worker without agents, in bytes.
const PAIR_BYTES: u64 = 24 << 20;
/// Epoll watches per agent: one in the collector and one in the worker.
const WATCHES_PER_AGENT: u64 = 2;

/// Checks that the machine is large enough for the plan.
///
/// # Errors
/// If the machine is too small. The error lists each missing resource with a remedy. Also if a
/// library is missing that the plan needs.
pub fn check(plan: &Plan) -> anyhow::Result<()> {
    shifted_clock::check(plan.forward.clock_offset)?;
    let shortages = shortages(plan, &MachineLimits::this());
    if !shortages.is_empty() {
        bail!(
            "this machine is too small for {} agents:\n  {}",
            plan.agents,
            shortages.join("\n  ")
        );
    }
    Ok(())
}

/// Limits of a machine; a limit is `None` if unknown or unlimited.
#[derive(Debug, Clone, Copy, Default)]
struct MachineLimits {
    /// Maximum number of open files per process.
    files: Option<u64>,
    /// Maximum number of open files of all processes together.
    all_files: Option<u64>,
    /// Maximum number of epoll watches per user.
    watches: Option<u64>,
    /// First and last local port.
    ports: Option<(u16, u16)>,
    /// Available memory, in bytes.
    memory: Option<u64>,
}

impl MachineLimits {
    fn this() -> Self {
        Self {
            files: file_limit::current(),
            all_files: first_number("/proc/sys/fs/file-max"),
            watches: first_number("/proc/sys/fs/epoll/max_user_watches"),
            ports: ports(),
            memory: available_memory(),
        }
    }
}

/// Missing resources of the machine, with a remedy for each.
fn shortages(plan: &Plan, machine: &MachineLimits) -> Vec<String> {
    [files(plan, machine), all_files(plan, machine), watches(plan, machine)]
        .into_iter()
        .chain([local_ports(plan, machine), memory(plan, machine)])
        .flatten()
        .collect()
}

fn files(plan: &Plan, machine: &MachineLimits) -> Option<String> {
    let (each, collectors) = (u64::from(plan.max_agents_per_worker()), plan.workers() as u64);
    let started = matches!(plan.target, TargetCollectors::Started(_));
    let others = if started { COLLECTOR_FILES.max(WORKER_FILES) } else { WORKER_FILES };
    let needed = each + others;
    let allowed = machine.files.filter(|allowed| *allowed < needed)?;
    let max = allowed.saturating_sub(others);
    let or = if max == 0 {
        String::new()
    } else if started {
        format!(
            ", or use --collectors {}, or at most --agents {}",
            u64::from(plan.agents).div_ceil(max),
            max * collectors
        )
    } else {
        format!(", or use more collectors, or at most --agents {}", max * collectors)
    };
    Some(format!(
        "with {each} agents per collector, the collector and its worker process need {needed} \
         open files each, but {allowed} are allowed per process: raise the hard limit \
         (ulimit -Hn {needed}; LimitNOFILE={needed} in a systemd unit; \
         nofile in /etc/security/limits.conf){or}"
    ))
}

fn all_files(plan: &Plan, machine: &MachineLimits) -> Option<String> {
    let (agents, workers) = (u64::from(plan.agents), plan.workers() as u64);
    let needed = 2 * agents + workers * (WORKER_FILES + COLLECTOR_FILES + 2 * CHILD_FILES);
    let allowed = machine.all_files.filter(|allowed| *allowed < needed)?;
    Some(format!(
        "{needed} open files are needed in total, but {allowed} are allowed: \
         sysctl fs.file-max={needed}"
    ))
}

fn watches(plan: &Plan, machine: &MachineLimits) -> Option<String> {
    let needed = WATCHES_PER_AGENT * u64::from(plan.agents);
    let allowed = machine.watches.filter(|allowed| *allowed < needed)?;
    Some(format!(
        "{needed} epoll watches are needed, but {allowed} are allowed: sysctl \
         fs.epoll.max_user_watches={needed}"
    ))
}

fn local_ports(plan: &Plan, machine: &MachineLimits) -> Option<String> {
    let address = plan.target.address();
    let agents = plan.agents;
    let sharing = if has_sources(address) { agents.min(AGENTS_PER_SOURCE) } else { agents };
    let needed = u64::from(sharing) + OTHER_PORTS;
    let (low, high) = machine.ports?;
    let available = u64::from(high.saturating_sub(low)) + 1;
    (available < needed).then(|| {
        format!(
            "{sharing} agents that connect from one address need {needed} local ports, but \
             there are {available} ({low} to {high}): \
             sysctl net.ipv4.ip_local_port_range=\"10000 65535\", \
             or use at most --agents {}",
            available.saturating_sub(OTHER_PORTS)
        )
    })
}

fn memory(plan: &Plan, machine: &MachineLimits) -> Option<String> {
    let (agents, pairs) = (u64::from(plan.agents), plan.workers() as u64);
    let tls = if plan.tls { TLS_BYTES } else { 0 };
    let engine = plan.forward.engine_bytes.div_ceil(agents.max(1));
    let per_agent = 2 * KERNEL_BYTES + process_bytes(plan.hosts.profile) + tls + engine;
    let needed = agents * per_agent + pairs * PAIR_BYTES;
    let available = machine.memory.filter(|available| *available < needed)?;
    let max = available.saturating_sub(pairs * PAIR_BYTES) / per_agent;
    Some(format!(
        "{} MiB of memory are needed ({per_agent} bytes per agent, {} of them in the kernel), \
         but {} are available: stop other programs, or use at most --agents {max}",
        needed >> 20,
        2 * KERNEL_BYTES,
        available >> 20
    ))
}

/// Memory of a collector and its worker per agent, in bytes.
fn process_bytes(profile: HostProfile) -> u64 {
    match profile {
        HostProfile::Basic => COLLECTOR_BYTES + WORKER_BYTES,
        HostProfile::Node | HostProfile::NodeLarge => {
            let per_series = SCRAPE_BYTES_PER_SERIES + WORKER_BYTES_PER_SERIES;
            profile.collector_bytes() + WORKER_BYTES + profile.series() as u64 * per_series
        }
    }
}

fn first_number(path: &str) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.split_ascii_whitespace().next()?.parse().ok()
}

fn ports() -> Option<(u16, u16)> {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    let mut ports = text.split_ascii_whitespace().map(str::parse);
    Some((ports.next()?.ok()?, ports.next()?.ok()?))
}

fn available_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    Some(kib << 10)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::host_profile::HostModel;
    use crate::plan::{ForwardNeeds, LATE};
    use crate::worker_protocol::BackoffPolicy;

    fn plan(agents: u32, collectors: usize) -> Plan {
        let target = TargetCollectors::Started(collectors);
        let (interval, backoff) = (Duration::from_secs(30), BackoffPolicy::Quick);
        Plan {
            agents,
            target,
            interval,
            backoff,
            labels: 0,
            hosts: HostModel::default(),
            row_churn: 0.0,
            flags: Vec::new(),
            late: LATE,
            tolerance: Duration::ZERO,
            tls: false,
            keeps_log: false,
            forward: ForwardNeeds::default(),
        }
    }

    /// A machine that is large enough for a million agents.
    const LARGE: MachineLimits = MachineLimits {
        files: Some(20_000),
        all_files: Some(2_100_000),
        watches: Some(5_000_000),
        ports: Some((32_768, 60_999)),
        memory: Some(22 << 30),
    };

    #[test]
    fn this_machine_is_large_enough_for_ten_agents() {
        check(&plan(10, 1)).unwrap();
    }

    #[test]
    fn a_million_agents_fit_on_a_large_machine() {
        assert_eq!(shortages(&plan(1_000_000, 56), &LARGE), [] as [&str; 0]);
        // 20,000 open files leave 19,744 for agents.
        assert_eq!(shortages(&plan(19_744 * 50, 50), &LARGE), [] as [&str; 0]);
        assert_eq!(shortages(&plan(19_744 * 50 + 1, 50), &LARGE).len(), 1);
    }

    #[test]
    fn too_few_open_files_suggest_more_collectors() {
        let [shortage] = &shortages(&plan(1_000_000, 1), &LARGE)[..] else {
            panic!("one shortage")
        };
        assert!(
            shortage.contains("need 1000256 open files") && shortage.contains("20000 are allowed"),
            "{shortage}"
        );
        assert!(
            shortage.contains("--collectors 51,") && shortage.contains("--agents 19744"),
            "{shortage}"
        );
        assert_eq!(shortages(&plan(1_000_000, 51), &LARGE), [] as [&str; 0]);
    }

    #[test]
    fn every_shortage_is_reported_with_a_remedy() {
        let small = MachineLimits {
            all_files: Some(100_000),
            watches: Some(1_000),
            ports: Some((60_000, 60_999)),
            memory: Some(1 << 30),
            ..LARGE
        };
        let shortages = shortages(&plan(1_000_000, 56), &small);
        for (shortage, part) in shortages.iter().zip([
            "sysctl fs.file-max=2018368",
            "sysctl fs.epoll.max_user_watches=2000000",
            "sysctl net.ipv4.ip_local_port_range",
            "use at most --agents",
        ]) {
            assert!(shortage.contains(part), "{shortage}");
        }
        assert_eq!(shortages.len(), 4);
    }

    #[test]
    fn memory_estimate_includes_both_ends_of_a_connection() {
        for (tls, per_agent) in [(false, 2 * 4_096 + 1_400 + 400), (true, 2 * 4_096 + 17_800)] {
            let plan = Plan { tls, ..plan(1_000_000, 56) };
            let needed = 1_000_000 * per_agent + 56 * (24 << 20);
            let just = MachineLimits { memory: Some(needed), ..LARGE };
            assert_eq!(shortages(&plan, &just), [] as [&str; 0]);
            let short = MachineLimits { memory: Some(needed - 1), ..LARGE };
            let [shortage] = &shortages(&plan, &short)[..] else { panic!("one shortage") };
            assert!(shortage.contains("use at most --agents 999999"), "{shortage}");
        }
    }

    #[test]
    fn memory_estimate_grows_with_the_series_of_a_host() {
        let hosts = HostModel { profile: HostProfile::Node, ..HostModel::default() };
        let plan = Plan { hosts, ..plan(1_000_000, 56) };
        let [shortage] = &shortages(&plan, &LARGE)[..] else { panic!("one shortage") };
        let (_, rest) = shortage.split_once('(').unwrap();
        let per_agent: usize = rest.split(' ').next().unwrap().parse().unwrap();
        let series = HostProfile::Node.series();
        assert!((9_542 + 31 * series..9_543 + 32 * series).contains(&per_agent), "{shortage}");
    }

    #[test]
    fn documented_memory_of_hosts_is_that_of_the_profiles() {
        let page = include_str!("../../docs/loadtest.md").replace(['\n', ','], " ");
        let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
        for profile in [HostProfile::Basic, HostProfile::Node, HostProfile::NodeLarge] {
            let limit = 2 * profile.collector_bytes();
            for bytes in [process_bytes(profile), limit] {
                let bytes = format!("{} {:03}", bytes / 1_000, bytes % 1_000);
                assert!(page.contains(&bytes), "{profile:?}: {bytes}");
            }
        }
    }
}
