//! Saves the log of reports to its file, on blocking threads.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use fleetgauge_proto::AgentId;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::{error, info, warn};

use super::Agent;
use super::recorder::Recorder;
use super::sampling::{SamplingPlan, unix_now};
use crate::report_log::file::{Content, FileEncoder, LogFile, OpenError, Restored, Storage};
use crate::report_log::{LogLimits, ReportLog};

/// Maximum time to read the file. A disk may hang; the agent then starts without its log.
const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum time to save the log when the agent stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);
/// Time after which a failed save is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(60);
/// The file may have twice the size of the log and this many bytes more, before it is written
/// again: a small one is not worth it.
const SPARE_BYTES: u64 = 64 * 1024;
/// Attempts to write the file in one piece while the times of the log change, which they do once.
const MAX_ATTEMPTS: usize = 3;

/// Returns the agent's id, which a reload can change.
type Id = Box<dyn Fn() -> AgentId + Send>;
/// Opens a storage that was not available before.
type Open<S> = Box<dyn FnMut(&AgentId) -> Result<S, OpenError> + Send>;

/// Saves the log of a recorder.
pub(super) struct LogSaver<S> {
    recorder: Arc<Recorder>,
    id: Id,
    open: Open<S>,
    storage: Option<S>,
    /// The file as it was written last; `None` if it has to be written as a whole.
    written: Option<Written>,
    /// Time of the next attempt after a failure.
    retry_at: Option<Instant>,
}

struct Written {
    encoder: FileEncoder,
    id: AgentId,
    revision: u64,
    bytes: u64,
}

/// A change of what can be saved.
#[derive(Debug)]
pub(super) enum SaveEvent {
    /// The first failure after a success.
    Failed(OpenError),
    /// The first success after a failure.
    Recovered,
}

impl<S: Storage> LogSaver<S> {
    /// Creates the saver of a recorder. Without `storage`, it opens one after [`RETRY_AFTER`].
    pub(super) fn new(
        recorder: Arc<Recorder>,
        id: Id,
        storage: Option<S>,
        open: Open<S>,
        now: Instant,
    ) -> Self {
        let retry_at = storage.is_none().then(|| now + RETRY_AFTER);
        Self { recorder, id, open, storage, written: None, retry_at }
    }

    /// Saves what has changed. Blocks. After a failure it does nothing for [`RETRY_AFTER`].
    pub(super) fn save(&mut self, now: Instant) -> Option<SaveEvent> {
        let failed_before = self.retry_at;
        if failed_before.is_some_and(|retry_at| now < retry_at) {
            return None;
        }
        match self.try_save() {
            Ok(()) => self.retry_at.take().map(|_| SaveEvent::Recovered),
            Err(error) => {
                self.written = None;
                self.storage.iter_mut().for_each(Storage::discard);
                self.retry_at = Some(now + RETRY_AFTER);
                failed_before.is_none().then_some(SaveEvent::Failed(error))
            }
        }
    }

    /// Saves what has changed, and waits until it is on the disk.
    pub(super) fn finish(&mut self, now: Instant) -> Option<SaveEvent> {
        let event = self.save(now);
        if self.retry_at.is_none() {
            let _ = self.storage.as_mut().map(Storage::sync);
        }
        event
    }

    fn try_save(&mut self) -> Result<(), OpenError> {
        let Self { recorder, id, open, storage, written, .. } = self;
        let id = id();
        let storage = match storage {
            Some(storage) => storage,
            None => storage.insert(open(&id)?),
        };
        for _ in 0..MAX_ATTEMPTS {
            let may_append = |written: &Written| {
                let max_bytes = |log: &ReportLog| 2 * log.bytes() as u64 + SPARE_BYTES;
                written.id == id && written.bytes <= recorder.with_log(max_bytes)
            };
            let is_new = !written.as_ref().is_some_and(may_append);
            if is_new {
                let revision = recorder.with_log(ReportLog::revision);
                *written = Some(Written::begin(storage, id.clone(), revision)?);
            }
            let Some(file) = written.as_mut() else { continue };
            if file.append(storage, recorder)? {
                if is_new {
                    storage.publish()?;
                }
                return Ok(());
            }
            *written = None;
        }
        Ok(())
    }
}

impl Written {
    fn begin(storage: &mut impl Storage, id: AgentId, revision: u64) -> io::Result<Self> {
        storage.create()?;
        let mut start = Vec::new();
        let encoder = FileEncoder::new(&id, &mut start);
        storage.write(&start)?;
        Ok(Self { encoder, id, revision, bytes: start.len() as u64 })
    }

    /// Appends what has been added to the log. Returns `false` if reports that are in the file have
    /// changed.
    fn append(&mut self, storage: &mut impl Storage, recorder: &Recorder) -> io::Result<bool> {
        let Self { encoder, revision, bytes, .. } = self;
        let host_ms = u64::try_from(unix_now().as_millis()).unwrap_or(u64::MAX);
        loop {
            let mut chunk = Vec::new();
            let step = recorder.with_log(|log| {
                (log.revision() == *revision).then(|| encoder.append(log, host_ms, &mut chunk))
            });
            let Some(is_complete) = step else { return Ok(false) };
            if !chunk.is_empty() {
                storage.write(&chunk)?;
                *bytes = bytes.saturating_add(chunk.len() as u64);
            }
            if is_complete {
                return Ok(true);
            }
        }
    }
}

