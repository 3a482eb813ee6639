//! The time, the time zone and the clock sources of the host.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::time::SystemTime;

use tz::{LocalTimeType, TimeZone};

use super::column::{gauge, table};
use super::every::{Every, RARELY};
use super::files::DeviceFiles;
use super::{Collector, NodeOptions, SourceError};
use crate::sampler::Source;
use crate::tables::{ColumnSpec, Output};

/// Maximum size of a file with a time zone, in bytes. The largest ones have 4 KiB.
const MAX_ZONE_BYTES: u64 = 64 * 1024;
/// Microseconds per second.
const MICROS: f64 = 1e6;

pub(super) const COLLECTOR: Collector = Collector {
    name: "time",
    by_default: true,
    options: &[],
    tables: |_| {
        vec![
            table(&[], &TIME_COLUMNS),
            table(&["time_zone"], &ZONE_COLUMNS),
            table(&["device", "clocksource"], &SOURCE_COLUMNS),
        ]
    },
    create: |options| Ok(Box::new(Time::new(options, std::env::var("TZ").ok()))),
};

const TIME_COLUMNS: [ColumnSpec; 1] =
    [gauge("node_time_seconds", "Unix time of the sample.").decimals(6)];
const ZONE_COLUMNS: [ColumnSpec; 1] =
    [gauge("node_time_zone_offset_seconds", "Local time minus UTC.")];
const SOURCE_COLUMNS: [ColumnSpec; 2] = [
    gauge("node_time_clocksource_available_info", "Clock source that can be used; always 1."),
    gauge("node_time_clocksource_current_info", "Clock source in use; always 1."),
];
const AVAILABLE: usize = 0;
const CURRENT: usize = 1;

#[derive(Debug)]
struct Time {
    zone: LocalZone,
    clock_sources: DeviceFiles,
}

impl Time {
    /// `tz` is the value of the environment variable `TZ`.
    fn new(options: &NodeOptions, tz: Option<String>) -> Self {
        let path = options.sysfs("devices/system/clocksource");
        Self {
            zone: LocalZone {
                path: options.rootfs("/etc/localtime"),
                tz,
                rarely: Every::new(RARELY),
                zone: None,
            },
            clock_sources: DeviceFiles::new(
                path,
                &["available_clocksource", "current_clocksource"],
            ),
        }
    }
}

impl Source for Time {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = since_epoch.map_err(|_| SourceError::new("the clock is before 1970"))?;
        output.row(0, &[])[0] = now.as_micros() as f64 / MICROS;
        self.zone.write(output, i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
        self.write_clock_sources(output);
        Ok(())
    }
}

impl Time {
    /// Writes the clock sources. Those that cannot be read are left out: the time counts more.
    fn write_clock_sources(&mut self, output: &mut Output) {
        let devices = self.clock_sources.list(|name| name.starts_with("clocksource"));
        for (index, device) in devices.unwrap_or_default().iter_mut().enumerate() {
            let label = index.to_string();
            let current: Box<str> = device.value(CURRENT).unwrap_or_default().into();
            let mut is_available = false;
            for name in device.value(AVAILABLE).unwrap_or_default().split_ascii_whitespace() {
                let row = output.row(2, &[&label, name]);
                row[AVAILABLE] = 1.0;
                if *current == *name {
                    row[CURRENT] = 1.0;
                    is_available = true;
                }
            }
            if !is_available && !current.is_empty() {
                output.row(2, &[&label, &current])[CURRENT] = 1.0;
            }
        }
    }
}

/// The time zone of the host. The file is read again rarely: it is replaced when the zone is set
/// or its rules change.
#[derive(Debug)]
struct LocalZone {
    path: PathBuf,
    /// The time zone that the environment sets: instead of the file.
    tz: Option<String>,
    rarely: Every,
    /// `None`: UTC, because no valid time zone is set.
    zone: Option<TimeZone>,
}

impl LocalZone {
    fn write(&mut self, output: &mut Output, now: i64) {
        if self.rarely.is_due() {
            self.zone = self.find();
        }
        let local = self.zone.as_ref().and_then(|zone| local_time(zone, now));
        let (name, offset) =
            local.map_or(("UTC", 0), |local| (local.time_zone_designation(), local.ut_offset()));
        output.row(1, &[name])[0] = offset.into();
    }

    fn find(&self) -> Option<TimeZone> {
        match &self.tz {
            Some(tz) => TimeZone::from_posix_tz(tz).ok(),
            None => TimeZone::from_tz_data(&read_zone(self.path.clone()).ok()?).ok(),
        }
    }
}

/// Returns the local time type at a Unix time. Files without a rule for the future end with their
/// last transition.
fn local_time(zone: &TimeZone, now: i64) -> Option<&LocalTimeType> {
    zone.find_local_time_type(now).ok().or_else(|| {
        let zone = zone.as_ref();
        let last = zone.transitions().last()?;
        zone.local_time_types().get(last.local_time_type_index())
    })
}

/// Reads the file with the time zone.
fn read_zone(path: PathBuf) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_ZONE_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
#[path = "time_tests.rs"]
mod tests;
