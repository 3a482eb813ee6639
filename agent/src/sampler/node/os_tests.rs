use std::time::Duration;

use super::*;
use crate::sampler::node::testing::Fixture;

/// Reads the file each time.
const WITHOUT_WAIT: Collector = Collector {
    create: |options| Ok(Box::new(OsRelease::new(options, Every::new(Duration::ZERO)))),
    ..COLLECTOR
};

const UBUNTU: &str = r#"NAME="Ubuntu"
VERSION="20.04.2 LTS (Focal Fossa)"
ID=ubuntu
ID_LIKE=debian
PRETTY_NAME="Ubuntu 20.04.2 LTS"
VERSION_ID="20.04"
HOME_URL="https://www.example.com/"
VERSION_CODENAME=focal
SUPPORT_END=2026-05-13
"#;

#[test]
fn release_is_read() {
    let fixture = Fixture::new();
    fixture.file("root/etc/os-release", UBUNTU);
    let info = concat!(
        r#"node_os_info{id="ubuntu",id_like="debian",name="Ubuntu","#,
        r#"pretty_name="Ubuntu 20.04.2 LTS",version="20.04.2 LTS (Focal Fossa)","#,
        r#"version_codename="focal",version_id="20.04"} 1"#
    );
    let expected = [
        info,
        "node_os_support_end_timestamp_seconds 1778630400",
        r#"node_os_version{id="ubuntu",id_like="debian",name="Ubuntu"} 20.04"#,
    ];
    assert_eq!(fixture.samples(&COLLECTOR), expected);
}

#[test]
fn other_file_is_read_if_the_first_one_is_missing() {
    let fixture = Fixture::new();
    assert_eq!(fixture.reader(&COLLECTOR).error(), SourceError::NothingFound);
    fixture.file("root/usr/lib/os-release", "ID=arch\nNAME='Arch \\ Linux'\n");
    assert_eq!(
        fixture.samples(&COLLECTOR),
        [r#"node_os_info{id="arch",name="Arch \\ Linux"} 1"#],
        "a rolling release has no version"
    );
}

#[test]
fn file_is_read_again_after_an_upgrade_but_not_each_time() {
    let fixture = Fixture::new();
    fixture.file("root/etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n");
    let (mut rarely, mut always) = (fixture.reader(&COLLECTOR), fixture.reader(&WITHOUT_WAIT));
    let version = |version| format!(r#"node_os_version{{id="debian"}} {version}"#);
    assert_eq!([rarely.samples()[1].clone(), always.samples()[1].clone()], [12, 12].map(version));
    fixture.file("root/etc/new", "ID=debian\nVERSION_ID=\"13\"\n");
    std::fs::rename(fixture.path("root/etc/new"), fixture.path("root/etc/os-release")).unwrap();
    assert_eq!(always.samples()[1], version(13));
    assert_eq!(rarely.samples()[1], version(12));
}

#[test]
fn broken_lines_are_skipped() {
    let fixture = Fixture::new();
    let text = "ID\n=x\nid=lower\nNAME=\"open\nVERSION=\\\nVARIANT=\"a \\\"b\\\"\"\nBUILD_ID=''\n\
                SUPPORT_END=soon";
    fixture.file("root/etc/os-release", text);
    let expected = r#"node_os_info{name="\"open",variant="a \"b\""} 1"#;
    assert_eq!(fixture.samples(&COLLECTOR), [expected]);
    fixture.bytes("root/etc/os-release", b"ID=\xff\x00\n");
    assert_eq!(fixture.samples(&COLLECTOR), ["node_os_info{id=\"\u{fffd}\\0\"} 1"]);
}

#[test]
fn version_is_the_number_at_the_start() {
    assert_eq!(version("20.04.2"), Some(20.04));
    assert_eq!(version("12"), Some(12.0));
    assert_eq!(version("7."), Some(7.0));
    assert_eq!(version("9.x"), Some(9.0));
    for text in ["", "0", ".5", "rolling", "v3", "99999999999999999999999", "\u{e4}1"] {
        assert_eq!(version(text), None, "{text:?}");
    }
}

#[test]
fn support_ends_at_the_start_of_the_day() {
    assert_eq!(unix_time("1970-01-01"), Some(0.0));
    assert_eq!(unix_time("2024-02-29"), Some(1_709_164_800.0));
    for date in ["", "2023-02-29", "2024-13-01", "2024-1-1", "2024-01-01-", "2024-01-01T", "a-b-c"]
    {
        assert_eq!(unix_time(date), None, "{date:?}");
    }
}