/// The saver of an agent.
pub(super) struct LogFileSaver {
    path: PathBuf,
    recorder: Arc<Recorder>,
    saver: Arc<Mutex<LogSaver<LogFile>>>,
}

impl LogFileSaver {
    /// Creates the recorder of an agent, with the log of its file, if it has one.
    pub(super) async fn open(
        agent: &Agent,
        plan: &watch::Receiver<SamplingPlan>,
    ) -> (Arc<Recorder>, Option<Self>) {
        let (zero, unix, limits) = (Instant::now(), unix_now(), agent.log);
        let Some(path) = agent.log_file.clone() else {
            return (Arc::new(Recorder::new(limits, zero, unix)), None);
        };
        let now_ms = u64::try_from(unix.as_millis()).unwrap_or(u64::MAX);
        let (file, log) = match read(&path, &agent.profile.id, limits, now_ms).await {
            Ok((file, content)) => (Some(file), log_of(&path, content)),
            Err(error) => {
                log_failure(&path, &error);
                (None, None)
            }
        };
        let log = log.unwrap_or_else(|| ReportLog::new(limits));
        let recorder = Arc::new(Recorder::continuing(log, limits, zero, unix));
        let open = {
            let path = path.clone();
            move |id: &AgentId| {
                let file = LogFile::lock(&path)?;
                // Sequence numbers have begun, so what is in the file cannot be continued.
                file.make_way(id)?;
                Ok(file)
            }
        };
        let plan = plan.clone();
        let id = move || plan.borrow().id.clone();
        let (id, open) = (Box::new(id), Box::new(open));
        let saver = LogSaver::new(Arc::clone(&recorder), id, file, open, zero);
        let saver = Arc::new(Mutex::new(saver));
        (Arc::clone(&recorder), Some(Self { path, recorder, saver }))
    }

    /// Saves the log whenever it has changed. Never returns.
    pub(super) async fn run(&self) {
        loop {
            self.recorder.changed().await;
            let saver = Arc::clone(&self.saver);
            let save = move || lock(&saver).save(Instant::now());
            self.log(spawn_blocking(save).await.ok().flatten());
        }
    }

    /// Saves the log for the next process.
    pub(super) async fn finish(self) {
        let saver = Arc::clone(&self.saver);
        let save = spawn_blocking(move || lock(&saver).finish(Instant::now()));
        match timeout(STOP_TIMEOUT, save).await {
            Ok(event) => self.log(event.ok().flatten()),
            Err(_) => warn!(file = %self.path.display(), "log file not written in time"),
        }
    }

    fn log(&self, event: Option<SaveEvent>) {
        match event {
            Some(SaveEvent::Failed(error)) => log_failure(&self.path, &error),
            Some(SaveEvent::Recovered) => {
                info!(file = %self.path.display(), "log file written again");
            }
            None => {}
        }
    }
}

/// Locks and reads the file of an agent.
async fn read(
    path: &Path,
    id: &AgentId,
    limits: LogLimits,
    now_ms: u64,
) -> Result<(LogFile, Option<Content>), OpenError> {
    let (path, id) = (path.to_owned(), id.clone());
    let read = spawn_blocking(move || {
        let file = LogFile::lock(&path)?;
        let content = file.read(&id, limits, now_ms)?;
        Ok((file, content))
    });
    match timeout(READ_TIMEOUT, read).await {
        Ok(Ok(read)) => read,
        Ok(Err(panicked)) => Err(io::Error::other(panicked).into()),
        Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
    }
}

/// Logs what was in the file, and returns its log if it can be used.
fn log_of(path: &Path, content: Option<Content>) -> Option<ReportLog> {
    let file = path.display();
    match content? {
        Content::Log(Restored { log, damaged_bytes }) => {
            let reports = log.len();
            if damaged_bytes > 0 {
                error!(%file, reports, bytes = damaged_bytes, "log file damaged; bytes dropped");
            } else {
                info!(%file, reports, "log file read");
            }
            Some(log)
        }
        Content::SetAside { to, cause } => {
            let renamed_to = to.display();
            error!(%file, cause, %renamed_to, "log file set aside; starting with an empty log");
            None
        }
    }
}

fn lock<S>(saver: &Mutex<LogSaver<S>>) -> std::sync::MutexGuard<'_, LogSaver<S>> {
    saver.lock().unwrap_or_else(PoisonError::into_inner)
}

fn log_failure(path: &Path, error: &OpenError) {
    let file = path.display();
    error!(%file, %error, "cannot use log file; keeping reports in memory only");
}

#[cfg(test)]
#[path = "log_saver_tests.rs"]
mod tests;
