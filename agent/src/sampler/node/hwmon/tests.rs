use super::*;
use crate::sampler::node::testing::{Fixture, Reader};

const CORE: &str = "sys/devices/platform/coretemp.0";

/// Adds a chip whose device is `sys/devices/DEVICE`.
fn add_chip(fixture: &Fixture, number: u32, device: &str, files: &[(&str, &str)]) {
    let chip = format!("sys/devices/{device}/hwmon/hwmon{number}");
    fixture.files(&chip, files);
    fixture.link(&format!("{chip}/device"), fixture.path(&format!("sys/devices/{device}")));
    let entry = format!("sys/class/hwmon/hwmon{number}");
    fixture.link(&entry, fixture.path(&chip));
}

fn coretemp() -> Fixture {
    let fixture = Fixture::new();
    let files = [
        ("name", "coretemp\n"),
        ("temp1_input", "55000\n"),
        ("temp1_label", "Package id 0\n"),
        ("temp1_crit_alarm", "1\n"),
        ("temp2_input", "57090\n"),
        ("temp2_fault", "0\n"),
        ("uevent", ""),
    ];
    add_chip(&fixture, 3, "platform/coretemp.0", &files);
    fixture
}

#[test]
fn sensors_are_read() {
    let samples = coretemp().samples(&COLLECTOR);
    let short = |sample: &String| sample.replace("platform_coretemp_0", "C");
    assert_eq!(
        samples.iter().map(short).collect::<Vec<_>>(),
        [
            r#"node_hwmon_chip_names{chip="C",chip_name="coretemp"} 1"#,
            r#"node_hwmon_sensor_label{chip="C",label="Package id 0",sensor="temp1"} 1"#,
            r#"node_hwmon_temp_celsius{chip="C",sensor="temp1"} 55"#,
            r#"node_hwmon_temp_celsius{chip="C",sensor="temp2"} 57.09"#,
            r#"node_hwmon_temp_crit_alarm_celsius{chip="C",sensor="temp1"} 0.001"#,
            r#"node_hwmon_temp_fault{chip="C",sensor="temp2"} 0"#,
        ]
    );
}

#[test]
fn families_of_all_types_are_read() {
    let fixture = Fixture::new();
    let files = [
        ("name", "it8 / x\n"),
        ("beep_enable", "1\n"),
        ("energy1_input", "1500000\n"),
        ("energy1_other", "1\n"),
        ("fan1_input", "1200\n"),
        ("fan1_tolerance", "3\n"),
        ("freq1_input", "852000000\n"),
        ("freq1_label", "SCLK\n"),
        ("freq2_input", "1\n"),
        ("pwm1", "128\n"),
        ("pwm1_input", "2\n"),
        ("update_interval", "1500\n"),
    ];
    fixture.files("sys/class/hwmon/hwmon0", &files);
    assert_eq!(
        fixture.samples(&COLLECTOR),
        [
            r#"node_hwmon_beep_enabled{chip="it8___x",sensor="beep_enable0"} 1"#,
            r#"node_hwmon_chip_names{chip="it8___x",chip_name="it8___x"} 1"#,
            r#"node_hwmon_energy_joule_total{chip="it8___x",sensor="energy1"} 1.5"#,
            r#"node_hwmon_energy_other_joule_total{chip="it8___x",sensor="energy1"} 0.000001"#,
            r#"node_hwmon_fan_rpm{chip="it8___x",sensor="fan1"} 1200"#,
            r#"node_hwmon_fan_tolerance{chip="it8___x",sensor="fan1"} 3"#,
            r#"node_hwmon_freq_freq_mhz{chip="it8___x",sensor="sclk"} 852"#,
            r#"node_hwmon_pwm_input{chip="it8___x",sensor="pwm1"} 2"#,
            r#"node_hwmon_pwm{chip="it8___x",sensor="pwm1"} 128"#,
            r#"node_hwmon_sensor_label{chip="it8___x",label="SCLK",sensor="freq1"} 1"#,
            r#"node_hwmon_update_interval_seconds{chip="it8___x",sensor="update_interval0"} 1.5"#,
        ]
    );
}

#[test]
fn attributes_of_the_device_are_read_and_count() {
    let fixture = coretemp();
    fixture.files(CORE, &[("temp1_input", "1000\n"), ("temp5_max", "90000\n")]);
    fixture.directory(&format!("{CORE}/power"));
    let samples = fixture.samples(&COLLECTOR);
    for line in [
        r#"node_hwmon_temp_celsius{chip="platform_coretemp_0",sensor="temp1"} 1"#,
        r#"node_hwmon_temp_max_celsius{chip="platform_coretemp_0",sensor="temp5"} 90"#,
    ] {
        assert!(samples.iter().any(|sample| sample == line), "{line}\n{samples:#?}");
    }
    assert!(!samples.iter().any(|sample| sample.contains("power")), "{samples:#?}");
}

