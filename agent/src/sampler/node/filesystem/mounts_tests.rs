use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::super::{COLLECTOR, POINTS_EXCLUDE, POINTS_INCLUDE, TYPES_EXCLUDE, TYPES_INCLUDE};
use crate::sampler::node::testing::{Fixture, Reader};

#[test]
fn mount_points_are_unescaped_and_asked_with_their_exact_bytes() {
    let fixture = Fixture::new();
    for name in [&b"a b\tc\\d\ne"[..], b"x\xffy", b"\"q\"", b"\\0409"] {
        std::fs::create_dir_all(fixture.path("root").join(OsStr::from_bytes(name))).unwrap();
    }
    let mountinfo = b"1 1 0:1 / /a\\040b\\011c\\134d\\012e rw - tmpfs t rw
1 1 0:1 / /x\xffy rw - tmpfs t rw
1 1 0:1 / /\"q\" rw - tmpfs t rw
1 1 0:1 / /\\1340409 rw - tmpfs t rw
1 1 0:1 / /\\400\\09\\ rw - tmpfs t rw
";
    fixture.bytes("proc/1/mountinfo", mountinfo);
    let samples = fixture.samples(&COLLECTOR);
    let errors: Vec<_> = samples.iter().filter(|line| line.contains("_device_error{")).collect();
    let line = |mount_point: &str| {
        let labels = format!("device=\"t\",fstype=\"tmpfs\",mountpoint={mount_point:?}");
        format!("node_filesystem_device_error{{{labels}}} 0")
    };
    let mut expected: Vec<_> =
        ["/a b\tc\\d\ne", "/x\u{fffd}y", "/\"q\"", "/\\0409"].map(line).into();
    let missing = "device=\"t\",device_error=\"no such file or directory\",fstype=\"tmpfs\",\
                   mountpoint=\"/\\\\400\\\\09\\\\\"";
    expected.push(format!("node_filesystem_device_error{{{missing}}} 1"));
    expected.sort();
    assert_eq!(errors, expected.iter().collect::<Vec<_>>());
}

#[test]
fn read_only_is_of_the_mount_or_of_its_filesystem() {
    let fixture = Fixture::new();
    let read_only = |options: &str, super_options: &str| {
        let line = format!("1 1 0:1 / / {options} shared:1 - ext4 x {super_options}\n");
        fixture.file("proc/1/mountinfo", &line);
        fixture.directory("root");
        let samples = fixture.samples(&COLLECTOR);
        samples
            .iter()
            .any(|line| line.starts_with("node_filesystem_readonly") && line.ends_with(" 1"))
    };
    assert!(!read_only("rw,relatime", "rw,errors=remount-ro"));
    assert!(read_only("ro,relatime", "rw"));
    assert!(read_only("rw", "ro"));
    assert!(read_only("rw", "rw,emergency_ro"));
    assert!(!read_only("rw,emergency_ro", "rw,rox"));
}

#[test]
fn mountinfo_of_init_is_preferred_and_must_have_mounts() {
    let fixture = Fixture::new();
    let mut reader = fixture.reader(&COLLECTOR);
    assert!(reader.error().to_string().contains("self/mountinfo: No such file"));
    fixture.directory("root/own");
    fixture.directory("root/host");
    fixture.file("proc/self/mountinfo", "1 1 0:1 / /own rw - tmpfs t rw\n");
    assert!(reader.samples().iter().all(|line| line.contains("\"/own\"")));
    fixture.file("proc/1/mountinfo", "1 1 0:1 / /host rw - tmpfs t rw\n");
    assert!(reader.samples().iter().all(|line| line.contains("\"/host\"")));
    for bytes in [&b"no mounts\n"[..], b"\0\xff\xfe", b"1 1 0:1 / /host rw"] {
        fixture.bytes("proc/1/mountinfo", bytes);
        for _ in 0..2 {
            assert!(reader.error().to_string().ends_with("1/mountinfo: no mounts"));
        }
    }
}

#[test]
fn root_of_the_host_is_removed_from_mount_points() {
    let fixture = Fixture::new();
    let root = fixture.path("root").display().to_string();
    fixture.directory("root/data");
    let line = |mount_point: &str| format!("1 1 0:1 / {mount_point} rw - ext4 x rw\n");
    let mountinfo = [&root, &format!("{root}/data"), &format!("{root}fs")].map(|point| line(point));
    fixture.file("proc/1/mountinfo", &mountinfo.concat());
    let samples = fixture.samples(&COLLECTOR);
    let points = samples.iter().filter(|line| line.starts_with("node_filesystem_device_error{"));
    let mut points: Vec<_> = points.map(|line| line.split("mountpoint=").nth(1).unwrap()).collect();
    points.sort_unstable();
    assert_eq!(points, ["\"/\"} 0", "\"/data\"} 0", &format!("\"{root}fs\"}} 1")]);
}

#[test]
fn patterns_select_mount_points_and_types() {
    let fixture = Fixture::new();
    let line =
        |mount_point: &str, kind: &str| format!("1 1 0:1 / {mount_point} rw - {kind} x rw\n");
    let mounts = [("/", "ext4"), ("/sys", "sysfs"), ("/data", "xfs"), ("/run", "tmpfs")];
    let mountinfo: String = mounts.iter().map(|(point, kind)| line(point, kind)).collect();
    fixture.file("proc/1/mountinfo", &mountinfo);
    let points = |values: &[(&str, &str)]| {
        let samples = Reader::new(&COLLECTOR, &fixture.options_with(values)).samples();
        let lines = samples.iter().filter(|line| line.contains("_device_error{"));
        let point = |line: &String| {
            line.split("mountpoint=\"").nth(1)?.split('"').next().map(str::to_owned)
        };
        let mut points: Vec<_> = lines.filter_map(point).collect();
        points.sort();
        points
    };
    assert_eq!(
        points(&[(POINTS_INCLUDE, "^/(sys|data)$"), (TYPES_EXCLUDE, "")]),
        ["/data", "/sys"]
    );
    assert_eq!(points(&[(POINTS_EXCLUDE, "^/.")]), ["/"]);
    assert_eq!(points(&[(TYPES_INCLUDE, "^xfs$")]), ["/data"]);
    assert_eq!(points(&[(TYPES_EXCLUDE, "^(ext4|sysfs)$")]), ["/data", "/run"]);
}
