//! What the files of a hwmon chip mean: which sensor, which family, which unit.

/// Types of sensors. Files of other types are no sensors.
const TYPES: [&str; 14] = [
    "vrm",
    "beep_enable",
    "update_interval",
    "in",
    "cpu",
    "fan",
    "pwm",
    "temp",
    "curr",
    "power",
    "energy",
    "humidity",
    "intrusion",
    "freq",
];

/// Name of a file, taken apart: `temp1_crit_hyst` is `temp`, 1, `crit_hyst`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileName<'a> {
    pub(super) kind: &'static str,
    pub(super) number: u32,
    pub(super) property: &'a str,
}

/// How the number in a file becomes a value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scale {
    /// The number is divided.
    Divide(f64),
    /// 1 if the number is 1, otherwise 0.
    IsOne,
}

/// The family of a file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SensorFamily {
    pub(super) name: String,
    pub(super) scale: Scale,
}

impl<'a> FileName<'a> {
    /// Takes the name of a file apart. Returns `None` if it is not the file of a sensor.
    pub(super) fn parse(name: &'a str) -> Option<Self> {
        let digits = name.find(|c: char| c.is_ascii_digit()).unwrap_or(name.len());
        let (kind, rest) = name.split_at(digits);
        let kind = TYPES.into_iter().find(|known| *known == kind)?;
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (digits, rest) = rest.split_at(end);
        let number = if digits.is_empty() { 0 } else { digits.parse().ok()? };
        let property = match rest.strip_prefix('_') {
            Some(property) if !property.is_empty() => property,
            None if rest.is_empty() => "",
            _ => return None,
        };
        Some(Self { kind, number, property })
    }

    /// Returns the value of the label `sensor`.
    pub(super) fn sensor(self) -> String {
        format!("{}{}", self.kind, self.number)
    }
}

impl SensorFamily {
    /// Returns the family of a file. `has_plain`: the sensor has a file without property, too.
    pub(super) fn of(file: FileName<'_>, has_plain: bool) -> Option<Self> {
        let family = |name: String, scale| Some(Self { name, scale });
        let FileName { kind, property, .. } = file;
        match (kind, property) {
            (_, "label") => return None,
            ("beep_enable", "") => return family("node_hwmon_beep_enabled".into(), Scale::IsOne),
            ("vrm", "") => {
                return family("node_hwmon_voltage_regulator_version".into(), Scale::Divide(1.0));
            }
            ("update_interval", "") => {
                return family("node_hwmon_update_interval_seconds".into(), Scale::Divide(1e3));
            }
            ("beep_enable" | "vrm" | "update_interval", _) => return None,
            _ => {}
        }
        let (unit, divisor) = unit(kind, property);
        let property = match property {
            "" => String::new(),
            "input" if !has_plain => String::new(),
            _ => format!("_{}", clean(property)),
        };
        family(format!("node_hwmon_{kind}{property}{unit}"), Scale::Divide(divisor))
    }

    /// Returns whether it is a counter.
    pub(super) fn is_counter(&self) -> bool {
        self.name.ends_with("_joule_total")
    }
}

/// Returns the end of the family name, and how many units of the file are one of the family.
fn unit(kind: &str, property: &str) -> (&'static str, f64) {
    match (kind, property) {
        (_, "fault" | "alarm") => ("", 1.0),
        (_, "beep") => ("_enabled", 1.0),
        ("in" | "cpu", _) => ("_volts", 1e3),
        ("temp", "type") => ("", 1.0),
        // This has a unit even for flags such as `crit_alarm`, as in node_exporter.
        ("temp", _) => ("_celsius", 1e3),
        ("curr", _) => ("_amps", 1e3),
        ("energy", _) => ("_joule_total", 1e6),
        ("power", "accuracy") => ("", 1e6),
        ("power", "average_interval" | "average_interval_min" | "average_interval_max") => {
            ("_seconds", 1e3)
        }
        ("power", _) => ("_watt", 1e6),
        ("humidity", _) => ("", 1e6),
        ("fan", "input" | "min" | "max" | "target") => ("_rpm", 1.0),
        ("freq", "input") => ("_freq_mhz", 1e6),
        _ => ("", 1.0),
    }
}

