//! Measures how fast the engine has the logs with which all agents start, as after an outage.

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::ForwardRun;
use super::cpu_meter::CpuMeter;
use super::failure::ForwardFailure;
use super::figures::Received;
use super::lag::LagMeter;
use crate::cli::forward_args::ForwardArgs;
use crate::results::quantiles::Quantiles;
use crate::usage;

/// Interval between two judged pages meanwhile: judging takes CPU time from what is measured.
const PAGE_INTERVAL: Duration = Duration::from_secs(20);

/// Outcome, from the first connection until the collectors have acknowledged all logs.
#[derive(Debug, Serialize)]
pub(super) struct BacklogFigures {
    /// Reports of each agent at the start.
    reports_per_agent: u32,
    caught_up_seconds: f64,
    /// Samples that the engine received, live ones included.
    samples: u64,
    repeated: u64,
    samples_per_second: f64,
    cpu_per_sample_us: f64,
    few_ticks: bool,
    bytes_per_sample: f64,
    /// Age of the newest sample of an agent when it arrived.
    age: Quantiles,
    resident_peak_bytes: Option<u64>,
}

impl ForwardRun {
    /// Connects all agents and waits until their logs are acknowledged, while pages are judged.
    pub(super) async fn catch_up_backlog(
        &mut self,
        args: &ForwardArgs,
    ) -> anyhow::Result<BacklogFigures> {
        let (fleet, ledger) = (&args.fleet, self.engine.receiver.shared_ledger());
        self.run.fleet.wait_until_ready().await?;
        let lag = LagMeter::start(ledger, fleet.agents, fleet.labels, fleet.hosts.profile);
        let (cpu, begun) = (CpuMeter::start(&self.run), Instant::now());
        self.run.fleet.connect_all(fleet.agents, fleet.ramp).await?;
        self.run.fleet.begin_phase("backlog");
        let is_done = self.wait_for_logs(args, begun + args.recovery_timeout).await?;
        let took = begun.elapsed().as_secs_f64();
        let received = Received::of(&self.engine.receiver.ledger());
        let cpu = cpu.total(&self.run);
        self.run.fleet.collect_pages().await?;
        self.run.fleet.close_phase().await?;
        let mut failures = Vec::new();
        if !is_done {
            let (agents, within) = (self.run.fleet.behind(), args.recovery_timeout);
            failures.push(ForwardFailure::NotAcknowledged { agents, of: fleet.agents, within });
        }
        let (oldest, allowed) = (lag.times().longest_ms(), args.max_live_age);
        if args.out_of_order && oldest > allowed.as_secs_f64() * 1e3 {
            let age = Duration::from_secs_f64(oldest / 1e3);
            failures.push(ForwardFailure::LiveLate { age, allowed });
        }
        self.run.fleet.verdict.add("during the backlog", failures);
        let samples = received.samples().max(1) as f64;
        Ok(BacklogFigures {
            reports_per_agent: args.backlog_reports(),
            caught_up_seconds: took,
            samples: received.samples(),
            repeated: received.repeated(),
            samples_per_second: samples / took,
            cpu_per_sample_us: cpu.as_secs_f64() * 1e6 / samples,
            few_ticks: usage::is_of_few_ticks(cpu, args.collectors),
            bytes_per_sample: received.bytes() as f64 / samples,
            age: Quantiles::from(&lag.times()),
            resident_peak_bytes: usage::peak(self.run.collector_pids().into_iter()),
        })
    }

    /// Returns whether all logs were acknowledged in time.
    async fn wait_for_logs(
        &mut self,
        args: &ForwardArgs,
        deadline: Instant,
    ) -> anyhow::Result<bool> {
        let agents = args.fleet.agents;
        let done = |fleet: &crate::fleet::Fleet| fleet.present() == agents && fleet.behind() == 0;
        while Instant::now() < deadline {
            let next_page = deadline.min(Instant::now() + PAGE_INTERVAL);
            if self.run.fleet.wait_until(next_page, done).await? {
                return Ok(true);
            }
            if !self.run.fleet.has_pending_pages() {
                self.run.request_all("during the backlog").await;
            }
        }
        Ok(false)
    }
}
