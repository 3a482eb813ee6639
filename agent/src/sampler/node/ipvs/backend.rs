//! The backends in `/proc/net/ip_vs`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::files::bad_line;

/// A backend of a service. Parts that are left out or do not exist are `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Backend {
    pub(super) local_address: Option<IpAddr>,
    pub(super) local_port: Option<u16>,
    pub(super) remote_address: Option<IpAddr>,
    pub(super) remote_port: Option<u16>,
    pub(super) protocol: Option<&'static str>,
    /// Mark of the firewall, of a service without an address.
    pub(super) local_mark: Option<u32>,
}

/// Active connections, inactive connections and weight.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts(pub(super) [u64; 3]);

impl Counts {
    pub(super) fn add(&mut self, other: Self) {
        for (sum, count) in self.0.iter_mut().zip(other.0) {
            *sum = sum.wrapping_add(count);
        }
    }
}

/// Calls `each` with every backend. Services of other protocols are skipped.
///
/// # Errors
/// A line is broken.
pub(super) fn each_backend(
    text: &str,
    mut each: impl FnMut(Backend, Counts),
) -> Result<(), String> {
    let mut service = None;
    for line in text.lines() {
        let error = || bad_line(line);
        let mut fields = line.split_ascii_whitespace();
        let kind = fields.next().unwrap_or_default();
        let Some(address) = fields.next() else { continue };
        match kind {
            "TCP" => service = Some(tcp_or_udp("TCP", address).ok_or_else(error)?),
            "UDP" => service = Some(tcp_or_udp("UDP", address).ok_or_else(error)?),
            "FWM" => service = Some(by_mark(address).ok_or_else(error)?),
            // The last line of the header.
            "->" if address == "RemoteAddress:Port" => {}
            "->" => {
                let Some(service) = service else { continue };
                let (address, port) = address_and_port(address).ok_or_else(error)?;
                // A line that is too short is skipped, as is one of a service being removed.
                let (_, Some(weight), Some(active), Some(inactive)) =
                    (fields.next(), fields.next(), fields.next(), fields.next())
                else {
                    continue;
                };
                let number = |text: &str| text.parse().map_err(|_| error());
                let counts = Counts([number(active)?, number(inactive)?, number(weight)?]);
                let (remote_address, remote_port) = (Some(address), Some(port));
                each(Backend { remote_address, remote_port, ..service }, counts);
            }
            _ => service = None,
        }
    }
    Ok(())
}

fn tcp_or_udp(protocol: &'static str, address: &str) -> Option<Backend> {
    let (address, port) = address_and_port(address)?;
    Some(Backend {
        local_address: Some(address),
        local_port: Some(port),
        protocol: Some(protocol),
        ..Backend::default()
    })
}

/// Returns a service that packets with a mark of the firewall belong to: its port is 0.
fn by_mark(mark: &str) -> Option<Backend> {
    Some(Backend {
        local_port: Some(0),
        protocol: Some("FWM"),
        local_mark: Some(u32::from_str_radix(mark, 16).ok()?),
        ..Backend::default()
    })
}

/// Parses `C0A80016:0CEA` or `[2620:0000:0000:0000:0000:0000:0000:0001]:0050`.
fn address_and_port(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.rsplit_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let address = match address.strip_prefix('[') {
        Some(address) => address.strip_suffix(']')?.parse::<Ipv6Addr>().ok()?.to_canonical(),
        None if address.len() == 8 => {
            Ipv4Addr::from_bits(u32::from_str_radix(address, 16).ok()?).into()
        }
        None => return None,
    };
    Some((address, port))
}
