//! The messages between a parent and its workers: one JSON value per line, over a worker's
//! standard input and output.
//!
//! ```text
//! parent  WorkerConfig ─▶ Command ─▶ … ─▶ Finish, end of input
//! worker          Ready, Sample every second, Page for every page fetched, Finished
//! ```
//!
//! A worker exits when its standard input ends, so no worker outlives its parent.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::agent_account::AgentAccount;
use crate::agent_range::AgentRange;
use crate::host_profile::HostModel;
use crate::judge::verdict::Verdict;
use crate::pki::TestCa;
use crate::scrape::{self, Encoding};
use crate::tally::Tally;

/// Configuration of a worker. All its agents report to one collector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerConfig {
    /// The agents that this worker simulates.
    pub agents: AgentRange,
    /// The agents that the collector's page may show: more than `agents` if workers share a
    /// collector.
    pub visible: AgentRange,
    /// Agent number that the first agent's values encode: its own, except for clones.
    pub first_encoded_agent: u32,
    /// Number of static labels of each agent; see [`crate::sim_values::LABELS`].
    pub labels: u8,
    /// The hosts of the agents.
    pub hosts: HostModel,
    /// Collector address for agents.
    pub collector: SocketAddr,
    /// Collector address for HTTP.
    pub http: SocketAddr,
    /// Process id of the collector, if the load test started it.
    pub collector_pid: Option<u32>,
    /// Report interval, in milliseconds.
    pub interval_ms: u32,
    /// Seed of host and process nonces: the same agents with another seed are other hosts.
    pub seed: u64,
    /// How long due reports are batched before they are sent together, in milliseconds.
    pub batch_ms: u32,
    /// Number of reports per Ping. The Pong confirms that the collector has processed the report
    /// before it.
    pub reports_per_ping: u32,
    /// A report is late if it was processed more than this after it was due, in milliseconds.
    pub late_ms: u32,
    /// Extra time for pages to show a change, in addition to the judge's tolerances, in
    /// milliseconds.
    pub tolerance_ms: u32,
    /// How agents reconnect after a failure.
    pub backoff: BackoffPolicy,
    /// Certificate authority that issues the agents' certificates; `None` without TLS.
    pub tls: Option<TestCa>,
    /// Whether the agents keep logs of their reports.
    pub keeps_log: bool,
    /// Number of reports that each agent has in its log at the start.
    pub backlog_reports: u32,
}

impl WorkerConfig {
    /// Extra time for pages to show a change, in addition to the judge's tolerances.
    #[must_use]
    pub const fn tolerance(&self) -> Duration {
        Duration::from_millis(self.tolerance_ms as u64)
    }

    /// Timeout of a page that the worker judges.
    #[must_use]
    pub fn scrape_timeout(&self) -> Duration {
        scrape::judged_timeout(u64::from(self.visible.count) * self.hosts.profile.series() as u64)
    }
}

/// An agent that disconnects for a while reconnects within this time.
pub const MAX_AWAY: Duration = Duration::from_secs(3);
/// Extra time beyond [`MAX_AWAY`] for a returning agent to receive its Welcome.
pub const RETURN_GRACE: Duration = Duration::from_secs(10);

/// How agents reconnect after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackoffPolicy {
    /// After about a second.
    Quick,
    /// With the backoff of the real agent.
    Agent,
}

