//! What a request accepts: text format and compression.

use axum::http::{HeaderMap, header};

use crate::exposition::Format;

/// OpenMetrics if the reader prefers it to the older format, or asks for nothing but it.
pub(super) fn format(headers: &HeaderMap) -> Format {
    let (mut text, mut openmetrics) = (0.0, 0.0);
    for (kind, quality) in preferences(headers, header::ACCEPT) {
        let mut parts = kind.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let version = parts.find_map(|part| part.strip_prefix("version="));
        match name.as_str() {
            "application/openmetrics-text" if version.is_none_or(|v| v == "1.0.0") => {
                openmetrics = quality;
            }
            "text/plain" | "text/*" | "*/*" => text = f32::max(text, quality),
            _ => {}
        }
    }
    if openmetrics > 0.0 && openmetrics >= text { Format::OpenMetrics } else { Format::Text }
}

/// Whether the answer may be compressed.
pub(super) fn takes_gzip(headers: &HeaderMap) -> bool {
    preferences(headers, header::ACCEPT_ENCODING)
        .any(|(coding, quality)| coding.trim().eq_ignore_ascii_case("gzip") && quality > 0.0)
}

/// The comma-separated choices of a header, each with its quality (1 where none is given).
fn preferences(headers: &HeaderMap, name: header::HeaderName) -> impl Iterator<Item = (&str, f32)> {
    let choices = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    choices.flat_map(|choices| choices.split(',')).map(|choice| {
        let quality = choice
            .split(';')
            .find_map(|part| part.trim().strip_prefix("q="))
            .and_then(|quality| quality.parse().ok())
            .unwrap_or(1.0);
        let without_quality = choice.split(";q=").next().unwrap_or(choice);
        (without_quality.trim(), quality)
    })
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

    #[test]
    fn the_format_is_the_reader_s_choice() {
        let prometheus_2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for accept in [prometheus_2, prometheus_3, "application/openmetrics-text"] {
            assert_eq!(accepting(accept), Format::OpenMetrics, "{accept}");
        }
        for accept in [
            "*/*",
            "text/plain",
            "text/html",
            "text/plain,application/openmetrics-text;q=0.1",
            "application/openmetrics-text;version=2.0.0",
        ] {
            assert_eq!(accepting(accept), Format::Text, "{accept}");
        }
        assert_eq!(format(&HeaderMap::new()), Format::Text);
    }

    #[test]
    fn gzip_is_for_those_who_take_it() {
        let taking = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(value));
            takes_gzip(&headers)
        };
        assert!(taking("gzip"));
        assert!(taking("deflate, gzip;q=0.5"));
        assert!(!taking("gzip;q=0, identity"));
        assert!(!taking("br"));
    }
}
