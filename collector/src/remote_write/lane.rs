//! A lane: the queue of entries for one destination from a part of the fleet.
//!
//! An agent is always in the same lane, and a lane has one request in flight, so samples of a
//! series arrive in order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::entry::Entry;

/// Factor of the memory limit up to which stale markers and replayed reports are queued. They come
/// on top of live reports: if the engine is away, live reports that find no room stay in the logs
/// of agents, but markers are stored only here, and replayed reports were asked for.
const RESERVED_FACTOR: usize = 2;

/// Part of the memory limit up to which agents are asked for reports of their logs. A live report
/// waits behind those that are queued already, so they must not be many.
const REPLAY_SHARE: usize = 8;

/// Memory of the queues of a destination.
#[derive(Debug)]
pub(super) struct QueueMemory {
    max: usize,
    used: AtomicUsize,
}

impl QueueMemory {
    pub(super) fn new(max: usize) -> Self {
        Self { max, used: AtomicUsize::new(0) }
    }

    /// Takes memory for all entries. Returns whether there was enough.
    fn take(&self, entries: &[Arc<Entry>], is_reserved: bool) -> bool {
        let max = if is_reserved { RESERVED_FACTOR * self.max } else { self.max };
        let bytes: usize = entries.iter().map(|entry| entry.bytes()).sum();
        let add = |used: usize| used.checked_add(bytes).filter(|used| *used <= max);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok()
    }

    /// Whether there is room for replayed reports.
    pub(super) fn has_room(&self) -> bool {
        self.used.load(Ordering::Relaxed) < self.max / REPLAY_SHARE
    }

    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The queue of a lane.
#[derive(Debug)]
pub(super) struct Lane {
    memory: Arc<QueueMemory>,
    queue: Mutex<Queue>,
    /// Wakes the sender.
    changed: Notify,
    limits: BatchLimits,
}

/// When a batch is sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct BatchLimits {
    /// Number of series of a full batch. A batch has more if one report has.
    pub(super) series: usize,
    /// Maximum time that an entry waits for a full batch.
    pub(super) delay: Duration,
}

#[derive(Debug, Default)]
struct Queue {
    entries: VecDeque<(Instant, Arc<Entry>)>,
    /// Number of series of all entries, as a measure of their size.
    series: usize,
    /// Number of entries of agents that have left, which do not wait.
    ends: usize,
    /// Time of the oldest entry of the batch that is being sent, in unix milliseconds.
    in_flight: Option<i64>,
    is_stopping: bool,
}

/// Entries that are sent together. Those of agents that have left are in other batches than others.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) entries: Vec<Arc<Entry>>,
    /// Memory of the entries, given back when the batch is dropped.
    bytes: usize,
    memory: Arc<QueueMemory>,
}

impl Batch {
    /// Whether it is of agents that have left.
    pub(super) fn is_end(&self) -> bool {
        self.entries.first().is_some_and(|entry| entry.is_end())
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.memory.give_back(self.bytes);
    }
}

impl Lane {
    pub(super) fn new(memory: &Arc<QueueMemory>, limits: BatchLimits) -> Self {
        let (queue, changed) = (Mutex::default(), Notify::new());
        Self { memory: Arc::clone(memory), queue, changed, limits }
    }

    /// Appends entries. Returns `false` if the destination's queues have no room for all of them.
    /// `is_reserved` is whether they may take the memory beyond that of live reports.
    pub(super) fn push(&self, entries: &[Arc<Entry>], is_reserved: bool) -> bool {
        if !self.memory.take(entries, is_reserved) {
            return false;
        }
        let mut queue = self.queue.lock();
        // The first entry starts the delay.
        let was_empty = queue.entries.is_empty();
        let now = Instant::now();
        for entry in entries {
            queue.entries.push_back((now, Arc::clone(entry)));
            queue.series += entry.present().len();
            queue.ends += usize::from(entry.is_end());
        }
        let wakes = was_empty || queue.is_due(&self.limits);
        drop(queue);
        if wakes {
            self.changed.notify_one();
        }
        true
    }

    /// Returns the number of series in the queue, without those of the batch being sent.
    pub(super) fn pending(&self) -> usize {
        self.queue.lock().series
    }

    /// Returns the time of the oldest entry in the queue and in the batch being sent, in unix
    /// milliseconds.
    pub(super) fn oldest(&self) -> Option<i64> {
        let queue = self.queue.lock();
        let queued = queue.entries.front().map(|(_, entry)| entry.unix_ms);
        queued.into_iter().chain(queue.in_flight).min()
    }

