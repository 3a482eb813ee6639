use std::sync::Weak;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::task::{Context, Wake, Waker};
use std::thread::ThreadId;

use super::*;

/// Timeout of a test.
const LONG: Duration = Duration::from_secs(60);

struct TestJob {
    key: usize,
    run: Box<dyn FnMut() + Send>,
}

impl Job for TestJob {
    fn key(&self) -> usize {
        self.key
    }

    fn run(&mut self) {
        (self.run)();
    }
}

/// Creates jobs that report the start of each run.
struct Jobs {
    started: Receiver<(usize, ThreadId)>,
    start: Sender<(usize, ThreadId)>,
}

impl Jobs {
    fn new() -> Self {
        let (start, started) = mpsc::channel();
        Self { started, start }
    }

    /// Returns a job that does something after it reported its start.
    fn job(&self, key: usize, mut work: impl FnMut() + Send + 'static) -> TestJob {
        let start = self.start.clone();
        let run = move || {
            // The receiver is dropped when the test ends.
            let _ = start.send((key, std::thread::current().id()));
            work();
        };
        TestJob { key, run: Box::new(run) }
    }

    fn trivial(&self, key: usize) -> TestJob {
        self.job(key, || ())
    }

    /// Returns a job that hangs until something is sent or the sender is dropped.
    fn hanging(&self, key: usize) -> (Sender<()>, TestJob) {
        let (release, released) = mpsc::channel();
        let hang = move || {
            let _ = released.recv();
        };
        (release, self.job(key, hang))
    }

    /// Waits for the start of the next job. Returns its key and its thread.
    fn next(&self) -> (usize, ThreadId) {
        self.started.recv_timeout(LONG).unwrap()
    }
}

impl Crew<TestJob> {
    /// Checks at this time after the start of the current job. Returns the time until the next
    /// check, counted from that start.
    fn supervise_after(&self, time: Duration) -> Duration {
        let since = self.shared.lock().current_since().unwrap();
        self.supervise(since + time, since + LONG).unwrap() - since
    }

    /// Waits for this state. Fails after a timeout.
    fn wait_until(&self, is_reached: impl Fn(&State<TestJob>) -> bool) {
        wait_until(|| is_reached(&self.shared.lock()));
    }

    fn threads(&self) -> usize {
        self.shared.lock().threads
    }

    /// Ends the round. Returns the keys of its jobs: in time, late, running and not run.
    fn ended(&self) -> [Vec<usize>; 4] {
        let mut keys = [const { Vec::new() }; 4];
        for outcome in self.end_round(Instant::now()) {
            let (kind, key) = match outcome {
                Outcome::InTime(job, _) => (0, job.key),
                Outcome::Late(job, _) => (1, job.key),
                Outcome::Running(key, _) => (2, key),
                Outcome::NotRun(job) => (3, job.key),
            };
            keys[kind].push(key);
        }
        keys.each_mut().map(|keys| {
            keys.sort_unstable();
            std::mem::take(keys)
        })
    }
}

