use super::*;
use crate::sampler::node::testing::Fixture;
use crate::test_log::Log;

const DIRECTORY: &str = "sys/devices/system/edac/mc";

fn fixture() -> Fixture {
    let fixture = Fixture::new();
    let files = [
        ("ce_count", "1\n"),
        ("ce_noinfo_count", "2\n"),
        ("ue_count", "5\n"),
        ("ue_noinfo_count", "6\n"),
    ];
    fixture.files(&format!("{DIRECTORY}/mc0"), &files);
    let files = [
        ("ce_count", "3\n"),
        ("ue_count", "4\n"),
        ("ch0_ce_count", "7\n"),
        ("ch0_ue_count", "8\n"),
        ("ch0_dimm_label", "A#1_csrow0channel0\n"),
        ("ch1_ce_count", "9\n"),
        ("chx_ce_count", "x\n"),
    ];
    fixture.files(&format!("{DIRECTORY}/mc0/csrow10"), &files);
    fixture.directory(&format!("{DIRECTORY}/power"));
    fixture.directory(&format!("{DIRECTORY}/mc0/dimm0"));
    fixture
}

#[test]
fn errors_of_controllers_rows_and_channels_are_read() {
    let samples = fixture().samples(&COLLECTOR);
    let short = |line: &String| {
        let line = line.trim_start_matches("node_edac_").replace("_errors_total", "");
        line.replace(r#"controller="0""#, "C")
    };
    assert_eq!(
        samples.iter().map(short).collect::<Vec<_>>(),
        [
            r#"channel_correctable{channel="0",C,csrow="10",dimm_label="A1__csrow0_channel0"} 7"#,
            r#"channel_correctable{channel="1",C,csrow="10",dimm_label="unknown"} 9"#,
            r#"channel_uncorrectable{channel="0",C,csrow="10",dimm_label="A1__csrow0_channel0"} 8"#,
            r"correctable{C} 1",
            r#"csrow_correctable{C,csrow="10"} 3"#,
            r#"csrow_correctable{C,csrow="unknown"} 2"#,
            r#"csrow_uncorrectable{C,csrow="10"} 4"#,
            r#"csrow_uncorrectable{C,csrow="unknown"} 6"#,
            r"uncorrectable{C} 5",
        ]
    );
}

#[test]
fn broken_count_costs_only_its_controller_row_or_channel() {
    let fixture = fixture();
    let mut reader = fixture.reader(&COLLECTOR);
    let log = Log::default();
    let _guard = log.install();
    for (file, lost) in
        [("mc0/ue_noinfo_count", 4), ("mc0/csrow10/ce_count", 2), ("mc0/csrow10/ch1_ce_count", 1)]
    {
        assert_eq!(reader.samples().len(), 9);
        let path = format!("{DIRECTORY}/{file}");
        fixture.bytes(&path, b"\xff\n");
        assert_eq!(reader.samples().len(), 9 - lost, "{file}");
        assert!(log.lines().last().unwrap().ends_with(&format!("{file}: no number")));
        fixture.file(&path, "0\n");
    }
    fixture.remove(&format!("{DIRECTORY}/mc0/csrow10/ue_count"));
    assert_eq!(fixture.samples(&COLLECTOR).len(), 7);
}

#[test]
fn rows_and_controllers_come_and_go() {
    let fixture = fixture();
    let mut reader = fixture.reader(&COLLECTOR);
    assert_eq!(reader.samples().len(), 9);
    fixture.remove(&format!("{DIRECTORY}/mc0/csrow10"));
    assert_eq!(reader.samples().len(), 4);
    let files = [("ce_count", "3\n"), ("ue_count", "4\n"), ("ch5_ce_count", "7\n")];
    fixture.files(&format!("{DIRECTORY}/mc0/csrow10"), &files);
    assert_eq!(reader.samples().len(), 7);
    fixture.remove(&format!("{DIRECTORY}/mc0"));
    assert_eq!(reader.samples(), [""; 0]);
}

#[test]
fn host_without_controllers_has_no_series() {
    assert_eq!(Fixture::new().samples(&COLLECTOR), [""; 0]);
}
