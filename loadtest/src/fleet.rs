//! The simulated fleet, as the parent has it: its collectors, its workers, and the sum of what they
//! tell.

mod exempt;
mod post;

use std::time::Duration;

use anyhow::bail;
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};

use crate::child::{Collector, Heard, Worker};
use crate::course::Course;
use crate::finding::Finding;
use crate::orders::{Command, Event, Inspected, Manner, Order, Sample, Then, Who};
use crate::pki::Pki;
use crate::plan::{Plan, Target};
use crate::progress::Progress;
use crate::results::Verdict;
use crate::results::timeline::{Scraped, Timeline};
use crate::scrape::Encoding;
use crate::tally::Tally;
use crate::usage::{self, Usage};
use post::Post;

/// Events that wait to be heard; workers wait beyond.
const QUEUE: usize = 1_024;
/// How long workers may take to understand their orders.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// A fleet.
pub struct Fleet {
    /// The collectors that are ours.
    pub collectors: Vec<Collector>,
    /// Who gives them and the agents their certificates.
    pki: Option<Pki>,
    posts: Vec<Post>,
    heard: mpsc::Receiver<(usize, Heard)>,
    /// What workers tell by.
    telling: mpsc::Sender<(usize, Heard)>,
    course: Course,
    tick: Interval,
    /// A report is late if it is taken in so long after it was due.
    pub(crate) late: Duration,
    /// How much later a page may show a change than the judge grants.
    pub(crate) tolerance: Duration,
    /// All that was counted so far.
    pub total: Tally,
    /// What was counted while agents were brought up.
    pub ramp: Tally,
    /// All that was found so far.
    pub verdict: Verdict,
    /// Pages that were fetched, or were not, with their workers: taken by who asked for them.
    pub inspected: Vec<(usize, Inspected)>,
    /// What is shown meanwhile.
    pub progress: Option<Progress>,
}

impl Fleet {
    /// Starts the collectors that the plan asks for, and a worker for each collector.
    ///
    /// # Errors
    /// Something did not start.
    pub async fn start(plan: &Plan) -> anyhow::Result<Self> {
        let mut fleet = Self::without_workers(plan).await?;
        for order in plan.orders(&fleet.collectors) {
            fleet.hire(&order, &[]).await?;
        }
        fleet.all_ready().await?;
        Ok(fleet)
    }

