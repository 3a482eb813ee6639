//! Whether this machine has room for the fleet: file descriptors and ports, known before the start instead of
//! found out in the middle.

use std::io;
use std::net::IpAddr;

use anyhow::{Context, bail};

use crate::dial::{AGENTS_PER_SOURCE, has_sources};

/// Descriptors of the load test for everything but its agents: the runtime, the scrapes, its child.
const OWN_FILES: u64 = 64;
/// Descriptors the collector keeps for everything but agents.
const COLLECTOR_FILES: u64 = 256;
/// Ports left alone: those of others on this machine, and of connections that have just ended.
const OTHER_PORTS: u64 = 1_000;

/// Raises the soft limit on open files to the hard one, which needs no privilege.
///
/// # Errors
/// The system's.
pub fn raise_file_limit() -> io::Result<()> {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    }
    Ok(())
}

/// Refuses a fleet that there is no room for, with what is missing and how to get it. `collector` is where the
/// fleet will report to.
///
/// # Errors
/// What is missing.
pub fn check(agents: usize, collector: IpAddr, own_collector: bool) -> anyhow::Result<()> {
    let sharing = if has_sources(collector) { agents.min(AGENTS_PER_SOURCE) } else { agents };
    let (agents, sharing) = (agents as u64, sharing as u64);
    let needed = agents + if own_collector { COLLECTOR_FILES.max(OWN_FILES) } else { OWN_FILES };
    if let Some(allowed) = file_limit().filter(|allowed| *allowed < needed) {
        bail!(
            "{agents} agents need {needed} open files a process, {allowed} are allowed: raise the hard \
             limit (ulimit -Hn {needed}; LimitNOFILE={needed} in a systemd unit; nofile in \
             /etc/security/limits.conf), or take --agents {}",
            agents.saturating_sub(needed - allowed)
        );
    }
    if let Some((low, high)) = port_range().context("reading the range of local ports")? {
        let (needed, given) = (sharing + OTHER_PORTS, u64::from(high.saturating_sub(low)) + 1);
        if given < needed {
            bail!(
                "{agents} agents need {needed} local ports, there are {given} ({low} to {high}): widen \
                 them (sysctl net.ipv4.ip_local_port_range=\"10000 65535\"), or take --agents {}",
                given.saturating_sub(OTHER_PORTS)
            );
        }
    }
    Ok(())
}

/// Open files this process may have; `None` for any number.
fn file_limit() -> Option<u64> {
    #[cfg(unix)]
    return rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    #[cfg(not(unix))]
    None
}

/// The ports that connections are given; `None` where the system does not say.
fn port_range() -> anyhow::Result<Option<(u16, u16)>> {
    if !cfg!(target_os = "linux") {
        return Ok(None);
    }
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")?;
    let mut ports = text.split_ascii_whitespace().map(str::parse);
    match (ports.next(), ports.next()) {
        (Some(Ok(low)), Some(Ok(high))) => Ok(Some((low, high))),
        _ => bail!("{text:?} is not two ports"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCALHOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn a_small_fleet_has_room() {
        check(10, LOCALHOST, true).unwrap();
    }

    #[test]
    fn a_fleet_without_room_is_told_what_is_missing() {
        let error = check(1_000_000, LOCALHOST, true).unwrap_err().to_string();
        assert!(error.contains("1000000 agents need"), "{error}");
        assert!(error.contains("ulimit -Hn") || error.contains("ip_local_port_range"), "{error}");
    }
}
