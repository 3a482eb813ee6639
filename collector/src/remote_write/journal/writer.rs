//! Writes the journal on blocking threads, and reads it at the start.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fleetgauge_proto::AgentId;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::file::{self, JournalFile};
use super::format::{self, JournalContents, JournalDamage, read_journal};
use super::records::Records;
use super::{Changes, HEARTBEAT, Journal};
use crate::clock::{Millis, millis};
use crate::remote_write::forwarder::Forwarder;
use crate::state::CollectorState;

/// Interval at which changes are written. Changes of an agent in between are one record.
const TICK: Duration = Duration::from_secs(1);
/// Time after which the next tick writes a heartbeat: less than [`HEARTBEAT`], so that the next one
/// is written before a marker after this one would be too early.
pub(super) const HEARTBEAT_AFTER: Duration = HEARTBEAT.saturating_sub(Duration::from_secs(2));
/// Bytes that are written at once.
const CHUNK_BYTES: usize = 1 << 20;
/// Minimum size of a file that is replaced because more than half of it may not be in use.
const MIN_COMPACTED_BYTES: u64 = 1 << 20;
/// Part of the maximum size that agents leave free, for heartbeats and ends.
const RESERVED_PART: u64 = 16;
/// Part of the maximum size that a replacement may have to free if agents have no room.
const WORTHWHILE_PART: u64 = 8;

/// Writes the journal of a collector.
#[derive(Debug)]
pub(crate) struct JournalWriter {
    collector: Arc<CollectorState>,
    directory: PathBuf,
    max_bytes: u64,
    /// `None` after a failure, until a new file is written.
    file: Option<JournalFile>,
    records: Records,
    /// Time of the next heartbeat, on the collector's clock.
    heartbeat_due: Millis,
    /// Whether the last write failed: a change is logged.
    is_failing: bool,
}

impl JournalWriter {
    /// Reads the journal and starts a new one; `None` if the collector keeps none. The state
    /// directory must be locked.
    pub(crate) fn open(collector: &Arc<CollectorState>) -> Option<Self> {
        let directory = collector.config.state.directory.clone()?;
        let Some(journal) = collector.forwarder.as_ref().and_then(|own| own.journal.as_ref())
        else {
            // An old journal would be wrong when a later start reads it.
            let _ = std::fs::remove_file(file::path_in(&directory));
            return None;
        };
        let max_bytes = collector.config.state.journal_bytes;
        journal.recover(load(&directory, max_bytes, collector), collector);
        let mut writer = Self {
            collector: Arc::clone(collector),
            directory,
            max_bytes,
            file: None,
            records: Records::default(),
            heartbeat_due: 0,
            is_failing: false,
        };
        writer.write();
        Some(writer)
    }

    /// Starts to write until `stop` is cancelled. The task returns the writer for a last
    /// [`Self::finish`]; `None` if a write has panicked.
    pub(crate) fn start(self, stop: &CancellationToken) -> JoinHandle<Option<Self>> {
        tokio::spawn(self.run(stop.clone().cancelled_owned()))
    }

