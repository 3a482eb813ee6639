//! Checks of method, path and headers of a request.

use hyper::http::request::Parts;
use hyper::{HeaderMap, Method};

use crate::intake::Refusal;

/// Path of the receiver.
pub(crate) const PATH: &str = "/api/v1/write";
/// Content-Type and X-Prometheus-Remote-Write-Version of each version.
const VERSIONS: [(&str, &str, Version); 2] = [
    ("application/x-protobuf", "0.1.0", Version::V1),
    ("application/x-protobuf;proto=io.prometheus.write.v2.Request", "2.0.0", Version::V2),
];

/// Compression of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Snappy,
    Zstd,
}

/// Version of remote write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    V1,
    V2,
}

/// Returns version and compression if method, path and headers are those of remote write.
pub(crate) fn check(parts: &Parts) -> Result<(Version, Encoding), Refusal> {
    if parts.uri.path() != PATH {
        return Err(Refusal::new(404, format!("path {}", parts.uri.path())));
    }
    if parts.method != Method::POST {
        return Err(Refusal::new(405, format!("method {}", parts.method)));
    }
    let content_type = only(&parts.headers, "content-type")?;
    let Some(&(_, number, version)) = VERSIONS.iter().find(|(own, ..)| *own == content_type) else {
        return Err(Refusal::new(415, format!("Content-Type {content_type:?}")));
    };
    let claimed = only(&parts.headers, "x-prometheus-remote-write-version")?;
    if claimed != number {
        let reason = format!("X-Prometheus-Remote-Write-Version {claimed:?}, {content_type}");
        return Err(Refusal::new(400, reason));
    }
    match only(&parts.headers, "content-encoding")? {
        "snappy" => Ok((version, Encoding::Snappy)),
        "zstd" => Ok((version, Encoding::Zstd)),
        other => Err(Refusal::new(415, format!("Content-Encoding {other:?}"))),
    }
}

/// Returns the value of a header that must be present once.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, Refusal> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => {
            value.to_str().map_err(|_| Refusal::new(400, format!("{name} is not ASCII")))
        }
        (None, _) => Err(Refusal::new(400, format!("no {name}"))),
        (Some(_), Some(_)) => Err(Refusal::new(400, format!("{name} more than once"))),
    }
}
