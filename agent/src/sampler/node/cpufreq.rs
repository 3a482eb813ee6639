//! CPU frequencies and governors, from `/sys/devices/system/cpu/cpu*/cpufreq`.

use super::column::{gauge, table};
use super::files::{Device, DeviceFiles, KeptFile};
use super::number::numbered;
use super::{Collector, SourceError};
use crate::sampler::Source;
use crate::tables::{ColumnSpec, Output};

/// Maximum number of governors of a CPU. Linux has seven.
const MAX_GOVERNORS: usize = 32;
/// Unit of the files, in hertz.
const KILOHERTZ: f64 = 1e3;

pub(super) const COLLECTOR: Collector = Collector {
    name: "cpufreq",
    by_default: true,
    options: &[],
    tables: |_| vec![table(&["cpu"], &FREQUENCIES), table(&["cpu", "governor"], &GOVERNOR)],
    create: |options| {
        let directory = options.sysfs("devices/system/cpu");
        Ok(Box::new(CpuFrequency {
            offline: KeptFile::new(directory.join("offline")),
            cpus: DeviceFiles::of_files(directory, &FILES),
            governor: String::new(),
        }))
    },
};

/// Files with frequencies in the order of [`FREQUENCIES`], then those of governors.
const FILES: [&str; 9] = [
    "cpufreq/cpuinfo_cur_freq",
    "cpufreq/cpuinfo_avg_freq",
    "cpufreq/cpuinfo_min_freq",
    "cpufreq/cpuinfo_max_freq",
    "cpufreq/scaling_cur_freq",
    "cpufreq/scaling_min_freq",
    "cpufreq/scaling_max_freq",
    "cpufreq/scaling_governor",
    "cpufreq/scaling_available_governors",
];
const GOVERNOR_FILE: usize = 7;
const AVAILABLE_FILE: usize = 8;

const FREQUENCIES: [ColumnSpec; 7] = [
    gauge("node_cpu_frequency_hertz", "Frequency of the CPU as the hardware reports it."),
    gauge("node_cpu_frequency_avg_hertz", "Average frequency of the CPU."),
    gauge("node_cpu_frequency_min_hertz", "Lowest frequency that the CPU has."),
    gauge("node_cpu_frequency_max_hertz", "Highest frequency that the CPU has."),
    gauge("node_cpu_scaling_frequency_hertz", "Frequency of the CPU as the governor set it."),
    gauge("node_cpu_scaling_frequency_min_hertz", "Lowest frequency that the governor may set."),
    gauge("node_cpu_scaling_frequency_max_hertz", "Highest frequency that the governor may set."),
];
const GOVERNOR: [ColumnSpec; 1] =
    [gauge("node_cpu_scaling_governor", "1 for the governor in use, 0 for the other ones.")];

#[derive(Debug)]
struct CpuFrequency {
    offline: KeptFile,
    cpus: DeviceFiles,
    /// Governor of a CPU, kept for its capacity.
    governor: String,
}

impl Source for CpuFrequency {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        let Self { offline, cpus, governor } = self;
        let offline = offline.read_if_exists()?.unwrap_or_default();
        for cpu in cpus.list(|name| number(name).is_some_and(|cpu| !contains(offline, cpu)))? {
            // All CPUs with cpufreq have a governor. Without this, a host without it would open
            // all files in vain.
            let Some(current) = cpu.value(GOVERNOR_FILE) else { continue };
            governor.clear();
            governor.push_str(current);
            read_cpu(cpu, governor, output);
        }
        Ok(())
    }
}

fn read_cpu(cpu: &mut Device, governor: &str, output: &mut Output) {
    let label = cpu.name().trim_start_matches("cpu").to_owned();
    let row = output.row(0, &[&label]);
    for (file, value) in row.iter_mut().enumerate() {
        if let Some(frequency) = cpu.number(file) {
            *value = frequency * KILOHERTZ;
        }
    }
    if governor.is_empty() {
        return;
    }
    let available = cpu.value(AVAILABLE_FILE).unwrap_or_default();
    for name in available.split_ascii_whitespace().take(MAX_GOVERNORS) {
        output.row(1, &[&label, name]).fill(if name == governor { 1.0 } else { 0.0 });
    }
}

