//! Metrics of the agent's own process, under the names that node_exporter has for itself.
//!
//! Not a collector: node_exporter has these metrics whatever collectors run.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fleetgauge_proto::catalog::FamilyKind;

use super::column::{gauge, table};
use super::files::{Directory, KeptFile, parse_file};
use crate::sampler::{Source, SourceError, SourceSpec};
use crate::tables::{FoundFamily, Output};

/// Mount point of procfs. Other mount points show other processes.
const PROCFS: &str = "/proc";
/// Version that is reported.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Clock ticks per second of `/proc/self/stat`, the same on all architectures.
const TICKS_PER_SECOND: f64 = 100.0;
/// Labels with an empty value are absent, so that branch, goversion, revision and tags are not
/// declared.
const BUILD_LABELS: [&str; 3] = ["goarch", "goos", "version"];

const CPU: FoundFamily<'_> =
    counter("process_cpu_seconds_total", "CPU time of the process, in user and system mode.");
const OPEN_FILES: FoundFamily<'_> =
    gauge_family("process_open_fds", "Number of open file descriptors.");
const MAX_FILES: FoundFamily<'_> =
    gauge_family("process_max_fds", "Maximum number of open file descriptors.");
const VIRTUAL: FoundFamily<'_> =
    gauge_family("process_virtual_memory_bytes", "Size of the address space.");
const MAX_VIRTUAL: FoundFamily<'_> =
    gauge_family("process_virtual_memory_max_bytes", "Maximum size of the address space.");
const RESIDENT: FoundFamily<'_> =
    gauge_family("process_resident_memory_bytes", "Memory of the process that is in RAM.");
const START: FoundFamily<'_> =
    gauge_family("process_start_time_seconds", "Unix time of the start of the process.");
const RECEIVED: FoundFamily<'_> = counter(
    "process_network_receive_bytes_total",
    "Bytes received over IP in the network namespace of the process.",
);
const TRANSMITTED: FoundFamily<'_> = counter(
    "process_network_transmit_bytes_total",
    "Bytes sent over IP in the network namespace of the process.",
);

/// Returns the source. Its process metrics are found families, because local exporters have
/// families of the same names, which the collector shall merge.
pub(crate) fn source() -> SourceSpec {
    let tables = vec![table(
        &BUILD_LABELS,
        &[gauge("node_exporter_build_info", "Version and platform of the agent, always 1.")],
    )];
    let factory = || Ok(Box::new(OwnProcess::new(Path::new(PROCFS))) as Box<dyn Source>);
    SourceSpec { name: "own_process", tables, factory: Arc::new(factory), is_collector: false }
}

#[derive(Debug)]
struct OwnProcess {
    stat: KeptFile,
    limits: KeptFile,
    network: KeptFile,
    system: KeptFile,
    files_path: PathBuf,
    files: Directory,
    /// Unix time of the boot; `None` before it was read. It is read once: the kernel derives it
    /// from the clock, and a corrected clock would move the start of the process.
    boot: Option<f64>,
}

/// The fields of `/proc/self/stat` that are reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    /// User and system time, in ticks.
    cpu: u64,
    /// Start after boot, in ticks.
    start: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

impl OwnProcess {
    fn new(procfs: &Path) -> Self {
        let own = procfs.join("self");
        Self {
            stat: KeptFile::new(own.join("stat")),
            limits: KeptFile::new(own.join("limits")),
            network: KeptFile::shared(procfs.join("net/netstat")),
            system: KeptFile::new(procfs.join("stat")),
            files_path: own.join("fd"),
            files: Directory::new(own.join("fd")),
            boot: None,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "metric values are floating-point numbers")]
    fn read_stat(&mut self, output: &mut Output) -> Result<(), SourceError> {
        let parse = |text: &str| Stat::parse(text).ok_or("a field is missing");
        let stat = parse_file(&mut self.stat, parse)?;
        let page = rustix::param::page_size() as f64;
        output.sample(CPU, &[], stat.cpu as f64 / TICKS_PER_SECOND);
        output.sample(RESIDENT, &[], stat.resident_pages as f64 * page);
        output.sample(VIRTUAL, &[], stat.virtual_bytes as f64);
        if self.boot.is_none() {
            self.boot = self.system.read_if_exists()?.and_then(boot_time);
        }
        if let Some(boot) = self.boot {
            output.sample(START, &[], boot + stat.start as f64 / TICKS_PER_SECOND);
        }
        Ok(())
    }

