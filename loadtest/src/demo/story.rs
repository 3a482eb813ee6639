//! The story of the demo: what happens to which hosts at which hour of the day. It repeats daily.

use super::clock::{DemoTime, HOURS};
use super::roster::{Roster, host_name, role_of};
use crate::agent_range::AgentRange;

/// Something that happens to hosts for some hours of every day.
#[derive(Debug)]
pub(super) struct Chapter {
    /// First hour of the day, UTC.
    from: f64,
    /// Hour at which it is over; before `from` if that is on the next day.
    until: f64,
    who: Who,
    pub(super) what: What,
    /// What the demo prints when it begins, and when it is over.
    pub(super) begins: &'static str,
    pub(super) ends: &'static str,
}

/// The hosts to which something happens.
#[derive(Debug, Clone, Copy)]
enum Who {
    Host(&'static str),
    Site(&'static str),
    Role(&'static str),
}

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// The root filesystem fills up until it is almost full, and is cleaned up at the end.
    DiskFills,
    /// A process takes more and more memory, and is killed at the end.
    MemoryLeaks,
    /// All CPUs are busy.
    CpuIsBusy,
    /// Connections break every few seconds, and the agents reconnect.
    Flaps,
    /// Connections break, and the agents cannot reconnect until the end.
    IsCutOff,
    /// The agent says Bye, and returns at the end.
    IsShutDown,
}

/// All chapters. An hour takes ten seconds; the demo starts at 08:00.
pub(super) const STORY: [Chapter; 6] = [
    Chapter {
        from: 9.0,
        until: 17.0,
        who: Who::Host("db-01"),
        what: What::DiskFills,
        begins: "The disk of db-01 starts to fill; it is full in about a minute",
        ends: "An operator has cleaned up the disk of db-01",
    },
    Chapter {
        from: 10.0,
        until: 13.0,
        who: Who::Host("web-03"),
        what: What::Flaps,
        begins: "web-03 starts to flap: it loses its connection every few seconds",
        ends: "web-03 has a stable connection again",
    },
    Chapter {
        from: 12.0,
        until: 15.0,
        who: Who::Site("singapore"),
        what: What::IsCutOff,
        begins: "Site singapore drops off: the series of its hosts are gone at the next scrape",
        ends: "Site singapore is back",
    },
    Chapter {
        from: 18.0,
        until: 21.0,
        who: Who::Host("cache-02"),
        what: What::MemoryLeaks,
        begins: "A process on cache-02 leaks memory",
        ends: "The kernel has killed the process on cache-02 that leaked memory",
    },
    Chapter {
        from: 22.0,
        until: 7.0,
        who: Who::Host("queue-02"),
        what: What::IsShutDown,
        begins: "queue-02 is shut down: its agent says Bye, so the host is not missing",
        ends: "queue-02 has been started again",
    },
    Chapter {
        from: 1.0,
        until: 5.0,
        who: Who::Role("build"),
        what: What::CpuIsBusy,
        begins: "The nightly builds start: all hosts with the role build are busy",
        ends: "The nightly builds are done",
    },
];

impl Chapter {
    /// Returns how much of the chapter has passed, 0 to 1; `None` if it is not in progress.
    pub(super) fn progress(&self, time: DemoTime) -> Option<f64> {
        let length = (self.until - self.from).rem_euclid(HOURS);
        let passed = time.hour(-self.from);
        (passed < length).then(|| passed / length)
    }

    /// Returns whether it happens to this host.
    pub(super) fn affects(&self, agent: u32, roster: Roster) -> bool {
        match self.who {
            Who::Host(name) => host_name(agent) == name,
            Who::Site(name) => roster.site_of(agent).name == name,
            Who::Role(name) => role_of(agent).name == name,
        }
    }

    /// Returns the affected agents if their numbers are consecutive; `None` if the fleet has none.
    pub(super) fn agents(&self, roster: Roster) -> Option<AgentRange> {
        let range = match self.who {
            Who::Host(name) => AgentRange { first: roster.host(name)?, count: 1 },
            Who::Site(name) => roster.site(name)?,
            Who::Role(_) => return None,
        };
        (range.count > 0).then_some(range)
    }

    /// Returns whether the fleet has a host to which it happens.
    pub(super) fn has_hosts(&self, roster: Roster) -> bool {
        (0..roster.count).any(|agent| self.affects(agent, roster))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_chapter_happens_to_hosts_of_the_default_fleet() {
        let roster = Roster { count: 100 };
        for chapter in &STORY {
            assert!(chapter.has_hosts(roster), "{chapter:?}");
            let needs_range =
                matches!(chapter.what, What::Flaps | What::IsCutOff | What::IsShutDown);
            assert!(!needs_range || chapter.agents(roster).is_some(), "{chapter:?}");
        }
    }

    #[test]
    fn no_chapter_is_in_progress_when_the_demo_starts() {
        let start = DemoTime::after(Duration::ZERO);
        assert!(STORY.iter().all(|chapter| chapter.progress(start).is_none()));
    }

    #[test]
    fn chapter_passes_midnight() {
        let shut = STORY.iter().find(|chapter| chapter.what == What::IsShutDown).unwrap();
        let at = |hour: f64| DemoTime::after(Duration::from_secs_f64((hour - 8.0) * 10.0));
        assert_eq!(shut.progress(at(21.9)), None);
        assert!(shut.progress(at(22.1)).is_some_and(|progress| progress < 0.1));
        assert!(shut.progress(at(30.9)).is_some_and(|progress| progress > 0.9));
        assert_eq!(shut.progress(at(31.1)), None);
    }

    #[test]
    fn chapters_of_hosts_that_a_small_fleet_lacks_are_skipped() {
        let flaps = STORY.iter().find(|chapter| chapter.what == What::Flaps).unwrap();
        assert!(!flaps.has_hosts(Roster { count: 6 }));
        assert_eq!(flaps.agents(Roster { count: 6 }), None);
    }
}
