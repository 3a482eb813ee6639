//! What a run's parent and its workers say to each other: one JSON value a line, down a worker's standard input
//! and up its standard output.
//!
//! ```text
//! parent  Order ─▶ Command ─▶ … ─▶ Finish, end of input
//! worker          Ready, Sample every second, Inspected for every Inspect, Left
//! ```
//!
//! A worker ends when its input does, so that none outlives its parent.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::pki::Authority;
use crate::results::Verdict;
use crate::scrape::Encoding;
use crate::tally::Tally;

/// Agents numbered in sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbers {
    /// The first.
    pub first: u32,
    /// How many.
    pub count: u32,
}

impl Numbers {
    /// From the first to the one after the last.
    #[must_use]
    pub const fn range(self) -> Range<u32> {
        self.first..self.first + self.count
    }

    /// Where a number is among them; `None` if it is not.
    #[must_use]
    pub fn place(self, number: u32) -> Option<usize> {
        self.range().contains(&number).then(|| (number - self.first) as usize)
    }
}

/// What a worker is to simulate: agents that all report to one collector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// The agents it simulates, which its ledger is about.
    pub agents: Numbers,
    /// Those whose names may be on the collector's page: other workers' too where they share a collector.
    pub known: Numbers,
    /// The number that the first agent's values carry: its own, but for clones, which have others' names.
    pub marks_from: u32,
    /// How many static labels each has, see [`crate::value::LABELS`].
    pub labels: u8,
    /// Where they report to.
    pub collector: SocketAddr,
    /// Where that collector shows its pages.
    pub http: SocketAddr,
    /// The collector's process, if it is ours.
    pub pid: Option<u32>,
    /// Time between an agent's reports, in milliseconds.
    pub interval_ms: u32,
    /// What hosts and processes are known by comes from it: the same agents by another seed are other hosts.
    pub seed: u64,
    /// Due reports are gathered for so long, in milliseconds, and sent together.
    pub tick_ms: u32,
    /// One report in so many is followed by a Ping, whose Pong says that it was taken in.
    pub reports_per_ping: u32,
    /// A report is late if it was taken in so long after it was due, in milliseconds.
    pub late_ms: u32,
    /// How much later a page may show a change than the judge grants, in milliseconds.
    pub tolerance_ms: u32,
    /// How agents come back after a failure.
    pub backoff: Retry,
    /// Who gives the agents their certificates, if they speak TLS.
    pub tls: Option<Authority>,
}

impl Order {
    /// How much later a page may show a change than the judge grants.
    #[must_use]
    pub const fn tolerance(&self) -> Duration {
        Duration::from_millis(self.tolerance_ms as u64)
    }
}

/// Who leaves for a while, by chance or because a Drain asked for it, tries to come back within
/// this.
pub const LEFT_FOR: Duration = Duration::from_secs(3);
/// How much longer it may take to be welcomed again.
pub const BACK_WITHIN: Duration = Duration::from_secs(10);

/// How agents come back after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// After about a second.
    Quick,
    /// As the real agent does.
    Agent,
}

/// What a worker is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Bring up all agents.
    Ramp {
        /// So many in a second.
        per_second: f64,
    },
    /// From now on agents leave by chance, half by Bye, half by RST, and are back within three seconds.
    Churn {
        /// The share of them that leaves in a second; 0 ends it.
        share_per_second: f64,
    },
    /// Fetch the agents' page and judge it.
    Inspect {
        /// What it is called in findings.
        what: String,
    },
    /// Fetch the whole page back to back, and judge every one.
    Scrape {
        /// What they are called in findings.
        what: String,
        /// How they come.
        encoding: Encoding,
        /// For how long, in milliseconds; at least once.
        for_ms: u32,
    },
    /// Agents that are connected leave.
    Leave {
        /// Which.
        who: Who,
        /// How.
        manner: Manner,
        /// What they do then.
        then: Then,
    },
    /// Agents that stay away connect again.
    Return {
        /// Which.
        who: Who,
    },
    /// A part of the test ends: tell what was counted, with what is unanswered.
    Flush,
    /// All leave for good, half by Bye, half by RST.
    Finish,
}

/// Which agents.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// All.
    All,
    /// Each with this chance.
    Share(f64),
    /// Those with these numbers.
    Numbers(Numbers),
}

/// How an agent leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Manner {
    /// Bye, then FIN.
    Bye,
    /// FIN without a word.
    Fin,
    /// RST, and no word: what remains of a process that was killed with data under way.
    Reset,
    /// The socket stays open, and nothing is written or read any more: a process that hangs.
    Freeze,
}

/// What an agent does after it has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// Nothing until it is told to return.
    StayAway,
    /// It comes back at a moment of its own, at the latest after [`LEFT_FOR`].
    Return,
    /// It is back at once as another boot of its host.
    Reboot,
}

/// What a worker says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The order is understood.
    Ready,
    /// What happened since the sample before.
    Sample(Box<Sample>),
    /// A page was fetched, or could not be.
    Inspected(Box<Inspected>),
    /// What [`Command::Leave`] or [`Command::Flush`] asked for has been done.
    Done,
    /// All agents have left.
    Left {
        /// So many could not say so, their writing being stuck.
        stuck: u32,
    },
}

/// A second of a worker.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Agents in a session now.
    pub present: u32,
    /// Agents that have left for a while, and may still come back in time.
    pub returning: u32,
    /// Agents that have ever reported.
    pub reporting: u32,
    /// What was counted since the sample before.
    pub counts: Tally,
}

/// What a page took and what was found on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inspected {
    /// As the command called it.
    pub what: String,
    /// Why there was no page.
    pub error: Option<String>,
    /// From the request's first byte to the response's last, in microseconds.
    pub took_us: u64,
    /// Length of the page, in bytes.
    pub bytes: u64,
    /// Its samples.
    pub samples: u64,
    /// This worker's agents on it.
    pub agents: u32,
    /// Agents of others on it: the first thousand that are known.
    pub others: Vec<u32>,
    /// CPU time of the collector meanwhile, in which it also took reports in, in microseconds.
    pub cpu_us: Option<u64>,
    /// Reports written meanwhile.
    pub reports: u64,
    /// What was found.
    pub verdict: Verdict,
    /// Another page of the same command follows.
    pub more: bool,
}