    /// Starts the collectors that the plan asks for.
    ///
    /// # Errors
    /// Something did not start.
    pub async fn without_workers(plan: &Plan) -> anyhow::Result<Self> {
        let course = Course::start();
        let pki = plan.tls.then(Pki::new).transpose()?;
        let mut flags = plan.flags.clone();
        flags.extend(pki.iter().flat_map(Pki::flags));
        let collectors = match &plan.target {
            Target::Own(collectors) => Collector::start(*collectors, &flags).await?,
            Target::Running(_) => Vec::new(),
        };
        let (telling, heard) = mpsc::channel(QUEUE);
        let mut tick = interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            collectors,
            pki,
            heard,
            telling,
            course,
            posts: Vec::new(),
            tick,
            late: plan.late,
            tolerance: plan.tolerance,
            total: Tally::default(),
            ramp: Tally::default(),
            verdict: Verdict::new(),
            inspected: Vec::new(),
            progress: None,
        })
    }

    /// Starts one more worker, by the program in `prefix` if there is one; its number.
    ///
    /// # Errors
    /// The system's.
    pub async fn hire(&mut self, order: &Order, prefix: &[String]) -> anyhow::Result<usize> {
        let number = self.posts.len();
        let order = Order { tls: self.pki.as_ref().map(Pki::authority), ..order.clone() };
        let worker = Worker::start(&order, prefix, number, self.telling.clone()).await?;
        self.posts.push(Post::new(worker));
        Ok(number)
    }

    /// Whether a worker has understood its order.
    #[must_use]
    pub fn is_ready(&self, worker: usize) -> bool {
        self.posts[worker].ready
    }

    /// Waits until all workers have understood their orders.
    ///
    /// # Errors
    /// One did not, or has ended.
    pub async fn all_ready(&mut self) -> anyhow::Result<()> {
        let all_ready = |fleet: &Self| fleet.posts.iter().all(|post| post.ready);
        if !self.until(Instant::now() + READY_WITHIN, all_ready).await? {
            bail!("a worker did not start within {} s", READY_WITHIN.as_secs());
        }
        Ok(())
    }

    /// How many workers there are.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.posts.len()
    }

    /// Notes that something is done now.
    pub fn note(&mut self, what: &str) {
        self.course.note(what);
    }

    /// A part of the test begins, and the one before ends; the name of that. Times of parts of one
    /// name add up.
    pub fn begin_part(&mut self, what: &str) -> String {
        self.course.begin_part(what)
    }

    /// The course of the test so far, which is forgotten here.
    #[must_use]
    pub fn take_timeline(&mut self) -> Timeline {
        self.course.take()
    }

    /// A page came that was not asked for by [`Self::inspect`].
    pub fn scraped(&mut self, page: Scraped) {
        self.course.scraped(page);
    }

    /// What a worker has counted so far.
    #[must_use]
    pub fn counts(&self, worker: usize) -> &Tally {
        &self.posts[worker].counts
    }

    /// Time since the fleet was started.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.course.now()
    }

    /// Agents in a session now, a second ago at most.
    #[must_use]
    pub fn present(&self) -> u32 {
        self.posts.iter().map(|post| post.last.present).sum()
    }

    /// Agents that have left for a while and may still come back in time, a second ago at most.
    #[must_use]
    pub fn returning(&self) -> u32 {
        self.posts.iter().map(|post| post.last.returning).sum()
    }

    /// Agents that have ever reported.
    #[must_use]
    pub fn reporting(&self) -> u32 {
        self.posts.iter().map(|post| post.last.reporting).sum()
    }

    /// What our collectors use together; `None` if there are none, or the system does not say.
    #[must_use]
    pub fn collectors_usage(&self) -> Option<Usage> {
        usage::sum(self.collectors.iter().map(Collector::pid))
    }

    /// What the workers use together.
    #[must_use]
    pub fn workers_usage(&self) -> Option<Usage> {
        usage::sum(self.posts.iter().filter(|post| !post.dismissed).map(|post| post.worker.pid()))
    }

    /// Gives all workers a command.
    pub async fn tell_all(&mut self, command: &Command) {
        for post in &mut self.posts {
            post.worker.tell(command).await;
        }
    }

    /// Gives one worker a command.
    pub async fn tell(&mut self, worker: usize, command: &Command) {
        self.posts[worker].worker.tell(command).await;
    }

    /// Has one worker's agents leave, and waits until that is done.
    ///
    /// # Errors
    /// A worker has ended by itself, or was not done in time.
    pub async fn leave(
        &mut self,
        worker: usize,
        who: Who,
        manner: Manner,
        then: Then,
    ) -> anyhow::Result<()> {
        self.posts[worker].undone += 1;
        self.tell(worker, &Command::Leave { who, manner, then }).await;
        let done = |fleet: &Self| fleet.posts[worker].undone == 0;
        if !self.until(Instant::now() + READY_WITHIN, done).await? {
            bail!("worker {worker} did not have its agents leave in time");
        }
        Ok(())
    }

    /// Has the workers tell all that they have counted, and waits until they have: a part of the
    /// test ends here, and nothing of it is counted in the next.
    ///
    /// # Errors
    /// A worker has ended by itself, or did not tell in time.
    pub async fn flush(&mut self) -> anyhow::Result<()> {
        for post in self.posts.iter_mut().filter(|post| !post.dismissed && !post.frozen) {
            post.undone += 1;
            post.worker.tell(&Command::Flush).await;
        }
        let done = |fleet: &Self| fleet.posts.iter().all(|post| post.dismissed || post.undone == 0);
        if !self.until(Instant::now() + READY_WITHIN, done).await? {
            bail!("a worker did not tell what it had counted within {} s", READY_WITHIN.as_secs());
        }
        Ok(())
    }

    /// Asks a worker to fetch and judge a page, which [`Self::inspected`] will have.
    pub async fn inspect(&mut self, worker: usize, what: &str) {
        self.posts[worker].awaited += 1;
        self.tell(worker, &Command::Inspect { what: what.to_owned() }).await;
    }

    /// Asks a worker to fetch whole pages back to back for so long and to judge them all;
    /// [`Self::inspected`] will have them.
    pub async fn scrape(&mut self, worker: usize, encoding: Encoding, time: Duration) {
        self.posts[worker].awaited += 1;
        let for_ms = u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        let what = format!("{} scrapes", encoding.name());
        self.tell(worker, &Command::Scrape { what, encoding, for_ms }).await;
    }

    /// Whether pages asked for have not come yet.
    #[must_use]
    pub fn awaits_pages(&self) -> bool {
        self.posts.iter().any(|post| post.awaited > 0)
    }

    /// Whether the agents of a worker have left for good, or it was ended on purpose.
    #[must_use]
    pub fn has_left(&self, worker: usize) -> bool {
        self.is_dismissed(worker) || self.posts[worker].left.is_some()
    }

    /// Hears the workers until `done` or the deadline; whether it was done.
    ///
    /// # Errors
    /// A worker has ended by itself, with its last words.
    pub async fn until(
        &mut self,
        deadline: Instant,
        done: impl Fn(&Self) -> bool,
    ) -> anyhow::Result<bool> {
        while !done(self) {
            tokio::select! {
                heard = self.heard.recv() => match heard {
                    Some((worker, heard)) => self.hear(worker, heard)?,
                    None => bail!("there are no workers"),
                },
                _ = self.tick.tick() => self.second_is_over(),
                () = sleep_until(deadline) => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Hears the workers for a while.
    ///
    /// # Errors
    /// A worker has ended by itself, with its last words.
    pub async fn wait(&mut self, time: Duration) -> anyhow::Result<()> {
        self.until(Instant::now() + time, |_| false).await.map(drop)
    }

    fn hear(&mut self, worker: usize, heard: Heard) -> anyhow::Result<()> {
        let post = &mut self.posts[worker];
        match heard {
            Heard::Ended(_) if post.dismissed => post.last.present = 0,
            Heard::Ended(last_words) => {
                bail!("worker {worker} has ended in the middle of the run: {last_words}")
            }
            Heard::Said(event) => self.take(worker, *event),
        }
        Ok(())
    }

    fn take(&mut self, worker: usize, event: Event) {
        let post = &mut self.posts[worker];
        match event {
            Event::Ready => post.ready = true,
            Event::Sample(sample) => {
                self.total.merge(&sample.counts);
                post.counts.merge(&sample.counts);
                post.part.merge(&sample.counts);
                self.course.second.merge(&sample.counts);
                post.last = Sample { counts: Tally::default(), ..*sample };
                self.show();
            }
            Event::Inspected(mut inspected) => {
                post.awaited = post.awaited.saturating_sub(usize::from(!inspected.more));
                self.verdict.merge(std::mem::take(&mut inspected.verdict));
                self.course.inspected(worker, &inspected);
                self.inspected.push((worker, *inspected));
            }
            Event::Done => post.undone = post.undone.saturating_sub(1),
            Event::Left { stuck } => post.left = Some(stuck),
        }
    }

    fn show(&self) {
        if let Some(progress) = &self.progress {
            progress.show(self.reporting(), self.present(), &self.total);
        }
    }

    /// A second is over.
    fn second_is_over(&mut self) {
        let (present, collectors) = (self.present(), self.collectors_usage());
        self.course.second_is_over(present, collectors);
    }

    /// Ends the workers, and stops our collectors; what was wrong with that is found.
    ///
    /// # Errors
    /// A worker has ended by itself, or did not tell what it had counted.
    pub async fn end(&mut self) -> anyhow::Result<()> {
        self.begin_part("stopping");
        self.end_upheaval("at the end").await?;
        self.find_nothing_compared();
        // Who has not said that all have left still has those who were there.
        let stuck = |post: &Post| post.left.unwrap_or(post.last.present);
        let stuck: u32 = self.posts.iter().map(stuck).sum();
        if stuck > 0 {
            self.verdict.add("at the end", [Finding::NotLeft { agents: stuck }]);
        }
        self.posts.clear();
        for collector in &mut self.collectors {
            collector.ask_to_stop();
        }
        for collector in std::mem::take(&mut self.collectors) {
            if let Err(how) = collector.stop().await {
                self.verdict.add("at the end", [Finding::CollectorFailed { how }]);
            }
        }
        Ok(())
    }
}