fn wait_until(is_reached: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_reached() {
        assert!(start.elapsed() < LONG);
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn jobs_run_in_order_on_one_thread_in_all_rounds() {
    let (crew, jobs) = (Crew::new(LONG), Jobs::new());
    for _ in 0..3 {
        crew.start((0..5).map(|key| jobs.trivial(key)));
        crew.wait(LONG).await;
        assert_eq!(crew.ended(), [vec![0, 1, 2, 3, 4], vec![], vec![], vec![]]);
    }
    let starts: Vec<_> = jobs.started.try_iter().collect();
    let keys: Vec<_> = starts.iter().map(|(key, _)| *key).collect();
    assert_eq!(keys, [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4]);
    assert!(starts.iter().all(|(_, thread)| *thread == starts[0].1), "{starts:?}");
}

#[test]
fn remaining_jobs_move_to_another_thread_when_the_patience_ends() {
    let (crew, jobs) = (Crew::new(PATIENCE), Jobs::new());
    let (_release, hung) = jobs.hanging(0);
    let (_release, second) = jobs.hanging(1);
    crew.start([hung, second, jobs.trivial(2)]);
    let first_thread = jobs.next().1;

    let almost = PATIENCE - Duration::from_nanos(1);
    assert_eq!(crew.supervise_after(almost), PATIENCE);
    assert_eq!((crew.threads(), crew.shared.lock().current), (1, Some(0)));
    assert_eq!(crew.supervise_after(PATIENCE), PATIENCE * 2);
    let (key, second_thread) = jobs.next();
    assert_eq!(key, 1);
    assert_ne!(first_thread, second_thread);

    // The next job is given the same time, from its own start.
    assert_eq!(crew.supervise_after(almost), PATIENCE);
    assert_eq!(crew.threads(), 2);
}

#[test]
fn each_hung_job_costs_the_others_one_patience_and_one_thread() {
    const HUNG: usize = 10;
    let (crew, jobs) = (Crew::new(PATIENCE), Jobs::new());
    let (releases, hung): (Vec<_>, Vec<_>) = (0..HUNG).map(|key| jobs.hanging(key)).unzip();
    crew.start(hung.into_iter().chain([jobs.trivial(HUNG)]));
    for key in 0..HUNG {
        assert_eq!(jobs.next().0, key);
        crew.supervise_after(PATIENCE);
    }
    assert_eq!(jobs.next().0, HUNG);
    crew.wait_until(|state| state.unfinished == HUNG);
    assert_eq!(crew.ended(), [vec![HUNG], vec![], (0..HUNG).collect(), vec![]]);

    // The next round costs nothing more.
    crew.start([jobs.trivial(HUNG)]);
    crew.wait_until(|state| state.unfinished == 0);
    assert_eq!(crew.threads(), HUNG + 1);
    drop(releases);
    crew.wait_until(|state| state.running.is_empty());
    crew.wait_until(|state| state.threads == 1);
}

/// The last job ends the hang of the first: the round ends only if the jobs are moved.
#[tokio::test]
async fn waiting_moves_jobs() {
    let (crew, jobs) = (Crew::new(Duration::from_millis(1)), Jobs::new());
    let (release, hung) = jobs.hanging(0);
    crew.start([hung, jobs.trivial(1), jobs.job(2, move || release.send(()).unwrap())]);
    crew.wait(LONG).await;
    assert_eq!(crew.ended(), [vec![0, 1, 2], vec![], vec![], vec![]]);
}

#[tokio::test]
async fn waiting_ends_at_the_limit() {
    let (crew, jobs) = (Crew::new(LONG), Jobs::new());
    let (_release, hung) = jobs.hanging(0);
    crew.start([hung, jobs.trivial(1)]);
    jobs.next();
    let (start, limit) = (Instant::now(), Duration::from_millis(20));
    crew.wait(limit).await;
    assert!(start.elapsed() >= limit);
    assert_eq!(crew.ended(), [vec![], vec![], vec![0], vec![1]]);
}

#[tokio::test]
async fn round_without_jobs_ends_at_once() {
    let crew = Crew::<TestJob>::new(LONG);
    crew.start([]);
    assert_eq!(crew.supervise(Instant::now(), Instant::now() + LONG), None);
    crew.wait(LONG).await;
    assert_eq!(crew.threads(), 0);
}

/// Counts how often a task is woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn waiting_task_is_woken_once_at_the_end_of_the_round() {
    let (crew, jobs) = (Crew::new(LONG), Jobs::new());
    let ((first, first_job), (last, last_job)) = (jobs.hanging(0), jobs.hanging(49));
    crew.start(
        [first_job].into_iter().chain((1..49).map(|key| jobs.trivial(key))).chain([last_job]),
    );
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(wakes.clone());
    let (mut context, mut wait) = (Context::from_waker(&waker), std::pin::pin!(crew.wait(LONG)));
    let woken = || wakes.0.load(Ordering::Relaxed);
    assert!(wait.as_mut().poll(&mut context).is_pending());
    drop(first);
    crew.wait_until(|state| state.unfinished == 1);
    assert_eq!(woken(), 0);
    drop(last);
    wait_until(|| woken() > 0);
    assert_eq!(woken(), 1);
    assert!(wait.as_mut().poll(&mut context).is_ready());
}

#[tokio::test]
async fn panicking_job_affects_only_itself() {
    let (crew, jobs) = (Crew::new(LONG), Jobs::new());
    crew.start([jobs.job(0, || panic!("a panic of a test")), jobs.trivial(1)]);
    crew.wait(LONG).await;
    assert_eq!(crew.ended(), [vec![0, 1], vec![], vec![], vec![]]);
    assert_eq!(jobs.next().1, jobs.next().1);
    assert_eq!(crew.threads(), 1);
}

#[test]
fn late_job_is_returned_between_rounds_or_at_the_end_of_the_next() {
    let (crew, jobs) = (Crew::new(PATIENCE), Jobs::new());
    for is_between in [true, false] {
        let (release, hung) = jobs.hanging(7);
        crew.start([hung]);
        jobs.next();
        assert_eq!(crew.ended(), [vec![], vec![], vec![7], vec![]]);
        if !is_between {
            crew.start([jobs.trivial(1)]);
            crew.wait_until(|state| state.unfinished == 0);
        }
        drop(release);
        crew.wait_until(|state| state.running.is_empty());
        if is_between {
            let late: Vec<_> = crew.take_late().iter().map(|(job, _)| job.key).collect();
            assert_eq!(late, [7]);
        } else {
            assert_eq!(crew.ended(), [vec![1], vec![7], vec![], vec![]]);
        }
        jobs.started.try_iter().for_each(drop);
    }
}

#[test]
fn late_job_does_not_end_the_round_of_others() {
    let (crew, jobs) = (Crew::new(PATIENCE), Jobs::new());
    let (release, late) = jobs.hanging(0);
    crew.start([late]);
    jobs.next();
    crew.ended();
    let (_release, hung) = jobs.hanging(1);
    crew.start([hung]);
    jobs.next();
    drop(release);
    crew.wait_until(|state| state.running.len() == 1);
    assert_eq!(crew.shared.lock().unfinished, 1);
    assert_eq!(crew.ended(), [vec![], vec![0], vec![1], vec![]]);
}

#[test]
fn no_more_threads_are_started_while_one_is_on_its_way() {
    let (crew, jobs) = (Crew::new(PATIENCE), Jobs::new());
    // As if this thread had been started and had not run yet.
    crew.shared.lock().threads = 1;
    crew.start([jobs.trivial(0)]);
    for _ in 0..10 {
        crew.supervise(Instant::now() + PATIENCE, Instant::now() + LONG);
        assert_eq!(crew.ended(), [vec![], vec![], vec![], vec![0]]);
        crew.start([jobs.trivial(0)]);
    }
    assert_eq!(crew.threads(), 1);
}

#[test]
fn threads_end_when_the_crew_is_dropped_and_hung_ones_when_they_return() {
    let (crew, jobs) = (Crew::new(PATIENCE), Jobs::new());
    let (release, hung) = jobs.hanging(0);
    let (queued_is_dropped, queued) = mpsc::channel::<()>();
    let queued_job = jobs.job(1, move || {
        let _ = queued_is_dropped.send(());
    });
    crew.start([hung, queued_job]);
    jobs.next();
    let shared: Weak<_> = Arc::downgrade(&crew.shared);
    drop(crew);
    let dropped = Err(mpsc::RecvTimeoutError::Disconnected);
    assert_eq!(queued.recv_timeout(LONG), dropped, "the queued job is kept or has run");
    assert_eq!(shared.strong_count(), 1);
    drop(release);
    wait_until(|| shared.strong_count() == 0);

    let crew = Crew::new(PATIENCE);
    crew.start([jobs.trivial(0)]);
    crew.wait_until(|state| state.unfinished == 0);
    let shared = Arc::downgrade(&crew.shared);
    drop(crew);
    wait_until(|| shared.strong_count() == 0);
}

/// Patterns of settings may nest as deeply as the regex parser allows.
#[tokio::test]
async fn stack_suffices_for_regexes() {
    let (crew, jobs) = (Crew::new(LONG), Jobs::new());
    let (send, matched) = mpsc::channel();
    crew.start([jobs.job(0, move || {
        let nested = format!("^{}a{}$", "(?:".repeat(40), "|b)".repeat(40));
        let alternatives = (0..500).map(|n| format!("veth{n}.*")).collect::<Vec<_>>().join("|");
        let is_match =
            |pattern: &str, text: &str| regex_lite::Regex::new(pattern).unwrap().is_match(text);
        let _ = send
            .send([is_match(&nested, "a"), is_match(&format!("^(?:{alternatives})$"), "veth499x")]);
    })]);
    crew.wait(LONG).await;
    assert_eq!(matched.recv().unwrap(), [true, true]);
}
