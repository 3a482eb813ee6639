//! Ids that are used twice: clones of living hosts must be refused by name and change nothing. A
//! host that was started again must be welcomed, whether its former connection is closed or silent.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;

use super::args::ClonesArgs;
use super::failure::Failure;
use super::scene::Scene;
use crate::orders::{Command, Manner, Numbers, Order, Retry, Then, Who};
use crate::parts::SOME;
use crate::progress::Progress;
use crate::results::Results;
use crate::summary::Quantiles;
use crate::tally::Times;

/// What a refused clone must be told.
const CONFLICT: &str = "id_conflict";
/// How long clones may take to be refused, in all. Shorter than the wait before they try again, so
/// that each tries once.
const REFUSED_WITHIN: Duration = Duration::from_secs(20);
/// How long a rebooted host may take to be welcomed: five seconds in which the holder of its id is
/// asked whether it lives, a quarter until that is looked at, and the rest for the machine.
const READMITTED_WITHIN: Duration = Duration::from_millis(6_500);
/// How long is waited for that.
const PATIENCE: Duration = Duration::from_secs(9);
/// Between two pages that are judged while clones try.
const JUDGED_EVERY: Duration = Duration::from_millis(500);

/// What became of clones and of hosts that were started again.
#[derive(Debug, Serialize)]
pub struct Clones {
    /// Clones of living hosts.
    pub clones: Refusals,
    /// Hosts started again, from the end of their connection or from the first attempt to connect
    /// to Welcome.
    pub readmitted: BTreeMap<&'static str, Quantiles>,
}

/// What clones were told.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Refusals {
    pub tried: u32,
    pub welcomed: u64,
    pub refused: BTreeMap<String, u64>,
}

/// Who is who.
struct Cast {
    /// Live on; the first of them are cloned, and then started again.
    incumbents: Numbers,
    /// Are frozen, and started again elsewhere.
    frozen: Numbers,
    cloned: Numbers,
    all: Numbers,
}

/// The workers, in the order in which they are started.
const INCUMBENTS: usize = 0;
const FROZEN: usize = 1;
const CLONES: usize = 2;
const REBOOTED: usize = 3;

impl Cast {
    fn new(args: &ClonesArgs) -> Self {
        let agents = args.fleet.agents;
        let twice = ((f64::from(agents) * args.share / 100.0).round() as u32).clamp(1, agents / 2);
        Self {
            incumbents: Numbers { first: 0, count: agents - twice },
            frozen: Numbers { first: agents - twice, count: twice },
            cloned: Numbers { first: 0, count: twice },
            all: Numbers { first: 0, count: agents },
        }
    }
}

/// Does it all.
///
/// # Errors
/// What keeps it from being done: no room, no collector, a worker that ended.
pub async fn clones(args: &ClonesArgs) -> anyhow::Result<Results> {
    let plan = args.fleet.plan(1, Retry::Agent, args.fleet.flags());
    let mut scene = Scene::without_workers("clones", plan).await?;
    let (cast, order) = (Cast::new(args), scene.orders()?);
    for agents in [cast.incumbents, cast.frozen] {
        scene.fleet.hire(&order(agents), &[]).await?;
    }
    scene.bring_up(&args.fleet).await?;
    scene.judge_all("before").await?;
    let clones = clone(&mut scene, &cast, order(cast.cloned)).await?;
    let closed = reboot_closed(&mut scene, &cast).await?;
    // A host that was started again may be refused until its former session is gone, and takes the
    // place of the frozen one: nobody else's session ends.
    scene.fleet.end_part_of_reboots("reboots with a closed connection").await?;
    let silent = reboot_silent(&mut scene, order(cast.frozen)).await?;
    scene.fleet.end_part_of_reboots("reboots with a silent connection").await?;
    scene.settle().await?;
    scene.judge_all("after the reboots").await?;
    scene.fleet.end_part_of_reboots("after the reboots").await?;
    scene.fleet.dismiss(FROZEN).await?;
    let readmitted = [("connection closed", closed), ("connection silent", silent)];
    let readmitted = readmitted.map(|(how, times)| (how, Quantiles::from(&times)));
    let settings = json!({
        "agents": args.fleet.agents,
        "interval_seconds": args.fleet.interval().as_secs_f64(),
        "cloned_percent": args.share,
    });
    scene.finish(settings, Clones { clones, readmitted: readmitted.into() }).await
}

