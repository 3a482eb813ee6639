//! What the operating system knows of this process, under the names that Prometheus' own libraries use.

use crate::metrics::Figure;

/// CPU, memory and file descriptors now; empty where the system does not tell.
#[cfg(target_os = "linux")]
#[must_use]
pub(crate) fn figures() -> Vec<Figure> {
    use procfs::WithCurrentSystemInfo;
    use procfs::process::{LimitValue, Process};

    let Ok(process) = Process::myself() else { return Vec::new() };
    let mut figures = Vec::new();
    if let Ok(stat) = process.stat() {
        #[expect(clippy::cast_precision_loss, reason = "bytes and ticks stay far below 2^53")]
        figures.extend([
            Figure::Counter(
                "process_cpu_seconds",
                "User and system CPU time spent.",
                (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64,
            ),
            Figure::Gauge(
                "process_resident_memory_bytes",
                "Resident memory size in bytes.",
                stat.rss_bytes().get() as f64,
            ),
            Figure::Gauge(
                "process_virtual_memory_bytes",
                "Virtual memory size in bytes.",
                stat.vsize as f64,
            ),
        ]);
        if let Ok(boot) = procfs::boot_time_secs() {
            #[expect(clippy::cast_precision_loss, reason = "seconds stay far below 2^53")]
            let started = boot as f64 + stat.starttime as f64 / procfs::ticks_per_second() as f64;
            let help = "Start time of the process since unix epoch in seconds.";
            figures.push(Figure::Gauge("process_start_time_seconds", help, started));
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "descriptors are few")]
    if let Ok(open) = process.fd_count() {
        figures.push(Figure::Gauge(
            "process_open_fds",
            "Number of open file descriptors.",
            open as f64,
        ));
    }
    #[expect(clippy::cast_precision_loss, reason = "descriptors are few")]
    if let Some(LimitValue::Value(most)) =
        process.limits().ok().map(|l| l.max_open_files.soft_limit)
    {
        let help = "Maximum number of open file descriptors.";
        figures.push(Figure::Gauge("process_max_fds", help, most as f64));
    }
    figures
}

/// CPU, memory and file descriptors now; empty where the system does not tell.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn figures() -> Vec<Figure> {
    Vec::new()
}
