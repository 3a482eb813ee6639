//! Hosts that push reports on a schedule, evenly spread, so that a server wakes up for each report.
//!
//! Between schedules a fleet keeps its connections open and is silent, like hosts that are cut off
//! from the network. Dropping a fleet closes its connections, like killed hosts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::host_connection::HostConnection;
use crate::peer::{LaunchOptions, ReportMode};
use crate::reading::Reading;

/// Maximum number of reports awaiting a response. Without this limit, requests to a server that is
/// slower than the schedule would pile up and time out. With it, the measured rate is the one that
/// the server sustains.
const MAX_IN_FLIGHT: usize = 32;
/// Maximum time to send a report and receive its response.
const REPORT_TIMEOUT: Duration = Duration::from_secs(10);

/// When reports are due.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// Reports per second in total.
    pub rate: f64,
    /// Reports per host.
    pub rounds: u64,
    /// Length of the schedule. Reports that have not started within it are skipped.
    pub within: Duration,
}

/// Reports of a schedule that succeeded and failed.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Reports that succeeded: the server confirmed them or, in a protocol without responses, they
    /// were written completely.
    pub reports: u64,
    /// Bytes of these reports, without protocol overhead.
    pub payload: u64,
    /// Reports that failed.
    pub failed: u64,
    /// Error of the first failed report.
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

/// One connection and the hosts that report over it: one, or several behind a relay.
struct Sender {
    connection: HostConnection,
    newest: Vec<Reading>,
}

/// Hosts that push reports.
pub struct Fleet {
    senders: Vec<Sender>,
    written: Arc<AtomicU64>,
    permits: Arc<Semaphore>,
}

impl Fleet {
    /// Creates hosts without connecting them.
    #[must_use]
    pub fn new(
        report_mode: ReportMode,
        options: &LaunchOptions,
        hosts: std::ops::Range<usize>,
    ) -> Self {
        let options = Arc::new(options.clone());
        let written = Arc::new(AtomicU64::new(0));
        let kind = options.kind;
        let all: Vec<_> = hosts.map(|host| Reading { kind, host, sequence: 0 }).collect();
        let senders = all.chunks(report_mode.batch).map(|hosts| Sender {
            connection: HostConnection::new(
                report_mode,
                Arc::clone(&options),
                hosts[0].host,
                Arc::clone(&written),
            ),
            newest: hosts.to_vec(),
        });
        Self {
            senders: senders.collect(),
            written,
            permits: Arc::new(Semaphore::new(MAX_IN_FLIGHT)),
        }
    }

    /// Has the hosts report on this schedule. Returns the outcome.
    pub async fn drive(&mut self, schedule: Schedule) -> Outcome {
        let hosts: usize = self.senders.iter().map(|sender| sender.newest.len()).sum();
        let interval = Duration::from_secs_f64(hosts as f64 / schedule.rate);
        let gap = interval / self.senders.len().max(1) as u32;
        let start = Instant::now();
        let mut tasks = JoinSet::new();
        for (number, mut sender) in (0..).zip(self.senders.drain(..)) {
            let permits = Arc::clone(&self.permits);
            tasks.spawn(async move {
                let mut outcome = Outcome::default();
                for round in 0..schedule.rounds {
                    sleep_until(start + gap * number + interval * round as u32).await;
                    // The semaphore is never closed.
                    let Ok(_permit) = permits.acquire().await else { break };
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
            // A panic has been printed already.
            let Ok((sender, part)) = done else { continue };
            self.senders.push(sender);
            outcome.add(part);
        }
        outcome
    }

    /// Bytes written so far, including protocol overhead.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// The latest reported reading of each host.
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
        let failure = match timeout(REPORT_TIMEOUT, self.connection.report(&readings)).await {
            Ok(Ok(payload)) => {
                self.newest = readings;
                return Outcome { reports: hosts, payload: payload as u64, ..Outcome::default() };
            }
            Ok(Err(error)) => format!("{error:#}"),
            Err(_) => format!("no response within {} s", REPORT_TIMEOUT.as_secs()),
        };
        Outcome { failed: hosts, failure: Some(failure), ..Outcome::default() }
    }
}
