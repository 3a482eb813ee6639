//! Calls of the NFS client, from `/proc/net/rpc/nfs`.

use super::column::{counter, table};
use super::files::KeptFile;
use super::rpc_lines::{self, RpcLine, columns};
use super::{Collector, SourceError};
use crate::sampler::Source;
use crate::tables::{ColumnSpec, Output};

pub(super) const COLLECTOR: Collector = Collector {
    name: "nfs",
    by_default: true,
    options: &[],
    tables: |_| vec![table(&[], &COLUMNS)],
    create: |options| {
        let file = KeptFile::new(options.procfs("net/rpc/nfs"));
        Ok(Box::new(Client { file, values: [0.0; COLUMNS.len()] }))
    },
};

const PACKETS: ColumnSpec = counter("node_nfs_packets_total", "Number of packets, by protocol.");
const REQUESTS: ColumnSpec =
    counter("node_nfs_requests_total", "Number of calls, by NFS version and procedure.");

const COLUMNS: [ColumnSpec; 105] = columns! {
    [
        PACKETS.labelled(&[("protocol", "udp")]),
        PACKETS.labelled(&[("protocol", "tcp")]),
        counter("node_nfs_connections_total", "Number of TCP connections."),
        counter("node_nfs_rpcs_total", "Number of remote procedure calls."),
        counter("node_nfs_rpc_retransmissions_total", "Number of calls that were sent again."),
        counter("node_nfs_rpc_authentication_refreshes_total", "Number of renewed credentials."),
    ]
    "2":
        "Null" "GetAttr" "SetAttr" "Root" "Lookup" "ReadLink" "Read" "WrCache" "Write"
        "Create" "Remove" "Rename" "Link" "SymLink" "MkDir" "RmDir" "ReadDir" "FsStat";
    "3":
        "Null" "GetAttr" "SetAttr" "Lookup" "Access" "ReadLink" "Read" "Write" "Create"
        "MkDir" "SymLink" "MkNod" "Remove" "RmDir" "Rename" "Link" "ReadDir" "ReadDirPlus"
        "FsStat" "FsInfo" "PathConf" "Commit";
    "4":
        "Null" "Read" "Write" "Commit" "Open" "OpenConfirm" "OpenNoattr" "OpenDowngrade"
        "Close" "Setattr" "FsInfo" "Renew" "SetClientID" "SetClientIDConfirm" "Lock"
        "Lockt" "Locku" "Access" "Getattr" "Lookup" "LookupRoot" "Remove" "Rename" "Link"
        "Symlink" "Create" "Pathconf" "StatFs" "ReadLink" "ReadDir" "ServerCaps"
        "DelegReturn" "GetACL" "SetACL" "FsLocations" "ReleaseLockowner" "Secinfo"
        "FsidPresent" "ExchangeID" "CreateSession" "DestroySession" "Sequence"
        "GetLeaseTime" "ReclaimComplete" "GetDeviceInfo" "LayoutGet" "LayoutCommit"
        "LayoutReturn" "SecinfoNoName" "TestStateID" "FreeStateID" "GetDeviceList"
        "BindConnToSession" "DestroyClientID" "Seek" "Allocate" "DeAllocate" "LayoutStats"
        "Clone";
};

const LINES: [RpcLine; 5] = [
    RpcLine { key: "net", is_counted: false, min: 4, columns: &[(1..4, 0)] },
    RpcLine { key: "rpc", is_counted: false, min: 3, columns: &[(0..3, 3)] },
    RpcLine { key: "proc2", is_counted: true, min: 18, columns: &[(0..18, 6)] },
    RpcLine { key: "proc3", is_counted: true, min: 22, columns: &[(0..22, 24)] },
    // Older kernels have fewer procedures.
    RpcLine { key: "proc4", is_counted: true, min: 0, columns: &[(0..59, 46)] },
];

#[derive(Debug)]
struct Client {
    file: KeptFile,
    values: [f64; COLUMNS.len()],
}

impl Source for Client {
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
    fn procedures_have_the_numbers_of_their_line() {
        let fixture = Fixture::new();
        let (proc2, proc3, proc4) = (numbers(201..=218), numbers(301..=322), numbers(401..=459));
        let text = format!(
            "net 18 1 17 4\nrpc 50 2 3\nproc2 18{proc2}\nproc3 22{proc3}\nproc4 59{proc4}\n"
        );
        fixture.file("proc/net/rpc/nfs", &text);
        let samples = fixture.samples(&COLLECTOR);
        assert_eq!(samples.len(), 105);
        for (labels, expected) in [
            ("packets_total{protocol=\"udp\"}", "1"),
            ("packets_total{protocol=\"tcp\"}", "17"),
            ("connections_total", "4"),
            ("rpcs_total", "50"),
            ("retransmissions_total", "2"),
            ("refreshes_total", "3"),
            ("method=\"Null\",proto=\"2\"", "201"),
            ("method=\"FsStat\",proto=\"2\"", "218"),
            ("method=\"Null\",proto=\"3\"", "301"),
            ("method=\"Commit\",proto=\"3\"", "322"),
            ("method=\"Null\",proto=\"4\"", "401"),
            ("method=\"ExchangeID\",proto=\"4\"", "439"),
            ("method=\"Clone\",proto=\"4\"", "459"),
        ] {
            assert_eq!(value(&samples, labels), expected, "{labels}");
        }
    }

    #[test]
    fn missing_lines_are_0_and_kernels_have_fewer_or_more_procedures() {
        let fixture = Fixture::new();
        let mut reader = fixture.reader(&COLLECTOR);
        for (count, clone) in [(59, "59"), (48, "0"), (69, "59")] {
            let text = format!("new 1 x\nproc4 {count}{}\n", numbers(1..=count));
            fixture.file("proc/net/rpc/nfs", &text);
            let samples = reader.samples();
            assert_eq!(value(&samples, "method=\"Clone\",proto=\"4\""), clone);
            assert_eq!(value(&samples, "method=\"GetAttr\",proto=\"3\""), "0");
            assert_eq!(value(&samples, "rpcs_total"), "0");
        }
    }

    #[test]
    fn missing_file_is_nothing_found_and_broken_lines_are_errors() {
        let fixture = Fixture::new();
        let mut reader = fixture.reader(&COLLECTOR);
        assert_eq!(reader.error(), SourceError::NothingFound);
        for text in [
            &b""[..],
            b"net",
            b"net 18 1 17",
            b"rpc 1 x 3",
            b"rpc 1 -2 3",
            b"proc4 2 1",
            b"proc4 99999999999999999999 1",
            b"proc3 2 1 1",
            b"\xff\x00proc4 1 1",
        ] {
            fixture.bytes("proc/net/rpc/nfs", text);
            reader.error();
        }
    }
}
