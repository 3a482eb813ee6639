use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use super::*;
use crate::sampler::node::testing::Fixture;
use crate::tables::exposition;

const MOUNTINFO: &str = "21 26 0:20 / /sys rw,nosuid shared:7 - sysfs sysfs rw
26 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
27 26 8:2 /sub /data ro,relatime shared:2 master:3 - btrfs /dev/sda2 rw
28 26 0:30 / /run rw - tmpfs tmpfs rw,size=100k
29 26 0:31 / /var/lib/docker/overlay2/1/merged rw - ext4 overlay rw
30 26 0:40 / /mnt/nfs rw - nfs4 server:/my\\040share rw
";

/// What a mount does when it is asked.
#[derive(Clone, Copy, PartialEq)]
enum Does {
    Answer,
    AnswerReadOnly,
    Fail(Errno),
    Hang,
}

/// Mounts that hang until they are released. The clock passes the timeout when one is asked that
/// hangs, and stands still otherwise: a slow machine is no mount that hangs.
struct Mounts {
    does: Mutex<HashMap<String, Does>>,
    /// All paths that were asked.
    asked: Mutex<Vec<String>>,
    late_ms: AtomicU64,
    released: Mutex<HashMap<String, Sender<()>>>,
}

const TEST_TIMEOUT: Duration = Duration::from_millis(5);

impl Mounts {
    fn new(does: &[(&str, Does)]) -> Arc<Self> {
        let does = does.iter().map(|(path, does)| ((*path).to_owned(), *does)).collect();
        Arc::new(Self {
            does: Mutex::new(does),
            asked: Mutex::default(),
            late_ms: AtomicU64::new(0),
            released: Mutex::default(),
        })
    }

    fn set(&self, path: &str, does: Does) {
        self.does.lock().unwrap().insert(path.to_owned(), does);
    }

    fn stat(&self, path: &str) -> Result<Usage, Errno> {
        self.asked.lock().unwrap().push(path.to_owned());
        let does = self.does.lock().unwrap().get(path).copied().unwrap_or(Does::Answer);
        match does {
            Does::Answer | Does::AnswerReadOnly => {}
            Does::Fail(error) => return Err(error),
            Does::Hang => {
                let (sender, receiver) = channel();
                let mut released = self.released.lock().unwrap();
                released.insert(path.to_owned(), sender);
                drop(released);
                self.late_ms.fetch_add(TEST_TIMEOUT.as_millis() as u64, Ordering::SeqCst);
                // Fails when the test has ended.
                let _ = receiver.recv();
            }
        }
        let read_only = does == Does::AnswerReadOnly;
        Ok(Usage { size: 5.0, free: 4.0, available: 3.0, files: 2.0, files_free: 1.0, read_only })
    }

    /// Lets a mount answer that hangs.
    fn release(&self, path: &str) {
        loop {
            let sender = self.released.lock().unwrap().remove(path);
            if let Some(sender) = sender {
                return sender.send(()).unwrap();
            }
            // It is not asked yet.
            std::thread::yield_now();
        }
    }

    /// Returns the paths that were asked since the last call.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

struct Host {
    fixture: Fixture,
    mounts: Arc<Mounts>,
    filesystems: Filesystems,
}

impl Host {
    fn new(mountinfo: &str, does: &[(&str, Does)]) -> Self {
        let fixture = Fixture::new();
        fixture.file("proc/1/mountinfo", mountinfo);
        let mounts = Mounts::new(does);
        let root = fixture.path("root");
        let start = Instant::now();
        let (of_stat, of_clock) = (Arc::clone(&mounts), Arc::clone(&mounts));
        let stat = move |path: &Path| {
            let path = path.strip_prefix(&root).unwrap();
            of_stat.stat(&format!("/{}", path.display()))
        };
        let clock = move || start + Duration::from_millis(of_clock.late_ms.load(Ordering::SeqCst));
        let calls = Calls { stat: Arc::new(stat), clock: Arc::new(clock), timeout: TEST_TIMEOUT };
        let filesystems = Filesystems::new(&fixture.options(), calls);
        Self { fixture, mounts, filesystems }
    }