/// Other hosts claim the ids of living ones, each once.
async fn clone(scene: &mut Scene, cast: &Cast, order: Order) -> anyhow::Result<Refusals> {
    scene.fleet.note("clones");
    scene.fleet.begin_part("clones");
    scene.fleet.progress = Some(Progress::of_time("clones", REFUSED_WITHIN));
    // Their values are those of agents that do not exist, so that one of them on a page is seen.
    let marks_from = cast.all.count;
    let order = Order { marks_from, seed: !order.seed, ..order };
    let worker = scene.fleet.hire(&order, &[]).await?;
    scene.fleet.spare(worker);
    scene.fleet.all_ready().await?;
    debug_assert_eq!(worker, CLONES, "workers are started in this order");
    let tried = cast.cloned.count;
    scene.fleet.tell(CLONES, &Command::Ramp { per_second: f64::from(tried.max(10)) }).await;
    let until = Instant::now() + REFUSED_WITHIN;
    loop {
        let next = until.min(Instant::now() + JUDGED_EVERY);
        scene.fleet.until(next, |_| false).await?;
        scene.judge_all("while clones try").await?;
        let counts = scene.fleet.counts(CLONES);
        let told = counts.welcomed + counts.refused.values().sum::<u64>();
        if told >= u64::from(tried) || Instant::now() >= until {
            break;
        }
    }
    let counts = scene.fleet.counts(CLONES).clone();
    scene.fleet.dismiss(CLONES).await?;
    // Clones are not welcomed: nobody else notices them.
    scene.fleet.end_measured_part("while clones try", SOME).await?;
    let named = counts.refused.get(CONFLICT).copied().unwrap_or(0);
    if counts.welcomed > 0 {
        scene.found("clones", [Failure::CloneAdmitted { clones: counts.welcomed }]);
    }
    if named != u64::from(tried) {
        scene.found("clones", [Failure::CloneUnnamed { named, of: tried.into() }]);
    }
    scene.fleet.verdict.checked("clones", tried.into());
    Ok(Refusals { tried, welcomed: counts.welcomed, refused: counts.refused })
}

/// Hosts whose connection is reset come back at once as another boot.
async fn reboot_closed(scene: &mut Scene, cast: &Cast) -> anyhow::Result<Times> {
    scene.fleet.note("reboots, closed");
    scene.fleet.begin_part("reboots, closed");
    let before = scene.fleet.counts(INCUMBENTS).times.away.clone();
    let (who, of) = (Who::Numbers(cast.cloned), u64::from(cast.cloned.count));
    scene.fleet.leave(INCUMBENTS, who, Manner::Reset, Then::Reboot).await?;
    readmitted(scene, "reboots with a closed connection", of, |scene| {
        scene.fleet.counts(INCUMBENTS).times.away.since(&before)
    })
    .await
}

/// Hosts that were frozen are started again elsewhere, while their connections are still open.
async fn reboot_silent(scene: &mut Scene, order: Order) -> anyhow::Result<Times> {
    scene.fleet.note("reboots, silent");
    scene.fleet.begin_part("reboots, silent");
    scene.fleet.freeze(FROZEN)?;
    let order = Order { seed: !order.seed, ..order };
    let worker = scene.fleet.hire(&order, &[]).await?;
    debug_assert_eq!(worker, REBOOTED, "workers are started in this order");
    let patience = PATIENCE + scene.fleet.tolerance;
    scene.fleet.until(Instant::now() + patience, |fleet| fleet.is_ready(REBOOTED)).await?;
    let agents = order.agents.count;
    scene.fleet.tell(REBOOTED, &Command::Ramp { per_second: f64::from(agents) }).await;
    let of = u64::from(agents);
    readmitted(scene, "reboots with a silent connection", of, |scene| {
        scene.fleet.counts(REBOOTED).times.connect.clone()
    })
    .await
}

/// Waits until so many were welcomed; what is wrong with that is found.
async fn readmitted(
    scene: &mut Scene,
    what: &str,
    of: u64,
    times: impl Fn(&Scene) -> Times,
) -> anyhow::Result<Times> {
    let within = PATIENCE + scene.fleet.tolerance;
    scene.fleet.progress = Some(Progress::of_time(what, within));
    let until = Instant::now() + within;
    while times(scene).count() < of && Instant::now() < until {
        scene.fleet.wait(Duration::from_millis(100)).await?;
    }
    let times = times(scene);
    if times.count() < of {
        let agents = of - times.count();
        scene.found(what, [Failure::NotReadmitted { agents, of, within }]);
    }
    let longest = Duration::from_secs_f64(times.longest_ms() / 1e3);
    let bound = READMITTED_WITHIN + scene.fleet.tolerance;
    if longest > bound {
        scene.found(what, [Failure::ReadmittedLate { longest, bound }]);
    }
    scene.fleet.verdict.checked("reboots", of);
    Ok(times)
}