    async fn run(mut self, stop: impl Future<Output = ()>) -> Option<Self> {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => return Some(self),
                _ = ticks.tick() => {}
            }
            let write = move || {
                self.write();
                self
            };
            self = tokio::task::spawn_blocking(write).await.ok()?;
        }
    }

    /// Writes what the next start needs, because the collector stops. Blocks.
    pub(crate) fn finish(&mut self) {
        self.heartbeat_due = 0;
        self.write();
    }

    /// Writes the changes, and a heartbeat if it is due. Blocks.
    pub(super) fn write(&mut self) {
        let collector = Arc::clone(&self.collector);
        let Some(forwarder) = &collector.forwarder else { return };
        let Some(journal) = &forwarder.journal else { return };
        let changes = journal.take_changes();
        let is_due = self.heartbeat_due <= collector.clock.now();
        if self.file.is_some() {
            let written = self.append(changes, is_due, journal, forwarder);
            self.settle(written);
        } else if is_due {
            // The changes are in the new file.
            self.heartbeat_due = collector.clock.now() + millis(HEARTBEAT_AFTER);
            let written = self.replace(journal, forwarder);
            self.settle(written);
        }
        let metrics = &journal.metrics;
        let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        metrics.agents.set(count(self.records.agents() as u64));
        metrics.left_out.set(count(self.records.left_out() as u64));
        metrics.bytes.set(count(self.file.as_ref().map_or(0, JournalFile::bytes)));
    }

    /// Records whether a write has succeeded. Logs changes.
    fn settle(&mut self, written: io::Result<()>) {
        let file = file::path_in(&self.directory);
        let file = file.display();
        match written {
            Ok(()) if std::mem::take(&mut self.is_failing) => {
                info!(%file, "journal of forwarded agents is written again");
            }
            Ok(()) => {}
            Err(error) => {
                self.file = None;
                self.collector.telemetry.metrics.state_errors.inc();
                if !std::mem::replace(&mut self.is_failing, true) {
                    warn!(%file, %error, "cannot write the journal of forwarded agents; retrying");
                }
            }
        }
    }

    fn append(
        &mut self,
        changes: Changes,
        is_due: bool,
        journal: &Journal,
        forwarder: &Forwarder,
    ) -> io::Result<()> {
        if changes.all {
            return self.replace(journal, forwarder);
        }
        let mut out = Vec::new();
        for id in &changes.ids {
            let used = self.file.as_ref().map_or(0, JournalFile::bytes) + out.len() as u64;
            self.add(id, used, journal, forwarder, &mut out);
            if out.len() > CHUNK_BYTES {
                self.append_records(&mut out)?;
            }
        }
        if is_due {
            self.heartbeat(&mut out);
        }
        self.append_records(&mut out)?;
        let Some(file) = &self.file else { return Ok(()) };
        if is_due {
            // A kill of the process loses nothing that was written; a crash of the host may.
            file.sync()?;
        }
        if journal.recovered.lock().is_empty() {
            self.records.drop_recovered_catalogs();
        }
        let dead = file.bytes().saturating_sub(self.records.live_bytes());
        let is_half_dead = file.bytes() > MIN_COMPACTED_BYTES && dead > file.bytes() / 2;
        let frees_room = self.records.left_out() > 0 && dead > self.max_bytes / WORTHWHILE_PART;
        if is_half_dead || frees_room || file.bytes() > self.max_bytes {
            return self.replace(journal, forwarder);
        }
        Ok(())
    }

    fn append_records(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        if let Some(file) = self.file.as_mut().filter(|_| !out.is_empty()) {
            file.append(out)?;
        }
        out.clear();
        Ok(())
    }

    fn heartbeat(&mut self, out: &mut Vec<u8>) {
        let clock = &self.collector.clock;
        self.heartbeat_due = clock.now() + millis(HEARTBEAT_AFTER);
        format::write_heartbeat(clock.unix_ms(), out);
    }

    /// Adds the current state of an agent to a file with `used` bytes.
    fn add(
        &mut self,
        id: &AgentId,
        used: u64,
        journal: &Journal,
        forwarder: &Forwarder,
        out: &mut Vec<u8>,
    ) {
        let room = self.room(used);
        match forwarder.agent(id).filter(|agent| agent.noted.lock().is_some()) {
            Some(agent) => self.records.put(id, &agent, room, out),
            // Its record has not changed, also if it is connected again.
            None if journal.recovered.lock().contains(id) => {}
            None => self.records.remove(id, out),
        }
    }

    /// Returns the bytes that agents may add to a file with `used` bytes.
    fn room(&self, used: u64) -> u64 {
        (self.max_bytes - self.max_bytes / RESERVED_PART).saturating_sub(used)
    }

    /// Replaces the file by one without records that are not in use.
    fn replace(&mut self, journal: &Journal, forwarder: &Forwarder) -> io::Result<()> {
        let directory = self.directory.clone();
        self.records = Records::default();
        let replaced = JournalFile::replace(&directory, |to| {
            let mut to = Counted { to, bytes: 0 };
            let mut out = Vec::new();
            format::write_header(&mut out);
            self.heartbeat(&mut out);
            let ids = {
                let recovered = journal.recovered.lock();
                for (number, frame) in recovered.catalogs() {
                    self.records.put_recovered_catalog(number, frame, &mut out);
                }
                recovered.agents().map(|(id, _)| id.clone()).collect::<Vec<_>>()
            };
            for id in ids {
                let room = self.room(to.bytes + out.len() as u64);
                if let Some(agent) = journal.recovered.lock().agent(&id) {
                    self.records.put_recovered(&id, agent, room, &mut out);
                }
                to.write_chunk(&mut out)?;
            }
            for id in forwarder.agent_ids() {
                let used = to.bytes + out.len() as u64;
                self.add(&id, used, journal, forwarder, &mut out);
                to.write_chunk(&mut out)?;
            }
            to.write(&out)?;
            Ok(to.bytes)
        });
        self.file = Some(replaced?);
        self.records.replaced();
        Ok(())
    }
}

/// Counts the bytes that are written.
struct Counted<'a> {
    to: &'a mut dyn Write,
    bytes: u64,
}

impl Counted<'_> {
    fn write(&mut self, records: &[u8]) -> io::Result<()> {
        self.bytes += records.len() as u64;
        self.to.write_all(records)
    }

    /// Writes the records if they are enough for a chunk.
    fn write_chunk(&mut self, records: &mut Vec<u8>) -> io::Result<()> {
        if records.len() > CHUNK_BYTES {
            self.write(records)?;
            records.clear();
        }
        Ok(())
    }
}

/// Reads the journal of the last run. Logs damage, and sets a file aside that is no journal.
fn load(directory: &Path, max_bytes: u64, collector: &CollectorState) -> JournalContents {
    let path = file::path_in(directory);
    let file = path.display();
    let (contents, damage) = match File::open(&path) {
        Ok(opened) => read_journal(io::BufReader::new(opened), max_bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (JournalContents::default(), None),
        Err(error) => (JournalContents::default(), Some(error.into())),
    };
    if let Some(damage) = damage {
        collector.telemetry.metrics.state_errors.inc();
        let is_other = matches!(damage, JournalDamage::Foreign | JournalDamage::Version(_));
        let moved = is_other.then(|| file::set_aside(directory, collector.clock.moment().unix));
        let renamed_to = moved.and_then(Result::ok);
        let renamed_to = renamed_to.as_ref().map(|path| tracing::field::display(path.display()));
        error!(
            %file, error = %damage, renamed_to,
            "journal of forwarded agents damaged; using what comes before"
        );
    } else if contents.is_torn {
        debug!(%file, "last record of the journal incomplete");
    }
    if !contents.agents.is_empty() {
        let agents = contents.agents.len();
        info!(agents, "awaiting the agents that were forwarded before the start");
    }
    contents
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
