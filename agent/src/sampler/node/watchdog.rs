//! Watchdog devices, from `/sys/class/watchdog`.

use super::column::{gauge, table};
use super::files::DeviceFiles;
use super::{Collector, SourceError};
use crate::sampler::Source;
use crate::tables::{ColumnSpec, Output};

pub(super) const COLLECTOR: Collector = Collector {
    name: "watchdog",
    by_default: true,
    options: &[],
    tables: |_| vec![table(&["name"], &COLUMNS), table(&INFO_LABELS, &INFO)],
    create: |options| {
        let devices = DeviceFiles::new(options.sysfs("class/watchdog"), &FILES);
        Ok(Box::new(Watchdogs { devices }))
    },
};

/// Files with numbers in the order of [`COLUMNS`], then those with texts in the order of
/// [`INFO_LABELS`].
const FILES: [&str; 12] = [
    "access_cs0",
    "bootstatus",
    "fw_version",
    "nowayout",
    "pretimeout",
    "timeleft",
    "timeout",
    "options",
    "identity",
    "state",
    "status",
    "pretimeout_governor",
];

const COLUMNS: [ColumnSpec; 7] = [
    gauge("node_watchdog_access_cs0", "Whether the host started from its second boot source."),
    gauge("node_watchdog_bootstatus", "Why the host started, as a number of the driver."),
    gauge("node_watchdog_fw_version", "Firmware version of the watchdog."),
    gauge("node_watchdog_nowayout", "Whether the watchdog cannot be stopped."),
    gauge("node_watchdog_pretimeout_seconds", "Time between the warning and the reset."),
    gauge("node_watchdog_timeleft_seconds", "Time left until the watchdog resets the host."),
    gauge("node_watchdog_timeout_seconds", "Time after which the watchdog resets the host."),
];

const INFO_LABELS: [&str; 6] =
    ["name", "options", "identity", "state", "status", "pretimeout_governor"];
const INFO: [ColumnSpec; 1] = [gauge("node_watchdog_info", "The watchdog: always 1.")];

#[derive(Debug)]
struct Watchdogs {
    devices: DeviceFiles,
}

impl Source for Watchdogs {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        for device in self.devices.list(|_| true)? {
            let mut values = [None; COLUMNS.len()];
            for (file, value) in values.iter_mut().enumerate() {
                *value = device.number(file);
            }
            let row = output.row(0, &[device.name()]);
            for (cell, value) in row.iter_mut().zip(values) {
                *cell = value.unwrap_or(*cell);
            }
            let mut texts: [String; INFO_LABELS.len() - 1] = Default::default();
            for (text, file) in texts.iter_mut().zip(COLUMNS.len()..) {
                text.push_str(device.value(file).unwrap_or_default());
            }
            let [options, identity, state, status, governor] = texts.each_ref().map(String::as_str);
            output.row(1, &[device.name(), options, identity, state, status, governor]).fill(1.0);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::node::testing::Fixture;

    #[test]
    fn watchdogs_are_read() {
        let fixture = Fixture::new();
        let files = [
            ("bootstatus", "1\n"),
            ("fw_version", "2\n"),
            ("identity", "Software \"Watchdog\"\n"),
            ("nowayout", "0\n"),
            ("options", "0x8380\n"),
            ("pretimeout", "120\n"),
            ("state", "active\n"),
            ("status", "0x8000\n"),
            ("timeleft", "300\n"),
            ("timeout", "60\n"),
        ];
        fixture.files("sys/class/watchdog/watchdog0", &files);
        fixture.directory("sys/class/watchdog/watchdog1");
        let info = concat!(
            r#"node_watchdog_info{identity="Software \"Watchdog\"",name="watchdog0","#,
            r#"options="0x8380",state="active",status="0x8000"} 1"#
        );
        assert_eq!(
            fixture.samples(&COLLECTOR),
            [
                r#"node_watchdog_bootstatus{name="watchdog0"} 1"#,
                r#"node_watchdog_fw_version{name="watchdog0"} 2"#,
                info,
                r#"node_watchdog_info{name="watchdog1"} 1"#,
                r#"node_watchdog_nowayout{name="watchdog0"} 0"#,
                r#"node_watchdog_pretimeout_seconds{name="watchdog0"} 120"#,
                r#"node_watchdog_timeleft_seconds{name="watchdog0"} 300"#,
                r#"node_watchdog_timeout_seconds{name="watchdog0"} 60"#,
            ]
        );
    }

    #[test]
    fn broken_attributes_cost_only_themselves() {
        let fixture = Fixture::new();
        fixture.bytes("sys/class/watchdog/watchdog0/timeout", b"\xff\n");
        fixture.file("sys/class/watchdog/watchdog0/timeleft", "");
        fixture.file("sys/class/watchdog/watchdog0/nowayout", "1");
        assert_eq!(
            fixture.samples(&COLLECTOR),
            [
                r#"node_watchdog_info{name="watchdog0"} 1"#,
                r#"node_watchdog_nowayout{name="watchdog0"} 1"#,
            ]
        );
    }

    #[test]
    fn host_without_watchdogs_has_nothing() {
        let fixture = Fixture::new();
        assert_eq!(fixture.reader(&COLLECTOR).error(), SourceError::NothingFound);
        fixture.directory("sys/class/watchdog");
        assert_eq!(fixture.samples(&COLLECTOR), [""; 0]);
    }
}
