//! Peaks between two samples: CPU usage and the throughput of disks and networks.
//!
//! A thread reads counters every second, and the source reports the maximum since the sample before.
//! The source never waits for the thread: if a file does not answer, values are absent.
//!
//! | file | what it is for |
//! |---|---|
//! | `meter.rs` | reads the counters of the host and makes rates of them |
//! | `devices.rs` | increases of the counters of disks and network devices |
//! | `maximum.rs` | the maximum of the rates since the sample before |
//! | `thread.rs` | the thread |

mod devices;
mod maximum;
mod meter;
mod thread;

use std::sync::Arc;
use std::time::Duration;

use fleetgauge_proto::catalog::FamilyKind;
use fleetgauge_proto::message::Family;
use fleetgauge_proto::report::ABSENT;

use self::meter::Meter;
use self::thread::PeakThread;
use super::node::NodeOptions;
use super::{Source, SourceError, SourceSpec};
use crate::tables::{ColumnSpec, Output, TableSpec};

/// Time from one reading to the next.
const PERIOD: Duration = Duration::from_secs(1);
/// Time without any reading after which the source fails.
const MAX_SILENCE: Duration = Duration::from_secs(10);

/// The metrics, in the order of [`Rates`].
const COLUMNS: [ColumnSpec; RATES] = [
    gauge(
        "host_cpu_usage_peak_ratio",
        "ratio",
        "Highest CPU usage of a second since the previous sample: share of time not idle.",
    ),
    gauge(
        "host_disk_read_bytes_per_second_peak",
        "",
        "Most bytes that all disks read in a second since the previous sample.",
    ),
    gauge(
        "host_disk_written_bytes_per_second_peak",
        "",
        "Most bytes that all disks wrote in a second since the previous sample.",
    ),
    gauge(
        "host_network_receive_bytes_per_second_peak",
        "",
        "Most bytes that all network interfaces received in a second since the previous sample.",
    ),
    gauge(
        "host_network_transmit_bytes_per_second_peak",
        "",
        "Most bytes that all network interfaces sent in a second since the previous sample.",
    ),
];
const RATES: usize = 5;

/// Rates over about a second, in the order of [`COLUMNS`]; `None` for what could not be read.
type Rates = [Option<f64>; RATES];

/// Returns the source.
pub(crate) fn source(options: &NodeOptions) -> SourceSpec {
    let options = options.clone();
    let factory = move || {
        let thread = PeakThread::start(Meter::new(&options));
        let thread = thread
            .map_err(|error| SourceError::new(format_args!("cannot start a thread: {error}")))?;
        Ok(Box::new(Peaks { thread }) as Box<dyn Source>)
    };
    let tables = vec![TableSpec { row_labels: &[], columns: COLUMNS.to_vec() }];
    SourceSpec { name: "peaks", tables, factory: Arc::new(factory), is_collector: false }
}

#[derive(Debug)]
struct Peaks {
    thread: PeakThread,
}

impl Source for Peaks {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        let (peaks, silence) = self.thread.take();
        if silence > MAX_SILENCE {
            let cause = format_args!("no counters since {} s", silence.as_secs());
            return Err(SourceError::new(cause));
        }
        for (value, peak) in output.row(0, &[]).iter_mut().zip(peaks) {
            *value = peak.unwrap_or(ABSENT);
        }
        Ok(())
    }
}

const fn gauge(name: &'static str, unit: &'static str, help: &'static str) -> ColumnSpec {
    ColumnSpec::new(Family { name, kind: FamilyKind::Gauge as u8, unit, help })
}

#[cfg(test)]
mod tests;