/// Returns a text in the characters of metric names, in lower case.
pub(super) fn clean(text: &str) -> String {
    let allowed = |c: char| match c.to_ascii_lowercase() {
        c @ ('a'..='z' | '0'..='9' | ':' | '_') => c,
        _ => '_',
    };
    text.chars().map(allowed).collect::<String>().trim_matches('_').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_taken_apart() {
        let parts = |name| {
            FileName::parse(name).map(|file| (file.kind, file.number, file.property.to_owned()))
        };
        let expected = |kind, number, property: &str| Some((kind, number, property.to_owned()));
        assert_eq!(parts("temp1_crit_hyst"), expected("temp", 1, "crit_hyst"));
        assert_eq!(parts("in0_input"), expected("in", 0, "input"));
        assert_eq!(parts("pwm12"), expected("pwm", 12, ""));
        assert_eq!(parts("update_interval"), expected("update_interval", 0, ""));
        for name in
            ["", "name", "uevent", "temp1_", "temp1input", "temp99999999999_input", "pci0_x", "é1"]
        {
            assert_eq!(parts(name), None, "{name:?}");
        }
    }

    #[test]
    fn families_have_names_and_units_of_node_exporter() {
        let family = |name| {
            let family = SensorFamily::of(FileName::parse(name)?, false)?;
            match family.scale {
                Scale::Divide(divisor) => Some((family.name, divisor)),
                Scale::IsOne => Some((family.name, -1.0)),
            }
        };
        for (file, name, divisor) in [
            ("temp1_input", "temp_celsius", 1e3),
            ("temp1_crit_alarm", "temp_crit_alarm_celsius", 1e3),
            ("temp1_alarm", "temp_alarm", 1.0),
            ("temp1_type", "temp_type", 1.0),
            ("in3_min", "in_min_volts", 1e3),
            ("in3_beep", "in_beep_enabled", 1.0),
            ("cpu0_vid", "cpu_vid_volts", 1e3),
            ("curr1_input", "curr_amps", 1e3),
            ("energy1_input", "energy_joule_total", 1e6),
            ("power1_input", "power_watt", 1e6),
            ("power1_accuracy", "power_accuracy", 1e6),
            ("power1_average_interval_max", "power_average_interval_max_seconds", 1e3),
            ("power1_cap_max", "power_cap_max_watt", 1e6),
            ("humidity1_input", "humidity", 1e6),
            ("fan1_target", "fan_target_rpm", 1.0),
            ("fan1_pulses", "fan_pulses", 1.0),
            ("freq1_input", "freq_freq_mhz", 1e6),
            ("pwm1", "pwm", 1.0),
            ("pwm1_auto_point1_temp", "pwm_auto_point1_temp", 1.0),
            ("intrusion0_alarm", "intrusion_alarm", 1.0),
            ("beep_enable", "beep_enabled", -1.0),
            ("vrm", "voltage_regulator_version", 1.0),
            ("update_interval", "update_interval_seconds", 1e3),
        ] {
            assert_eq!(family(file), Some((format!("node_hwmon_{name}"), divisor)), "{file}");
        }
        assert_eq!(family("temp1_label"), None);
        assert_eq!(family("vrm1_x"), None);
    }

    #[test]
    fn input_stays_in_the_name_beside_a_file_without_property() {
        let file = FileName::parse("pwm1_input").unwrap();
        assert_eq!(SensorFamily::of(file, false).unwrap().name, "node_hwmon_pwm");
        assert_eq!(SensorFamily::of(file, true).unwrap().name, "node_hwmon_pwm_input");
    }
}
