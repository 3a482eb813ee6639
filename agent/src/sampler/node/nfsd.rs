//! Calls that the NFS server answered, from `/proc/net/rpc/nfsd`.

use super::column::{counter, gauge, table};
use super::files::KeptFile;
use super::rpc_lines::{self, RpcLine, columns};
use super::{Collector, SourceError};
use crate::sampler::Source;
use crate::tables::{ColumnSpec, Output};

pub(super) const COLLECTOR: Collector = Collector {
    name: "nfsd",
    by_default: true,
    options: &[],
    tables: |_| vec![table(&[], &COLUMNS)],
    create: |options| {
        let file = KeptFile::new(options.procfs("net/rpc/nfsd"));
        Ok(Box::new(Server { file, values: [0.0; COLUMNS.len()] }))
    },
};

const PACKETS: ColumnSpec = counter("node_nfsd_packets_total", "Number of packets, by protocol.");
const ERRORS: ColumnSpec = counter("node_nfsd_rpc_errors_total", "Number of refused calls.");
const REQUESTS: ColumnSpec =
    counter("node_nfsd_requests_total", "Number of calls, by NFS version and procedure.");

const COLUMNS: [ColumnSpec; 90] = columns! {
    [
        counter("node_nfsd_reply_cache_hits_total", "Number of replies found in the reply cache."),
        counter("node_nfsd_reply_cache_misses_total", "Number of replies added to the cache."),
        counter("node_nfsd_reply_cache_nocache_total", "Number of replies not to be cached."),
        counter("node_nfsd_file_handles_stale_total", "Number of stale file handles."),
        counter("node_nfsd_disk_bytes_read_total", "Bytes read from files."),
        counter("node_nfsd_disk_bytes_written_total", "Bytes written to files."),
        gauge("node_nfsd_server_threads", "Number of threads of the server."),
        gauge("node_nfsd_read_ahead_cache_size_blocks", "Blocks of the read-ahead cache."),
        counter("node_nfsd_read_ahead_cache_not_found_total", "Misses of the read-ahead cache."),
        PACKETS.labelled(&[("proto", "udp")]),
        PACKETS.labelled(&[("proto", "tcp")]),
        counter("node_nfsd_connections_total", "Number of TCP connections."),
        counter("node_nfsd_server_rpcs_total", "Number of remote procedure calls."),
        ERRORS.labelled(&[("error", "fmt")]),
        ERRORS.labelled(&[("error", "auth")]),
        ERRORS.labelled(&[("error", "cInt")]),
    ]
    "2":
        "GetAttr" "SetAttr" "Root" "Lookup" "ReadLink" "Read" "WrCache" "Write" "Create"
        "Remove" "Rename" "Link" "SymLink" "MkDir" "RmDir" "ReadDir" "FsStat";
    "3":
        "GetAttr" "SetAttr" "Lookup" "Access" "ReadLink" "Read" "Write" "Create" "MkDir"
        "SymLink" "MkNod" "Remove" "RmDir" "Rename" "Link" "ReadDir" "ReadDirPlus" "FsStat"
        "FsInfo" "PathConf" "Commit";
    "4":
        "Access" "Close" "Commit" "Create" "DelegPurge" "DelegReturn" "GetAttr" "GetFH"
        "Link" "Lock" "Lockt" "Locku" "Lookup" "LookupRoot" "Nverify" "Open" "OpenAttr"
        "OpenConfirm" "OpenDgrd" "PutFH" "Read" "ReadDir" "ReadLink" "Remove" "Rename"
        "Renew" "RestoreFH" "SaveFH" "SecInfo" "SetAttr" "SetClientID" "SetClientIDConfirm"
        "Verify" "Write" "RelLockOwner" "WdelegGetattr";
};

/// As in node_exporter, null calls and some operations have no series.
const LINES: [RpcLine; 11] = [
    RpcLine { key: "rc", is_counted: false, min: 3, columns: &[(0..3, 0)] },
    RpcLine { key: "fh", is_counted: false, min: 5, columns: &[(0..1, 3)] },
    RpcLine { key: "io", is_counted: false, min: 2, columns: &[(0..2, 4)] },
    RpcLine { key: "th", is_counted: false, min: 2, columns: &[(0..1, 6)] },
    RpcLine { key: "ra", is_counted: false, min: 12, columns: &[(0..1, 7), (11..12, 8)] },
    RpcLine { key: "net", is_counted: false, min: 4, columns: &[(1..4, 9)] },
    RpcLine { key: "rpc", is_counted: false, min: 5, columns: &[(0..1, 12), (2..5, 13)] },
    RpcLine { key: "proc2", is_counted: true, min: 18, columns: &[(1..18, 16)] },
    RpcLine { key: "proc3", is_counted: true, min: 22, columns: &[(1..22, 33)] },
    RpcLine { key: "proc4ops", is_counted: true, min: 39, columns: &[(3..23, 54), (25..40, 74)] },
    RpcLine { key: "wdeleg_getattr", is_counted: false, min: 1, columns: &[(0..1, 89)] },
];

