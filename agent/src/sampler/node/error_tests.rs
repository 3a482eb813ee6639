//! Checks the errors of all collectors that read files of procfs.

use super::testing::Fixture;
use super::*;

/// Collectors, and the file whose text they cannot parse.
const FILES: [(&Collector, &str); 19] = [
    (&conntrack::COLLECTOR, "proc/sys/net/netfilter/nf_conntrack_count"),
    (&cpu::COLLECTOR, "proc/stat"),
    (&diskstats::COLLECTOR, "proc/diskstats"),
    (&entropy::COLLECTOR, "proc/sys/kernel/random/entropy_avail"),
    (&filefd::COLLECTOR, "proc/sys/fs/file-nr"),
    (&interrupts::COLLECTOR, "proc/interrupts"),
    (&ipvs::COLLECTOR, "proc/net/ip_vs_stats"),
    (&kernel_hung::COLLECTOR, "proc/sys/kernel/hung_task_detect_count"),
    (&loadavg::COLLECTOR, "proc/loadavg"),
    (&meminfo::COLLECTOR, "proc/meminfo"),
    (&netdev::COLLECTOR, "proc/net/dev"),
    (&netstat::COLLECTOR, "proc/net/netstat"),
    (&nfs::COLLECTOR, "proc/net/rpc/nfs"),
    (&nfsd::COLLECTOR, "proc/net/rpc/nfsd"),
    (&pressure::COLLECTOR, "proc/pressure/cpu"),
    (&sockstat::COLLECTOR, "proc/net/sockstat"),
    (&softnet::COLLECTOR, "proc/net/softnet_stat"),
    (&stat::COLLECTOR, "proc/stat"),
    (&vmstat::COLLECTOR, "proc/vmstat"),
];

#[test]
fn errors_name_the_file_that_was_read() {
    for (collector, file) in FILES {
        let fixture = Fixture::new();
        fixture.file(file, "cpu0 x x x\nx\npgfault x\n");
        let error = fixture.reader(collector).error().to_string();
        let start = format!("{}: ", fixture.path(file).display());
        assert!(error.starts_with(&start), "{}: {error}", collector.name);
    }
}

#[test]
fn error_names_the_file_that_is_missing() {
    let fixture = Fixture::new();
    let error = fixture.reader(&tcpstat::COLLECTOR).error().to_string();
    assert_eq!(error, format!("{}: no such file", fixture.path("proc/net/tcp").display()));
}
