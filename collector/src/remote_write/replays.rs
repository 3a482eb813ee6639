//! The scheduler of replays: few agents send their logs at a time, those with the shortest first.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::peers::handle::{ConnectionHandle, Signal};

/// Maximum agents that send their logs at a time. Each takes the memory of a second set of values
/// meanwhile.
const MAX_REPLAYS: usize = 64;

/// Decides which agents send their logs.
#[derive(Debug, Default)]
pub(crate) struct ReplayScheduler(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Agents that wait, by number of missing reports and session.
    waiting: BTreeMap<(u64, u64), Arc<ConnectionHandle>>,
    /// Number of missing reports of each waiting session.
    missing: HashMap<u64, u64>,
    /// Sessions of the agents that send their logs.
    running: HashMap<u64, Running>,
}

#[derive(Debug)]
struct Running {
    handle: Arc<ConnectionHandle>,
    /// Whether the queues had no room, so that the agent must be asked again later.
    is_paused: bool,
}

impl ReplayScheduler {
    /// Requests a replay of this many reports. Raises [`Signal::Replay`] once it may begin.
    pub(crate) fn request(&self, handle: &Arc<ConnectionHandle>, missing: u64) {
        let mut state = self.0.lock();
        let session = handle.session();
        if state.running.contains_key(&session) || state.missing.contains_key(&session) {
            return;
        }
        state.missing.insert(session, missing);
        state.waiting.insert((missing, session), Arc::clone(handle));
        state.start();
    }

    /// Notes that the queues have no room for the replay of this session. It is woken again soon.
    pub(crate) fn pause(&self, session: u64) {
        if let Some(running) = self.0.lock().running.get_mut(&session) {
            running.is_paused = true;
        }
    }

    /// Ends the replay of a session, or its wait for one.
    pub(crate) fn release(&self, session: u64) {
        let mut state = self.0.lock();
        if let Some(missing) = state.missing.remove(&session) {
            state.waiting.remove(&(missing, session));
        }
        state.running.remove(&session);
        state.start();
    }

    /// Wakes the sessions that are paused.
    pub(crate) fn wake_paused(&self) {
        for running in self.0.lock().running.values_mut() {
            if std::mem::take(&mut running.is_paused) {
                running.handle.raise(Signal::Replay);
            }
        }
    }

    /// Returns the number of agents that send their logs, and of those that wait.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let state = self.0.lock();
        (state.running.len(), state.waiting.len())
    }
}

impl State {
    fn start(&mut self) {
        while self.running.len() < MAX_REPLAYS
            && let Some(((_, session), handle)) = self.waiting.pop_first()
        {
            self.missing.remove(&session);
            handle.raise(Signal::Replay);
            self.running.insert(session, Running { handle, is_paused: false });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handle(session: u64) -> Arc<ConnectionHandle> {
        ConnectionHandle::new(session, ([127, 0, 0, 1], 1).into(), 0)
    }

    fn is_signalled(handle: &ConnectionHandle) -> bool {
        handle.take_signals().has(Signal::Replay)
    }

    #[test]
    fn shortest_log_is_next_when_a_replay_ends() {
        let scheduler = ReplayScheduler::default();
        let first: Vec<_> = (0..MAX_REPLAYS as u64).map(handle).collect();
        for handle in &first {
            scheduler.request(handle, 5);
            assert!(is_signalled(handle));
        }
        let [long, short] = [handle(1_000), handle(1_001)];
        scheduler.request(&long, 500);
        scheduler.request(&short, 2);
        assert!(!is_signalled(&long) && !is_signalled(&short));
        assert_eq!(scheduler.counts(), (MAX_REPLAYS, 2));
        scheduler.release(first[3].session());
        assert!(is_signalled(&short) && !is_signalled(&long));
        // A session that ends while it waits.
        scheduler.release(long.session());
        scheduler.release(first[4].session());
        assert!(!is_signalled(&long));
        assert_eq!(scheduler.counts(), (MAX_REPLAYS - 1, 0));
    }

    #[test]
    fn request_that_is_repeated_changes_nothing() {
        let scheduler = ReplayScheduler::default();
        let own = handle(1);
        scheduler.request(&own, 5);
        scheduler.request(&own, 50);
        assert_eq!(scheduler.counts(), (1, 0));
    }

    #[test]
    fn paused_replay_is_woken_once() {
        let scheduler = ReplayScheduler::default();
        let own = handle(1);
        scheduler.request(&own, 5);
        assert!(is_signalled(&own));
        scheduler.wake_paused();
        assert!(!is_signalled(&own));
        scheduler.pause(1);
        scheduler.wake_paused();
        assert!(is_signalled(&own));
        scheduler.wake_paused();
        assert!(!is_signalled(&own));
    }
}
