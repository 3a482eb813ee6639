//! Makes the story happen: breaks and restores connections, and prints each event.

use std::time::Duration;

use indicatif::ProgressBar;
use tokio::time::{MissedTickBehavior, interval};

use super::clock::{Clock, DemoTime};
use super::console::print;
use super::roster::Roster;
use super::story::{Chapter, STORY, What};
use crate::engine::Handle;
use crate::worker_protocol::{AfterDisconnect, AgentSelector, Command, DisconnectKind};

/// How often the narrator looks at the clock.
const TICK: Duration = Duration::from_millis(500);
/// Number of ticks between two disconnects of a flapping agent, which returns within 3 s.
const FLAP_TICKS: u32 = 8;

/// Carries out the story until it is dropped.
pub(super) async fn narrate(clock: Clock, roster: Roster, fleet: &Handle, bar: &ProgressBar) {
    let mut narrator = Narrator { roster, in_progress: [None; STORY.len()] };
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let now = clock.now();
        let (texts, commands) = narrator.advance(now);
        for text in texts {
            print(bar, &format!("  {now}  {text}."));
        }
        for command in commands {
            fleet.send(command);
        }
    }
}

/// Which chapters are in progress.
struct Narrator {
    roster: Roster,
    /// Number of ticks since each chapter began.
    in_progress: [Option<u32>; STORY.len()],
}

impl Narrator {
    /// Advances the story by a tick. Returns what to print and what the fleet has to do.
    fn advance(&mut self, now: DemoTime) -> (Vec<&'static str>, Vec<Command>) {
        let (mut texts, mut commands) = (Vec::new(), Vec::new());
        for (chapter, ticks) in STORY.iter().zip(&mut self.in_progress) {
            if !chapter.has_hosts(self.roster) {
                continue;
            }
            let is_on = chapter.progress(now).is_some();
            match ticks.filter(|_| is_on) {
                None if is_on => {
                    *ticks = Some(0);
                    texts.push(chapter.begins);
                    commands.extend(disconnect(chapter, self.roster));
                }
                None if ticks.is_some() => {
                    *ticks = None;
                    texts.push(chapter.ends);
                    commands.extend(reconnect(chapter, self.roster));
                }
                None => {}
                Some(passed) => {
                    *ticks = Some(passed + 1);
                    if chapter.what == What::Flaps && (passed + 1).is_multiple_of(FLAP_TICKS) {
                        commands.extend(disconnect(chapter, self.roster));
                    }
                }
            }
        }
        (texts, commands)
    }
}

fn disconnect(chapter: &Chapter, roster: Roster) -> Option<Command> {
    let (kind, after) = match chapter.what {
        What::Flaps => (DisconnectKind::Reset, AfterDisconnect::Return),
        What::IsCutOff => (DisconnectKind::Reset, AfterDisconnect::StayAway),
        What::IsShutDown => (DisconnectKind::Bye, AfterDisconnect::StayAway),
        What::DiskFills | What::MemoryLeaks | What::CpuIsBusy => return None,
    };
    let agents = AgentSelector::Range(chapter.agents(roster)?);
    Some(Command::Disconnect { agents, kind, after })
}

fn reconnect(chapter: &Chapter, roster: Roster) -> Option<Command> {
    let is_away = matches!(chapter.what, What::IsCutOff | What::IsShutDown);
    let agents = AgentSelector::Range(chapter.agents(roster).filter(|_| is_away)?);
    Some(Command::Reconnect { agents })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs this many seconds of the story. Returns the texts, and the numbers of disconnects and
    /// reconnects.
    fn run(count: u32, seconds: u64) -> (Vec<&'static str>, usize, usize) {
        let mut narrator = Narrator { roster: Roster { count }, in_progress: [None; STORY.len()] };
        let (mut texts, mut commands) = (Vec::new(), Vec::new());
        for tick in 0..seconds * 2 {
            let now = DemoTime::after(TICK * u32::try_from(tick).unwrap());
            let (said, sent) = narrator.advance(now);
            texts.extend(said);
            commands.extend(sent);
        }
        let is_disconnect = |command: &&Command| matches!(command, Command::Disconnect { .. });
        let disconnects = commands.iter().filter(is_disconnect).count();
        (texts, disconnects, commands.len() - disconnects)
    }

    #[test]
    fn every_chapter_begins_and_ends_once_a_day() {
        let (texts, disconnects, reconnects) = run(100, 240);
        for chapter in &STORY {
            for text in [chapter.begins, chapter.ends] {
                assert_eq!(texts.iter().filter(|said| **said == text).count(), 1, "{text}");
            }
        }
        // The flapping host in its 30 s; the site and the host that is shut down once each.
        assert_eq!((disconnects, reconnects), (8 + 2, 2));
    }

    #[test]
    fn small_fleet_has_the_chapters_of_its_hosts_only() {
        let (texts, disconnects, _) = run(6, 60);
        assert_eq!(texts, [STORY[0].begins, STORY[2].begins]);
        assert_eq!(disconnects, 1);
    }
}
