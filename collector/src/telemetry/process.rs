//! Metrics of the process, under the names that Prometheus client libraries use.

use super::sample::MetricSample;

/// Returns samples of CPU, memory and file descriptors; none on systems other than Linux.
#[cfg(target_os = "linux")]
#[must_use]
pub(crate) fn samples() -> Vec<MetricSample> {
    use procfs::WithCurrentSystemInfo;
    use procfs::process::{LimitValue, Process};

    let Ok(process) = Process::myself() else { return Vec::new() };
    let mut samples = Vec::new();
    if let Ok(stat) = process.stat() {
        #[expect(clippy::cast_precision_loss, reason = "bytes and ticks stay far below 2^53")]
        samples.extend([
            MetricSample::Counter(
                "process_cpu_seconds",
                "User and system CPU time spent.",
                (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64,
            ),
            MetricSample::Gauge(
                "process_resident_memory_bytes",
                "Resident memory size in bytes.",
                stat.rss_bytes().get() as f64,
            ),
            MetricSample::Gauge(
                "process_virtual_memory_bytes",
                "Virtual memory size in bytes.",
                stat.vsize as f64,
            ),
        ]);
        if let Ok(boot) = procfs::boot_time_secs() {
            #[expect(clippy::cast_precision_loss, reason = "seconds stay far below 2^53")]
            let started = boot as f64 + stat.starttime as f64 / procfs::ticks_per_second() as f64;
            let help = "Start time of the process since unix epoch in seconds.";
            samples.push(MetricSample::Gauge("process_start_time_seconds", help, started));
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "descriptors are few")]
    if let Ok(open) = process.fd_count() {
        samples.push(MetricSample::Gauge(
            "process_open_fds",
            "Number of open file descriptors.",
            open as f64,
        ));
    }
    #[expect(clippy::cast_precision_loss, reason = "descriptors are few")]
    if let Some(LimitValue::Value(max)) = process.limits().ok().map(|l| l.max_open_files.soft_limit)
    {
        let help = "Maximum number of open file descriptors.";
        samples.push(MetricSample::Gauge("process_max_fds", help, max as f64));
    }
    samples
}

/// Returns samples of CPU, memory and file descriptors; none on systems other than Linux.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub(crate) fn samples() -> Vec<MetricSample> {
    Vec::new()
}
