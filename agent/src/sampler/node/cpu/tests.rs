use super::*;
use crate::sampler::node::testing::{Fixture, Reader};

const STAT: &str = "\
cpu  31159 68 12003 1860310 517 3 49 6 10 2
cpu0 30149 19 8001 930155 258 0 40 5 10 2
cpu1 1010 49 4002 930155 259 3 9 1 0 0
intr 8885917 17 0 0
ctxt 38014093
";

fn host() -> Fixture {
    let fixture = Fixture::new();
    fixture.file("proc/stat", STAT);
    fixture
}

/// Returns the values of a mode of a CPU in the lines.
fn value<'a>(lines: &'a [String], series: &str) -> Option<&'a str> {
    lines.iter().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))
}

#[test]
fn times_are_seconds_by_cpu_and_mode() {
    let lines = host().samples(&COLLECTOR);
    assert_eq!(lines.len(), 20);
    assert_eq!(
        lines[..10],
        [
            r#"node_cpu_guest_seconds_total{cpu="0",mode="nice"} 0.02"#,
            r#"node_cpu_guest_seconds_total{cpu="0",mode="user"} 0.1"#,
            r#"node_cpu_guest_seconds_total{cpu="1",mode="nice"} 0"#,
            r#"node_cpu_guest_seconds_total{cpu="1",mode="user"} 0"#,
            r#"node_cpu_seconds_total{cpu="0",mode="idle"} 9301.55"#,
            r#"node_cpu_seconds_total{cpu="0",mode="iowait"} 2.58"#,
            r#"node_cpu_seconds_total{cpu="0",mode="irq"} 0"#,
            r#"node_cpu_seconds_total{cpu="0",mode="nice"} 0.19"#,
            r#"node_cpu_seconds_total{cpu="0",mode="softirq"} 0.4"#,
            r#"node_cpu_seconds_total{cpu="0",mode="steal"} 0.05"#,
        ]
    );
}

#[test]
fn guest_times_can_be_left_out() {
    let fixture = host();
    let mut reader = Reader::new(&COLLECTOR, &fixture.options_with(&[("cpu.guest", "false")]));
    let lines = reader.samples();
    assert_eq!(lines.len(), 16);
    assert!(lines.iter().all(|line| line.starts_with("node_cpu_seconds_total")));
}

