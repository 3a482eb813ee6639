//! Runs the comparison: measures all selected programs, one after the other.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use tokio::task::JoinSet;

use crate::cli::Cli;
use crate::hosts::Plan;
use crate::measure::{Idle, idle, measure};
use crate::peer::Peer;
use crate::peers;
use crate::results::{Measurement, Program, Results, Row, Vanishing};
use crate::vanish::{self, watch};

/// Measures all selected programs. Failures of a program are in the results.
///
/// # Errors
/// If no program is selected.
pub async fn run(cli: &Cli) -> anyhow::Result<Results> {
    let peers: Vec<_> =
        peers::all(cli.fleet).into_iter().filter(|peer| cli.selects(&**peer)).collect();
    ensure!(
        !peers.is_empty(),
        "--only: no program or setting contains {}; docs/peers.md lists them",
        cli.only.join(" or ")
    );
    let (interval, wait) = (cli.vanish_interval.as_secs_f64(), cli.vanish_wait.as_secs_f64());
    let plan = vanish::Plan { kind: cli.fleet, interval, wait };
    // The vanish test mostly waits, in processes of its own. It does not add to the measured CPU
    // time.
    let (results, vanishing) = tokio::join!(measure_all(cli, &peers), watch_all(&peers, plan));
    Ok(Results { vanishing, ..results })
}

/// Measures one program after the other.
async fn measure_all(cli: &Cli, peers: &[Arc<dyn Peer>]) -> Results {
    let (kind, rate, seconds) = (cli.fleet, cli.rate(), cli.seconds());
    let mut results = Results::new(kind, rate, seconds);
    for peer in peers {
        if idle_usage(&results, &**peer).is_none() {
            let time = Duration::from_secs_f64(seconds / 2.0);
            let idle = async |program: PathBuf| idle(&**peer, &program, kind, time).await;
            let idle = attempt(&**peer, idle).await;
            results.programs.push(Program::new(peer.product(), idle));
        }
    }
    for hosts in cli.hosts() {
        let plan = Plan { kind, hosts, rate, seconds };
        for peer in peers.iter().filter(|peer| peer.is_measured()) {
            let figures = match idle_usage(&results, &**peer) {
                Some(Measurement::Done(idle)) => {
                    attempt(&**peer, async |program| measure(&**peer, &program, plan, *idle).await)
                        .await
                }
                Some(Measurement::Failed(why)) => Measurement::Failed(why.clone()),
                None => continue,
            };
            let row = Row::new(&**peer, kind, hosts, figures);
            // Progress only: a closed standard error is no failure.
            let _ = writeln!(io::stderr(), "{hosts} hosts: {row}");
            results.rows.push(row);
        }
    }
    results
}

/// Usage of the program without hosts, once measured.
fn idle_usage<'a>(results: &'a Results, peer: &dyn Peer) -> Option<&'a Measurement<Idle>> {
    let same = |program: &&Program| program.name == peer.product().name;
    results.programs.iter().find(same).map(|program| &program.idle)
}

/// Runs a measurement if the program is installed.
async fn attempt<T>(
    peer: &dyn Peer,
    measurement: impl AsyncFnOnce(PathBuf) -> anyhow::Result<T>,
) -> Measurement<T> {
    match peer.find() {
        Ok(program) => measurement(program).await.into(),
        Err(what_to_install) => Measurement::Failed(what_to_install),
    }
}

/// Runs the vanish test of all programs concurrently, as it mostly waits.
async fn watch_all(peers: &[Arc<dyn Peer>], plan: vanish::Plan) -> Vec<Vanishing> {
    let mut watches = JoinSet::new();
    if plan.wait == 0.0 {
        return Vec::new();
    }
    for (index, peer) in peers.iter().cloned().enumerate() {
        let Some(decided_by) = peer.staleness_rule() else { continue };
        watches.spawn(async move {
            let gone = attempt(&*peer, async |program| watch(&*peer, &program, plan).await).await;
            let (name, setting) = (peer.product().name, peer.setting());
            (index, Vanishing { name, setting, decided_by, plan, gone })
        });
    }
    let mut results = watches.join_all().await;
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, vanishing)| vanishing).collect()
}
