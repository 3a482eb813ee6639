use super::*;
use crate::sampler::node::testing::Fixture;
use crate::tables::exposition;

const STAT: &str = "4711 (agent (1) x) S 1 4711 4711 0 -1 4194560 2034 0 3 0 1250 250 0 0 20 0 4 0 \
    98765 734003200 5120 18446744073709551615 1 1 0 0 0 0 0 4096 17642 0 0 0 17 1 0 0 0 0 0\n";
const LIMITS: &str = "\
Limit                     Soft Limit           Hard Limit           Units     \n\
Max open files            1024                 524288               files     \n\
Max address space         unlimited            unlimited            bytes     \n";
const NETSTAT: &str = "\
TcpExt: SyncookiesSent InOctets\nTcpExt: 1 2\n\
IpExt: InNoRoutes InOctets OutOctets\nIpExt: 0 734003 99\n";

/// Returns a fixture with all files but the directory of open files, whose size is that of a
/// directory on a disk.
fn process() -> Fixture {
    let fixture = Fixture::new();
    fixture.files("proc/self", &[("stat", STAT), ("limits", LIMITS)]);
    fixture.file("proc/net/netstat", NETSTAT);
    fixture.file("proc/stat", "cpu  1 2 3\nbtime 1760000000\nprocesses 3\n");
    fixture
}

fn read(fixture: &Fixture) -> (Vec<String>, Result<(), SourceError>) {
    let spec = source();
    let mut output = Output::new(&spec.tables);
    output.begin();
    let result = OwnProcess::new(&fixture.path("proc")).read(&mut output);
    output.finish();
    (exposition::lines(&spec.tables, &output), result)
}

fn names(lines: &[String]) -> Vec<&str> {
    lines.iter().filter_map(|line| line.split([' ', '{']).next()).collect()
}

#[test]
fn process_is_reported_as_client_golang_reports_it() {
    let (lines, result) = read(&process());
    result.unwrap();
    let build = format!(
        "node_exporter_build_info{{goarch={:?},goos=\"linux\",version={VERSION:?}}} 1",
        architecture(std::env::consts::ARCH),
    );
    let resident = format!("process_resident_memory_bytes {}", 5120 * rustix::param::page_size());
    assert_eq!(
        lines,
        [
            &*build,
            "process_cpu_seconds_total 15",
            "process_max_fds 1024",
            "process_network_receive_bytes_total 734003",
            "process_network_transmit_bytes_total 99",
            &*resident,
            "process_start_time_seconds 1760000987.65",
            "process_virtual_memory_bytes 734003200",
            "process_virtual_memory_max_bytes 18446744073709552000",
        ]
    );
}

#[test]
fn architectures_have_the_names_of_go() {
    assert_eq!(["x86_64", "aarch64", "s390x"].map(architecture), ["amd64", "arm64", "s390x"]);
}

#[test]
fn open_files_are_the_size_of_the_directory_or_its_entries() {
    let fixture = process();
    fixture.files("proc/self/fd", &[("0", ""), ("1", ""), ("7", "")]);
    let mut directory = Directory::new(fixture.path("proc/self/fd"));
    assert_eq!(open_files(12, &mut directory), Some(12.0));
    assert_eq!(open_files(0, &mut directory), Some(3.0), "Linux before 6.2");
    assert_eq!(open_files(0, &mut Directory::new(fixture.path("proc/none"))), None);
}

#[test]
fn missing_network_statistics_and_boot_time_are_absent() {
    let fixture = process();
    fixture.file("proc/net/netstat", "IpExt: InOctets\nIpExt:");
    fixture.bytes("proc/stat", b"btime soon\n\xff");
    fixture.file("proc/self/limits", "Max open files            many\nMax address space");
    let (lines, result) = read(&fixture);
    result.unwrap();
    assert_eq!(
        names(&lines),
        [
            "node_exporter_build_info",
            "process_cpu_seconds_total",
            "process_resident_memory_bytes",
            "process_virtual_memory_bytes"
        ]
    );
    fixture.remove("proc/net/netstat");
    read(&fixture).1.unwrap();
}

#[test]
fn truncated_stat_is_an_error() {
    let fixture = process();
    for text in ["", "4711 (agent", "4711 (a) S 1 2 3", &STAT[..STAT.find(" 5120").unwrap()]] {
        fixture.file("proc/self/stat", text);
        let (_, result) = read(&fixture);
        assert!(result.unwrap_err().to_string().contains("/proc/self/stat"), "{text}");
    }
}

#[test]
fn own_process_is_not_a_collector() {
    assert!(!source().is_collector);
}
