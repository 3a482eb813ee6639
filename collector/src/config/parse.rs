//! Parsers of setting values. Errors say which values are valid, and do not quote the invalid one.

use std::net::SocketAddr;

use fleetgauge_common::log;
use fleetgauge_proto::catalog::FamilyKind;

use crate::admission::prefixes::Prefixes;
use crate::auth::Labels;
use crate::http::scrape_target::ScrapeTarget;
use crate::tls::NamePattern;

/// The metric types and their names.
const KINDS: [(&str, FamilyKind); 7] = [
    ("gauge", FamilyKind::Gauge),
    ("counter", FamilyKind::Counter),
    ("histogram", FamilyKind::Histogram),
    ("summary", FamilyKind::Summary),
    ("info", FamilyKind::Info),
    ("unknown", FamilyKind::Unknown),
    ("counter_as_named", FamilyKind::CounterAsNamed),
];

pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "must be IP:PORT, such as 127.0.0.1:45678 or [::1]:0".to_owned())
}

pub(super) fn is_address(text: &str) -> Result<(), String> {
    address(text).map(drop)
}

pub(super) fn target(text: &str) -> Result<ScrapeTarget, String> {
    ScrapeTarget::try_new(text).filter(ScrapeTarget::has_port).ok_or_else(|| {
        "must be HOST:PORT, such as metrics.example.com:1234 or [2001:db8::1]:1234".to_owned()
    })
}

pub(super) fn is_target(text: &str) -> Result<(), String> {
    target(text).map(drop)
}

pub(super) fn is_prefix(text: &str) -> Result<(), String> {
    Prefixes::try_new([text]).map(drop).map_err(|_| {
        "must be an IP address or a prefix, such as 10.0.0.0/8 or 2001:db8::/32".to_owned()
    })
}

pub(super) fn is_label(text: &str) -> Result<(), String> {
    Labels::only(&[text.to_owned()]).map(drop).map_err(|violation| violation.to_string())
}

/// Parses `FAMILY=TYPE`: the name of a metric family, and its type.
pub(super) fn pin(text: &str) -> Result<(String, FamilyKind), String> {
    let (family, kind) = text.split_once('=').unwrap_or((text, ""));
    let kind = KINDS.iter().find(|(name, _)| *name == kind).map(|(_, kind)| *kind);
    match kind {
        Some(kind) if !family.is_empty() => Ok((family.to_owned(), kind)),
        _ => {
            let names = "gauge, counter, histogram, summary, info, unknown or counter_as_named";
            Err(format!("must be FAMILY=TYPE, where TYPE is {names}"))
        }
    }
}

pub(super) fn is_log_filter(text: &str) -> Result<(), String> {
    log::parse_filter(text).map(drop)
}

pub(super) fn is_name_pattern(text: &str) -> Result<(), String> {
    NamePattern::parse(text).map(drop)
}

pub(super) fn is_type(text: &str) -> Result<(), String> {
    pin(text).map(drop)
}