#[test]
fn chips_of_one_device_get_distinct_labels() {
    let fixture = Fixture::new();
    for (number, name) in [(1, "fan\n"), (2, "sensors\n"), (3, "")] {
        let files = [("name", name), ("pwm1_enable", "2\n")];
        add_chip(&fixture, number, "platform/asus-nb-wmi", &files);
    }
    fixture.files("sys/class/hwmon/hwmon4", &[("name", "\n"), ("pwm1_enable", "2\n")]);
    let samples = fixture.samples(&COLLECTOR);
    let samples = samples.iter().filter_map(|line| line.strip_prefix("node_hwmon_pwm_enable"));
    assert_eq!(
        samples.collect::<Vec<_>>(),
        [
            r#"{chip="hwmon4",sensor="pwm1"} 2"#,
            r#"{chip="platform_asus_nb_wmi_fan",sensor="pwm1"} 2"#,
            r#"{chip="platform_asus_nb_wmi_hwmon3",sensor="pwm1"} 2"#,
            r#"{chip="platform_asus_nb_wmi_sensors",sensor="pwm1"} 2"#,
        ]
    );
}

#[test]
fn chips_and_sensors_are_filtered() {
    let fixture = coretemp();
    let read = |options: &[(&str, &str)]| {
        Reader::new(&COLLECTOR, &fixture.options_with(options)).samples().len()
    };
    assert_eq!(read(&[]), 6);
    assert_eq!(read(&[("hwmon.chip-exclude", "coretemp")]), 0);
    assert_eq!(read(&[("hwmon.chip-include", "^nvme")]), 0);
    assert_eq!(read(&[("hwmon.sensor-exclude", "^platform_coretemp_0;temp1$")]), 3);
    assert_eq!(read(&[("hwmon.sensor-include", ";temp1")]), 4);
}

#[test]
fn chip_that_takes_a_free_number_is_another_chip() {
    let fixture = coretemp();
    let mut reader = fixture.reader(&COLLECTOR);
    assert_eq!(reader.samples().len(), 6);
    fixture.remove("sys/class/hwmon/hwmon3");
    assert_eq!(reader.samples(), [""; 0]);
    fixture.files("sys/class/hwmon/hwmon3", &[("name", "nvme\n"), ("temp1_input", "9000\n")]);
    assert_eq!(
        reader.samples(),
        [
            r#"node_hwmon_chip_names{chip="nvme",chip_name="nvme"} 1"#,
            r#"node_hwmon_temp_celsius{chip="nvme",sensor="temp1"} 9"#,
        ]
    );
    fixture.remove("sys/class/hwmon/hwmon3");
    fixture.link("sys/class/hwmon/hwmon3", fixture.path(&format!("{CORE}/hwmon/hwmon3")));
    assert_eq!(reader.samples().len(), 6, "the number is the same in two readings");
}

#[test]
fn late_sensors_are_found_some_readings_later() {
    let fixture = coretemp();
    let mut reader = fixture.reader(&COLLECTOR);
    reader.samples();
    fixture.file("sys/class/hwmon/hwmon3/temp9_input", "1\n");
    let late = (0..=READINGS_PER_SEARCH).find(|_| reader.samples().len() == 7);
    assert!(late.is_some());
}

#[test]
fn broken_files_cost_only_themselves() {
    let fixture = coretemp();
    fixture.bytes("sys/class/hwmon/hwmon3/temp1_input", b"\xff\x00");
    fixture.file("sys/class/hwmon/hwmon3/temp2_input", "");
    fixture.bytes("sys/class/hwmon/hwmon3/temp1_label", b"a\"\n b\xff \n");
    fixture.file("sys/class/hwmon/hwmon3/temp1_max", &"9".repeat(10_000));
    fixture.file("sys/class/hwmon/not a chip", "");
    fixture.link("sys/class/hwmon/hwmon7", "nowhere");
    let mut reader = fixture.reader(&COLLECTOR);
    for _ in 0..2 {
        let samples = reader.samples();
        assert_eq!(samples.len(), 4, "{samples:#?}");
        let label = "label=\"a\\\"\\n b\u{fffd} \"";
        assert!(samples.iter().any(|line| line.contains(label)), "{samples:#?}");
    }
}

#[test]
fn host_without_chips_has_nothing() {
    let fixture = Fixture::new();
    assert_eq!(fixture.reader(&COLLECTOR).error(), SourceError::NothingFound);
    fixture.directory("sys/class/hwmon");
    assert_eq!(fixture.samples(&COLLECTOR), [""; 0]);
}
