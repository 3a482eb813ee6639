//! Fibre Channel host ports, from `/sys/class/fc_host`.

use super::column::{counter, gauge, table};
use super::files::{Device, DeviceFiles};
use super::{Collector, SourceError};
use crate::sampler::Source;
use crate::tables::{ColumnSpec, Output};

pub(super) const COLLECTOR: Collector = Collector {
    name: "fibrechannel",
    by_default: true,
    options: &[],
    tables: |_| vec![table(&INFO_LABELS, &INFO), table(&["fc_host"], &COUNTERS)],
    create: |options| {
        let hosts = DeviceFiles::new(options.sysfs("class/fc_host"), &FILES);
        Ok(Box::new(FibreChannel { hosts }))
    },
};

const INFO_LABELS: [&str; 11] = [
    "fc_host",
    "speed",
    "port_state",
    "port_type",
    "symbolic_name",
    "supported_classes",
    "supported_speeds",
    "dev_loss_tmo",
    "port_id",
    "port_name",
    "fabric_name",
];

const INFO: [ColumnSpec; 1] =
    [gauge("node_fibrechannel_info", "Properties of the host port as labels; always 1.")];

#[rustfmt::skip] // one line each
const COUNTERS: [ColumnSpec; 14] = [
    counter("node_fibrechannel_dumped_frames_total", "Frames lost for lack of buffers."),
    counter("node_fibrechannel_error_frames_total", "Frames received with errors."),
    counter("node_fibrechannel_invalid_crc_total", "Frames received with a wrong checksum."),
    counter("node_fibrechannel_rx_frames_total", "Frames received."),
    counter("node_fibrechannel_rx_words_total", "Words received."),
    counter("node_fibrechannel_tx_frames_total", "Frames sent."),
    counter("node_fibrechannel_tx_words_total", "Words sent."),
    counter("node_fibrechannel_seconds_since_last_reset_total", "Age of the statistics."),
    counter("node_fibrechannel_invalid_tx_words_total", "Invalid transmission words received."),
    counter("node_fibrechannel_link_failure_total", "Link failures."),
    counter("node_fibrechannel_loss_of_sync_total", "Losses of synchronization."),
    counter("node_fibrechannel_loss_of_signal_total", "Losses of signal."),
    counter("node_fibrechannel_nos_total", "Not-operational sequences received."),
    counter("node_fibrechannel_fcp_packet_aborts_total", "Aborted FCP packets."),
];

/// The files of the labels after `fc_host`, then those of the counters.
const FILES: [&str; FIRST_COUNTER + COUNTERS.len()] = [
    "speed",
    "port_state",
    "port_type",
    "symbolic_name",
    "supported_classes",
    "supported_speeds",
    "dev_loss_tmo",
    "port_id",
    "port_name",
    "fabric_name",
    "statistics/dumped_frames",
    "statistics/error_frames",
    "statistics/invalid_crc_count",
    "statistics/rx_frames",
    "statistics/rx_words",
    "statistics/tx_frames",
    "statistics/tx_words",
    "statistics/seconds_since_last_reset",
    "statistics/invalid_tx_word_count",
    "statistics/link_failure_count",
    "statistics/loss_of_sync_count",
    "statistics/loss_of_signal_count",
    "statistics/nos_count",
    "statistics/fcp_packet_aborts",
];

/// Index of the first file with a hexadecimal name.
const FIRST_HEXADECIMAL_LABEL: usize = 7;
/// Index of the first file of a counter.
const FIRST_COUNTER: usize = INFO_LABELS.len() - 1;

#[derive(Debug)]
struct FibreChannel {
    hosts: DeviceFiles,
}

impl Source for FibreChannel {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        for host in self.hosts.list(|_| true)? {
            let labels: [String; FIRST_COUNTER] = std::array::from_fn(|file| label(host, file));
            let mut info = [""; INFO_LABELS.len()];
            let values = std::iter::once(host.name()).chain(labels.iter().map(String::as_str));
            info.iter_mut().zip(values).for_each(|(label, value)| *label = value);
            output.row(0, &info)[0] = 1.0;

