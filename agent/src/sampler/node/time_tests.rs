use super::*;
use crate::sampler::node::testing::Fixture;
use crate::tables::{TableSpec, exposition};

/// Reads with a value of `TZ`. Returns the samples but the time.
fn samples_with(fixture: &Fixture, tz: Option<&str>) -> Vec<String> {
    let tables: Vec<TableSpec> = (COLLECTOR.tables)(&fixture.options());
    let mut output = crate::tables::Output::new(&tables);
    output.begin();
    Time::new(&fixture.options(), tz.map(str::to_owned)).read(&mut output).unwrap();
    output.finish();
    let mut lines = exposition::lines(&tables, &output);
    lines.retain(|line| !line.starts_with("node_time_seconds"));
    lines
}

/// A file of a time zone with a fixed offset, in version 1 of the format. The zone may have started
/// at a Unix time.
fn zone_file(offset: i32, name: &str, start: Option<i32>) -> Vec<u8> {
    let mut file = b"TZif\0".to_vec();
    file.extend([0; 15]);
    let name_bytes = u32::try_from(name.len()).unwrap() + 1;
    for count in [0, 0, 0, u32::from(start.is_some()), 1, name_bytes] {
        file.extend(count.to_be_bytes());
    }
    if let Some(start) = start {
        file.extend(start.to_be_bytes());
        file.push(0);
    }
    file.extend(offset.to_be_bytes());
    file.extend([0, 0]);
    file.extend(name.as_bytes());
    file.push(0);
    file
}

#[test]
fn time_is_that_of_the_reading() {
    let seconds = || {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros() as f64 / 1e6
    };
    let start = seconds();
    let lines = Fixture::new().samples(&COLLECTOR);
    let time = lines.iter().find_map(|line| line.strip_prefix("node_time_seconds ")).unwrap();
    let time: f64 = time.parse().unwrap();
    assert!((start..=seconds()).contains(&time), "{time}");
}

#[test]
fn time_zone_is_that_of_the_hosts_file() {
    let fixture = Fixture::new();
    let utc = r#"node_time_zone_offset_seconds{time_zone="UTC"} 0"#;
    assert_eq!(samples_with(&fixture, None), [utc]);
    fixture.bytes("root/etc/localtime", &zone_file(3600, "CET", None));
    let cet = r#"node_time_zone_offset_seconds{time_zone="CET"} 3600"#;
    assert_eq!(samples_with(&fixture, None), [cet]);
    let zone = zone_file(3600, "CET", None);
    for broken in [&b""[..], b"TZif", &zone[..zone.len() - 3], &[0xff; 100_000]] {
        fixture.bytes("root/etc/localtime", broken);
        assert_eq!(samples_with(&fixture, None), [utc]);
    }
}

#[test]
fn zone_without_a_rule_for_the_future_stays_as_it_was() {
    let fixture = Fixture::new();
    fixture.bytes("root/etc/localtime", &zone_file(3600, "CET", Some(1_000_000_000)));
    let cet = r#"node_time_zone_offset_seconds{time_zone="CET"} 3600"#;
    assert_eq!(samples_with(&fixture, None), [cet]);
}

#[test]
fn environment_can_set_the_time_zone() {
    let fixture = Fixture::new();
    fixture.bytes("root/etc/localtime", &zone_file(3600, "CET", None));
    let nepal = r#"node_time_zone_offset_seconds{time_zone="NPT"} 20700"#;
    assert_eq!(samples_with(&fixture, Some("NPT-5:45")), [nepal]);
    let utc = r#"node_time_zone_offset_seconds{time_zone="UTC"} 0"#;
    assert_eq!(samples_with(&fixture, Some("")), [utc]);
    assert_eq!(samples_with(&fixture, Some("No/Such/Zone")), [utc]);
}

#[test]
fn clock_sources_are_read() {
    let fixture = Fixture::new();
    let directory = "sys/devices/system/clocksource/clocksource0";
    fixture.files(
        directory,
        &[("available_clocksource", "tsc hpet \n"), ("current_clocksource", "tsc\n")],
    );
    fixture.directory("sys/devices/system/clocksource/power");
    let expected = [
        r#"node_time_clocksource_available_info{clocksource="hpet",device="0"} 1"#,
        r#"node_time_clocksource_available_info{clocksource="tsc",device="0"} 1"#,
        r#"node_time_clocksource_current_info{clocksource="tsc",device="0"} 1"#,
    ];
    assert_eq!(samples_with(&fixture, None)[..3], expected);
    fixture.file(&format!("{directory}/current_clocksource"), "odd\"\n");
    let odd = r#"node_time_clocksource_current_info{clocksource="odd\"",device="0"} 1"#;
    assert_eq!(samples_with(&fixture, None)[2], odd);
    fixture.remove(&format!("{directory}/available_clocksource"));
    assert_eq!(samples_with(&fixture, None).len(), 2);
}
