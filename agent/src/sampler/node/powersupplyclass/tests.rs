use super::*;
use crate::sampler::node::testing::{Fixture, Reader};

const DIRECTORY: &str = "sys/class/power_supply";

fn fixture() -> Fixture {
    let fixture = Fixture::new();
    fixture.files(&format!("{DIRECTORY}/AC"), &[("online", "0\n"), ("type", "Mains\n")]);
    let files = [
        ("capacity", "98\n"),
        ("cycle_count", "0\n"),
        ("energy_now", "49450000\n"),
        ("temp", "305\n"),
        ("voltage_now", "12229000\n"),
        ("status", "Discharging\n"),
        ("manufacturer", "LGC \"x\"\n"),
        ("serial_number", "\n"),
        ("uevent", "POWER_SUPPLY_NAME=BAT0\n"),
    ];
    fixture.files(&format!("{DIRECTORY}/BAT0"), &files);
    fixture.directory(&format!("{DIRECTORY}/BAT0/power"));
    fixture
}

#[test]
fn supplies_are_read() {
    assert_eq!(
        fixture().samples(&COLLECTOR),
        [
            r#"node_power_supply_capacity{power_supply="BAT0"} 98"#,
            r#"node_power_supply_cyclecount{power_supply="BAT0"} 0"#,
            r#"node_power_supply_energy_watthour{power_supply="BAT0"} 49.45"#,
            concat!(
                r#"node_power_supply_info{manufacturer="LGC \"x\"",power_supply="BAT0","#,
                r#"status="Discharging"} 1"#
            ),
            r#"node_power_supply_info{power_supply="AC",type="Mains"} 1"#,
            r#"node_power_supply_online{power_supply="AC"} 0"#,
            r#"node_power_supply_temp_celsius{power_supply="BAT0"} 30.5"#,
            r#"node_power_supply_voltage_volt{power_supply="BAT0"} 12.229"#,
        ]
    );
}

#[test]
fn ignored_supplies_have_no_series() {
    let fixture = fixture();
    let options = fixture.options_with(&[(IGNORED, "^BAT")]);
    assert_eq!(Reader::new(&COLLECTOR, &options).samples().len(), 2);
}

#[test]
fn supplies_and_files_come_and_go() {
    let fixture = fixture();
    let mut reader = fixture.reader(&COLLECTOR);
    assert_eq!(reader.samples().len(), 8);
    fixture.remove(&format!("{DIRECTORY}/AC"));
    assert_eq!(reader.samples().len(), 6);
    fixture.file(&format!("{DIRECTORY}/BAT0/power_now"), "4830000\n");
    let late = (0..=READINGS_PER_SEARCH).find(|_| reader.samples().len() == 7);
    assert!(late.is_some());
}

#[test]
fn broken_files_cost_only_themselves() {
    let fixture = fixture();
    fixture.bytes(&format!("{DIRECTORY}/BAT0/capacity"), b"\xff\x00");
    fixture.file(&format!("{DIRECTORY}/BAT0/temp"), "");
    fixture.file(&format!("{DIRECTORY}/BAT0/status"), &"x".repeat(100_000));
    let samples = fixture.samples(&COLLECTOR);
    assert_eq!(samples.len(), 5, "a label value that is too long costs its row: {samples:#?}");
}

#[test]
fn host_without_supplies_has_nothing() {
    let fixture = Fixture::new();
    assert_eq!(fixture.reader(&COLLECTOR).error(), SourceError::NothingFound);
    fixture.directory(DIRECTORY);
    assert_eq!(fixture.samples(&COLLECTOR), [""; 0]);
}