#[derive(Debug)]
struct Server {
    file: KeptFile,
    values: [f64; COLUMNS.len()],
}

impl Source for Server {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        rpc_lines::read(&mut self.file, &LINES, &mut self.values)?;
        output.row(0, &[]).copy_from_slice(&self.values);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::node::testing::Fixture;

    fn numbers(range: std::ops::RangeInclusive<u32>) -> String {
        range.map(|number| format!(" {number}")).collect()
    }

    fn value(samples: &[String], labels: &str) -> String {
        let line = samples.iter().find(|line| line.contains(labels));
        line.unwrap_or_else(|| panic!("{labels}")).rsplit(' ').next().unwrap().to_owned()
    }

    #[test]
    fn lines_become_samples() {
        let fixture = Fixture::new();
        let (proc2, proc3, ops) = (numbers(201..=218), numbers(301..=322), numbers(400..=471));
        let text = format!(
            "rc 1 2 3\nfh 4 0 0 0 0\nio 5 6\nth 8 0 0.000 0.000\nra 32 0 0 0 0 0 0 0 0 0 0 9\n\
             net 30 10 20 11\nrpc 12 99 13 14 15\nproc2 18{proc2}\nproc3 22{proc3}\n\
             proc4 2 1 2\nproc4ops 72{ops}\nwdeleg_getattr 16\n"
        );
        fixture.file("proc/net/rpc/nfsd", &text);
        let samples = fixture.samples(&COLLECTOR);
        assert_eq!(samples.len(), 90);
        assert!(!samples.iter().any(|line| line.contains("Null") || line.contains("PutRootFH")));
        for (labels, expected) in [
            ("cache_hits_total", "1"),
            ("cache_misses_total", "2"),
            ("cache_nocache_total", "3"),
            ("stale_total", "4"),
            ("bytes_read_total", "5"),
            ("bytes_written_total", "6"),
            ("server_threads", "8"),
            ("size_blocks", "32"),
            ("not_found_total", "9"),
            ("packets_total{proto=\"udp\"}", "10"),
            ("packets_total{proto=\"tcp\"}", "20"),
            ("connections_total", "11"),
            ("server_rpcs_total", "12"),
            ("{error=\"fmt\"}", "13"),
            ("{error=\"auth\"}", "14"),
            ("{error=\"cInt\"}", "15"),
            ("method=\"GetAttr\",proto=\"2\"", "202"),
            ("method=\"FsStat\",proto=\"2\"", "218"),
            ("method=\"GetAttr\",proto=\"3\"", "302"),
            ("method=\"Commit\",proto=\"3\"", "322"),
            ("method=\"Access\",proto=\"4\"", "403"),
            ("method=\"PutFH\",proto=\"4\"", "422"),
            ("method=\"Read\",proto=\"4\"", "425"),
            ("method=\"RelLockOwner\",proto=\"4\"", "439"),
            ("method=\"WdelegGetattr\",proto=\"4\"", "16"),
        ] {
            assert_eq!(value(&samples, labels), expected, "{labels}");
        }
    }

    #[test]
    fn older_server_has_39_operations() {
        let fixture = Fixture::new();
        fixture.file("proc/net/rpc/nfsd", &format!("proc4ops 39{}\n", numbers(0..=38)));
        let samples = fixture.samples(&COLLECTOR);
        assert_eq!(value(&samples, "method=\"Write\",proto=\"4\""), "38");
        assert_eq!(value(&samples, "method=\"RelLockOwner\",proto=\"4\""), "0");
    }

    #[test]
    fn missing_file_is_nothing_found_and_broken_lines_are_errors() {
        let fixture = Fixture::new();
        let mut reader = fixture.reader(&COLLECTOR);
        assert_eq!(reader.error(), SourceError::NothingFound);
        for text in ["", "th", "rc 1 2", "ra 32 0 0", "proc4ops 40 1 2", "io 1 0x2", "\0"] {
            fixture.file("proc/net/rpc/nfsd", text);
            reader.error();
        }
    }
}
