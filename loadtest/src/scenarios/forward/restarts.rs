//! A rolling restart: each collector in turn is drained, stopped, started again, and gets some of
//! the agents back.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::bail;
use tokio::time::Instant;

use super::ForwardRun;
use super::failure::ForwardFailure;
use super::operator;
use super::roster::RosterWatch;
use crate::child::collector::CollectorProcess;
use crate::cli::forward_args::ForwardArgs;
use crate::fault::judge_fault::JudgeFault;
use crate::judge::finding::Finding;
use crate::scenarios::self_metrics::SelfMetrics;
use crate::usage;

/// Interval between two requests for a collector's state.
const POLL: Duration = Duration::from_millis(100);
/// Maximum time from the start of a collector until it is ready.
const READY_TIMEOUT: Duration = Duration::from_secs(30);
/// Report intervals that agents get between two moves. An agent whose session was shorter than two
/// intervals waits up to 5 s before it reconnects.
const INTERVALS_BETWEEN_MOVES: u32 = 4;
/// Gauge of a collector with the number of its agents.
const CONNECTED: &str = "fleetgauge_agents_connected";
/// Name of the fault in findings.
const WHEN: &str = "during the rolling restart";

impl ForwardRun {
    /// Restarts all collectors one after the other, and watches the engine meanwhile.
    pub(super) async fn restart_collectors(&mut self, args: &ForwardArgs) -> anyhow::Result<()> {
        let (ledger, fleet) = (self.engine.receiver.shared_ledger(), &args.fleet);
        let allowed = args.max_absence();
        let roster = RosterWatch::start(ledger, fleet.agents, fleet.labels, allowed);
        let collectors = self.run.fleet.collectors.len();
        for index in 0..collectors {
            let next = (index + 1) % collectors;
            if args.judge_fault == Some(JudgeFault::NoDrain) {
                self.replace_killed(index, args.fault_time).await?;
                continue;
            }
            self.drain(index, next, 1.0, args).await?;
            self.restart(index).await?;
            self.drain(next, index, 1.0 / collectors as f64, args).await?;
        }
        let (figures, failures) = roster.finish();
        self.roster = Some(figures);
        self.run.fleet.verdict.checked("looks at the roster", figures.looks());
        self.run.fleet.verdict.add(WHEN, failures);
        Ok(())
    }

    /// Asks a share of the agents of a collector to leave for another one, and waits until they
    /// are there and their sessions are stable.
    async fn drain(
        &mut self,
        from: usize,
        to: usize,
        share: f64,
        args: &ForwardArgs,
    ) -> anyhow::Result<()> {
        let (source, target) = (self.http(from), self.run.fleet.collectors[to].agents);
        let before = connected(source).await;
        let asked = operator::drain(source, target, share, args.fault_time).await?;
        self.run.fleet.record_event(&format!("{asked} agents are asked to leave"));
        let remaining = before.saturating_sub(asked);
        let all = u64::from(args.fleet.agents);
        let within = args.fault_time + args.recovery_timeout;
        let until = Instant::now() + within;
        loop {
            self.run.fleet.wait(POLL).await?;
            let left = connected(source).await;
            let mut present = 0;
            for collector in 0..self.run.fleet.collectors.len() {
                present += connected(self.http(collector)).await;
            }
            if left == remaining && present == all {
                break;
            }
            if Instant::now() > until {
                let agents = left.abs_diff(remaining).max(all.abs_diff(present));
                let failure = ForwardFailure::NotMoved { agents, of: asked, within };
                self.run.fleet.verdict.add(WHEN, [failure]);
                break;
            }
        }
        self.run.fleet.wait(INTERVALS_BETWEEN_MOVES * args.fleet.interval()).await
    }

    /// Restarts a collector with SIGTERM, and waits until it is ready.
    async fn restart(&mut self, index: usize) -> anyhow::Result<()> {
        self.run.fleet.record_event("a collector is restarted");
        self.process_ends(index);
        if let Err(how) = self.run.fleet.collectors[index].terminate().await {
            self.run.fleet.verdict.add(WHEN, [Finding::CollectorFailed { how }]);
        }
        self.start_again(index).await
    }

    /// Kills a collector with its agents, and starts it again after a time.
    async fn replace_killed(&mut self, index: usize, away: Duration) -> anyhow::Result<()> {
        self.process_ends(index);
        CollectorProcess::kill(&mut self.run.fleet.collectors[index..=index]).await?;
        self.run.fleet.wait(away).await?;
        self.start_again(index).await
    }

    async fn start_again(&mut self, index: usize) -> anyhow::Result<()> {
        CollectorProcess::restart(&mut self.run.fleet.collectors[index..=index], &[]).await?;
        let until = Instant::now() + READY_TIMEOUT;
        while !operator::is_ready(self.http(index)).await {
            if Instant::now() > until {
                bail!("a restarted collector is not ready after {} s", READY_TIMEOUT.as_secs());
            }
            self.run.fleet.wait(POLL).await?;
        }
        Ok(())
    }

    fn process_ends(&mut self, index: usize) {
        let pid = self.run.fleet.collectors[index].pid();
        self.cpu.process_ends(usage::sum([pid].into_iter()));
    }

    fn http(&self, collector: usize) -> SocketAddr {
        self.run.fleet.collectors[collector].http
    }
}

/// Number of agents of a collector; 0 if it does not answer.
async fn connected(http: SocketAddr) -> u64 {
    SelfMetrics::fetch(http).await.map_or(0, |metrics| metrics.value(CONNECTED))
}
