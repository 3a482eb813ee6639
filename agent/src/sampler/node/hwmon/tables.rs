//! Tables of sensors: the families that most chips have. All others are found.

use super::super::column::{counter, gauge, table};
use crate::tables::{ColumnSpec, TableSpec};

/// Index of the table of chips.
pub(super) const CHIPS: usize = 0;
/// Index of the table of sensors' labels.
pub(super) const LABELS: usize = 1;
/// Index of the first table of [`SENSORS`].
const FIRST: usize = 2;

const CHIP: [ColumnSpec; 1] = [gauge("node_hwmon_chip_names", "Names of chips: always 1.")];
const LABEL: [ColumnSpec; 1] = [gauge("node_hwmon_sensor_label", "Labels of sensors: always 1.")];

/// Columns by type of sensor. The last ones are those of all other types.
const SENSORS: [(&str, &[ColumnSpec]); 6] = [
    ("temp", &TEMPERATURE),
    ("in", &VOLTAGE),
    ("fan", &FAN),
    ("power", &POWER),
    ("curr", &CURRENT),
    ("", &OTHER),
];

#[rustfmt::skip] // one line each
const TEMPERATURE: [ColumnSpec; 17] = [
    gauge("node_hwmon_temp_celsius", "Temperature.").decimals(3),
    gauge("node_hwmon_temp_max_celsius", "Temperature: upper limit.").decimals(3),
    gauge("node_hwmon_temp_max_hyst_celsius", "Temperature: end of that alarm.").decimals(3),
    gauge("node_hwmon_temp_max_alarm_celsius", "Maximum alarm: 0.001 if it is on.").decimals(3),
    gauge("node_hwmon_temp_min_celsius", "Temperature: lower limit.").decimals(3),
    gauge("node_hwmon_temp_min_alarm_celsius", "Minimum alarm: 0.001 if it is on.").decimals(3),
    gauge("node_hwmon_temp_crit_celsius", "Temperature: critical upper limit.").decimals(3),
    gauge("node_hwmon_temp_crit_hyst_celsius", "Temperature: end of that alarm.").decimals(3),
    gauge("node_hwmon_temp_crit_alarm_celsius", "Critical alarm: 0.001 if it is on.").decimals(3),
    gauge("node_hwmon_temp_lcrit_celsius", "Temperature: critical lower limit.").decimals(3),
    gauge("node_hwmon_temp_emergency_celsius", "Temperature: emergency limit.").decimals(3),
    gauge("node_hwmon_temp_lowest_celsius", "Temperature: lowest one so far.").decimals(3),
    gauge("node_hwmon_temp_highest_celsius", "Temperature: highest one so far.").decimals(3),
    gauge("node_hwmon_temp_offset_celsius", "Temperature: offset added by the chip.").decimals(3),
    gauge("node_hwmon_temp_alarm", "Whether the alarm of the temperature is on."),
    gauge("node_hwmon_temp_fault", "Whether the temperature sensor is broken."),
    gauge("node_hwmon_temp_type", "Type of the temperature sensor, as a number."),
];

const VOLTAGE: [ColumnSpec; 5] = [
    gauge("node_hwmon_in_volts", "Voltage.").decimals(3),
    gauge("node_hwmon_in_min_volts", "Voltage: lower limit.").decimals(3),
    gauge("node_hwmon_in_max_volts", "Voltage: upper limit.").decimals(3),
    gauge("node_hwmon_in_alarm", "Whether the alarm of the voltage is on."),
    gauge("node_hwmon_in_beep_enabled", "Whether the chip beeps at an alarm of the voltage."),
];

const FAN: [ColumnSpec; 9] = [
    gauge("node_hwmon_fan_rpm", "Speed of the fan."),
    gauge("node_hwmon_fan_min_rpm", "Speed of the fan: lower limit."),
    gauge("node_hwmon_fan_max_rpm", "Speed of the fan: upper limit."),
    gauge("node_hwmon_fan_target_rpm", "Speed of the fan: target."),
    gauge("node_hwmon_fan_alarm", "Whether the alarm of the fan is on."),
    gauge("node_hwmon_fan_fault", "Whether the fan is broken."),
    gauge("node_hwmon_fan_beep_enabled", "Whether the chip beeps at an alarm of the fan."),
    gauge("node_hwmon_fan_div", "Divisor of the fan's speed."),
    gauge("node_hwmon_fan_pulses", "Pulses of the fan per revolution."),
];

const POWER: [ColumnSpec; 8] = [
    gauge("node_hwmon_power_watt", "Power.").decimals(6),
    gauge("node_hwmon_power_average_watt", "Power: average.").decimals(6),
    gauge("node_hwmon_power_max_watt", "Power: upper limit.").decimals(6),
    gauge("node_hwmon_power_crit_watt", "Power: critical upper limit.").decimals(6),
    gauge("node_hwmon_power_cap_watt", "Power: cap.").decimals(6),
    gauge("node_hwmon_power_cap_min_watt", "Power: smallest cap.").decimals(6),
    gauge("node_hwmon_power_cap_max_watt", "Power: largest cap.").decimals(6),
    gauge("node_hwmon_power_alarm", "Whether the alarm of the power is on."),
];

const CURRENT: [ColumnSpec; 4] = [
    gauge("node_hwmon_curr_amps", "Current.").decimals(3),
    gauge("node_hwmon_curr_max_amps", "Current: upper limit.").decimals(3),
    gauge("node_hwmon_curr_crit_amps", "Current: critical upper limit.").decimals(3),
    gauge("node_hwmon_curr_alarm", "Whether the alarm of the current is on."),
];

const OTHER: [ColumnSpec; 10] = [
    gauge("node_hwmon_beep_enabled", "Whether the chip beeps at alarms."),
    gauge("node_hwmon_cpu_vid_volts", "Reference voltage of the processor core.").decimals(3),
    counter("node_hwmon_energy_joule_total", "Energy used so far.").decimals(6),
    gauge("node_hwmon_freq_freq_mhz", "Frequency in megahertz.").decimals(6),
    gauge("node_hwmon_humidity", "Relative humidity as a ratio.").decimals(6),
    gauge("node_hwmon_intrusion_alarm", "Whether the chassis was opened."),
    gauge("node_hwmon_pwm", "Pulse width of the fan control, 0 to 255."),
    gauge("node_hwmon_pwm_enable", "How the fan is controlled, as a number."),
    gauge("node_hwmon_update_interval_seconds", "Interval in which the chip measures.").decimals(3),
    gauge("node_hwmon_voltage_regulator_version", "Version of the voltage regulator.").decimals(1),
];

/// Returns all tables.
pub(super) fn all() -> Vec<TableSpec> {
    let chips = table(&["chip", "chip_name"], &CHIP);
    let labels = table(&["chip", "sensor", "label"], &LABEL);
    let sensors = SENSORS.iter().map(|(_, columns)| table(&["chip", "sensor"], columns));
    [chips, labels].into_iter().chain(sensors).collect()
}

/// Returns the index of the table for sensors of a type.
pub(super) fn of_type(kind: &str) -> usize {
    let at = SENSORS.iter().position(|(known, _)| *known == kind);
    FIRST + at.unwrap_or(SENSORS.len() - 1)
}

/// Returns the index of a family's column in a table of sensors.
pub(super) fn column(table: usize, family: &str) -> Option<usize> {
    let (_, columns) = SENSORS.get(table.checked_sub(FIRST)?)?;
    columns.iter().position(|column| column.family.name == family)
}
