//! A sender with its fleet and its engine.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{bail, ensure};
use fleetgauge_receiver::{Receiver, ReceiverSettings};
use tokio::time::{Instant, sleep};

use super::account::Account;
use super::agents::Agents;
use super::args::Plan;
use super::offered::Offered;
use super::process::Process;
use super::sender::Sender;
use crate::targets::Targets;

/// Maximum time until the engine has a sample of each host, in addition to two intervals.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Polling interval.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// The hosts of a rig.
enum Hosts {
    Agents(Agents),
    Targets(Targets),
}

/// A running sender with its fleet and its engine. Dropping it ends all.
pub(super) struct Rig<'a> {
    pub(super) sender: &'a Sender,
    pub(super) plan: Plan,
    pub(super) process: Process<'a>,
    /// A second collector, which agents use when the first one is gone; only kept alive.
    _second: Option<Process<'a>>,
    pub(super) receiver: Receiver,
    pub(super) offered: Arc<Offered>,
    hosts: Hosts,
}

impl<'a> Rig<'a> {
    /// Starts all, and waits until the engine has a sample of each host. `second`: whether agents
    /// have a second collector.
    pub(super) async fn start(
        sender: &'a Sender,
        program: &Path,
        plan: Plan,
        second: bool,
    ) -> anyhow::Result<Self> {
        let receiver = Receiver::start(ReceiverSettings::default())?;
        let offered = Arc::new(Offered::new(plan.hosts, plan.interval, sender.is_scraper()));
        let url = receiver.url();
        let (process, other, hosts);
        if sender.is_scraper() {
            let targets = Targets::serve(plan.kind, plan.hosts, Some(Arc::clone(&offered)))?;
            process = Process::start(sender, program, plan, targets.port, &url).await?;
            (other, hosts) = (None, Hosts::Targets(targets));
        } else {
            process = Process::start(sender, program, plan, 0, &url).await?;
            other = match second {
                true => Some(Process::start(sender, program, plan, 0, &url).await?),
                false => None,
            };
            let processes = [Some(&process), other.as_ref()];
            let collectors: Vec<_> =
                processes.iter().flatten().map(|one| one.options.tcp).collect();
            hosts = Hosts::Agents(Agents::start(plan, &collectors, &offered)?);
        }
        let rig = Self { sender, plan, process, _second: other, receiver, offered, hosts };
        rig.wait_for_hosts().await?;
        Ok(rig)
    }

    /// Waits until the engine has a sample of each host.
    async fn wait_for_hosts(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + 2 * self.plan.interval + START_TIMEOUT;
        loop {
            let account = self.account();
            let lacks = |ledger: &_| {
                (0..self.plan.hosts).filter(|host| account.gauge(ledger, *host).is_none()).count()
            };
            let missing = lacks(&self.receiver.ledger());
            if missing == 0 {
                return Ok(());
            }
            if let Some(failure) = self.failure() {
                bail!(failure);
            }
            ensure!(Instant::now() < deadline, "{missing} hosts have not arrived at the engine");
            sleep(POLL_INTERVAL).await;
        }
    }

    /// The comparison of this rig.
    pub(super) fn account(&self) -> Account<'_> {
        let labels = self.sender.host_labels();
        Account { kind: self.plan.kind, labels, offered: &self.offered }
    }

    /// Lets some hosts end: their connections close.
    pub(super) fn vanish(&self, hosts: Range<usize>) {
        match &self.hosts {
            Hosts::Agents(agents) => agents.vanish(hosts),
            Hosts::Targets(targets) => targets.vanish(hosts, 0..0),
        }
    }

    /// Why the first agent that gave up did so.
    pub(super) fn failure(&self) -> Option<String> {
        match &self.hosts {
            Hosts::Agents(agents) => agents.failure(),
            Hosts::Targets(_) => None,
        }
    }
}
