use std::io::ErrorKind;

use fleetgauge_proto::AgentId;

use super::*;
use crate::metrics::{MetricSet, Selection};
use crate::report_log::file::restore;
use crate::report_log::{LogLimits, ReplayCursor};
use crate::tables::Sample;

const HOST_MS: u64 = 1_000_000;
const COLLECTOR_MS: u64 = 5_000_000;

/// A disk in memory.
#[derive(Clone, Default)]
struct Disk(Arc<Mutex<Files>>);

#[derive(Default)]
struct Files {
    /// The file, and the new one until it replaces it.
    present: Vec<u8>,
    new: Option<Vec<u8>>,
    /// Number of bytes that can still be written.
    free: usize,
    /// Number of attempts to begin a file.
    created: usize,
    /// The largest size of both files.
    most: usize,
    synced: bool,
}

impl Disk {
    fn with(free: usize) -> Self {
        let disk = Self::default();
        disk.set_free(free);
        disk
    }

    fn set_free(&self, free: usize) {
        self.0.lock().unwrap().free = free;
    }

    /// Returns sequence numbers and times of the reports in the file.
    fn reports(&self) -> Vec<(u64, u64)> {
        let files = self.0.lock().unwrap();
        let limits = LogLimits { bytes: 1 << 30, age: Duration::MAX };
        let (file, bytes) = (&*files.present, files.present.len() as u64);
        let restored = restore(file, bytes, &id("web-1"), limits, 0).unwrap();
        assert_eq!(restored.damaged_bytes, 0);
        reports(&restored.log)
    }

    fn created(&self) -> usize {
        self.0.lock().unwrap().created
    }
}

