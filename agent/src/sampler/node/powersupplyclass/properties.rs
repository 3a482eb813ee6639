//! Properties of power supplies: files, units and families.

use super::super::column::gauge;
use crate::tables::ColumnSpec;

/// A file with a number.
pub(super) struct Property {
    /// Name of the file.
    pub(super) file: &'static str,
    /// Number of the file's units in one of the family.
    pub(super) divisor: f64,
    name: &'static str,
    help: &'static str,
}

/// Values of the label and the files of the same names.
pub(super) const INFO_LABELS: [&str; 12] = [
    "power_supply",
    "capacity_level",
    "charge_type",
    "health",
    "manufacturer",
    "model_name",
    "scope",
    "serial_number",
    "status",
    "technology",
    "type",
    "usb_type",
];

const AS_IS: f64 = 1.0;
const TENTH: f64 = 10.0;
const MICRO: f64 = 1e6;

/// All properties, in the order of the columns.
pub(super) fn properties() -> impl Iterator<Item = Property> {
    let property = |&(file, divisor, name, help)| Property { file, divisor, name, help };
    PROPERTIES.iter().map(property)
}

impl Property {
    /// Returns the column of the property.
    pub(super) fn column(&self) -> ColumnSpec {
        let decimals = match self.divisor {
            MICRO => 6,
            TENTH => 1,
            _ => 0,
        };
        gauge(self.name, self.help).decimals(decimals)
    }
}

#[rustfmt::skip] // two lines each
const PROPERTIES: [(&str, f64, &str, &str); 49] = [
    ("online", AS_IS, "node_power_supply_online",
     "Whether the supply gives power: 1 is fixed, 2 programmable voltage."),
    ("authentic", AS_IS, "node_power_supply_authentic",
     "Whether the battery is an original one."),
    ("calibrate", AS_IS, "node_power_supply_calibrate",
     "Whether the battery is calibrated."),
    ("capacity", AS_IS, "node_power_supply_capacity",
     "Charge of the battery in percent."),
    ("capacity_alert_max", AS_IS, "node_power_supply_capacity_alert_max",
     "Charge in percent above which the battery raises an alert."),
    ("capacity_alert_min", AS_IS, "node_power_supply_capacity_alert_min",
     "Charge in percent below which the battery raises an alert."),
    ("charge_now", MICRO, "node_power_supply_charge_ampere",
     "Charge in the battery, in ampere-hours."),
    ("charge_control_limit", MICRO, "node_power_supply_charge_control_limit",
     "Current limit of charging, in amperes."),
    ("charge_control_limit_max", MICRO, "node_power_supply_charge_control_limit_max",
     "Highest current limit of charging, in amperes."),
    ("charge_counter", MICRO, "node_power_supply_charge_counter",
     "Charge counter of the battery, in ampere-hours."),
    ("charge_empty", MICRO, "node_power_supply_charge_empty",
     "Charge at which the battery was last empty, in ampere-hours."),
    ("charge_empty_design", MICRO, "node_power_supply_charge_empty_design",
     "Charge at which the battery is empty by design, in ampere-hours."),
    ("charge_full", MICRO, "node_power_supply_charge_full",
     "Charge when the battery was last full, in ampere-hours."),
    ("charge_full_design", MICRO, "node_power_supply_charge_full_design",
     "Charge when the battery is full by design, in ampere-hours."),
    ("charge_term_current", MICRO, "node_power_supply_charge_term_current",
     "Current at which charging ends, in amperes."),
    ("constant_charge_current", MICRO, "node_power_supply_constant_charge_current",
     "Constant current of charging, in amperes."),
    ("constant_charge_current_max", MICRO, "node_power_supply_constant_charge_current_max",
     "Highest constant current of charging, in amperes."),
    ("constant_charge_voltage", MICRO, "node_power_supply_constant_charge_voltage",
     "Constant voltage of charging, in volts."),
    ("constant_charge_voltage_max", MICRO, "node_power_supply_constant_charge_voltage_max",
     "Highest constant voltage of charging, in volts."),
    ("current_now", MICRO, "node_power_supply_current_ampere",
     "Current."),
    ("current_boot", MICRO, "node_power_supply_current_boot",
     "Current when the host started, in amperes."),
    ("current_max", MICRO, "node_power_supply_current_max",
     "Highest current, in amperes."),
    ("cycle_count", AS_IS, "node_power_supply_cyclecount",
     "Charge cycles of the battery so far."),
    ("energy_empty", MICRO, "node_power_supply_energy_empty",
     "Energy at which the battery was last empty, in watt-hours."),
    ("energy_empty_design", MICRO, "node_power_supply_energy_empty_design",
     "Energy at which the battery is empty by design, in watt-hours."),
    ("energy_full", MICRO, "node_power_supply_energy_full",
     "Energy when the battery was last full, in watt-hours."),
    ("energy_full_design", MICRO, "node_power_supply_energy_full_design",
     "Energy when the battery is full by design, in watt-hours."),
    ("energy_now", MICRO, "node_power_supply_energy_watthour",
     "Energy in the battery."),
    ("input_current_limit", MICRO, "node_power_supply_input_current_limit",
     "Current limit of the supply's input, in amperes."),
    ("power_now", MICRO, "node_power_supply_power_watt",
     "Power."),
    ("precharge_current", MICRO, "node_power_supply_precharge_current",
     "Current while an empty battery is charged slowly, in amperes."),
    ("present", AS_IS, "node_power_supply_present",
     "Whether the battery is inserted."),
    ("temp_alert_max", TENTH, "node_power_supply_temp_alert_max_celsius",
     "Temperature above which the supply raises an alert."),
    ("temp_alert_min", TENTH, "node_power_supply_temp_alert_min_celsius",
     "Temperature below which the supply raises an alert."),
    ("temp_ambient", TENTH, "node_power_supply_temp_ambient_celsius",
     "Temperature around the supply."),
    ("temp_ambient_max", TENTH, "node_power_supply_temp_ambient_max_celsius",
     "Highest temperature around the supply."),
    ("temp_ambient_min", TENTH, "node_power_supply_temp_ambient_min_celsius",
     "Lowest temperature around the supply."),
    ("temp", TENTH, "node_power_supply_temp_celsius",
     "Temperature."),
    ("temp_max", TENTH, "node_power_supply_temp_max_celsius",
     "Highest temperature."),
    ("temp_min", TENTH, "node_power_supply_temp_min_celsius",
     "Lowest temperature."),
    ("time_to_empty_now", AS_IS, "node_power_supply_time_to_empty_seconds",
     "Time until the battery is empty."),
    ("time_to_full_now", AS_IS, "node_power_supply_time_to_full_seconds",
     "Time until the battery is full."),
    ("voltage_boot", MICRO, "node_power_supply_voltage_boot",
     "Voltage when the host started, in volts."),
    ("voltage_max", MICRO, "node_power_supply_voltage_max",
     "Highest voltage, in volts."),
    ("voltage_max_design", MICRO, "node_power_supply_voltage_max_design",
     "Highest voltage by design, in volts."),
    ("voltage_min", MICRO, "node_power_supply_voltage_min",
     "Lowest voltage, in volts."),
    ("voltage_min_design", MICRO, "node_power_supply_voltage_min_design",
     "Lowest voltage by design, in volts."),
    ("voltage_ocv", MICRO, "node_power_supply_voltage_ocv",
     "Voltage without load, in volts."),
    ("voltage_now", MICRO, "node_power_supply_voltage_volt",
     "Voltage."),
];
