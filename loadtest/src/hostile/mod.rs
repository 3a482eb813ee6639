//! Peers that mean harm: every kind of attack at a speed of its own, from addresses of its own, and what they were told.
//!
//! They run in a thread of the lowest urgency, for they would be other machines: what they take of this one is not the
//! collector's.

mod kind;
mod peer;
mod weapons;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::tally::{Causes, count};
pub use kind::Kind;
pub use weapons::FLOODERS;
use weapons::Weapons;

/// How little the attackers' thread is in a hurry: other machines would not take this one's CPU.
const NICE: i32 = 15;
/// Connections of one kind that are open at once: what a process has room for is more.
const MOST_AT_ONCE: usize = 1_500;
/// An attack that the collector has not ended by then never will be: its longest patience is 10 s for half a frame, and
/// 5 s for Hello before that.
const LONGEST: Duration = Duration::from_secs(20);

/// What is attacked, how hard, and for how long.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where agents are awaited.
    pub collector: SocketAddr,
    /// So many honest agents report there, whose ids are claimed.
    pub agents: u32,
    /// New connections a second, all kinds together.
    pub per_second: f64,
    /// For how long they come.
    pub time: Duration,
}

/// What became of the attacks of a kind.
#[derive(Debug, Clone, Default, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Attacks {
    pub made: u64,
    /// By the code of the Reject; `welcomed` if that was the last word, `nothing` if none came.
    pub told: Causes,
}

/// All attacks, by kind.
pub type Campaign = BTreeMap<&'static str, Attacks>;

/// Begins; done when every attack is over.
///
/// # Errors
/// The system's.
pub fn launch(target: Target) -> std::io::Result<JoinHandle<std::io::Result<Campaign>>> {
    std::thread::Builder::new().name("attackers".to_owned()).spawn(move || {
        #[cfg(target_os = "linux")]
        rustix::process::nice(NICE)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let weapons = Weapons::try_new(&target).map_err(std::io::Error::other)?;
        Ok(runtime.block_on(attack(target, Arc::new(weapons))))
    })
}

async fn attack(target: Target, weapons: Arc<Weapons>) -> Campaign {
    let kinds = Kind::ALL.map(|kind| {
        let (weapons, per_second) = (Arc::clone(&weapons), target.per_second * kind.share());
        async move { (kind.name(), wage(kind, weapons, per_second, target.time).await) }
    });
    kinds.into_iter().collect::<JoinSet<_>>().join_all().await.into_iter().collect()
}

/// All attacks of one kind.
async fn wage(kind: Kind, weapons: Arc<Weapons>, per_second: f64, time: Duration) -> Attacks {
    let mut attacks = Attacks::default();
    let mut under_way = JoinSet::new();
    let mut tick = interval(Duration::from_secs_f64(1.0 / per_second));
    // Those that are late come together: it is the number that counts.
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let until = Instant::now() + time;
    while tick.tick().await < until {
        if under_way.len() < MOST_AT_ONCE {
            let (weapons, number) = (Arc::clone(&weapons), attacks.made);
            under_way.spawn(async move {
                let told = timeout(LONGEST, kind.strike(&weapons, number)).await;
                told.unwrap_or(peer::NOTHING)
            });
            attacks.made += 1;
        }
        while let Some(Ok(told)) = under_way.try_join_next() {
            count(&mut attacks.told, told);
        }
    }
    for told in under_way.join_all().await {
        count(&mut attacks.told, told);
    }
    attacks
}