impl Storage for Disk {
    fn create(&mut self) -> io::Result<()> {
        let mut files = self.0.lock().unwrap();
        files.created += 1;
        files.new = Some(Vec::new());
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut files = self.0.lock().unwrap();
        let written = bytes.len().min(files.free);
        files.free -= written;
        let Files { present, new, .. } = &mut *files;
        // A full disk takes a part.
        new.as_mut().unwrap_or(present).extend_from_slice(&bytes[..written]);
        let size = files.present.len() + files.new.as_ref().map_or(0, Vec::len);
        files.most = files.most.max(size);
        files.synced = false;
        if written < bytes.len() { Err(ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn publish(&mut self) -> io::Result<()> {
        let mut files = self.0.lock().unwrap();
        files.present = files.new.take().unwrap();
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.lock().unwrap().synced = true;
        Ok(())
    }

    fn discard(&mut self) {
        self.0.lock().unwrap().new = None;
    }
}

/// A recorder and the saver of its log.
struct Ends {
    recorder: Arc<Recorder>,
    saver: LogSaver<Disk>,
    zero: Instant,
}

impl Ends {
    fn new(bytes: usize, storage: Option<Disk>, open: Open<Disk>) -> Self {
        let (limits, zero) = (LogLimits { bytes, age: Duration::MAX }, Instant::now());
        let recorder = Arc::new(Recorder::new(limits, zero, Duration::from_millis(HOST_MS)));
        let id = Box::new(|| id("web-1"));
        let saver = LogSaver::new(Arc::clone(&recorder), id, storage, open, zero);
        Self { recorder, saver, zero }
    }

    fn on(disk: &Disk, bytes: usize) -> Self {
        let open = Box::new(|_: &AgentId| unreachable!("the storage is open"));
        Self::new(bytes, Some(disk.clone()), open)
    }

    fn at(&self, seconds: u64) -> Instant {
        self.zero + Duration::from_secs(seconds)
    }

    /// Records a sample this many seconds after the start.
    fn record(&self, seconds: u64) {
        let catalogs = Selection::of(MetricSet::Basic).catalogs().clone();
        let values = (0..6).map(|value| (value + seconds) as f64 / 7.0).collect();
        let sample = Sample { rows: catalogs.no_rows(), values };
        self.recorder.record(self.at(seconds), &sample, &catalogs);
    }

    fn save(&mut self, seconds: u64) -> Option<SaveEvent> {
        self.saver.save(self.at(seconds))
    }
}

fn id(text: &str) -> AgentId {
    AgentId::try_new(text).unwrap()
}

fn reports(log: &ReportLog) -> Vec<(u64, u64)> {
    let mut cursor = ReplayCursor::default();
    let next = || cursor.next(log).map(|report| (report.sequence, report.unix_ms));
    std::iter::from_fn(next).collect()
}

#[test]
fn reports_are_appended_as_they_are_recorded() {
    let disk = Disk::with(usize::MAX);
    let mut ends = Ends::on(&disk, 1 << 20);
    for seconds in 1..=100 {
        ends.record(seconds);
        assert!(ends.save(seconds).is_none());
        assert_eq!(disk.reports(), ends.recorder.with_log(reports));
    }
    assert_eq!((disk.reports().len(), disk.created()), (100, 1));
    ends.recorder.acknowledge(60, 0, Instant::now());
    assert!(ends.saver.finish(ends.at(101)).is_none());
    assert_eq!(disk.reports()[0].0, 61);
    assert!(disk.0.lock().unwrap().synced);
}

#[test]
fn full_disk_is_one_event_and_retried_after_a_minute() {
    let probe = Disk::with(usize::MAX);
    let mut ends = Ends::on(&probe, 1 << 20);
    ends.record(1);
    ends.save(1);
    let first = probe.0.lock().unwrap().present.len();
    let disk = Disk::with(first + 100);
    let mut ends = Ends::on(&disk, 1 << 20);
    let (mut events, mut attempts) = (Vec::new(), Vec::new());
    for seconds in 1..=200 {
        ends.record(seconds);
        let before = disk.created();
        events.extend(ends.save(seconds).map(|event| (seconds, format!("{event:?}"))));
        if disk.created() > before {
            attempts.push(seconds);
        }
    }
    let [(failed, text)] = &*events else { panic!("{events:?}") };
    assert!(text.contains("StorageFull"), "{text}");
    assert_eq!(attempts, [1, failed + 60, failed + 120, failed + 180]);
    assert_eq!(ends.recorder.with_log(ReportLog::len), 200, "in memory");
    disk.set_free(usize::MAX);
    ends.record(300);
    assert!(matches!(ends.save(300), Some(SaveEvent::Recovered)));
    assert_eq!(disk.reports(), ends.recorder.with_log(reports));
    ends.record(301);
    assert!(ends.save(301).is_none());
    assert_eq!(disk.reports().len(), 202);
}

#[test]
fn file_is_bounded_for_reports_that_are_acknowledged() {
    let disk = Disk::with(usize::MAX);
    let mut ends = Ends::on(&disk, 1 << 20);
    for seconds in 1..=10_000 {
        ends.record(seconds);
        ends.recorder.acknowledge(seconds.saturating_sub(3), 0, Instant::now());
        assert!(ends.save(seconds).is_none());
        let live = ends.recorder.with_log(ReportLog::bytes) as u64;
        let size = disk.0.lock().unwrap().present.len() as u64;
        // A chunk of one report more.
        assert!(size <= 2 * live + SPARE_BYTES + 1_024, "{size} bytes, {live} live");
    }
    assert_eq!(disk.reports(), ends.recorder.with_log(reports));
    let created = disk.created();
    assert!((2..20).contains(&created), "written {created} times");
}

#[test]
fn file_is_bounded_without_acknowledgements() {
    const LOG_BYTES: usize = 64 * 1024;
    let disk = Disk::with(usize::MAX);
    let mut ends = Ends::on(&disk, LOG_BYTES);
    for seconds in 1..=10_000 {
        ends.record(seconds);
        assert!(ends.save(seconds).is_none());
    }
    // Those that were dropped since the file was written again are still in it.
    assert!(disk.reports().ends_with(&ends.recorder.with_log(reports)));
    let most = disk.0.lock().unwrap().most;
    let created = disk.created();
    // The new file is beside the old one while it is written.
    assert!(most <= 3 * LOG_BYTES + SPARE_BYTES as usize + 1_024, "{most} bytes");
    assert!((2..20).contains(&created), "written {created} times");
}

#[test]
fn file_gets_the_times_that_a_welcome_corrects() {
    let disk = Disk::with(usize::MAX);
    let mut ends = Ends::on(&disk, 1 << 20);
    ends.record(1);
    assert!(ends.save(1).is_none());
    assert_eq!(disk.reports(), [(1, HOST_MS + 1_000)]);
    ends.recorder.welcomed(COLLECTOR_MS, ends.at(2), true);
    ends.record(3);
    assert!(ends.save(3).is_none());
    assert_eq!(disk.reports(), [(1, COLLECTOR_MS - 1_000), (2, COLLECTOR_MS + 1_000)]);
}

#[test]
fn file_of_a_changed_id_is_written_again() {
    let disk = Disk::with(usize::MAX);
    let mut ends = Ends::on(&disk, 1 << 20);
    ends.saver.id = Box::new(|| id("web-9"));
    ends.record(1);
    assert!(ends.save(1).is_none());
    ends.saver.id = Box::new(|| id("web-1"));
    ends.record(2);
    assert!(ends.save(2).is_none());
    assert_eq!((disk.reports().len(), disk.created()), (2, 2));
}

#[test]
fn file_that_is_in_use_at_first_is_opened_after_a_minute() {
    let (disk, mut attempts) = (Disk::with(usize::MAX), 0);
    let opened = disk.clone();
    let open = move |_: &AgentId| {
        attempts += 1;
        if attempts < 2 { Err(OpenError::InUse) } else { Ok(opened.clone()) }
    };
    let mut ends = Ends::new(1 << 20, None, Box::new(open));
    for seconds in 1..120 {
        ends.record(seconds);
        assert!(ends.save(seconds).is_none(), "was logged at the start");
    }
    ends.record(120);
    assert!(matches!(ends.save(120), Some(SaveEvent::Recovered)));
    assert_eq!(disk.reports().len(), 120);
}
