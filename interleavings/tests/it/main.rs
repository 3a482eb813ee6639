//! The registry under many schedules. Agents connect, are taken over, change their catalogs and
//! rows, and leave while snapshots are taken. Each snapshot must match one moment of each agent.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod history;
mod stage;

use std::sync::Arc;

use shuttle::rand::Rng;
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Runner, thread};

use stage::{IDS, LABELLED_CATALOG, Stage};

/// Number of random schedules, and of schedules with few context switches, per scene.
const SCHEDULES: usize = 1_000;

/// Runs a scene under many schedules: random ones, and ones with few context switches in the worst
/// positions.
fn under_many_schedules(scene: fn()) {
    let config = shuttle::Config::new();
    Runner::new(RandomScheduler::new_from_seed(1, SCHEDULES), config.clone()).run(scene);
    Runner::new(PctScheduler::new_from_seed(2, 4, SCHEDULES), config).run(scene);
}

#[test]
fn agent_that_is_taken_over_is_in_every_snapshot_once() {
    under_many_schedules(|| {
        let stage = Arc::new(Stage::new());
        stage.enter("a", 1, 0);
        let newer = Arc::clone(&stage);
        let newer = thread::spawn(move || {
            newer.enter("a", 2, 0);
            newer.store("a", 2);
        });
        let older = Arc::clone(&stage);
        let older = thread::spawn(move || {
            older.store("a", 1);
            older.leave("a", 1);
        });
        (0..2).for_each(|_| stage.check_snapshot());
        newer.join().unwrap();
        older.join().unwrap();
        stage.check_snapshot();
        stage.all_leave();
    });
}

#[test]
fn agent_that_changes_its_catalog_is_in_every_snapshot_once() {
    under_many_schedules(|| {
        let stage = Arc::new(Stage::new());
        stage.enter("a", 1, 0);
        let changing = Arc::clone(&stage);
        let changing = thread::spawn(move || {
            changing.enter("a", 1, 1);
            changing.enter("a", 1, 2);
            changing.enter("a", 1, 0);
        });
        (0..2).for_each(|_| stage.check_connected("a"));
        changing.join().unwrap();
        stage.check_snapshot();
        stage.all_leave();
    });
}

#[test]
fn rows_that_come_and_go_are_in_the_snapshots_of_their_reports() {
    under_many_schedules(|| {
        let stage = Arc::new(Stage::new());
        stage.enter("a", 1, LABELLED_CATALOG);
        let changing = Arc::clone(&stage);
        let changing = thread::spawn(move || {
            changing.change_rows("a", 1, &["sdb"]);
            changing.change_rows("a", 1, &["sda", "sdb", "sdc"]);
            changing.store("a", 1);
            changing.change_rows("a", 1, &[]);
        });
        (0..2).for_each(|_| stage.check_snapshot());
        changing.join().unwrap();
        stage.check_snapshot();
        stage.all_leave();
    });
}

/// A session changes its rows while it is closed, or taken over.
#[test]
fn session_that_ends_while_it_changes_rows_leaves_nothing() {
    under_many_schedules(|| {
        let stage = Arc::new(Stage::new());
        stage.enter("a", 1, LABELLED_CATALOG);
        stage.enter("ba", 2, LABELLED_CATALOG);
        let changing = Arc::clone(&stage);
        let changing = thread::spawn(move || {
            changing.change_rows("a", 1, &["sdc"]);
            changing.change_rows("ba", 2, &["sdc"]);
        });
        let ending = Arc::clone(&stage);
        let ending = thread::spawn(move || {
            ending.leave("a", 1);
            ending.enter("ba", 3, LABELLED_CATALOG);
        });
        stage.check_snapshot();
        changing.join().unwrap();
        ending.join().unwrap();
        stage.check_snapshot();
        stage.all_leave();
    });
}

/// Two agents store and release the same rows at the same time.
#[test]
fn agents_that_share_rows_keep_their_own() {
    under_many_schedules(|| {
        let stage = Arc::new(Stage::new());
        let agents = [("a", 1), ("ba", 2)].map(|(id, session)| {
            let stage = Arc::clone(&stage);
            thread::spawn(move || {
                stage.enter(id, session, LABELLED_CATALOG);
                stage.change_rows(id, session, &["sda"]);
                stage.change_rows(id, session, &["sda", "sdb"]);
                stage.leave(id, session);
            })
        });
        stage.check_snapshot();
        agents.into_iter().for_each(|agent| agent.join().unwrap());
        stage.all_leave();
    });
}

#[test]
fn departed_agent_is_in_no_later_snapshot() {
    under_many_schedules(|| {
        let stage = Arc::new(Stage::new());
        let coming = Arc::clone(&stage);
        let coming = thread::spawn(move || {
            coming.enter("a", 1, 0);
            coming.leave("a", 1);
            coming.check_snapshot();
            coming.enter("a", 3, 1);
        });
        let other = Arc::clone(&stage);
        let other = thread::spawn(move || {
            other.enter("ba", 2, 0);
            other.leave("ba", 2);
            other.check_snapshot();
        });
        stage.check_snapshot();
        coming.join().unwrap();
        other.join().unwrap();
        stage.check_snapshot();
        stage.all_leave();
    });
}

/// Three sessions with two ids do random operations.
#[test]
fn random_operations_are_linearizable() {
    under_many_schedules(|| {
        let stage = Arc::new(Stage::new());
        let actors = [1, 2, 3].map(|session| {
            let stage = Arc::clone(&stage);
            thread::spawn(move || {
                for _ in 0..shuttle::rand::thread_rng().gen_range(1..5) {
                    let mut random = shuttle::rand::thread_rng();
                    let (what, catalog) = (random.gen_range(0..7), random.gen_range(0..3));
                    let id = IDS[random.gen_range(0..2)];
                    match what {
                        0 | 1 => stage.enter(id, session, catalog),
                        2 => stage.leave(id, session),
                        3 => stage.store(id, session),
                        4 => stage.change_rows(id, session, &["sdb", "sdc"]),
                        _ => stage.check_snapshot(),
                    }
                }
            })
        });
        stage.check_snapshot();
        actors.into_iter().for_each(|actor| actor.join().unwrap());
        stage.all_leave();
    });
}
