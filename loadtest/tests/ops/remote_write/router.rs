//! Router of a cluster: gives each series of a request to one of several engines, by a hash of its
//! labels, as the distributors of clusters do.

use std::hash::{DefaultHasher, Hash, Hasher};

use fleetgauge_receiver::wire::{Label, WriteRequest};
use prost::Message;

use super::engine::Engine;
use super::post::{Request, post, serve};

/// Starts a router before these engines. Returns host and port.
pub(super) fn start(engines: &[&Engine]) -> String {
    let engine = |engine: &&Engine| (engine.address().to_owned(), engine.path());
    let engines: Vec<_> = engines.iter().map(engine).collect();
    serve(move |request| route(request, &engines))
}

/// Returns the HTTP status for a request: an error if one engine does not accept its part.
fn route(request: &Request, engines: &[(String, &'static str)]) -> u16 {
    if request.encoding != "snappy" {
        return 415;
    }
    let Some(parts) = split(&request.body, engines.len()) else { return 400 };
    let mut status = 204;
    for (part, (address, path)) in parts.iter().zip(engines) {
        if part.timeseries.is_empty() && part.metadata.is_empty() {
            continue;
        }
        match post(address, path, &compress(part)) {
            Ok(200..=299) => {}
            // A part that can succeed later decides: the whole request is sent again.
            Ok(500..) | Err(_) => status = 503,
            Ok(refused) if status == 204 => status = refused,
            Ok(_) => {}
        }
    }
    status
}

fn split(body: &[u8], engines: usize) -> Option<Vec<WriteRequest>> {
    let body = snap::raw::Decoder::new().decompress_vec(body).ok()?;
    let request = WriteRequest::decode(&*body).ok()?;
    let mut parts = vec![WriteRequest::default(); engines];
    for series in request.timeseries {
        let part = engine_of(&series.labels, engines);
        parts[part].timeseries.push(series);
    }
    parts[0].metadata = request.metadata;
    Some(parts)
}

/// Returns the index of the engine of a series.
fn engine_of(labels: &[Label], engines: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    for label in labels {
        (&label.name, &label.value).hash(&mut hasher);
    }
    (hasher.finish() % engines as u64) as usize
}

fn compress(request: &WriteRequest) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(&request.encode_to_vec()).unwrap()
}