            let row = output.row(1, &[host.name()]);
            for (index, value) in row.iter_mut().enumerate() {
                let text = host.value(FIRST_COUNTER + index);
                if let Some(number) = text.and_then(parse_counter) {
                    *value = number;
                }
            }
        }
        Ok(())
    }
}

/// Returns the value of a label; empty if the driver does not have the file.
fn label(host: &mut Device, file: usize) -> String {
    let text = host.value(file).unwrap_or_default();
    let without_prefix = (file >= FIRST_HEXADECIMAL_LABEL).then(|| text.strip_prefix("0x"));
    without_prefix.flatten().unwrap_or(text).to_owned()
}

/// Parses a counter; `None` if the host does not have it, which drivers show as all bits set.
#[expect(clippy::cast_precision_loss, reason = "values of series are f64")]
fn parse_counter(text: &str) -> Option<f64> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.ok().filter(|number| *number != u64::MAX).map(|number| number as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::node::testing::Fixture;

    fn add_host(fixture: &Fixture) {
        let labels = [
            ("speed", "16 Gbit\n"),
            ("port_state", "Online\n"),
            ("port_type", "Point-To-Point (direct nport connection)\n"),
            ("symbolic_name", "Example \"HBA\" FV1.2\n"),
            ("supported_classes", "Class 3\n"),
            ("supported_speeds", "4 Gbit, 8 Gbit, 16 Gbit\n"),
            ("dev_loss_tmo", "30\n"),
            ("port_id", "0x000002\n"),
            ("port_name", "0x1000e0071bce95f2\n"),
            ("fabric_name", "0x0\n"),
        ];
        fixture.files("sys/class/fc_host/host0", &labels);
        let counters = [
            ("dumped_frames", "0xffffffffffffffff\n"),
            ("error_frames", "0x0\n"),
            ("rx_frames", "0x3\n"),
            ("tx_words", "0x1f\n"),
            ("seconds_since_last_reset", "0x7\n"),
            ("nos_count", "18\n"),
        ];
        fixture.files("sys/class/fc_host/host0/statistics", &counters);
    }

    const INFO_LINE: &str = "node_fibrechannel_info{dev_loss_tmo=\"30\",fabric_name=\"0\",\
        fc_host=\"host0\",port_id=\"000002\",port_name=\"1000e0071bce95f2\",port_state=\"Online\",\
        port_type=\"Point-To-Point (direct nport connection)\",speed=\"16 Gbit\",\
        supported_classes=\"Class 3\",supported_speeds=\"4 Gbit, 8 Gbit, 16 Gbit\",\
        symbolic_name=\"Example \\\"HBA\\\" FV1.2\"} 1";

    #[test]
    fn host_is_read_and_counters_that_it_does_not_have_are_absent() {
        let fixture = Fixture::new();
        add_host(&fixture);
        assert_eq!(
            fixture.samples(&COLLECTOR),
            [
                "node_fibrechannel_error_frames_total{fc_host=\"host0\"} 0",
                INFO_LINE,
                "node_fibrechannel_nos_total{fc_host=\"host0\"} 18",
                "node_fibrechannel_rx_frames_total{fc_host=\"host0\"} 3",
                "node_fibrechannel_seconds_since_last_reset_total{fc_host=\"host0\"} 7",
                "node_fibrechannel_tx_words_total{fc_host=\"host0\"} 31",
            ]
        );
    }

    #[test]
    fn broken_files_have_no_value() {
        let fixture = Fixture::new();
        fixture.bytes("sys/class/fc_host/host1/statistics/rx_frames", b"0x\xff");
        fixture.file("sys/class/fc_host/host1/statistics/tx_frames", "0x1ffffffffffffffff");
        fixture.file("sys/class/fc_host/host1/port_id", "0x");
        assert_eq!(fixture.samples(&COLLECTOR), ["node_fibrechannel_info{fc_host=\"host1\"} 1"]);
    }

    #[test]
    fn host_without_adapters_has_nothing_and_removed_adapter_disappears() {
        let fixture = Fixture::new();
        let mut reader = fixture.reader(&COLLECTOR);
        assert_eq!(reader.error(), SourceError::NothingFound);
        add_host(&fixture);
        assert_eq!(reader.samples().len(), 6);
        fixture.remove("sys/class/fc_host/host0");
        assert!(reader.samples().is_empty());
    }
}