/// Returns the number of a CPU's directory, such as `cpu12`.
fn number(name: &str) -> Option<u32> {
    numbered(name, "cpu")?.parse().ok()
}

/// Returns whether a list such as `0-3,7` contains a CPU.
fn contains(list: &str, cpu: u32) -> bool {
    let contains = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some((first.parse().ok()?..=last.parse().ok()?).contains(&cpu))
    };
    list.trim().split(',').any(|range| contains(range).unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::node::testing::Fixture;

    const DIRECTORY: &str = "sys/devices/system/cpu";

    fn cpu_files(fixture: &Fixture, cpu: &str) {
        let files = [
            ("cpuinfo_min_freq", "800000\n"),
            ("cpuinfo_max_freq", "2400000\n"),
            ("scaling_cur_freq", "1699981\n"),
            ("scaling_governor", "powersave\n"),
            ("scaling_available_governors", "performance powersave \n"),
        ];
        fixture.files(&format!("{DIRECTORY}/{cpu}/cpufreq"), &files);
    }

    #[test]
    fn frequencies_and_governors_are_read() {
        let fixture = Fixture::new();
        cpu_files(&fixture, "cpu10");
        fixture.directory(&format!("{DIRECTORY}/cpu2"));
        fixture.directory(&format!("{DIRECTORY}/cpuidle"));
        fixture.directory(&format!("{DIRECTORY}/cpufreq"));
        assert_eq!(
            fixture.samples(&COLLECTOR),
            [
                r#"node_cpu_frequency_max_hertz{cpu="10"} 2400000000"#,
                r#"node_cpu_frequency_min_hertz{cpu="10"} 800000000"#,
                r#"node_cpu_scaling_frequency_hertz{cpu="10"} 1699981000"#,
                r#"node_cpu_scaling_governor{cpu="10",governor="performance"} 0"#,
                r#"node_cpu_scaling_governor{cpu="10",governor="powersave"} 1"#,
            ]
        );
    }

    #[test]
    fn offline_cpus_have_no_series() {
        let fixture = Fixture::new();
        for cpu in 0..6 {
            cpu_files(&fixture, &format!("cpu{cpu}"));
        }
        let mut reader = fixture.reader(&COLLECTOR);
        let mut online = || {
            let samples = reader.samples();
            let shown = |line: &&String| line.starts_with("node_cpu_scaling_frequency_hertz");
            samples.iter().filter(shown).count()
        };
        for (list, count) in [("\n", 6), ("1-2,5,7-8\n", 3), ("x,3-,-,9-0\n", 6), ("0-5", 0)] {
            fixture.file(&format!("{DIRECTORY}/offline"), list);
            assert_eq!(online(), count, "{list:?}");
        }
    }

    #[test]
    fn broken_attributes_cost_only_themselves() {
        let fixture = Fixture::new();
        cpu_files(&fixture, "cpu0");
        fixture.file(&format!("{DIRECTORY}/cpu0/cpufreq/cpuinfo_cur_freq"), "<unknown>\n");
        fixture.bytes(&format!("{DIRECTORY}/cpu0/cpufreq/cpuinfo_min_freq"), b"\xff");
        fixture.remove(&format!("{DIRECTORY}/cpu0/cpufreq/scaling_available_governors"));
        assert_eq!(
            fixture.samples(&COLLECTOR),
            [
                r#"node_cpu_frequency_max_hertz{cpu="0"} 2400000000"#,
                r#"node_cpu_scaling_frequency_hertz{cpu="0"} 1699981000"#,
            ]
        );
    }

    #[test]
    fn host_without_cpufreq_has_no_series() {
        let fixture = Fixture::new();
        assert_eq!(fixture.reader(&COLLECTOR).error(), SourceError::NothingFound);
        fixture.directory(&format!("{DIRECTORY}/cpu0"));
        assert_eq!(fixture.samples(&COLLECTOR), [""; 0]);
    }
}
