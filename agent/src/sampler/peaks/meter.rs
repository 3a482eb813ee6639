//! Reads the counters of the host and makes rates of them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Rates;
use super::devices::{Class, Devices};
use crate::sampler::linux::Times;
use crate::sampler::node::NodeOptions;
use crate::sampler::node::files::KeptFile;

/// Minimum time between two readings. A rate over a shorter time is mostly noise.
const MIN_ELAPSED: Duration = Duration::from_millis(500);
/// Size of a sector of `/proc/diskstats`, in bytes, whatever the device has.
const SECTOR_BYTES: u64 = 512;

/// Parses the line of a device: its name and two counters.
type ParseLine = fn(&str) -> Option<(&str, [u64; 2])>;

/// A monotonic clock.
pub(super) type Clock<'a> = &'a dyn Fn() -> Duration;

/// Reads CPU usage and the throughput of disks and network devices.
#[derive(Debug)]
pub(super) struct Meter {
    cpu: CpuMeter,
    disks: DeviceMeter,
    network: DeviceMeter,
}

#[derive(Debug)]
struct CpuMeter {
    file: KeptFile,
    previous: Option<(Duration, Times)>,
}

/// Reads a file with a line for each device.
#[derive(Debug)]
struct DeviceMeter {
    file: KeptFile,
    /// Directory with an entry for each device.
    sysfs: PathBuf,
    devices: Devices,
    /// Time of the last reading; `None` if it failed.
    read_at: Option<Duration>,
    parse: ParseLine,
    classify: fn(&Path, &str) -> Class,
}

impl Meter {
    pub(super) fn new(options: &NodeOptions) -> Self {
        let (disks, network) = (options.procfs("diskstats"), options.procfs("net/dev"));
        let (block, net) = (options.sysfs("block"), options.sysfs("class/net"));
        Self {
            cpu: CpuMeter { file: KeptFile::new(options.procfs("stat")), previous: None },
            disks: DeviceMeter::new(disks, block, parse_disk, classify_disk),
            network: DeviceMeter::new(network, net, parse_interface, classify_interface),
        }
    }

    /// Reads all counters. Returns the rates since the last reading.
    pub(super) fn read(&mut self, clock: Clock<'_>) -> Rates {
        let cpu = self.cpu.read(clock);
        let [read, written] = self.disks.read(clock);
        let [received, transmitted] = self.network.read(clock);
        [cpu, read, written, received, transmitted]
    }
}

impl CpuMeter {
    /// Returns the CPU usage since the last reading; `None` if there is no last one, or if a
    /// counter decreased.
    fn read(&mut self, clock: Clock<'_>) -> Option<f64> {
        let now = clock();
        if self.previous.is_some_and(|(before, _)| now.saturating_sub(before) < MIN_ELAPSED) {
            return None;
        }
        let times = self.file.read().ok().and_then(|text| Times::parse(text).ok());
        let before = std::mem::replace(&mut self.previous, times.map(|times| (now, times)));
        let (_, before) = before?;
        times?.since(before).ok().map(|cpu| cpu.usage_ratio)
    }
}

impl DeviceMeter {
    fn new(
        file: PathBuf,
        sysfs: PathBuf,
        parse: ParseLine,
        classify: fn(&Path, &str) -> Class,
    ) -> Self {
        let file = KeptFile::new(file);
        Self { file, sysfs, devices: Devices::default(), read_at: None, parse, classify }
    }

    /// Returns the rates of two counters since the last reading, in whole units per second.
    fn read(&mut self, clock: Clock<'_>) -> [Option<f64>; 2] {
        let Self { file, sysfs, devices, read_at, parse, classify } = self;
        let now = clock();
        if read_at.is_some_and(|before| now.saturating_sub(before) < MIN_ELAPSED) {
            return [None; 2];
        }
        let Ok(text) = file.read() else {
            // The next reading is a first one: increases since an older one have no known time.
            (*read_at, *devices) = (None, Devices::default());
            return [None; 2];
        };
        let sums = devices.update(text.lines().filter_map(*parse), |name| classify(sysfs, name));
        let before = read_at.replace(now);
        let (Some(sums), Some(before)) = (sums, before) else { return [None; 2] };
        let elapsed = now.saturating_sub(before).as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "metric values are floating-point numbers")]
        sums.map(|sum| Some((sum as f64 / elapsed).round()))
    }
}

/// Parses a line of `/proc/diskstats`: the name, and the bytes read and written.
fn parse_disk(line: &str) -> Option<(&str, [u64; 2])> {
    let mut fields = line.split_ascii_whitespace().skip(2);
    let name = fields.next()?;
    let mut sectors = [fields.nth(2), fields.nth(3)].into_iter();
    let mut bytes = || sectors.next()??.parse::<u64>().ok()?.checked_mul(SECTOR_BYTES);
    Some((name, [bytes()?, bytes()?]))
}

/// Parses a line of `/proc/net/dev`: the name, and the bytes received and transmitted.
fn parse_interface(line: &str) -> Option<(&str, [u64; 2])> {
    // Names may have colons.
    let (name, numbers) = line.rsplit_once(':')?;
    let mut numbers = numbers.split_ascii_whitespace();
    let received = numbers.next()?.parse().ok()?;
    Some((name.trim(), [received, numbers.nth(7)?.parse().ok()?]))
}

/// Classifies a block device. Physical and virtual disks of a machine have a parent device. Loop
/// devices, memory disks, device mapper and RAID have none, and partitions have no entry.
fn classify_disk(sysfs: &Path, name: &str) -> Class {
    // Sysfs has no slashes in names.
    let entry = sysfs.join(name.replace('/', "!"));
    let counts = !is_path_of_multipath(name) && entry.join("device").exists();
    if counts { Class::Counts } else { Class::Ignored }
}

/// Returns whether the device is a path to a disk that has an entry of its own, such as
/// `nvme0c1n1`.
fn is_path_of_multipath(name: &str) -> bool {
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let Some(rest) = name.strip_prefix("nvme") else { return false };
    let Some(rest) = rest.get(digits(rest)..) else { return false };
    rest.starts_with('c')
}

/// Classifies a network device. Bridges, bonds, VLANs and interfaces of containers have no parent
/// device. Their bytes also pass a physical one, or never leave the host. A physical device whose
/// master is physical too, as with virtual functions of a hypervisor, is counted there.
fn classify_interface(sysfs: &Path, name: &str) -> Class {
    let entry = sysfs.join(name);
    if name == "lo" || entry.join("master/device").exists() {
        Class::Ignored
    } else if entry.join("device").exists() {
        Class::Counts
    } else {
        Class::CountsInstead
    }
}
