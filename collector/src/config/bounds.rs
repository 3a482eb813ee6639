//! The limits in the settings: connections, memory, catalogs, messages, scrapes.

use std::time::Duration;

use fleetgauge_common::file_limit;
use fleetgauge_common::settings::Layers;
use fleetgauge_proto::Limits;

use super::RESERVED_FDS;
use crate::admission::address_limits::AddressLimits;
use crate::admission::prefixes::Prefixes;
use crate::registry::CatalogLimits;

/// One source address may have at most 1/16 of the concurrent handshakes.
const ADDRESS_SHARE: usize = 16;

/// Explains in error messages where the maximum of the connection settings comes from.
const FILE_LIMIT: &str = "the limit of open files minus 256; raise that limit with ulimit -n or \
                          LimitNOFILE=";

/// The limits in the settings.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Maximum agent connections.
    pub connections: usize,
    /// Limits that apply to each source address.
    pub address: AddressLimits,
    /// Addresses of the load balancers that send PROXY headers.
    pub proxies: Prefixes,
    /// Maximum concurrent handshakes: connections whose agents have not reported yet.
    pub handshakes: usize,
    /// Maximum number and total size of catalogs.
    pub catalogs: CatalogLimits,
    /// Limits of one agent's messages.
    pub limits: Limits,
    /// Maximum bytes that each agent may add to a metrics page.
    pub page_bytes_per_agent: usize,
    /// Maximum report interval.
    pub max_interval: Duration,
    /// Maximum frames of an agent per report interval, on average.
    pub reports_per_interval: u64,
    /// Maximum rows that an agent adds and removes per second, on average.
    pub row_changes_per_second: u64,
    /// Maximum HTTP connections.
    pub http_connections: usize,
    /// Memory limit of agents' connections, values, labels, rows, catalogs and incomplete frames,
    /// in bytes.
    pub memory: usize,
    /// Maximum concurrent scrapes. They are limited because each holds a copy of all values.
    pub scrapes: usize,
}

/// Returns the limits in the settings.
pub(super) fn bounds(layers: &mut Layers) -> Bounds {
    let room = max_connections();
    layers.set_default("max_connections", room.to_string());
    let connections = layers.number("max_connections");
    layers.set_default("max_connections_per_address", connections.to_string());
    layers.at_most("max_connections", room, FILE_LIMIT);
    layers.at_most("max_connections_per_address", room, FILE_LIMIT);
    layers.at_most("max_handshakes", room.max(1024), FILE_LIMIT);

    let count = |name| to_usize(layers.number(name));
    let size = |name| to_usize(layers.size(name));
    let limit = |number| u32::try_from(number).unwrap_or(u32::MAX);
    let proxies = prefixes(layers, "proxy_protocol_from");
    let handshakes = count("max_handshakes");
    Bounds {
        connections: to_usize(connections),
        address: AddressLimits {
            connections: count("max_connections_per_address"),
            unreported: (handshakes / ADDRESS_SHARE).max(1),
            handshakes: layers.number("max_handshakes_per_address"),
            failures: layers.number("max_failures_per_address"),
            pause: layers.duration("failure_pause"),
            // Proxied connections count for the address in the PROXY header.
            exempt: prefixes(layers, "exempt_addresses").and(&proxies),
        },
        proxies,
        reports_per_interval: layers.number("max_reports_per_interval"),
        row_changes_per_second: layers.number("max_row_changes"),
        handshakes,
        catalogs: CatalogLimits {
            catalogs: count("max_catalogs"),
            bytes: size("max_catalogs_size"),
        },
        limits: Limits {
            max_payload_bytes: limit(layers.size("max_payload")),
            max_families: limit(layers.number("max_families")),
            max_series: limit(layers.number("max_series")),
            max_values: limit(layers.number("max_values")),
            max_label_bytes: limit(layers.size("max_labels_size")),
        },
        page_bytes_per_agent: size("max_page_size_per_agent"),
        max_interval: layers.duration("max_interval"),
        http_connections: count("max_http_connections"),
        memory: size("max_memory"),
        scrapes: count("max_scrapes"),
    }
}

/// Converts a limit. On a 32-bit system, larger limits become `usize::MAX`, which has the same
/// effect.
fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn prefixes(layers: &Layers, name: &str) -> Prefixes {
    Prefixes::try_new(layers.list(name)).unwrap_or_default()
}

/// Returns the number of connections that the limit of open files allows. [`crate::cli`] has raised
/// the soft limit before.
fn max_connections() -> u64 {
    file_limit::current().unwrap_or(1 << 20).saturating_sub(RESERVED_FDS).max(1)
}
