//! Peers that mean harm: every kind of attack at a speed of its own, from addresses of its own, and what they were told.
//!
//! They run in a thread of the lowest urgency, for they would be other machines: what they take of this one is not the
//! collector's.

mod connection;
mod kind;
mod payloads;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::tally::{Causes, count};
pub use kind::AttackKind;
use payloads::AttackPayloads;
pub use payloads::FLOODERS;

/// How little the attackers' thread is in a hurry: other machines would not take this one's CPU.
const NICE: i32 = 15;
/// Connections of one kind that are open at once: what a process has room for is more.
const MAX_CONCURRENT: usize = 1_500;
/// An attack that the collector has not ended by then never will be: its longest patience is 10 s for half a frame, and
/// 5 s for Hello before that.
const ATTACK_TIMEOUT: Duration = Duration::from_secs(20);

/// What is attacked, how hard, and for how long.
#[derive(Debug, Clone)]
pub struct AttackTarget {
    /// Where agents are awaited.
    pub collector: SocketAddr,
    /// So many honest agents report there, whose ids are claimed.
    pub agents: u32,
    /// New connections a second, all kinds together.
    pub per_second: f64,
    /// For how long they come.
    pub duration: Duration,
}

/// What became of the attacks of a kind.
#[derive(Debug, Clone, Default, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct AttackStats {
    pub made: u64,
    /// By the code of the Reject; `welcomed` if that was the last word, `nothing` if none came.
    pub told: Causes,
}

/// All attacks, by kind.
pub type AttackResults = BTreeMap<&'static str, AttackStats>;

/// Begins; done when every attack is over.
///
/// # Errors
/// The system's.
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

/// All attacks of one kind.
async fn run_attacks(
    kind: AttackKind,
    payloads: Arc<AttackPayloads>,
    per_second: f64,
    duration: Duration,
) -> AttackStats {
    let mut attacks = AttackStats::default();
    let mut running = JoinSet::new();
    let mut tick = interval(Duration::from_secs_f64(1.0 / per_second));
    // Those that are late come together: it is the number that counts.
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let until = Instant::now() + duration;
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
            count(&mut attacks.told, answer);
        }
    }
    for answer in running.join_all().await {
        count(&mut attacks.told, answer);
    }
    attacks
}