/// A command to a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Connect all agents.
    Ramp {
        /// Number of agents to connect per second.
        per_second: f64,
    },
    /// Disconnect random agents from now on, half by Bye and half by RST; each returns within
    /// [`MAX_AWAY`].
    Churn {
        /// Share of the agents that disconnects per second; 0 stops it.
        share_per_second: f64,
    },
    /// Fetch `/metrics/agents` once and judge it.
    ScrapeAgents {
        /// Name of the page in findings.
        what: String,
    },
    /// Fetch `/metrics` back to back and judge every page.
    ScrapeBackToBack {
        /// Name of the pages in findings.
        what: String,
        /// Content encoding to ask for.
        encoding: Encoding,
        /// Duration in milliseconds; at least one page is fetched.
        for_ms: u32,
    },
    /// Disconnect agents that are in a session.
    Disconnect {
        /// Agents to disconnect.
        agents: AgentSelector,
        /// How the agents disconnect.
        kind: DisconnectKind,
        /// What the agents do afterwards.
        after: AfterDisconnect,
    },
    /// Reconnect agents that stay away.
    Reconnect {
        /// Agents to reconnect.
        agents: AgentSelector,
    },
    /// Let agents use another collector from their next connection on. Requires logs.
    ChooseCollector {
        /// Agents that change their collector.
        agents: AgentSelector,
        /// Collector address for agents.
        collector: SocketAddr,
    },
    /// Emit an [`Event::Account`] for each agent. Requires logs.
    Account,
    /// End a phase: emit all counts, including those of unanswered Pings.
    Flush,
    /// Disconnect all agents for good, half by Bye and half by RST.
    Finish,
}

/// Selects agents of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentSelector {
    /// All agents of the worker.
    All,
    /// Each agent with this probability.
    Share(f64),
    /// The agents with these numbers.
    Range(AgentRange),
}

/// How an agent disconnects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisconnectKind {
    /// Bye, then FIN.
    Bye,
    /// FIN without Bye.
    Fin,
    /// RST without Bye, like a process that is killed with unread data.
    Reset,
    /// The socket stays open but is no longer used, like that of a process that hangs.
    Freeze,
}

/// Behaviour of an agent after it has disconnected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterDisconnect {
    /// Stays away until [`Command::Reconnect`].
    StayAway,
    /// Reconnects at a random moment within [`MAX_AWAY`].
    Return,
    /// Reconnects like the real agent after a Drain: at once if the session was stable.
    Move,
    /// Reconnects at once as another boot of its host.
    Reboot,
}

/// An event from a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The worker has accepted its configuration.
    Ready,
    /// Counts since the previous sample.
    Sample(Box<WorkerSample>),
    /// A page was fetched and judged, or could not be fetched.
    Page(Box<PageResult>),
    /// What an agent with a log has done so far.
    Account(Box<AgentAccount>),
    /// A [`Command::Disconnect`], [`Command::Account`] or [`Command::Flush`] has been carried out.
    CommandDone,
    /// All agents have disconnected for good.
    Finished {
        /// Number of agents whose socket did not accept the Bye.
        stuck: u32,
    },
}

/// State and counts of a worker, once a second.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkerSample {
    /// Number of agents in a session.
    pub present: u32,
    /// Number of agents that disconnected for a while and may still return in time.
    pub returning: u32,
    /// Number of agents that have reported at least once.
    pub reporting: u32,
    /// Number of agents with reports that their collector should have acknowledged.
    pub behind: u32,
    /// Counts since the previous sample.
    pub counts: Tally,
}

/// The outcome of fetching and judging a page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PageResult {
    /// Name of the page, from the command.
    pub what: String,
    /// Why the page could not be fetched; `None` if it was fetched.
    pub error: Option<String>,
    /// Time from the first byte of the request to the last byte of the response, in microseconds.
    pub took_us: u64,
    /// Length of the page, in bytes.
    pub bytes: u64,
    /// Number of samples on the page.
    pub samples: u64,
    /// Number of agents of this worker on the page.
    pub agents: u32,
    /// Numbers of the agents on the page that other workers simulate; at most 1,000 are listed.
    pub others: Vec<u32>,
    /// CPU time of the collector during the scrape, including its work on reports, in microseconds;
    /// `None` if unknown.
    pub cpu_us: Option<u64>,
    /// Number of reports written during the scrape.
    pub reports: u64,
    /// Findings on the page.
    pub verdict: Verdict,
    /// Whether another page of the same command follows.
    pub more: bool,
}
