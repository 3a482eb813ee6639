//! One run: every program that is wanted and installed, one after the other.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use tokio::task::JoinSet;

use crate::cli::Cli;
use crate::crowd::Plan;
use crate::measure::{Idle, idle, measure};
use crate::peer::Peer;
use crate::peers;
use crate::results::{Found, Program, Results, Row, Vanishing};
use crate::vanish::{self, watch};

/// Runs what is wanted.
///
/// # Errors
/// Nothing is wanted. What goes wrong with a program is in the results.
pub async fn run(cli: &Cli) -> anyhow::Result<Results> {
    let peers: Vec<_> = peers::all().into_iter().filter(|peer| cli.wants(&**peer)).collect();
    ensure!(!peers.is_empty(), "--only: nothing there is contains {}", cli.only.join(" or "));
    let plan = vanish::Plan { interval: cli.vanish_interval, wait: cli.vanish_wait };
    // Watching is waiting: its few hosts cost the machine next to nothing, and the others no CPU time of their own.
    let (results, vanishing) = tokio::join!(measure_all(cli, &peers), watch_all(&peers, plan));
    Ok(Results { vanishing, ..results })
}

/// Measures one program after the other.
async fn measure_all(cli: &Cli, peers: &[Arc<dyn Peer>]) -> Results {
    let mut results = Results::new(cli.rate, cli.seconds);
    for peer in peers {
        if known(&results, &**peer).is_none() {
            let time = Duration::from_secs_f64(cli.seconds / 2.0);
            let idle = look(&**peer, async |program| idle(&**peer, &program, time).await).await;
            results.programs.push(Program::new(peer.product(), idle));
        }
    }
    for &hosts in &cli.hosts {
        let plan = Plan { hosts, rate: cli.rate, seconds: cli.seconds };
        for peer in peers.iter().filter(|peer| peer.is_measured()) {
            let figures = match known(&results, &**peer) {
                Some(Found::Seen(idle)) => {
                    look(&**peer, async |program| measure(&**peer, &program, plan, *idle).await)
                        .await
                }
                Some(Found::Unseen(why)) => Found::Unseen(why.clone()),
                None => continue,
            };
            let row = Row::new(&**peer, hosts, figures);
            // Tells whoever waits; that nobody does is no reason to fail.
            let _ = writeln!(io::stderr(), "{hosts} hosts: {row}");
            results.rows.push(row);
        }
    }
    results
}

/// What is known of the program.
fn known<'a>(results: &'a Results, peer: &dyn Peer) -> Option<&'a Found<Idle>> {
    let same = |program: &&Program| program.name == peer.product().name;
    results.programs.iter().find(same).map(|program| &program.idle)
}

/// What came of looking at a program, if it is installed.
async fn look<T>(
    peer: &dyn Peer,
    look: impl AsyncFnOnce(PathBuf) -> anyhow::Result<T>,
) -> Found<T> {
    match peer.find() {
        Ok(program) => look(program).await.into(),
        Err(what_to_install) => Found::Unseen(what_to_install),
    }
}

/// Lets hosts vanish from all programs at the same time: it is mostly waiting.
async fn watch_all(peers: &[Arc<dyn Peer>], plan: vanish::Plan) -> Vec<Vanishing> {
    let mut watches = JoinSet::new();
    if plan.wait == 0.0 {
        return Vec::new();
    }
    for (place, peer) in peers.iter().cloned().enumerate() {
        let Some(decided_by) = peer.departure() else { continue };
        watches.spawn(async move {
            let gone = look(&*peer, async |program| watch(&*peer, &program, plan).await).await;
            let (name, setting) = (peer.product().name, peer.setting());
            (place, Vanishing { name, setting, decided_by, plan, gone })
        });
    }
    let mut seen = watches.join_all().await;
    seen.sort_by_key(|(place, _)| *place);
    seen.into_iter().map(|(_, vanishing)| vanishing).collect()
}
