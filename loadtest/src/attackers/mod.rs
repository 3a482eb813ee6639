//! Attackers: each kind of attack runs at its own rate and from its own addresses, and counts the
//! collector's answers.
//!
//! They run on a thread of low priority: they stand for other machines, and must not take CPU time
//! from the collector.

mod connection;
mod kind;
mod payloads;
mod sessions;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use crate::tally::{Causes, count};
pub use kind::AttackKind;
use payloads::AttackPayloads;
pub use payloads::FLOODERS;

/// Nice value of the attackers' thread.
const NICE: i32 = 15;
/// Maximum concurrent connections per kind of attack, so that the process has enough file
/// descriptors.
const MAX_CONCURRENT: usize = 1_500;
/// Maximum duration of an attack. A correct collector ends it earlier: it waits 5 s for Hello and
/// 10 s for the rest of a frame.
const ATTACK_TIMEOUT: Duration = Duration::from_secs(20);

/// The attacked collector, and the rate and length of the attack.
#[derive(Debug, Clone)]
pub struct AttackTarget {
    /// Collector address for agents.
    pub collector: SocketAddr,
    /// Number of honest agents, whose ids the attackers claim.
    pub agents: u32,
    /// New connections per second, all kinds together.
    pub per_second: f64,
    /// Duration of the attack.
    pub duration: Duration,
}

/// Number of attacks of one kind and their answers.
#[derive(Debug, Clone, Default, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct AttackStats {
    pub made: u64,
    /// Last answers by Reject code; `welcomed` for a Welcome, `nothing` if there was no answer.
    pub answers: Causes,
}

/// Outcome of all attacks, by kind.
pub type AttackResults = BTreeMap<&'static str, AttackStats>;

/// Starts a thread that runs the attacks and ends with the last of them.
///
/// # Errors
/// If the thread cannot be started.
pub fn launch(target: AttackTarget) -> std::io::Result<JoinHandle<std::io::Result<AttackResults>>> {
    std::thread::Builder::new().name("attackers".to_owned()).spawn(move || {
        #[cfg(target_os = "linux")]
        rustix::process::nice(NICE)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let payloads = AttackPayloads::try_new(&target).map_err(std::io::Error::other)?;
        Ok(runtime.block_on(run_all(target, Arc::new(payloads))))
    })
}

async fn run_all(target: AttackTarget, payloads: Arc<AttackPayloads>) -> AttackResults {
    let kinds = AttackKind::ALL.map(|kind| {
        let (payloads, per_second) = (Arc::clone(&payloads), target.per_second * kind.share());
        async move { (kind.name(), run_attacks(kind, payloads, per_second, target.duration).await) }
    });
    kinds.into_iter().collect::<JoinSet<_>>().join_all().await.into_iter().collect()
}

/// Runs all attacks of one kind.
async fn run_attacks(
    kind: AttackKind,
    payloads: Arc<AttackPayloads>,
    per_second: f64,
    duration: Duration,
) -> AttackStats {
    let mut attacks = AttackStats::default();
    let mut running = JoinSet::new();
    let period = Duration::from_secs_f64(1.0 / per_second);
    let until = Instant::now() + duration;
    // Kinds of the same rate take turns: expensive attacks at the same moment would be a burst.
    let turn = f64::from(kind as u8) / AttackKind::ALL.len() as f64;
    let mut tick = interval_at(Instant::now() + period.mul_f64(turn), period);
    // Ticks that are late fire at once, because the total number matters.
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    while tick.tick().await < until {
        if running.len() < MAX_CONCURRENT {
            let (payloads, number) = (Arc::clone(&payloads), attacks.made);
            running.spawn(async move {
                let answer = timeout(ATTACK_TIMEOUT, kind.run(&payloads, number)).await;
                answer.unwrap_or(connection::NOTHING)
            });
            attacks.made += 1;
        }
        while let Some(Ok(answer)) = running.try_join_next() {
            count(&mut attacks.answers, answer);
        }
    }
    for answer in running.join_all().await {
        count(&mut attacks.answers, answer);
    }
    attacks
}
