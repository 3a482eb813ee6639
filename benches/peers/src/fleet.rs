//! Hosts that report on a schedule: evenly spread, so that a server is woken for each report.
//!
//! A fleet is driven for a while and then stands still, its connections open. Who is dropped is gone as a
//! killed host is; who is merely not driven is silent as one is whose cable was cut.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::line::Line;
use crate::peer::{Link, Place};
use crate::reading::Reading;

/// Most reports that await their answer at once: a server that is slower than the schedule is not heaped up with
/// requests until they time out, but found out by how many it takes.
const AT_ONCE: usize = 32;
/// How long a report may take.
const REPORT_TIMEOUT: Duration = Duration::from_secs(10);

/// When reports are due.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// Host reports a second, over the whole fleet.
    pub rate: f64,
    /// Reports a host.
    pub rounds: u64,
    /// Reports that have not had their turn by then are left out.
    pub within: Duration,
}

/// What came of driving a fleet.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Host reports that were answered or, where there is no answer, written.
    pub reports: u64,
    /// Their bytes, without those of the protocol around them.
    pub payload: u64,
    /// Host reports that failed.
    pub failed: u64,
    /// Why the first of them did.
    pub failure: Option<String>,
}

impl Outcome {
    fn add(&mut self, other: Self) {
        self.reports += other.reports;
        self.payload += other.payload;
        self.failed += other.failed;
        self.failure = self.failure.take().or(other.failure);
    }
}

/// Who reports over one line: a host, or those behind a relay.
struct Sender {
    line: Line,
    newest: Vec<Reading>,
}

/// Hosts and their lines.
pub struct Fleet {
    senders: Vec<Sender>,
    written: Arc<AtomicU64>,
    turns: Arc<Semaphore>,
}

impl Fleet {
    /// Hosts that have not connected yet.
    #[must_use]
    pub fn new(link: Link, place: &Place, hosts: std::ops::Range<usize>) -> Self {
        let place = Arc::new(place.clone());
        let written = Arc::new(AtomicU64::new(0));
        let all: Vec<_> = hosts.map(|host| Reading { host, sequence: 0 }).collect();
        let senders = all.chunks(link.together).map(|hosts| Sender {
            line: Line::new(link, Arc::clone(&place), hosts[0].host, Arc::clone(&written)),
            newest: hosts.to_vec(),
        });
        Self { senders: senders.collect(), written, turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Reports by the schedule until it is done.
    pub async fn drive(&mut self, schedule: Schedule) -> Outcome {
        let hosts: usize = self.senders.iter().map(|sender| sender.newest.len()).sum();
        let interval = Duration::from_secs_f64(hosts as f64 / schedule.rate);
        let gap = interval / self.senders.len().max(1) as u32;
        let start = Instant::now();
        let mut tasks = JoinSet::new();
        for (number, mut sender) in (0..).zip(self.senders.drain(..)) {
            let turns = Arc::clone(&self.turns);
            tasks.spawn(async move {
                let mut outcome = Outcome::default();
                for round in 0..schedule.rounds {
                    sleep_until(start + gap * number + interval * round as u32).await;
                    // It is never closed.
                    let Ok(_turn) = turns.acquire().await else { break };
                    if start.elapsed() > schedule.within {
                        break;
                    }
                    outcome.add(sender.report().await);
                }
                (sender, outcome)
            });
        }
        let mut outcome = Outcome::default();
        while let Some(done) = tasks.join_next().await {
            // A task that panicked has said so.
            let Ok((sender, part)) = done else { continue };
            self.senders.push(sender);
            outcome.add(part);
        }
        outcome
    }

    /// Bytes written so far, those of protocols included.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// The newest readings that were reported.
    pub fn newest(&self) -> impl Iterator<Item = Reading> {
        let all = self.senders.iter().flat_map(|sender| sender.newest.iter().copied());
        all.filter(|reading| reading.sequence > 0)
    }
}

impl Sender {
    async fn report(&mut self) -> Outcome {
        let hosts = self.newest.len() as u64;
        let next = |reading: &Reading| Reading { sequence: reading.sequence + 1, ..*reading };
        let readings: Vec<_> = self.newest.iter().map(next).collect();
        let failure = match timeout(REPORT_TIMEOUT, self.line.report(&readings)).await {
            Ok(Ok(payload)) => {
                self.newest = readings;
                return Outcome { reports: hosts, payload: payload as u64, ..Outcome::default() };
            }
            Ok(Err(error)) => format!("{error:#}"),
            Err(_) => format!("not answered within {} s", REPORT_TIMEOUT.as_secs()),
        };
        Outcome { failed: hosts, failure: Some(failure), ..Outcome::default() }
    }
}
