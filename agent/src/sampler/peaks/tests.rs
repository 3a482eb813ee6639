//! Peaks of fixture files, with a clock of the test.

use std::cell::Cell;
use std::fmt::Write as _;

use super::devices::{Class, Devices};
use super::maximum::Maximum;
use super::*;
use crate::config::NodePaths;
use crate::tables::exposition;

const SECOND: Duration = Duration::from_secs(1);

/// A host: its files, its counters and the time since a start.
struct Host {
    root: tempfile::TempDir,
    now: Cell<Duration>,
    meter: Meter,
}

/// CPU ticks, and the counters of devices.
#[derive(Default, Clone)]
struct Counters {
    busy: u64,
    idle: u64,
    /// Name, sectors read and written.
    disks: Vec<(&'static str, u64, u64)>,
    /// Name, bytes received and transmitted.
    interfaces: Vec<(&'static str, u64, u64)>,
}

impl Host {
    /// Creates a host where these entries of sysfs exist.
    fn new(entries: &[&str]) -> Self {
        let root = tempfile::tempdir().unwrap();
        for entry in entries {
            std::fs::create_dir_all(root.path().join("sys").join(entry)).unwrap();
        }
        std::fs::create_dir_all(root.path().join("proc/net")).unwrap();
        let [procfs, sysfs] = ["proc", "sys"].map(|directory| root.path().join(directory));
        let paths = NodePaths { procfs, sysfs, ..NodePaths::default() };
        let meter = Meter::new(&NodeOptions::try_new(paths, Default::default()).unwrap());
        Self { root, now: Cell::new(SECOND * 100), meter }
    }

    fn write(&self, file: &str, text: &[u8]) {
        std::fs::write(self.root.path().join("proc").join(file), text).unwrap();
    }

    fn set(&self, counters: &Counters) {
        let Counters { busy, idle, disks, interfaces } = counters;
        self.write("stat", format!("cpu  {busy} 0 0 {idle} 0 0 0 0 0 0\ncpu0 1\n").as_bytes());
        let mut text = String::new();
        for (name, read, written) in disks {
            writeln!(text, " 8 0 {name} 5 0 {read} 7 9 0 {written} 8 0 1 2").unwrap();
        }
        self.write("diskstats", text.as_bytes());
        let mut text = "Inter-| Receive\n face |bytes packets\n".to_owned();
        for (name, received, transmitted) in interfaces {
            writeln!(text, "{name:>6}: {received} 2 0 0 0 0 0 0 {transmitted} 9 0 0 0 0 0 0")
                .unwrap();
        }
        self.write("net/dev", text.as_bytes());
    }

    /// Reads after this time.
    fn read_after(&mut self, elapsed: Duration) -> Rates {
        self.now.set(self.now.get() + elapsed);
        let now = self.now.get();
        self.meter.read(&|| now)
    }

    /// Reads these counters a second later.
    fn next(&mut self, counters: &Counters) -> Rates {
        self.set(counters);
        self.read_after(SECOND)
    }
}

/// A host with a disk and an interface, and its first counters.
fn host() -> (Host, Counters) {
    let host = Host::new(&["block/sda/device", "block/dm-0", "class/net/eth0/device"]);
    let counters = Counters {
        busy: 1000,
        idle: 1000,
        disks: vec![("sda", 1000, 1000), ("sda1", 900, 900), ("dm-0", 900, 900)],
        interfaces: vec![("lo", 500, 500), ("eth0", 5000, 5000), ("veth1", 4000, 4000)],
    };
    (host, counters)
}

#[test]
fn spike_of_one_second_is_the_peak_of_the_interval() {
    let (mut host, mut counters) = host();
    let mut maximum = Maximum::new(host.now.get());
    host.next(&counters);
    for second in 0..15 {
        let is_spike = second == 7;
        counters.busy += if is_spike { 90 } else { 10 };
        counters.idle += if is_spike { 10 } else { 90 };
        for (_, read, written) in &mut counters.disks {
            (*read, *written) = (*read + if is_spike { 2000 } else { 2 }, *written + 4);
        }
        for (_, received, transmitted) in &mut counters.interfaces {
            *received += 100;
            *transmitted += if is_spike { 1_000_000 } else { 0 };
        }
        let rates = host.next(&counters);
        maximum.add(host.now.get(), rates);
    }
    let (peaks, _) = maximum.take(host.now.get());
    assert_eq!(peaks, [Some(0.9), Some(2000.0 * 512.0), Some(4.0 * 512.0), Some(100.0), Some(1e6)]);
    counters.idle += 100;
    let rates = host.next(&counters);
    maximum.add(host.now.get(), rates);
    assert_eq!(maximum.take(host.now.get()).0, [Some(0.0); RATES], "the spike is over");
}

#[test]
fn rates_are_per_second_whatever_the_time_between_readings() {
    let (mut host, mut counters) = host();
    assert_eq!(host.next(&counters), [None; RATES], "nothing to compare with");
    counters.interfaces[1].1 += 3000;
    counters.idle += 100;
    host.set(&counters);
    assert_eq!(host.read_after(SECOND / 10), [None; RATES], "too early");
    assert_eq!(host.read_after(SECOND * 14 / 10)[3], Some(2000.0));
}

#[test]
fn counters_that_decrease_or_wrap_are_no_spike() {
    let (mut host, mut counters) = host();
    (counters.interfaces[1].1, counters.disks[0].1) = (u64::MAX - 5, u64::MAX / 512);
    host.next(&counters);
    (counters.busy, counters.idle) = (3, 4);
    (counters.interfaces[1], counters.disks[0]) = (("eth0", 10, 6000), ("sda", 10, 1001));
    assert_eq!(
        host.next(&counters),
        [None, Some(0.0), Some(512.0), Some(0.0), Some(1000.0)],
        "each counter is on its own"
    );
    counters.busy += 100;
    counters.interfaces[1].1 += 7;
    assert_eq!(host.next(&counters)[..4], [Some(1.0), Some(0.0), Some(0.0), Some(7.0)]);
}

#[test]
fn device_that_appears_or_returns_is_no_spike() {
    let (mut host, mut counters) = host();
    for entry in ["block/sdb/device", "class/net/eth1/device"] {
        std::fs::create_dir_all(host.root.path().join("sys").join(entry)).unwrap();
    }
    let without = counters.clone();
    host.next(&counters);
    counters.disks.push(("sdb", 1 << 40, 1 << 40));
    counters.interfaces.push(("eth1", 1 << 40, 1 << 40));
    assert_eq!(host.next(&counters)[1..], [Some(0.0); 4]);
    counters.disks[3].1 += 2;
    assert_eq!(host.next(&counters)[1], Some(1024.0), "then it counts");
    host.next(&without);
    assert_eq!(host.next(&counters)[1..], [Some(0.0); 4]);
}

#[test]
fn first_physical_device_does_not_make_a_spike_of_others() {
    let mut host = Host::new(&["class/net/veth1"]);
    let mut counters =
        Counters { interfaces: vec![("lo", 9, 9), ("veth1", 100, 100)], ..Counters::default() };
    host.next(&counters);
    (counters.interfaces[0].1, counters.interfaces[1].1) = (5000, 130);
    assert_eq!(host.next(&counters)[3], Some(30.0), "all but lo, without physical ones");
    std::fs::create_dir_all(host.root.path().join("sys/class/net/eth0/device")).unwrap();
    counters.interfaces.push(("eth0", 1 << 40, 0));
    assert_eq!(host.next(&counters)[3], Some(0.0));
}

#[test]
fn bytes_that_pass_several_devices_count_once() {
    let mut host = Host::new(&[
        "block/nvme0n1/device",
        "block/nvme0c0n1/device",
        "block/cciss!c0d0/device",
        "block/loop0",
        "block/md0",
        "class/net/eth0/device",
        "class/net/vf0/device",
        "class/net/vf0/master/device",
        "class/net/slave0/device",
        "class/net/slave0/master",
        "class/net/bond0",
    ]);
    let disks = ["nvme0n1", "nvme0n1p1", "nvme0c0n1", "cciss/c0d0", "loop0", "md0"];
    let interfaces = ["eth0", "vf0", "slave0", "bond0", "a:b"];
    let mut counters = Counters {
        disks: disks.map(|name| (name, 0, 0)).to_vec(),
        interfaces: interfaces.map(|name| (name, 0, 0)).to_vec(),
        ..Counters::default()
    };
    host.next(&counters);
    counters.disks.iter_mut().for_each(|disk| disk.1 = 1);
    counters.interfaces.iter_mut().for_each(|interface| interface.1 = 1);
    let [_, read, _, received, _] = host.next(&counters);
    assert_eq!((read, received), (Some(1024.0), Some(2.0)), "two devices each");
}

#[test]
fn host_without_devices_has_no_throughput() {
    let mut host = Host::new(&[]);
    let counters = Counters { interfaces: vec![("lo", 1, 1)], ..Counters::default() };
    host.next(&counters);
    assert_eq!(host.next(&counters)[1..], [None; 4]);
}

#[test]
fn unreadable_and_broken_files_cost_only_their_own_values() {
    let (mut host, mut counters) = host();
    host.next(&counters);
    counters.idle += 100;
    host.set(&counters);
    let eth0 = b"\xff\xfe: 1\n  eth0: 6000 0 0 0 0 0 0 0 x\n" as &[u8];
    host.write("net/dev", eth0);
    std::fs::remove_file(host.root.path().join("proc/diskstats")).unwrap();
    // The open file of the meter is the one that was removed.
    host.meter = Meter::new(&options_of(&host));
    assert_eq!(host.read_after(SECOND), [None; RATES]);
    counters.idle += 100;
    host.set(&counters);
    host.write("net/dev", eth0);
    assert_eq!(host.read_after(SECOND), [Some(0.0), None, None, None, None]);
    assert_eq!(host.next(&counters)[1..], [Some(0.0); 4], "both have a base again");
    host.write("stat", b"cpu  1 2");
    assert_eq!(host.read_after(SECOND)[0], None);
}

fn options_of(host: &Host) -> NodeOptions {
    let [procfs, sysfs] = ["proc", "sys"].map(|directory| host.root.path().join(directory));
    let paths = NodePaths { procfs, sysfs, ..NodePaths::default() };
    NodeOptions::try_new(paths, Default::default()).unwrap()
}

#[test]
fn newest_rates_are_reported_again_if_there_was_no_reading_in_between() {
    let mut maximum = Maximum::new(Duration::ZERO);
    assert_eq!(maximum.take(SECOND), ([None; RATES], SECOND));
    maximum.add(SECOND, [None; RATES]);
    assert_eq!(maximum.take(SECOND).0, [None; RATES], "the first reading has no rates");
    let rates = |rate| [Some(rate), None, None, None, None];
    maximum.add(2 * SECOND, rates(5.0));
    maximum.add(3 * SECOND, rates(1.0));
    assert_eq!(maximum.take(3 * SECOND).0, rates(5.0));
    assert_eq!(maximum.take(4 * SECOND).0, rates(1.0));
    assert_eq!(maximum.take(6 * SECOND), ([None; RATES], 3 * SECOND), "the thread hangs");
}

#[test]
fn number_of_devices_is_bounded() {
    let names: Vec<_> = (0..20_000).map(|at| format!("veth{at}")).collect();
    let mut devices = Devices::default();
    let mut update = |bytes| {
        let lines = names.iter().map(|name| (name.as_str(), [bytes, 0]));
        devices.update(lines, |_| Class::CountsInstead)
    };
    assert_eq!(update(1), Some([0, 0]));
    assert_eq!(update(2), Some([10_000, 0]));
}

#[test]
fn devices_are_classified_again_from_time_to_time() {
    let mut devices = Devices::default();
    let mut bytes = 0;
    let mut update = |class| {
        bytes += 1;
        devices.update([("eth0", [bytes, 0])].into_iter(), |_| class)
    };
    update(Class::Counts);
    assert_eq!(update(Class::Ignored), Some([1, 0]), "not each time");
    assert!((0..100).any(|_| update(Class::Ignored).is_none()));
}

/// Returns the source with a running thread.
fn peaks(host: &Host) -> Peaks {
    Peaks { thread: PeakThread::start(Meter::new(&options_of(host))).unwrap() }
}

#[test]
fn source_reports_the_peaks_of_its_thread() {
    let (host, counters) = host();
    host.set(&counters);
    let tables = source(&options_of(&host)).tables;
    let (mut peaks, mut output) = (peaks(&host), Output::new(&tables));
    // The counters of the host do not rise.
    peaks.thread.add([0.5, 1.0, 2.0, 3.0, 4.0].map(Some));
    output.begin();
    peaks.read(&mut output).unwrap();
    output.finish();
    assert_eq!(
        exposition::lines(&tables, &output),
        [
            "host_cpu_usage_peak_ratio 0.5",
            "host_disk_read_bytes_per_second_peak 1",
            "host_disk_written_bytes_per_second_peak 2",
            "host_network_receive_bytes_per_second_peak 3",
            "host_network_transmit_bytes_per_second_peak 4",
        ]
    );
}

#[test]
fn thread_ends_with_its_source() {
    let (host, counters) = host();
    host.set(&counters);
    let peaks = peaks(&host);
    let thread = peaks.thread.downgrade();
    assert!(thread.strong_count() > 0);
    drop(Box::new(peaks) as Box<dyn Source>);
    while thread.strong_count() > 0 {
        std::thread::yield_now();
    }
}
