//! Content negotiation as in RFC 9110: text format and compression.

use std::borrow::Cow;

use axum::http::{HeaderMap, header};

use crate::exposition::Format;

/// Returns the format for the response: OpenMetrics if the client prefers it or accepts nothing
/// else.
pub(super) fn format(headers: &HeaderMap) -> Format {
    // If several choices match the text format, the most specific one decides.
    let (mut text, mut openmetrics) = ((0, 0.0), 0.0);
    for Choice { name, version, weight } in choices(headers, header::ACCEPT) {
        let version = version.as_deref();
        let specific = match name.to_ascii_lowercase().as_str() {
            "application/openmetrics-text" if version.is_none_or(|v| v == "1.0.0") => {
                openmetrics = f32::max(openmetrics, weight);
                continue;
            }
            "text/plain" if version == Some("0.0.4") => 4,
            "text/plain" if version.is_none() => 3,
            "text/*" => 2,
            "*/*" => 1,
            _ => continue,
        };
        if (specific, weight) > text {
            text = (specific, weight);
        }
    }
    if openmetrics > 0.0 && openmetrics >= text.1 { Format::OpenMetrics } else { Format::Text }
}

/// Whether the client is a browser: it names HTML, and does not prefer plain text.
pub(super) fn takes_html(headers: &HeaderMap) -> bool {
    let weight = |name: &str| {
        let named =
            choices(headers, header::ACCEPT).filter(|own| own.name.eq_ignore_ascii_case(name));
        named.map(|choice| choice.weight).reduce(f32::max).unwrap_or(0.0)
    };
    let html = weight("text/html");
    html > 0.0 && html >= weight("text/plain")
}

/// Whether the client asks for a stream of server-sent events.
pub(super) fn takes_events(headers: &HeaderMap) -> bool {
    let mut named = choices(headers, header::ACCEPT);
    named.any(|own| own.name.eq_ignore_ascii_case("text/event-stream") && own.weight > 0.0)
}

/// Whether to compress with gzip: the client accepts it, and does not prefer an uncompressed
/// response.
pub(super) fn takes_gzip(headers: &HeaderMap) -> bool {
    let weight = |codings: &[&str]| {
        let is_named = |choice: &Choice<'_>| {
            codings.iter().any(|coding| choice.name.eq_ignore_ascii_case(coding))
        };
        let named = choices(headers, header::ACCEPT_ENCODING).filter(is_named);
        named.map(|choice| choice.weight).reduce(f32::max)
    };
    let gzip = weight(&["gzip", "x-gzip"]).or_else(|| weight(&["*"])).unwrap_or(0.0);
    gzip > 0.0 && gzip >= weight(&["identity"]).unwrap_or(0.0)
}

/// An alternative in an Accept or Accept-Encoding header, such as `text/plain;version=0.0.4;q=0.5`.
struct Choice<'a> {
    name: &'a str,
    /// The `version` parameter; parameters other than this and `q` are ignored.
    version: Option<Cow<'a, str>>,
    /// The `q` parameter; 1 by default.
    weight: f32,
}

impl<'a> Choice<'a> {
    /// Parses an alternative; `None` if it has no name or an invalid weight.
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = split(text, ';').map(str::trim);
        let name = parts.next().filter(|name| !name.is_empty())?;
        let mut choice = Self { name, version: None, weight: 1.0 };
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            let (name, value) = (name.trim_end(), unquoted(value.trim_start()));
            if name.eq_ignore_ascii_case("q") {
                choice.weight = weight(&value)?;
            } else if name.eq_ignore_ascii_case("version") {
                choice.version = Some(value);
            }
        }
        Some(choice)
    }
}

/// Returns the comma-separated alternatives in a header.
fn choices(headers: &HeaderMap, name: header::HeaderName) -> impl Iterator<Item = Choice<'_>> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| split(value, ',')).filter_map(Choice::parse)
}

/// Splits a header value at each separator that is not in a quoted string.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c| match c {
        _ if std::mem::take(&mut escaped) => false,
        '\\' if quoted => {
            escaped = true;
            false
        }
        '"' => {
            quoted = !quoted;
            false
        }
        c => c == separator && !quoted,
    })
}