    fn read(&mut self) -> Vec<String> {
        let tables = (COLLECTOR.tables)(&self.fixture.options());
        let mut output = Output::new(&tables);
        output.begin();
        self.filesystems.read(&mut output).unwrap();
        output.finish();
        exposition::lines(&tables, &output)
    }

    /// Returns device errors as `MOUNT_POINT: LABEL`.
    fn errors(&mut self) -> Vec<String> {
        let label = |line: &str, name: &str| {
            let value = line.split(&format!("{name}=\"")).nth(1)?.split('"').next()?;
            Some(value.to_owned())
        };
        let lines = self.read();
        let lines = lines.iter().filter(|line| line.starts_with("node_filesystem_device_error{"));
        let mut errors: Vec<_> = lines
            .map(|line| {
                let error = label(line, "device_error").unwrap_or_default();
                assert_eq!(line.ends_with("} 1"), !error.is_empty(), "{line}");
                format!("{}: {error}", label(line, "mountpoint").unwrap())
            })
            .collect();
        errors.sort();
        errors
    }

    /// Reads until a mount that was released has answered.
    fn errors_once(&mut self, expected: &[&str]) {
        while self.errors() != expected {
            std::thread::yield_now();
        }
    }
}

#[test]
fn mount_that_became_read_only_is_shown_before_the_mounts_are_read_again() {
    let mut host = Host::new(MOUNTINFO, &[("/", Does::AnswerReadOnly)]);
    let lines = host.read();
    let mut of_root = lines.iter().filter(|line| line.contains("mountpoint=\"/\""));
    let line = of_root.find(|line| line.starts_with("node_filesystem_readonly{"));
    assert!(line.is_some_and(|line| line.ends_with("} 1")), "{line:?}");
}

#[test]
fn mounts_have_their_usage() {
    let mut host = Host::new(MOUNTINFO, &[]);
    let of_root = "device=\"/dev/sda1\",fstype=\"ext4\",mountpoint=\"/\"";
    let lines = host.read();
    let lines_of_root: Vec<_> = lines.iter().filter(|line| line.contains(of_root)).collect();
    assert_eq!(
        lines_of_root,
        [
            &format!("node_filesystem_avail_bytes{{{of_root}}} 3"),
            &format!("node_filesystem_device_error{{{of_root}}} 0"),
            &format!("node_filesystem_files_free{{{of_root}}} 1"),
            &format!("node_filesystem_files{{{of_root}}} 2"),
            &format!("node_filesystem_free_bytes{{{of_root}}} 4"),
            &format!("node_filesystem_readonly{{{of_root}}} 0"),
            &format!("node_filesystem_size_bytes{{{of_root}}} 5"),
        ]
    );
    let infos: Vec<_> = lines.iter().filter(|line| line.contains("mount_info")).collect();
    assert_eq!(
        infos,
        [
            "node_filesystem_mount_info{device=\"/dev/sda1\",major=\"8\",minor=\"1\",\
             mountpoint=\"/\"} 1",
            "node_filesystem_mount_info{device=\"/dev/sda2\",major=\"8\",minor=\"2\",\
             mountpoint=\"/data\"} 1",
            // As node_exporter: the escapes of the device stay.
            "node_filesystem_mount_info{device=\"server:/my\\\\040share\",major=\"0\",minor=\"40\",\
             mountpoint=\"/mnt/nfs\"} 1",
            "node_filesystem_mount_info{device=\"tmpfs\",major=\"0\",minor=\"30\",\
             mountpoint=\"/run\"} 1",
        ]
    );
    assert_eq!(host.mounts.asked(), ["/", "/run", "/data", "/mnt/nfs"]);
}

#[test]
fn mount_that_fails_has_only_its_error() {
    let does = [
        ("/data", Does::Fail(Errno::STALE)),
        ("/run", Does::Fail(Errno::ACCESS)),
        ("/mnt/nfs", Does::Fail(Errno::XDEV)),
    ];
    let mut host = Host::new(MOUNTINFO, &does);
    assert_eq!(
        host.errors(),
        [
            "/: ",
            "/data: stale NFS file handle",
            "/mnt/nfs: invalid cross-device link",
            "/run: permission denied"
        ]
    );
    let lines = host.read();
    let of_data: Vec<_> = lines.iter().filter(|line| line.contains("/data")).collect();
    let labels = "device=\"/dev/sda2\",device_error=\"stale NFS file handle\",fstype=\"btrfs\",\
                  mountpoint=\"/data\"";
    assert_eq!(
        of_data,
        [
            &format!("node_filesystem_device_error{{{labels}}} 1"),
            &format!("node_filesystem_readonly{{{labels}}} 1")
        ]
    );
}

#[test]
fn mount_that_hangs_costs_only_itself_until_it_answers() {
    let mut host = Host::new(MOUNTINFO, &[("/data", Does::Hang)]);
    let expected = ["/: ", "/data: mountpoint timeout", "/mnt/nfs: ", "/run: "];
    assert_eq!(host.errors(), expected, "in the first reading");
    assert_eq!(host.mounts.asked(), ["/", "/run", "/data", "/mnt/nfs"]);
    for _ in 0..5 {
        assert_eq!(host.errors(), expected);
        assert_eq!(host.mounts.asked(), ["/", "/run", "/mnt/nfs"], "it is not asked again");
    }
    let lines = host.read();
    let of_data: Vec<_> = lines.iter().filter(|line| line.contains("/data")).collect();
    let labels = "device=\"/dev/sda2\",device_error=\"mountpoint timeout\",fstype=\"btrfs\",\
                  mountpoint=\"/data\"";
    assert_eq!(
        of_data,
        [
            &format!("node_filesystem_device_error{{{labels}}} 1"),
            &format!("node_filesystem_readonly{{{labels}}} 0")
        ]
    );

    host.mounts.set("/data", Does::Answer);
    host.mounts.release("/data");
    let answered = ["/: ", "/data: ", "/mnt/nfs: ", "/run: "];
    host.errors_once(&answered);
    while host.filesystems.workers.len() > 1 {
        // Nothing else says that it has answered in time.
        host.errors();
    }
    host.mounts.asked();
    assert_eq!(host.errors(), answered);
    assert_eq!(host.mounts.asked(), ["/", "/run", "/data", "/mnt/nfs"]);
}

#[test]
fn slow_mount_has_the_values_of_its_last_answer() {
    let mut host = Host::new(MOUNTINFO, &[("/data", Does::Hang)]);
    let late = ["/: ", "/data: mountpoint timeout", "/mnt/nfs: ", "/run: "];
    for _ in 0..3 {
        assert_eq!(host.errors(), late);
        host.mounts.release("/data");
        host.errors_once(&["/: ", "/data: ", "/mnt/nfs: ", "/run: "]);
        assert_eq!(host.filesystems.workers.len(), 2);
    }
    assert_eq!(host.errors(), late);
    host.fixture.file("proc/1/mountinfo", "26 1 8:1 / / rw - ext4 /dev/sda1 rw\n");
    assert_eq!(host.errors(), ["/: "]);
    host.mounts.release("/data");
    while host.filesystems.workers.len() > 1 {
        assert_eq!(host.errors(), ["/: "], "it has been unmounted");
    }
}

#[test]
fn dead_server_leaves_local_mounts_a_worker() {
    let line = |at: usize, kind: &str| format!("{at} 1 0:{at} / /{kind}{at} rw - {kind} x rw\n");
    let mut mountinfo: String = (0..9).map(|at| line(at, "nfs4")).collect();
    mountinfo += &line(9, "btrfs");
    let paths: Vec<_> = (0..9).map(|at| format!("/nfs4{at}")).collect();
    let does: Vec<_> = paths.iter().map(|path| (&**path, Does::Hang)).collect();
    let mut host = Host::new(&mountinfo, &does);
    for reading in 0..3 {
        let errors = host.errors();
        assert_eq!(errors[0], "/btrfs9: ", "reading {reading}");
        let stuck = errors.iter().filter(|error| error.ends_with(": mountpoint timeout")).count();
        let not_asked = errors.iter().filter(|error| error.contains(": not asked")).count();
        assert_eq!((stuck, not_asked), (stat_workers::MAX_WORKERS - 1, 6), "{errors:?}");
    }
    assert_eq!(host.filesystems.workers.len(), stat_workers::MAX_WORKERS);

    // The last worker hangs as well: there is none left, and no other thread is started.
    host.mounts.set("/btrfs9", Does::Hang);
    host.mounts.asked();
    for _ in 0..3 {
        assert_eq!(host.errors()[0], "/btrfs9: mountpoint timeout");
    }
    assert_eq!(host.mounts.asked(), ["/btrfs9"]);
    assert_eq!(host.filesystems.workers.len(), stat_workers::MAX_WORKERS);

    for path in paths.iter().map(|path| &**path).chain(["/btrfs9"]) {
        host.mounts.set(path, Does::Answer);
    }
    for path in ["/nfs40", "/nfs41", "/nfs42", "/btrfs9"] {
        host.mounts.release(path);
    }
    let expected: Vec<_> =
        ["/btrfs9".to_owned()].iter().chain(&paths).map(|p| format!("{p}: ")).collect();
    host.errors_once(&expected.iter().map(|error| &**error).collect::<Vec<_>>());
}

#[test]
fn filesystems_that_cannot_hang_are_asked_without_a_worker() {
    let mut host = Host::new("26 1 8:1 / / rw - ext4 /dev/sda1 rw\n", &[]);
    assert_eq!(host.errors(), ["/: "]);
    host.mounts.set("/", Does::Fail(Errno::IO));
    assert_eq!(host.errors(), ["/: input/output error"]);
    assert_eq!(host.filesystems.workers.len(), 0);
}

#[test]
fn mount_below_or_under_one_that_hangs_is_asked_by_a_worker() {
    let mountinfo = "26 1 0:26 / / rw - overlay overlay rw
27 26 8:1 / /over rw - ext4 /dev/sda1 rw
28 27 0:40 / /over rw - nfs4 server:/over rw
29 26 0:41 / /auto rw - autofs systemd-1 rw
30 29 8:2 / /auto/disk rw - xfs /dev/sda2 rw
31 26 8:3 / /automatic rw - ext4 /dev/sda3 rw
32 26 0:42 / /run rw - tmpfs tmpfs rw
";
    let mut host = Host::new(mountinfo, &[("/over", Does::Hang), ("/auto/disk", Does::Hang)]);
    for _ in 0..3 {
        assert_eq!(
            host.errors(),
            [
                "/auto/disk: mountpoint timeout",
                "/automatic: ",
                "/over: mountpoint timeout",
                "/over: mountpoint timeout",
                "/run: ",
            ]
        );
    }
}

#[test]
fn same_mount_is_asked_once_and_broken_lines_are_skipped() {
    let mut mountinfo = MOUNTINFO.to_owned() + MOUNTINFO;
    mountinfo += "\n31 26 8:1 / /short rw - ext4\n32 26 x:1 / /x rw - ext4 x rw\nno\n \n";
    mountinfo +=
        "33 26 8:1 / /over rw - ext4 a rw\n34 26 8:1 / /over rw - ext4 b rw\n35 26 8:1 / /cut";
    let mut host = Host::new(&mountinfo, &[]);
    assert_eq!(host.errors(), ["/: ", "/data: ", "/mnt/nfs: ", "/over: ", "/over: ", "/run: "]);
    assert_eq!(host.mounts.asked(), ["/", "/run", "/over", "/over", "/data", "/mnt/nfs"]);
    host.fixture.file("proc/1/mountinfo", "26 1 8:1 / / rw - ext4 /dev/sda1 rw\n");
    assert_eq!(host.errors(), ["/: "], "mounts that are gone have no series");
}
