//! Columns of the statistics of network devices.

use crate::sampler::node::column::counter;
use crate::sampler::node::netlink::Statistics;
use crate::tables::ColumnSpec;

/// A column, and the statistics that it is the sum of, by their position in `rtnl_link_stats64`.
pub(super) type NetColumn = (&'static [usize], ColumnSpec);

/// Returns the value of a column; `None` if the first of its statistics is absent.
pub(super) fn sum((terms, _): &NetColumn, statistics: &Statistics) -> Option<f64> {
    let term = |number: &usize| statistics.get(*number).copied().flatten();
    terms.first().and_then(term)?;
    let sum = terms.iter().filter_map(term).fold(0, u64::wrapping_add);
    Some(sum as f64)
}

/// The names of `/proc/net/dev`.
#[rustfmt::skip] // one line each
pub(super) const COLUMNS: &[NetColumn] = &[
    (&[2], counter("node_network_receive_bytes_total", "Bytes received.")),
    (&[0], counter("node_network_receive_packets_total", "Packets received.")),
    (&[4], counter("node_network_receive_errs_total", "Packets received with errors.")),
    (&[6, 15], counter("node_network_receive_drop_total",
        "Packets received and dropped or missed.")),
    (&[14], counter("node_network_receive_fifo_total", "Overflows of the receive queue.")),
    (&[13, 10, 11, 12], counter("node_network_receive_frame_total",
        "Packets received that are malformed.")),
    (&[21], counter("node_network_receive_compressed_total", "Compressed packets received.")),
    (&[8], counter("node_network_receive_multicast_total", "Multicast packets received.")),
    (&[23], counter("node_network_receive_nohandler_total", "Packets received without a handler.")),
    (&[3], counter("node_network_transmit_bytes_total", "Bytes sent.")),
    (&[1], counter("node_network_transmit_packets_total", "Packets sent.")),
    (&[5], counter("node_network_transmit_errs_total", "Packets not sent because of errors.")),
    (&[7], counter("node_network_transmit_drop_total", "Packets dropped instead of sent.")),
    (&[18], counter("node_network_transmit_fifo_total", "Underruns of the send queue.")),
    (&[9], counter("node_network_transmit_colls_total", "Collisions while sending.")),
    (&[17, 16, 19, 20], counter("node_network_transmit_carrier_total",
        "Packets not sent for want of a carrier.")),
    (&[22], counter("node_network_transmit_compressed_total", "Compressed packets sent.")),
];

/// All statistics, as with the switch `netdev.enable-detailed-metrics`.
#[rustfmt::skip] // one line each
pub(super) const DETAILED_COLUMNS: &[NetColumn] = &[
    (&[0], counter("node_network_receive_packets_total", "Packets received.")),
    (&[1], counter("node_network_transmit_packets_total", "Packets sent.")),
    (&[2], counter("node_network_receive_bytes_total", "Bytes received.")),
    (&[3], counter("node_network_transmit_bytes_total", "Bytes sent.")),
    (&[4], counter("node_network_receive_errors_total", "Packets received with errors.")),
    (&[5], counter("node_network_transmit_errors_total", "Packets not sent because of errors.")),
    (&[6], counter("node_network_receive_dropped_total", "Packets received and dropped.")),
    (&[7], counter("node_network_transmit_dropped_total", "Packets dropped instead of sent.")),
    (&[8], counter("node_network_multicast_total", "Multicast packets received.")),
    (&[9], counter("node_network_collisions_total", "Collisions while sending.")),
    (&[10], counter("node_network_receive_length_errors_total",
        "Packets received with a wrong length.")),
    (&[11], counter("node_network_receive_over_errors_total",
        "Packets received that overran the buffer.")),
    (&[12], counter("node_network_receive_crc_errors_total",
        "Packets received with a wrong checksum.")),
    (&[13], counter("node_network_receive_frame_errors_total",
        "Packets received with a wrong alignment.")),
    (&[14], counter("node_network_receive_fifo_errors_total", "Overflows of the receive queue.")),
    (&[15], counter("node_network_receive_missed_errors_total", "Packets missed by the device.")),
    (&[16], counter("node_network_transmit_aborted_errors_total", "Transmissions aborted.")),
    (&[17], counter("node_network_transmit_carrier_errors_total",
        "Transmissions without carrier.")),
    (&[18], counter("node_network_transmit_fifo_errors_total", "Underruns of the send queue.")),
    (&[19], counter("node_network_transmit_heartbeat_errors_total",
        "Transmissions without heartbeat.")),
    (&[20], counter("node_network_transmit_window_errors_total",
        "Transmissions after the window of collisions.")),
    (&[21], counter("node_network_receive_compressed_total", "Compressed packets received.")),
    (&[22], counter("node_network_transmit_compressed_total", "Compressed packets sent.")),
    (&[23], counter("node_network_receive_nohandler_total", "Packets received without a handler.")),
];
