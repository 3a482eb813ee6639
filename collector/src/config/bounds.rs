//! The configurable limits.

use std::time::Duration;

use fleetgauge_proto::Limits;
use fleetgauge_proto::limits::{MAX_HELLO_BYTES, MAX_PAYLOAD_BYTES};

use super::error::BadSetting;
use super::{Flags, RESERVED_FDS, number};
use crate::admission::address_limits::AddressLimits;
use crate::admission::prefixes::Prefixes;
use crate::registry::SchemaLimits;

/// Addresses exempt by default: a tunnel or a proxy on this host speaks for many agents.
const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1"];

/// One address may have this fraction of the handshakes.
const ADDRESS_SHARE: usize = 16;

/// Default of `max_page_bytes_per_agent`: 335 for each of the 50,000 values of a report.
const PAGE_BYTES_PER_AGENT: u64 = 16 << 20;

/// The configurable limits.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Maximum agent connections.
    pub connections: usize,
    /// Limits of one source address.
    pub address: AddressLimits,
    /// Load balancers that send PROXY headers.
    pub proxies: Prefixes,
    /// Maximum concurrent handshakes: connections without a first report.
    pub handshakes: usize,
    /// Maximum number and total size of schemas.
    pub schemas: SchemaLimits,
    /// Limits of one agent's messages.
    pub limits: Limits,
    /// Maximum bytes that one agent may add to a page.
    pub page_bytes_per_agent: usize,
    /// Maximum report interval.
    pub max_interval: Duration,
    /// Maximum frames of an agent in each interval, on average.
    pub reports_per_interval: u64,
    /// Maximum HTTP connections.
    pub http_connections: usize,
    /// Memory limit of agents' connections, rows, schemas and unfinished frames, in bytes.
    pub memory: usize,
    /// Maximum concurrent scrapes: each holds a copy of all values.
    pub scrapes: usize,
}

/// Returns the limits in the settings.
pub(super) fn bounds(flags: &Flags) -> Result<Bounds, BadSetting> {
    let room = max_connections();
    let defaults = Limits::default();
    let count = |name, given, default: u64, most: u64| {
        number(name, given, default, 1..=most).and_then(|n| {
            usize::try_from(n).map_err(|_| BadSetting::new(name, "is too large for this machine"))
        })
    };
    let limit = |name, given, default: u32, least: u32, most: u32| {
        number(name, given, default.into(), least.into()..=most.into())
            .map(|n| u32::try_from(n).unwrap_or(u32::MAX))
    };
    let connections = count("max_connections", flags.max_connections, room, room)?;
    let proxies = prefixes("proxy_from", flags.proxy_from.as_deref().unwrap_or_default())?;
    let connections_per_address = count(
        "max_connections_per_address",
        flags.max_connections_per_address,
        connections as u64,
        room,
    )?;
    let handshakes = count("max_handshakes", flags.max_handshakes, 1024, room.max(1024))?;
    let unreported = (handshakes / ADDRESS_SHARE).max(1);
    Ok(Bounds {
        connections,
        address: address_bounds(flags, connections_per_address, unreported, &proxies)?,
        proxies,
        reports_per_interval: number(
            "max_reports_per_interval",
            flags.max_reports_per_interval,
            5,
            1..=1_000_000,
        )?,
        handshakes,
        schemas: SchemaLimits {
            schemas: count("max_schemas", flags.max_schemas, 1024, 1 << 20)?,
            bytes: count("max_schema_bytes", flags.max_schema_bytes, 64 << 20, 1 << 40)?,
        },
        limits: Limits {
            max_payload_bytes: limit(
                "max_payload_bytes",
                flags.max_payload_bytes,
                defaults.max_payload_bytes,
                MAX_HELLO_BYTES,
                MAX_PAYLOAD_BYTES,
            )?,
            max_families: limit(
                "max_families",
                flags.max_families,
                defaults.max_families,
                1,
                1 << 16,
            )?,
            max_series: limit("max_series", flags.max_series, defaults.max_series, 1, 1 << 20)?,
            max_values: limit("max_values", flags.max_values, defaults.max_values, 1, 1 << 20)?,
            max_label_bytes: limit(
                "max_label_bytes",
                flags.max_label_bytes,
                defaults.max_label_bytes,
                1,
                MAX_PAYLOAD_BYTES,
            )?,
        },
        page_bytes_per_agent: count(
            "max_page_bytes_per_agent",
            flags.max_page_bytes_per_agent,
            PAGE_BYTES_PER_AGENT,
            1 << 40,
        )?,
        max_interval: Duration::from_secs(number(
            "max_interval_seconds",
            flags.max_interval_seconds,
            300,
            1..=300,
        )?),
        http_connections: count(
            "max_http_connections",
            flags.max_http_connections,
            64,
            RESERVED_FDS / 2 - 32,
        )?,
        memory: count("max_memory_bytes", flags.max_memory_bytes, 1 << 30, 1 << 40)?,
        scrapes: count("max_scrapes", flags.max_scrapes, 4, 64)?,
    })
}

fn address_bounds(
    flags: &Flags,
    connections: usize,
    unreported: usize,
    proxies: &Prefixes,
) -> Result<AddressLimits, BadSetting> {
    let loopback = LOOPBACK.map(str::to_owned);
    let exempt = prefixes("exempt", flags.exempt.as_deref().unwrap_or(&loopback))?;
    let (handshakes, failures) = (flags.max_handshakes_per_address, flags.max_failures_per_address);
    let pause = number("pause_seconds", flags.pause_seconds, 60, 1..=3600)?;
    Ok(AddressLimits {
        connections,
        unreported,
        handshakes: number("max_handshakes_per_address", handshakes, 100, 1..=1000)?,
        failures: number("max_failures_per_address", failures, 20, 1..=10_000)?,
        pause: Duration::from_secs(pause),
        // Proxied connections count for the address in the PROXY header.
        exempt: exempt.and(proxies),
    })
}

fn prefixes(setting: &str, given: &[String]) -> Result<Prefixes, BadSetting> {
    let right = "is neither a prefix, such as 10.0.0.0/8 or 2001:db8::/32, nor an IP address";
    Prefixes::try_new(given).map_err(|wrong| BadSetting::new(setting, format!("{wrong:?} {right}")))
}

/// Returns the connections that the process's file limit allows. [`crate::cli`] has raised the soft
/// limit.
fn max_connections() -> u64 {
    #[cfg(unix)]
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    #[cfg(not(unix))]
    let files = Some(1 << 20);
    files.unwrap_or(1 << 20).saturating_sub(RESERVED_FDS).max(1)
}
