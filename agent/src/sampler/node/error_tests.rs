//! Checks the errors of all collectors that read files of procfs.

use super::testing::{Fixture, Reader};
use super::*;

/// Collectors, and the file whose text they cannot parse.
const FILES: [(&Collector, &str); 17] = [
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
fn errors_about_optional_files_name_them() {
    let fixture = Fixture::new();
    fixture.file("proc/stat", "cpu0 1 2 3 4\n");
    fixture.file("proc/cpuinfo", "");
    fixture.file("proc/sys/net/netfilter/nf_conntrack_count", "1\n");
    fixture.file("proc/sys/net/netfilter/nf_conntrack_max", "1\n");
    fixture.file("proc/net/stat/nf_conntrack", "header\n1\n");
    fixture.file("proc/pressure/cpu", "some\n");
    for (collector, file) in [
        (&conntrack::COLLECTOR, "proc/net/stat/nf_conntrack"),
        (&pressure::COLLECTOR, "proc/pressure/cpu"),
        (&tcpstat::COLLECTOR, "proc/net/tcp"),
    ] {
        let error = Reader::new(collector, &fixture.options()).error().to_string();
        let start = format!("{}: ", fixture.path(file).display());
        assert!(error.starts_with(&start), "{}: {error}", collector.name);
    }
}