#[test]
fn time_that_falls_is_held() {
    let fixture = host();
    let mut reader = fixture.reader(&COLLECTOR);
    reader.samples();
    fixture.file("proc/stat", "cpu0 30150 19 8001 929856 200 0 40 5 10 2\n");
    let lines = reader.samples();
    let mode = |mode| value(&lines, &format!(r#"node_cpu_seconds_total{{cpu="0",mode="{mode}"}}"#));
    assert_eq!(mode("idle"), Some("9301.55"));
    assert_eq!(mode("iowait"), Some("2.58"));
    assert_eq!(mode("user"), Some("301.5"));
}

#[test]
fn idle_time_that_falls_by_three_seconds_resets_the_cpu() {
    let fixture = host();
    let mut reader = fixture.reader(&COLLECTOR);
    reader.samples();
    fixture.file("proc/stat", "cpu0 1 0 0 929855 0 0 0 0 0 0\ncpu1 1 49 4002 930156 0 0 0 0 0 0\n");
    let lines = reader.samples();
    let user =
        |cpu| value(&lines, &format!(r#"node_cpu_seconds_total{{cpu="{cpu}",mode="user"}}"#));
    assert_eq!(user(0), Some("0.01"));
    assert_eq!(user(1), Some("10.1"), "the idle time of this CPU did not fall");
}

#[test]
fn offline_cpu_has_no_series_and_comes_back() {
    let fixture = host();
    let mut reader = fixture.reader(&COLLECTOR);
    assert_eq!(reader.samples().len(), 20);
    fixture.file("proc/stat", "cpu 5 5 5 5\ncpu1 1 2 3 4 5 6 7 8 9 10\n");
    let lines = reader.samples();
    assert_eq!(lines.len(), 10);
    assert!(lines.iter().all(|line| line.contains(r#"cpu="1""#)));
    fixture.file("proc/stat", "cpu0 1 2 3 4 5 6 7 8 9 10\ncpu1 1 2 3 4 5 6 7 8 9 10\n");
    let lines = reader.samples();
    assert_eq!(value(&lines, r#"node_cpu_seconds_total{cpu="0",mode="user"}"#), Some("0.01"));
}

#[test]
fn kernel_without_guest_times_has_zeros() {
    let fixture = Fixture::new();
    fixture.file("proc/stat", "cpu0 1 2 3 4 5 6 7\n");
    let lines = fixture.samples(&COLLECTOR);
    assert_eq!(value(&lines, r#"node_cpu_seconds_total{cpu="0",mode="steal"}"#), Some("0"));
    assert_eq!(value(&lines, r#"node_cpu_seconds_total{cpu="0",mode="softirq"}"#), Some("0.07"));
}

#[test]
fn broken_file_is_an_error() {
    let fixture = Fixture::new();
    let mut reader = fixture.reader(&COLLECTOR);
    reader.error();
    let big = format!("cpu0 1 2 3 {}0\n", u64::MAX);
    for text in ["", "intr 1\n", "cpu0 1 2 3\n", "cpu0 1 2 x 4\n", "cpux 1 2 3 4\n", &big, "cpu0"] {
        fixture.file("proc/stat", text);
        reader.error();
    }
    fixture.bytes("proc/stat", b"cpu0 \xff\x00 2 3 4\n");
    reader.error();
}

fn throttled_cpu(fixture: &Fixture, cpu: u32, package: &str, core: &str, counts: [&str; 2]) {
    fixture.files(
        &format!("sys/devices/system/cpu/cpu{cpu}"),
        &[
            ("topology/physical_package_id", package),
            ("topology/core_id", core),
            ("thermal_throttle/core_throttle_count", counts[0]),
            ("thermal_throttle/package_throttle_count", counts[1]),
        ],
    );
}

/// Returns the samples that are not times.
fn device_samples(reader: &mut Reader) -> Vec<String> {
    let mut lines = reader.samples();
    lines.retain(|line| !line.contains("seconds_total"));
    lines
}

#[test]
fn throttles_are_counted_once_a_core_and_package() {
    let fixture = host();
    throttled_cpu(&fixture, 0, "0\n", "0\n", ["5\n", "30\n"]);
    throttled_cpu(&fixture, 1, "0\n", "1\n", ["0\n", "31\n"]);
    throttled_cpu(&fixture, 2, "0\n", "0\n", ["6\n", "32\n"]);
    throttled_cpu(&fixture, 3, "1\n", "0\n", ["9\n", "x\n"]);
    throttled_cpu(&fixture, 4, "-1\n", "0\n", ["9\n", "9\n"]);
    fixture.directory("sys/devices/system/cpu/cpufreq");
    let mut reader = fixture.reader(&COLLECTOR);
    let expected = [
        r#"node_cpu_core_throttles_total{core="0",package="0"} 5"#,
        r#"node_cpu_core_throttles_total{core="0",package="1"} 9"#,
        r#"node_cpu_core_throttles_total{core="1",package="0"} 0"#,
        r#"node_cpu_package_throttles_total{package="0"} 30"#,
    ];
    assert_eq!(device_samples(&mut reader), expected);

    fixture.file("sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", "7\n");
    assert_eq!(device_samples(&mut reader)[0], expected[0].replace(" 5", " 7"));
}

#[test]
fn files_are_looked_for_again_when_the_online_cpus_change() {
    let fixture = host();
    fixture.file("sys/devices/system/cpu/online", "0\n");
    throttled_cpu(&fixture, 0, "0", "0", ["5", "6"]);
    let mut reader = fixture.reader(&COLLECTOR);
    assert_eq!(device_samples(&mut reader).len(), 2);
    throttled_cpu(&fixture, 1, "0", "1", ["7", "8"]);
    fixture.file("sys/devices/system/cpu/online", "0-1\n");
    assert_eq!(device_samples(&mut reader).len(), 3);
}

#[test]
fn count_that_cannot_be_read_is_absent_until_it_is_found_again() {
    let fixture = host();
    throttled_cpu(&fixture, 0, "0", "0", ["5", "6"]);
    throttled_cpu(&fixture, 1, "0", "0", ["7", "8"]);
    let mut reader = fixture.reader(&COLLECTOR);
    device_samples(&mut reader);
    fixture.file("sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", "");
    assert_eq!(device_samples(&mut reader), [r#"node_cpu_package_throttles_total{package="0"} 6"#]);
    assert_eq!(
        device_samples(&mut reader)[0],
        r#"node_cpu_core_throttles_total{core="0",package="0"} 7"#
    );
}

#[test]
fn online_cpus_are_reported_if_the_first_one_has_the_file() {
    let fixture = host();
    fixture.directory("sys/devices/system/cpu/cpu0");
    fixture.file("sys/devices/system/cpu/cpu1/online", "0\n");
    assert_eq!(device_samples(&mut fixture.reader(&COLLECTOR)), [""; 0]);
    fixture.file("sys/devices/system/cpu/cpu0/online", "1\n");
    assert_eq!(
        device_samples(&mut fixture.reader(&COLLECTOR)),
        [r#"node_cpu_online{cpu="0"} 1"#, r#"node_cpu_online{cpu="1"} 0"#]
    );
}

#[test]
fn isolated_cpus_are_read_at_start() {
    let fixture = host();
    fixture.file("sys/devices/system/cpu/isolated", "1,3-4\n");
    assert_eq!(
        device_samples(&mut fixture.reader(&COLLECTOR)),
        [
            r#"node_cpu_isolated{cpu="1"} 1"#,
            r#"node_cpu_isolated{cpu="3"} 1"#,
            r#"node_cpu_isolated{cpu="4"} 1"#,
        ]
    );
    for list in ["\n", "1-x\n"] {
        fixture.file("sys/devices/system/cpu/isolated", list);
        assert_eq!(device_samples(&mut fixture.reader(&COLLECTOR)), [""; 0]);
    }
}

const CPUINFO: &str = "\
processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 142
model name\t: Intel(R) Core(TM) i7 @ 1.80GHz
stepping\t: 10
microcode\t: 0xb4
cpu MHz\t\t: 799.998
cache size\t: 8192 KB
physical id\t: 0
core id\t\t: 0
flags\t\t: fpu avx avx2 aes
bugs\t\t: meltdown mds

processor\t: 1
vendor_id\t: GenuineIntel
physical id\t: 0
core id\t\t: 1
flags\t\t: fpu avx512f
";

#[test]
fn models_are_reported_if_selected() {
    let fixture = host();
    fixture.file("proc/cpuinfo", CPUINFO);
    let options = fixture.options_with(&[("cpu.info", "true")]);
    let first = concat!(
        r#"node_cpu_info{cachesize="8192 KB",core="0",cpu="0",family="6",microcode="0xb4","#,
        r#"model="142",model_name="Intel(R) Core(TM) i7 @ 1.80GHz",package="0",stepping="10","#,
        r#"vendor="GenuineIntel"} 1"#
    );
    let second = r#"node_cpu_info{core="1",cpu="1",package="0",vendor="GenuineIntel"} 1"#;
    assert_eq!(device_samples(&mut Reader::new(&COLLECTOR, &options)), [first, second]);
    assert_eq!(device_samples(&mut fixture.reader(&COLLECTOR)), [""; 0]);
}

#[test]
fn flags_and_bugs_are_those_of_the_first_cpu() {
    let fixture = host();
    fixture.file("proc/cpuinfo", CPUINFO);
    let patterns = [("cpu.info.flags-include", "avx"), ("cpu.info.bugs-include", "^mds$")];
    let mut reader = Reader::new(&COLLECTOR, &fixture.options_with(&patterns));
    let lines = device_samples(&mut reader);
    assert_eq!(lines.len(), 5, "a pattern also selects the models");
    assert_eq!(
        lines[..3],
        [
            r#"node_cpu_bug_info{bug="mds"} 1"#,
            r#"node_cpu_flag_info{flag="avx"} 1"#,
            r#"node_cpu_flag_info{flag="avx2"} 1"#,
        ]
    );
}

#[test]
fn broken_models_cost_only_themselves() {
    let fixture = host();
    let mut reader = Reader::new(&COLLECTOR, &fixture.options_with(&[("cpu.info", "true")]));
    let times = fixture.samples(&COLLECTOR);
    assert_eq!(reader.samples(), times);
    for text in ["", "processor\n", "processor : x\n", "\u{0}: :\n"] {
        fixture.file("proc/cpuinfo", text);
        assert_eq!(reader.samples(), times);
    }
}
