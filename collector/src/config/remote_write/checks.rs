//! Checks of the keys of `[[remote_write]]`. Errors say which values are valid, and do not quote
//! the invalid one.

use fleetgauge_common::http_client::HttpUrl;
use fleetgauge_proto::limits::{MAX_LABEL_VALUE_BYTES, MAX_NAME_BYTES};
use fleetgauge_proto::names::{is_identifier, is_metric_name};
use hyper::header::{HeaderName, HeaderValue};

/// Maximum length of a destination's name, in bytes: it is part of log lines and metrics.
const MAX_DESTINATION_BYTES: usize = 128;
/// Maximum length of a header's value, in bytes. Servers limit a header to 4 to 8 KiB.
const MAX_HEADER_BYTES: usize = 4096;
/// URL of an engine in error texts.
const EXAMPLE: &str = "http://localhost:9090/api/v1/write";
/// Headers that the collector sets, or that change how a request is read. All headers that start
/// with `content-` are reserved too.
const RESERVED_HEADERS: [&str; 13] = [
    "accept-encoding",
    "authorization",
    "connection",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "x-prometheus-remote-write-version",
];
/// Label that identifies a host. Without it, series of two hosts would be the same.
const AGENT: &str = "agent";

/// Parses the key `url`.
pub(super) fn url(text: &str) -> Result<HttpUrl, String> {
    HttpUrl::parse(text, EXAMPLE)
        .unwrap_or_else(|| Err(format!("must be http:// or https://, such as {EXAMPLE}")))
}

pub(super) fn is_url(text: &str) -> Result<(), String> {
    url(text).map(drop)
}

pub(super) fn is_name(text: &str) -> Result<(), String> {
    match text.len() {
        0 => Err("must not be empty".to_owned()),
        1..=MAX_DESTINATION_BYTES if !text.contains(char::is_control) => Ok(()),
        1..=MAX_DESTINATION_BYTES => Err("must not have control characters".to_owned()),
        length => Err(format!("has {length} bytes; at most {MAX_DESTINATION_BYTES} are allowed")),
    }
}

/// Parses an entry of `headers`, `NAME=VALUE`. The value can be a secret.
pub(super) fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = pair(text);
    let name: HeaderName =
        name.parse().map_err(|_| "the name must have only letters, digits and -".to_owned())?;
    let is_reserved =
        RESERVED_HEADERS.contains(&name.as_str()) || name.as_str().starts_with("content-");
    if is_reserved {
        let advice = match name.as_str() {
            "authorization" => "set username and password_file, or bearer_token_file",
            _ => "the collector sets it; remove it",
        };
        return Err(format!("must not have {name}; {advice}"));
    }
    if value.len() > MAX_HEADER_BYTES {
        return Err(format!("the value has more than {MAX_HEADER_BYTES} bytes"));
    }
    let visible = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    if value.trim() != value || !value.bytes().all(visible) {
        return Err("the value must have only visible ASCII and spaces inside".to_owned());
    }
    let mut value = HeaderValue::from_str(value).map_err(|_| "the value is invalid".to_owned())?;
    value.set_sensitive(true);
    Ok((name, value))
}

pub(super) fn is_header(text: &str) -> Result<(), String> {
    header(text).map(drop)
}

/// Checks an entry of `external_labels`.
pub(super) fn is_label(text: &str) -> Result<(), String> {
    let (name, value) = pair(text);
    label_name(name)?;
    is_label_value(value)
}

/// Checks the value of a label.
pub(super) fn is_label_value(value: &str) -> Result<(), String> {
    match value.len() {
        0 => Err("the value must not be empty: a label without a value is no label".to_owned()),
        1..=MAX_LABEL_VALUE_BYTES => Ok(()),
        length => Err(format!(
            "the value has {length} bytes; at most {MAX_LABEL_VALUE_BYTES} are allowed"
        )),
    }
}

/// Checks an entry of `drop_labels`.
pub(super) fn is_label_name(text: &str) -> Result<(), String> {
    label_name(text)
}

/// Checks an entry of `rename_labels`.
pub(super) fn is_renamed_label(text: &str) -> Result<(), String> {
    let (old, new) = pair(text);
    label_name(old)?;
    label_name(new).map_err(|problem| format!("the new name: {problem}"))
}

fn label_name(name: &str) -> Result<(), String> {
    if name == AGENT {
        let problem = "must not change the label agent: series of two hosts would be the same";
        return Err(problem.to_owned());
    }
    if name.len() > MAX_NAME_BYTES || !is_identifier(name) || name.starts_with("__") {
        return Err("must be a letter or _, then letters, digits and _; not __".to_owned());
    }
    Ok(())
}

/// Checks an entry of `keep_metrics` or `drop_metrics`: a name, or a pattern with `*`.
pub(super) fn is_pattern(text: &str) -> Result<(), String> {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"_:*".contains(&byte);
    let starts_well = !text.starts_with(|first: char| first.is_ascii_digit());
    if (1..=MAX_NAME_BYTES).contains(&text.len()) && starts_well && text.bytes().all(valid) {
        return Ok(());
    }
    Err("must be the name of a metric, in which * stands for any characters: node_cpu_*".to_owned())
}

/// Checks an entry of `rename_metrics`.
pub(super) fn is_renamed_metric(text: &str) -> Result<(), String> {
    let (old, new) = pair(text);
    if is_metric_name(old) && is_metric_name(new) {
        return Ok(());
    }
    Err("must be OLD = \"NEW\", both names of metrics without *".to_owned())
}

/// Splits `NAME=VALUE`.
pub(super) fn pair(text: &str) -> (&str, &str) {
    text.split_once('=').unwrap_or((text, ""))
}