/// Removes quotes and backslash escapes from a parameter's value.
fn unquoted(value: &str) -> Cow<'_, str> {
    let Some(quoted) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return value.into();
    };
    if !quoted.contains('\\') {
        return quoted.into();
    }
    let mut escaped = false;
    let kept = quoted.chars().filter(|c| {
        escaped = *c == '\\' && !escaped;
        !escaped
    });
    kept.collect::<String>().into()
}

/// Parses a weight (the `q` parameter): a decimal number without sign or exponent.
fn weight(text: &str) -> Option<f32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse().ok().filter(|weight| digits && *weight <= 1.0)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn accepting(accept: &'static str) -> Format {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        format(&headers)
    }

    fn taking(encodings: &'static str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(encodings));
        takes_gzip(&headers)
    }

    /// The headers are those that real clients send.
    #[test]
    fn known_clients_get_their_preferred_format() {
        let prometheus_2 = "application/openmetrics-text;version=1.0.0,\
            application/openmetrics-text;version=0.0.1;q=0.75,\
            text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
            application/openmetrics-text;version=0.0.1;q=0.5,\
            text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
            text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        let prometheus_3_native_histograms = "\
            application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
            encoding=delimited;q=0.6,\
            application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
            application/openmetrics-text;version=0.0.1;q=0.4,\
            text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
            text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        for accept in [prometheus_2, prometheus_3, prometheus_3_native_histograms] {
            assert_eq!(accepting(accept), Format::OpenMetrics, "{accept}");
        }
        let victoria_metrics = "text/plain;version=0.0.4;q=1,*/*;q=0.1";
        let curl = "*/*";
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        for accept in [victoria_metrics, curl, browser] {
            assert_eq!(accepting(accept), Format::Text, "{accept}");
        }
        assert!(taking("gzip"), "Prometheus and VictoriaMetrics");
        assert!(taking("deflate, gzip, br, zstd"), "curl --compressed, and browsers");
        assert_eq!(format(&HeaderMap::new()), Format::Text);
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn accept_is_parsed_by_rfc_9110() {
        for accept in [
            "application/openmetrics-text",
            "APPLICATION/OpenMetrics-Text; Version=1.0.0",
            "application/openmetrics-text;version=\"1.0.0\"",
            "application/openmetrics-text;version=\"1\\.0.0\"",
            "application/openmetrics-text ; version = 1.0.0 ; q = 0.5 , text/plain ; q = 0.4",
            "text/plain; q=0.4, application/openmetrics-text; Q=0.5",
            "application/openmetrics-text;q=0.5,text/plain;q=0.1,*/*;q=0.9",
            "application/openmetrics-text;q=0.1, text/plain;q=0",
            "text/plain;version=1.0.0, application/openmetrics-text;version=1.0.0;q=0.5",
            "x/y;note=\"a, b; q=0\", application/openmetrics-text",
        ] {
            assert_eq!(accepting(accept), Format::OpenMetrics, "{accept}");
        }
        for accept in [
            "text/plain",
            "text/plain,application/openmetrics-text;q=0.1",
            "text/plain,application/openmetrics-text ; Q = 0.1",
            "application/openmetrics-text;version=2.0.0",
            "application/openmetrics-text; version=\"2.0.0\"",
            "application/openmetrics-text; q=0",
            "application/openmetrics-text; q=NaN",
            "application/openmetrics-text; q=2",
            "application/openmetrics-text; q=-1",
            "x/y;note=\", application/openmetrics-text\"",
            "x/y;note=\"unfinished, application/openmetrics-text",
            ";;,=;q=,\"",
        ] {
            assert_eq!(accepting(accept), Format::Text, "{accept}");
        }
    }

    #[test]
    fn accept_encoding_is_parsed_by_rfc_9110() {
        for encodings in [
            "gzip; q=1.0",
            "GZIP;Q=0.5",
            "x-gzip",
            "deflate, gzip ; q = 0.5",
            "br;q=1, *;q=0.1",
            "identity;q=0.5, gzip;q=0.5",
        ] {
            assert!(taking(encodings), "{encodings}");
        }
        for encodings in [
            "gzip;q=0, identity",
            "gzip; q=0.000",
            "gzip ; Q = 0",
            "gzip;q=0, *",
            "br",
            "",
            "identity;q=1, gzip;q=0.5",
            "gzip;q=nan",
        ] {
            assert!(!taking(encodings), "{encodings}");
        }
    }
}
