//! Runs the comparison of senders, one after the other.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;
use tokio::task::JoinSet;

use super::account::findings;
use super::args::{ForwardArgs, Plan};
use super::cost::{cost, idle};
use super::results::{Figures, Results, Row, StaleRow};
use super::rig::Rig;
use super::sender::{self, Sender};
use super::stale;
use super::trial::{self, Trial};
use crate::machine::{self, Machine};
use crate::measure::Idle;
use crate::results::{Measurement, Program};

/// Length of the measurement without hosts.
const IDLE_TIME: Duration = Duration::from_secs(10);
/// Length of the outage in which the sender is killed, unless outages are shorter.
const SHORT_OUTAGE: Duration = Duration::from_secs(20);

/// Measures all selected senders. Failures of a sender are in the results.
///
/// # Errors
/// If no sender is selected.
pub async fn run(args: &ForwardArgs) -> anyhow::Result<Results> {
    let senders: Vec<_> =
        sender::all().into_iter().filter(|sender| sender.is_selected(&args.only)).collect();
    ensure!(!senders.is_empty(), "--only: no sender contains {}", args.only.join(" or "));
    let plan = args.plan();
    // That test mostly waits, in processes of its own.
    let (results, stale) =
        tokio::join!(measure_all(plan, &senders), watch_all(plan, args.stale_wait, &args.only));
    Ok(Results { stale, ..results })
}

async fn measure_all(plan: Plan, senders: &[Sender]) -> Results {
    let (machine, series) = (Machine::this(), plan.kind.series());
    let (programs, rows, stale) = (Vec::new(), Vec::new(), Vec::new());
    let mut results = Results { machine, plan, series, programs, rows, stale };
    for sender in senders {
        let name = sender.name;
        let known = results.programs.iter().position(|program| program.name == name);
        let index = known.unwrap_or(results.programs.len());
        if known.is_none() {
            let time = IDLE_TIME.min(plan.window);
            let idle = attempt(sender, async |program| idle(sender, &program, plan, time).await);
            let version = machine::version(sender.package);
            results.programs.push(Program { name, version, idle: idle.await });
        }
        let figures = match results.programs.get(index).map(|program| &program.idle) {
            Some(Measurement::Done(idle)) => {
                let idle = *idle;
                attempt(sender, async |program| measure(sender, program, plan, idle).await).await
            }
            other => Measurement::Failed(other.map_or("", Measurement::failure).to_owned()),
        };
        let row = Row { name, setting: sender.setting, figures };
        // Progress only: a closed standard error is no failure.
        let _ = writeln!(io::stderr(), "{row}");
        results.rows.push(row);
    }
    results
}

async fn measure(
    sender: &Sender,
    program: PathBuf,
    plan: Plan,
    idle: Idle,
) -> anyhow::Result<Figures> {
    let mut rig = Rig::start(sender, &program, plan, false).await?;
    let cost = cost(&rig, idle).await?;
    let mut trials = Vec::new();
    if sender.is_tried {
        let short = SHORT_OUTAGE.min(plan.outage);
        let all = [Trial::Outage(plan.outage), Trial::Killed, Trial::KilledInOutage(short)];
        for trial in all {
            trials.push(trial::run(&mut rig, trial).await?);
        }
    }
    let findings = findings(&rig.receiver.ledger());
    Ok(Figures { cost, trials, findings })
}

/// Runs a measurement if the program is installed.
async fn attempt<T>(
    sender: &Sender,
    measurement: impl AsyncFnOnce(PathBuf) -> anyhow::Result<T>,
) -> Measurement<T> {
    match sender.find() {
        Ok(program) => measurement(program).await.into(),
        Err(what_to_install) => Measurement::Failed(what_to_install),
    }
}

/// Measures when series end, for all programs at the same time.
async fn watch_all(plan: Plan, wait: Duration, only: &[String]) -> Vec<StaleRow> {
    let mut watches = JoinSet::new();
    if wait.is_zero() {
        return Vec::new();
    }
    let tried =
        sender::all().into_iter().filter(|sender| sender.is_tried && sender.is_selected(only));
    for (index, sender) in tried.enumerate() {
        watches.spawn(async move {
            let watch =
                async |program: PathBuf| stale::measure(&sender, &program, plan, wait).await;
            let stale = attempt(&sender, watch).await;
            (index, StaleRow { name: sender.name, is_scraper: sender.is_scraper(), stale })
        });
    }
    let mut rows = watches.join_all().await;
    rows.sort_by_key(|(index, _)| *index);
    rows.into_iter().map(|(_, row)| row).collect()
}
