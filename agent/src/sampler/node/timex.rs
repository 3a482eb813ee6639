//! State of the kernel's clock, from adjtimex(2).

use std::io;

use rtime_clock::adjtime::{Timex, adjtimex};

use super::column::{counter, gauge, table};
use super::{Collector, SourceError};
use crate::sampler::Source;
use crate::tables::{ColumnSpec, Output};

pub(super) const COLLECTOR: Collector = Collector {
    name: "timex",
    by_default: true,
    options: &[],
    tables: |_| vec![table(&[], &COLUMNS)],
    create: |_| Ok(Box::new(KernelClock)),
};

/// State of a clock that is not synchronized.
const TIME_ERROR: i32 = 5;
/// Status bit: the offset and the jitter are in nanoseconds.
const STA_NANO: i32 = 0x2000;
/// Nanoseconds per second.
const NANOS: f64 = 1e9;
/// Microseconds per second.
const MICROS: f64 = 1e6;
/// Scale of frequencies: parts per million with a fraction of 16 bits.
const SCALED_PPM: f64 = 65_536.0 * 1e6;

const COLUMNS: [ColumnSpec; 17] = [
    gauge("node_timex_offset_seconds", "Time between the clock and its reference.").decimals(9),
    gauge("node_timex_frequency_adjustment_ratio", "Factor by which the clock's rate is adjusted."),
    gauge("node_timex_maxerror_seconds", "Maximum error of the clock.").decimals(6),
    gauge("node_timex_estimated_error_seconds", "Estimated error of the clock.").decimals(6),
    gauge("node_timex_status", "Status bits of the clock."),
    gauge("node_timex_loop_time_constant", "Time constant of the phase-locked loop."),
    gauge("node_timex_tick_seconds", "Time between clock ticks.").decimals(6),
    gauge("node_timex_pps_frequency_hertz", "Frequency offset of the pulse per second."),
    gauge("node_timex_pps_jitter_seconds", "Jitter of the pulse per second.").decimals(9),
    gauge("node_timex_pps_shift_seconds", "Interval of the pulse per second."),
    gauge("node_timex_pps_stability_hertz", "Mean frequency change of the pulse per second."),
    counter("node_timex_pps_jitter_total", "Pulses per second with too much jitter."),
    counter("node_timex_pps_calibration_total", "Calibrations with the pulse per second."),
    counter("node_timex_pps_error_total", "Failed calibrations with the pulse per second."),
    counter("node_timex_pps_stability_exceeded_total", "Pulses per second that were unstable."),
    gauge("node_timex_tai_offset_seconds", "International Atomic Time minus UTC."),
    gauge("node_timex_sync_status", "Whether the clock is synchronized to a reference."),
];

#[derive(Debug)]
struct KernelClock;

impl Source for KernelClock {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        // All zero: it only reads the clock.
        let mut clock = Timex::new();
        match adjtimex(&mut clock) {
            Ok(state) => {
                output.row(0, &[]).copy_from_slice(&values(&clock, state));
                Ok(())
            }
            // Some containers forbid the call.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Err(SourceError::NothingFound)
            }
            Err(error) => Err(SourceError::new(format_args!("adjtimex: {error}"))),
        }
    }
}

/// Converts what the kernel returned to the values of the row.
fn values(clock: &Timex, state: i32) -> [f64; COLUMNS.len()] {
    let clock = &clock.0;
    let fine = if clock.status & STA_NANO == 0 { MICROS } else { NANOS };
    [
        clock.offset as f64 / fine,
        1.0 + clock.freq as f64 / SCALED_PPM,
        clock.maxerror as f64 / MICROS,
        clock.esterror as f64 / MICROS,
        clock.status.into(),
        clock.constant as f64,
        clock.tick as f64 / MICROS,
        clock.ppsfreq as f64 / SCALED_PPM,
        clock.jitter as f64 / fine,
        clock.shift.into(),
        clock.stabil as f64 / SCALED_PPM,
        clock.jitcnt as f64,
        clock.calcnt as f64,
        clock.errcnt as f64,
        clock.stbcnt as f64,
        clock.tai.into(),
        f64::from(state != TIME_ERROR),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::node::testing::Fixture;

    /// Returns the value of a family.
    fn value(clock: &Timex, state: i32, family: &str) -> f64 {
        let name = format!("node_timex_{family}");
        let at = COLUMNS.iter().position(|column| column.family.name == name).unwrap();
        values(clock, state)[at]
    }

    #[test]
    fn units_are_converted() {
        let mut clock = Timex::new();
        clock.0.offset = -1_500;
        clock.0.jitter = 2_500;
        clock.0.freq = 65_536 * 20;
        clock.0.ppsfreq = 65_536;
        clock.0.stabil = 65_536 * 2;
        clock.0.maxerror = 16_000_000;
        clock.0.esterror = 12;
        clock.0.tick = 10_000;
        clock.0.status = 0x40;
        clock.0.shift = 4;
        clock.0.tai = 37;
        let read = |family| value(&clock, 0, family);
        assert_eq!(read("offset_seconds"), -0.0015);
        assert_eq!(read("pps_jitter_seconds"), 0.0025);
        assert_eq!(read("frequency_adjustment_ratio"), 1.00002);
        assert_eq!(read("pps_frequency_hertz"), 1e-6);
        assert_eq!(read("pps_stability_hertz"), 2e-6);
        assert_eq!(read("maxerror_seconds"), 16.0);
        assert_eq!(read("estimated_error_seconds"), 0.000_012);
        assert_eq!(read("tick_seconds"), 0.01);
        assert_eq!(read("status"), 64.0);
        assert_eq!(read("pps_shift_seconds"), 4.0);
        assert_eq!(read("tai_offset_seconds"), 37.0);
    }

    #[test]
    fn offset_and_jitter_are_nanoseconds_if_the_status_says_so() {
        let mut clock = Timex::new();
        clock.0.offset = -1_500;
        clock.0.jitter = 2_500;
        clock.0.maxerror = 1;
        clock.0.status = STA_NANO;
        assert_eq!(value(&clock, 0, "offset_seconds"), -0.000_001_5);
        assert_eq!(value(&clock, 0, "pps_jitter_seconds"), 0.000_002_5);
        assert_eq!(value(&clock, 0, "maxerror_seconds"), 0.000_001);
    }

    #[test]
    fn every_count_has_its_family() {
        let mut clock = Timex::new();
        clock.0.jitcnt = 1;
        clock.0.calcnt = 2;
        clock.0.errcnt = 3;
        clock.0.stbcnt = 4;
        clock.0.constant = 5;
        let families = [
            "pps_jitter_total",
            "pps_calibration_total",
            "pps_error_total",
            "pps_stability_exceeded_total",
            "loop_time_constant",
        ];
        assert_eq!(families.map(|family| value(&clock, 0, family)), [1.0, 2.0, 3.0, 4.0, 5.0]);
    }

    #[test]
    fn clock_is_synchronized_unless_the_state_is_an_error() {
        let clock = Timex::new();
        assert_eq!(value(&clock, 0, "sync_status"), 1.0);
        assert_eq!(value(&clock, TIME_ERROR, "sync_status"), 0.0);
    }

    #[test]
    fn clock_of_this_host_has_all_samples_or_is_forbidden() {
        match Fixture::new().reader(&COLLECTOR).read() {
            Ok(lines) => assert_eq!(lines.len(), COLUMNS.len()),
            Err(error) => assert_eq!(error, SourceError::NothingFound),
        }
    }
}
