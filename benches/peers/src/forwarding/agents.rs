//! The simulated agents of a run.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::agent::Agent;
use super::args::Plan;
use super::offered::Offered;

/// Agents, each in a task of its own. Dropping them closes their connections.
pub(super) struct Agents {
    tasks: Vec<JoinHandle<()>>,
    failure: Arc<Mutex<Option<String>>>,
}

impl Agents {
    /// Starts the agents, evenly spread over an interval.
    pub(super) fn start(
        plan: Plan,
        collectors: &[SocketAddr],
        offered: &Arc<Offered>,
    ) -> anyhow::Result<Self> {
        let (start, failure) = (Instant::now(), Arc::<Mutex<Option<String>>>::default());
        let mut tasks = Vec::new();
        for host in 0..plan.hosts {
            let first = start + plan.interval.mul_f64(host as f64 / plan.hosts as f64);
            let (collectors, offered) = (collectors.to_vec(), Arc::clone(offered));
            let agent = Agent::new(host, plan.kind, collectors, offered, plan.interval, first)?;
            let failure = Arc::clone(&failure);
            tasks.push(tokio::spawn(async move {
                let error = agent.run().await;
                let mut failure = failure.lock().unwrap_or_else(PoisonError::into_inner);
                failure.get_or_insert(format!("{error:#}"));
            }));
        }
        Ok(Self { tasks, failure })
    }

    /// Closes the connections of some agents for good.
    pub(super) fn vanish(&self, hosts: Range<usize>) {
        for task in self.tasks.get(hosts).unwrap_or_default() {
            task.abort();
        }
    }

    /// Why the first agent that gave up did so.
    pub(super) fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Agents {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}