    fn read_limits(&mut self, output: &mut Output) -> Result<(), SourceError> {
        let text = self.limits.read()?;
        for (family, name) in [(MAX_FILES, "Max open files"), (MAX_VIRTUAL, "Max address space")] {
            if let Some(limit) = soft_limit(text, name) {
                output.sample(family, &[], limit);
            }
        }
        Ok(())
    }

    /// Reports nothing if the file does not exist: the kernel may have no IP.
    fn read_network(&mut self, output: &mut Output) -> Result<(), SourceError> {
        let Some(text) = self.network.read_if_exists()? else { return Ok(()) };
        for (family, name) in [(RECEIVED, "InOctets"), (TRANSMITTED, "OutOctets")] {
            if let Some(octets) = ip_statistic(text, name) {
                output.sample(family, &[], octets);
            }
        }
        Ok(())
    }
}

impl Source for OwnProcess {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        output.row(0, &[architecture(std::env::consts::ARCH), std::env::consts::OS, VERSION])[0] =
            1.0;
        self.read_stat(output)?;
        self.read_limits(output)?;
        let size = rustix::fs::stat(&self.files_path).map_or(0, |stat| stat.st_size);
        if let Some(count) = open_files(size, &mut self.files) {
            output.sample(OPEN_FILES, &[], count);
        }
        self.read_network(output)
    }
}

impl Stat {
    /// Parses `/proc/self/stat`. `None` if a field is missing.
    fn parse(text: &str) -> Option<Self> {
        // The name of the process, in parentheses, may have spaces and parentheses.
        let (_, fields) = text.rsplit_once(')')?;
        // The first one is field 3, the state.
        let field = |number: usize| -> Option<u64> {
            fields.split_ascii_whitespace().nth(number - 3)?.parse().ok()
        };
        Some(Self {
            cpu: field(14)?.saturating_add(field(15)?),
            start: field(22)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

/// Returns the number of open files. `size` is that of the directory: Linux 6.2 and later have the
/// number there, others 0.
#[expect(clippy::cast_precision_loss, reason = "a process has fewer than 2^53 open files")]
fn open_files(size: i64, directory: &mut Directory) -> Option<f64> {
    if size > 0 {
        return Some(size as f64);
    }
    let mut count = 0_u32;
    directory.list(|_| count = count.saturating_add(1)).ok()?;
    Some(f64::from(count))
}

/// Returns the time of the boot from `/proc/stat`.
fn boot_time(text: &str) -> Option<f64> {
    let time = text.lines().find_map(|line| line.strip_prefix("btime "))?;
    time.trim().parse::<u32>().ok().map(f64::from)
}

/// Returns a soft limit from `/proc/self/limits`; the largest number of 64 bits for none.
#[expect(clippy::cast_precision_loss, reason = "metric values are floating-point numbers")]
fn soft_limit(text: &str, name: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    let limit = match rest.split_ascii_whitespace().next()? {
        "unlimited" => u64::MAX,
        number => number.parse().ok()?,
    };
    Some(limit as f64)
}

/// Returns a statistic of the protocol `IpExt` from `/proc/net/netstat`: a line of names and then
/// one of numbers.
#[expect(clippy::cast_precision_loss, reason = "metric values are floating-point numbers")]
fn ip_statistic(text: &str, name: &str) -> Option<f64> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("IpExt:"));
    let (names, numbers) = (lines.next()?, lines.next()?);
    let at = names.split_ascii_whitespace().position(|own| own == name)?;
    let number: u64 = numbers.split_ascii_whitespace().nth(at)?.parse().ok()?;
    Some(number as f64)
}

/// Returns an architecture's name in Go, as dashboards of node_exporter know it.
fn architecture(name: &str) -> &str {
    match name {
        "x86_64" => "amd64",
        "x86" => "386",
        "aarch64" => "arm64",
        "loongarch64" => "loong64",
        "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
        "powerpc64" => "ppc64",
        other => other,
    }
}

const fn counter(name: &'static str, help: &'static str) -> FoundFamily<'static> {
    FoundFamily { name, kind: FamilyKind::CounterAsNamed, help }
}

const fn gauge_family(name: &'static str, help: &'static str) -> FoundFamily<'static> {
    FoundFamily { name, kind: FamilyKind::Gauge, help }
}

#[cfg(test)]
#[path = "own_process_tests.rs"]
mod tests;
