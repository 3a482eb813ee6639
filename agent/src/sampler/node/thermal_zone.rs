//! Temperatures of thermal zones and states of cooling devices, from `/sys/class/thermal`.

use super::column::{gauge, table};
use super::files::{Device, DeviceFiles};
use super::number::numbered;
use super::{Collector, SourceError};
use crate::sampler::Source;
use crate::tables::{ColumnSpec, Output};

pub(super) const COLLECTOR: Collector = Collector {
    name: "thermal_zone",
    by_default: true,
    options: &[],
    tables: |_| vec![table(&["zone", "type"], &ZONE), table(&["name", "type"], &COOLING)],
    create: |options| {
        let directory = options.sysfs("class/thermal");
        Ok(Box::new(Thermal {
            zones: DeviceFiles::of_files(&directory, &["type", "temp"]),
            cooling: DeviceFiles::of_files(&directory, &["type", "cur_state", "max_state"]),
        }))
    },
};

const ZONE_PREFIX: &str = "thermal_zone";
const COOLING_PREFIX: &str = "cooling_device";

const ZONE: [ColumnSpec; 1] =
    [gauge("node_thermal_zone_temp", "Temperature of the thermal zone, in degrees Celsius.")
        .decimals(3)];
const COOLING: [ColumnSpec; 2] = [
    gauge("node_cooling_device_cur_state", "State of the cooling device: 0 is off."),
    gauge("node_cooling_device_max_state", "Highest state of the cooling device."),
];

#[derive(Debug)]
struct Thermal {
    zones: DeviceFiles,
    cooling: DeviceFiles,
}

impl Source for Thermal {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        for zone in existing(&mut self.zones, ZONE_PREFIX)? {
            // Zones whose sensor is off answer with an error.
            let Some(millidegrees) = zone.number(1) else { continue };
            let Some((label, kind)) = labels(zone, ZONE_PREFIX) else { continue };
            output.row(0, &[&label, kind]).fill(millidegrees / 1e3);
        }
        for device in existing(&mut self.cooling, COOLING_PREFIX)? {
            let (Some(current), Some(max)) = (device.number(1), device.number(2)) else { continue };
            let Some((label, kind)) = labels(device, COOLING_PREFIX) else { continue };
            output.row(1, &[&label, kind]).copy_from_slice(&[current, max]);
        }
        Ok(())
    }
}

/// Returns the devices with a prefix and a number. Hosts without thermal zones have none.
fn existing<'a>(
    devices: &'a mut DeviceFiles,
    prefix: &str,
) -> Result<&'a mut [Device], SourceError> {
    match devices.list(|name| numbered(name, prefix).is_some()) {
        Err(SourceError::NothingFound) => Ok(&mut []),
        devices => devices,
    }
}

/// Returns the number and the type of a device.
fn labels<'a>(device: &'a mut Device, prefix: &str) -> Option<(String, &'a str)> {
    let label = device.name().strip_prefix(prefix)?.to_owned();
    Some((label, device.value(0)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::node::testing::Fixture;

    const DIRECTORY: &str = "sys/class/thermal";

    fn fixture() -> Fixture {
        let fixture = Fixture::new();
        let zone = [("type", "x86_pkg_temp\n"), ("temp", "50750\n")];
        fixture.files(&format!("{DIRECTORY}/thermal_zone0"), &zone);
        let device = [("type", "intel_powerclamp\n"), ("cur_state", "-1\n"), ("max_state", "50\n")];
        fixture.files(&format!("{DIRECTORY}/cooling_device12"), &device);
        fixture
    }

    #[test]
    fn zones_and_cooling_devices_are_read() {
        assert_eq!(
            fixture().samples(&COLLECTOR),
            [
                r#"node_cooling_device_cur_state{name="12",type="intel_powerclamp"} -1"#,
                r#"node_cooling_device_max_state{name="12",type="intel_powerclamp"} 50"#,
                r#"node_thermal_zone_temp{type="x86_pkg_temp",zone="0"} 50.75"#,
            ]
        );
    }

    #[test]
    fn broken_devices_cost_only_themselves() {
        let fixture = fixture();
        fixture.file(&format!("{DIRECTORY}/thermal_zone1/type"), "off\n");
        let zone = [("type", "a \"b\"\n"), ("temp", "-5000\n")];
        fixture.files(&format!("{DIRECTORY}/thermal_zone2"), &zone);
        fixture.directory(&format!("{DIRECTORY}/thermal_zonex"));
        fixture.bytes(&format!("{DIRECTORY}/thermal_zone0/temp"), b"\xfe\x00");
        fixture.file(&format!("{DIRECTORY}/cooling_device12/max_state"), "");
        assert_eq!(
            fixture.samples(&COLLECTOR),
            [r#"node_thermal_zone_temp{type="a \"b\"",zone="2"} -5"#]
        );
    }

    #[test]
    fn host_without_thermal_zones_has_no_series() {
        let fixture = fixture();
        let mut reader = fixture.reader(&COLLECTOR);
        assert_eq!(reader.samples().len(), 3);
        fixture.remove(DIRECTORY);
        assert_eq!(reader.samples(), [""; 0]);
    }
}