    /// Lets [`Self::next_batch`] return what is queued without delay, and then `None`.
    pub(super) fn stop(&self) {
        self.queue.lock().is_stopping = true;
        self.changed.notify_one();
    }

    /// Waits for the next batch. Returns `None` once the lane is stopped and empty. The batch
    /// before it counts as being sent until this call.
    pub(super) async fn next_batch(&self) -> Option<Batch> {
        self.queue.lock().in_flight = None;
        loop {
            let wait = {
                let mut queue = self.queue.lock();
                match queue.entries.front() {
                    None if queue.is_stopping => return None,
                    None => None,
                    Some((since, _)) => {
                        let due = *since + self.limits.delay;
                        let now = Instant::now();
                        if due <= now || queue.is_stopping || queue.is_due(&self.limits) {
                            return Some(queue.take_batch(&self.limits, &self.memory));
                        }
                        Some(due - now)
                    }
                }
            };
            let changed = self.changed.notified();
            match wait {
                None => changed.await,
                // The timeout ends the delay.
                Some(wait) => drop(tokio::time::timeout(wait, changed).await),
            }
        }
    }
}

impl Queue {
    /// Whether there is a reason to send before the delay has passed.
    fn is_due(&self, limits: &BatchLimits) -> bool {
        self.series >= limits.series || self.ends > 0
    }

    fn take_batch(&mut self, limits: &BatchLimits, memory: &Arc<QueueMemory>) -> Batch {
        let mut batch = Batch { entries: Vec::new(), bytes: 0, memory: Arc::clone(memory) };
        let mut series = 0;
        while let Some((_, next)) = self.entries.front() {
            let fits =
                series + next.present().len() <= limits.series && batch.is_end() == next.is_end();
            if !fits && !batch.entries.is_empty() {
                break;
            }
            let Some((_, next)) = self.entries.pop_front() else { break };
            series += next.present().len();
            self.ends -= usize::from(next.is_end());
            batch.bytes += next.bytes();
            batch.entries.push(next);
        }
        // Reports of an agent can share their labels. Their order stays.
        batch.entries.sort_by(|one, other| one.agent().cmp(other.agent()));
        self.series -= series;
        self.in_flight = batch.entries.iter().map(|entry| entry.unix_ms).min();
        if self.entries.capacity() > 64 + 8 * self.entries.len() {
            self.entries.shrink_to_fit();
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::encode::CellSet;
    use super::super::entry::Content;
    use super::*;
    use crate::registry::Layout;

    fn entry(agent: &str, unix_ms: i64, is_end: bool) -> Arc<Entry> {
        let layout = Arc::new(Layout::default());
        let content = Content::Markers { series: CellSet::of(&layout, &[]), is_end };
        Arc::new(Entry { labels: format!("agent=\"{agent}\"").into(), layout, content, unix_ms })
    }

    fn lane(series: usize) -> Lane {
        let limits = BatchLimits { series, delay: Duration::ZERO };
        Lane::new(&Arc::new(QueueMemory::new(1 << 20)), limits)
    }

    async fn next(lane: &Lane) -> Vec<(String, i64)> {
        let batch = lane.next_batch().await.unwrap();
        batch.entries.iter().map(|entry| (entry.agent().to_owned(), entry.unix_ms)).collect()
    }

    #[tokio::test]
    async fn reports_of_an_agent_follow_each_other_in_a_batch() {
        let lane = lane(4);
        for (agent, unix_ms) in [("b", 1), ("a", 1), ("b", 2), ("a", 3), ("a", 4)] {
            assert!(lane.push(&[entry(agent, unix_ms, false)], false));
        }
        let batch = next(&lane).await;
        let expected = [("a", 1), ("a", 3), ("b", 1), ("b", 2)];
        assert_eq!(batch, expected.map(|(agent, unix_ms)| (agent.to_owned(), unix_ms)));
        assert_eq!(next(&lane).await, [("a".to_owned(), 4)]);
    }

    #[tokio::test]
    async fn agents_that_have_left_are_in_batches_of_their_own() {
        let lane = lane(100);
        for (agent, is_end) in [("a", false), ("b", false), ("a", true), ("c", true), ("b", false)]
        {
            assert!(lane.push(&[entry(agent, 1, is_end)], true));
        }
        for expected in [["a", "b"].as_slice(), &["a", "c"], &["b"]] {
            let batch = next(&lane).await;
            let agents: Vec<_> = batch.iter().map(|(agent, _)| &**agent).collect();
            assert_eq!(agents, expected);
        }
    }
}
