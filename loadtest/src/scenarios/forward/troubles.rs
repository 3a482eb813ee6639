//! Causes the troubles of `forward`, one after the other, and ends them.

use std::time::Duration;

use fleetgauge_receiver::Answer;
use tokio::time::Instant;

use super::ForwardRun;
use crate::child::collector::CollectorProcess;
use crate::cli::forward_args::{ForwardArgs, Trouble};
use crate::worker_protocol::{AfterDisconnect, AgentSelector, Command, DisconnectKind};

/// Time that a slow engine takes for a request.
const SLOW: Duration = Duration::from_millis(500);

impl ForwardRun {
    /// Causes the troubles at even intervals during the test.
    pub(super) async fn cause_troubles(&mut self, args: &ForwardArgs) -> anyhow::Result<()> {
        let (begun, duration) = (Instant::now(), args.duration);
        let troubles: Vec<_> = args.timed_faults().collect();
        let part = duration / (troubles.len() as u32 + 1);
        for (number, trouble) in (1..).zip(troubles) {
            self.wait_until(begun + part * number).await?;
            self.run.fleet.record_event(&format!("{trouble:?}"));
            self.cause(trouble, args).await?;
        }
        self.wait_until(begun + duration).await
    }

    async fn wait_until(&mut self, deadline: Instant) -> anyhow::Result<()> {
        self.run.fleet.wait_until(deadline, |_| false).await.map(drop)
    }

    /// Causes a trouble, and ends it after a time.
    async fn cause(&mut self, trouble: Trouble, args: &ForwardArgs) -> anyhow::Result<()> {
        let length = args.fault_time;
        let status = |status, retry_after: Option<&str>| Answer::Status {
            status,
            retry_after: retry_after.map(ToOwned::to_owned),
        };
        match trouble {
            Trouble::EngineAway => {
                self.engine.receiver.pause().await;
                self.run.fleet.wait(length).await?;
                self.engine.receiver.resume()?;
            }
            Trouble::EngineSlow => {
                self.engine.receiver.faults().delay(SLOW);
                self.run.fleet.wait(length).await?;
                self.engine.receiver.faults().delay(Duration::ZERO);
            }
            Trouble::Engine429 => self.answer(status(429, Some("1")), length).await?,
            Trouble::Engine500 => self.answer(status(500, None), length).await?,
            Trouble::EngineHangs => {
                self.answer(Answer::Hang, length).await?;
                // Ends the requests that hang.
                self.engine.receiver.pause().await;
                self.engine.receiver.resume()?;
            }
            Trouble::EngineCut => self.answer(Answer::Cut { stored: true }, length).await?,
            Trouble::AgentsCut => {
                self.disconnect_all(DisconnectKind::Reset, AfterDisconnect::StayAway).await?;
                self.run.fleet.wait(length).await?;
                let agents = AgentSelector::All;
                self.run.fleet.send_all(&Command::Reconnect { agents }).await;
            }
            Trouble::CollectorKilled => self.kill_collectors(length).await?,
            Trouble::AgentsMoved => {
                self.move_agents(1).await?;
                self.run.fleet.wait(length).await?;
                self.move_agents(0).await?;
            }
            Trouble::CollectorsRestarted => self.restart_collectors(args).await?,
            // From start to end.
            Trouble::PoisonedSeries => {}
        }
        Ok(())
    }

    async fn answer(&mut self, answer: Answer, length: Duration) -> anyhow::Result<()> {
        self.engine.receiver.faults().answer(answer);
        self.run.fleet.wait(length).await?;
        self.engine.receiver.faults().answer(Answer::Normal);
        Ok(())
    }

    async fn kill_collectors(&mut self, length: Duration) -> anyhow::Result<()> {
        self.cpu.processes_end(&self.run);
        CollectorProcess::kill(&mut self.run.fleet.collectors).await?;
        self.run.fleet.wait(length).await?;
        CollectorProcess::restart(&mut self.run.fleet.collectors, &[]).await?;
        Ok(())
    }

    /// Lets the agents of each worker move to the collector that is this many places after theirs.
    async fn move_agents(&mut self, places: usize) -> anyhow::Result<()> {
        let addresses: Vec<_> =
            self.run.fleet.endpoints().iter().map(|collector| collector.agents).collect();
        for worker in 0..self.run.fleet.worker_count() {
            let collector = addresses[(worker + places) % addresses.len()];
            let agents = AgentSelector::All;
            self.run.fleet.send(worker, &Command::ChooseCollector { agents, collector }).await;
        }
        self.disconnect_all(DisconnectKind::Bye, AfterDisconnect::Return).await
    }

    pub(super) async fn disconnect_all(
        &mut self,
        kind: DisconnectKind,
        after: AfterDisconnect,
    ) -> anyhow::Result<()> {
        for worker in 0..self.run.fleet.worker_count() {
            self.run.fleet.disconnect(worker, AgentSelector::All, kind, after).await?;
        }
        Ok(())
    }
}
