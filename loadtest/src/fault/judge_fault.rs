//! A proxy in front of the engine that loses or changes samples, to test that `forward` finds it.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use clap::ValueEnum;
use fleetgauge_receiver::STALE_MARKER;
use fleetgauge_receiver::wire::{TimeSeries, WriteRequest};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_LENGTH;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use prost::Message;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

/// Number of requests with samples before the one that is lost or changed.
const REQUESTS_BEFORE: u32 = 3;
/// Maximum body of a request, in bytes.
const MAX_BODY: usize = 64 << 20;
/// Time by which markers are late, in milliseconds.
const LATE_MS: i64 = 500;

/// What the proxy does to requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum JudgeFault {
    /// A request is answered with 204 and lost.
    Lost,
    /// A sample has another value.
    Wrong,
    /// An old sample is sent again with another value.
    Conflicting,
    /// A sample is sent behind the next one of its series.
    Swapped,
    /// Stale markers have a later time.
    LateMarker,
    /// Stale markers are lost.
    NoMarker,
    /// A sample is sent instead of each stale marker.
    Ghost,
    /// A stale marker follows a sample of an agent that goes on.
    EarlyMarker,
    /// The fault `collectors-restarted` kills collectors and drains no agents. Needs no proxy.
    NoDrain,
}

/// Starts the proxy. Returns its address.
pub(crate) async fn start(fault: JudgeFault, engine: SocketAddr) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let proxy = Arc::new(Proxy { fault, engine, state: Mutex::default() });
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let proxy = Arc::clone(&proxy);
            let handler = service_fn(move |request| {
                let proxy = Arc::clone(&proxy);
                async move { proxy.handle(request).await }
            });
            let io = TokioIo::new(stream);
            // Fails only if the collector has closed the connection.
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(io, handler));
        }
    });
    Ok(address)
}

struct Proxy {
    fault: JudgeFault,
    engine: SocketAddr,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Number of requests with samples so far.
    requests: u32,
    /// Samples of the chosen request that are lost, changed or kept back, as the collector sent
    /// them. So are their repeats: it may send a request twice.
    chosen: Vec<TimeSeries>,
    /// A sample of an earlier request.
    earlier: Option<TimeSeries>,
    /// Whether the next sample of the series of `earlier` has passed.
    has_swapped: bool,
}

impl Proxy {
    async fn handle(&self, request: Request<Incoming>) -> anyhow::Result<Response<Full<Bytes>>> {
        let (mut head, body) = request.into_parts();
        let body = Limited::new(body, MAX_BODY).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("{error}"))?.to_bytes();
        let message = snap::raw::Decoder::new().decompress_vec(&body)?;
        let mut message = WriteRequest::decode(&*message)?;
        let body = {
            let mut state = self.state.lock().await;
            if !message.timeseries.is_empty() {
                state.change(self.fault, &mut message);
            }
            if message.timeseries.is_empty() && message.metadata.is_empty() {
                let lost = Response::builder().status(StatusCode::NO_CONTENT);
                return Ok(lost.body(Full::default())?);
            }
            snap::raw::Encoder::new().compress_vec(&message.encode_to_vec())?
        };
        head.headers.remove(CONTENT_LENGTH);
        let stream = TcpStream::connect(self.engine).await.context("engine")?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let body = Full::new(Bytes::from(body));
        let response = sender.send_request(Request::from_parts(head, body)).await?;
        let (head, body) = response.into_parts();
        Ok(Response::from_parts(head, Full::new(body.collect().await?.to_bytes())))
    }
}

impl State {
    /// Changes a request. One without series is lost.
    fn change(&mut self, fault: JudgeFault, request: &mut WriteRequest) {
        let series = &mut request.timeseries;
        let has_markers = series.iter().any(is_marker);
        if !has_markers {
            self.requests += 1;
        }
        let is_chosen = !has_markers && self.requests == REQUESTS_BEFORE + 1;
        match fault {
            JudgeFault::Lost if is_chosen => self.chosen = series.clone(),
            JudgeFault::Wrong | JudgeFault::Swapped if is_chosen => {
                self.chosen = vec![series[0].clone()];
            }
            _ => {}
        }
        match fault {
            JudgeFault::Lost => series.retain(|series| !self.is_chosen(series)),
            JudgeFault::Wrong => {
                series.iter_mut().filter(|series| self.is_chosen(series)).for_each(change_value);
            }
            JudgeFault::Conflicting if is_chosen => series.extend(self.earlier.take()),
            JudgeFault::Conflicting if self.earlier.is_none() => {
                let earlier = self.earlier.insert(series[0].clone());
                change_value(earlier);
            }
            JudgeFault::EarlyMarker if is_chosen => series.extend(marker_after(&series[0])),
            JudgeFault::Swapped if !self.has_swapped => self.swap(series),
            JudgeFault::LateMarker if has_markers => {
                let samples = series.iter_mut().flat_map(|series| &mut series.samples);
                samples.for_each(|sample| sample.timestamp += LATE_MS);
            }
            JudgeFault::NoMarker => series.retain(|series| !is_marker(series)),
            JudgeFault::Ghost if has_markers => {
                for sample in series.iter_mut().flat_map(|series| &mut series.samples) {
                    (sample.value, sample.timestamp) = (1.0, sample.timestamp + LATE_MS);
                }
            }
            _ => {}
        }
    }

    /// Keeps the chosen sample, and sends it behind the next one of its series.
    fn swap(&mut self, series: &mut Vec<TimeSeries>) {
        series.retain(|series| !self.is_chosen(series));
        let next = |kept: &&TimeSeries| series.iter().any(|series| series.labels == kept.labels);
        if let Some(kept) = self.chosen.first().filter(next) {
            series.push(kept.clone());
            self.has_swapped = true;
        }
    }

    /// Whether a series has the labels and the first time of a chosen one.
    fn is_chosen(&self, series: &TimeSeries) -> bool {
        let time = |series: &TimeSeries| series.samples.first().map(|sample| sample.timestamp);
        let mut chosen = self.chosen.iter();
        chosen.any(|chosen| chosen.labels == series.labels && time(chosen) == time(series))
    }
}

fn is_marker(series: &TimeSeries) -> bool {
    series.samples.iter().any(|sample| sample.value.to_bits() == STALE_MARKER)
}

/// Returns the stale marker that ends a series; `None` if it has no samples.
fn marker_after(series: &TimeSeries) -> Option<TimeSeries> {
    let mut marker = series.clone();
    let sample = marker.samples.last_mut()?;
    (sample.value, sample.timestamp) = (f64::from_bits(STALE_MARKER), sample.timestamp + 1);
    let sample = *sample;
    marker.samples = vec![sample];
    Some(marker)
}

fn change_value(series: &mut TimeSeries) {
    series.samples.iter_mut().take(1).for_each(|sample| sample.value += 1.0);
}

#[cfg(test)]
mod tests {
    use fleetgauge_receiver::wire::{Label, Sample};

    use super::*;

    /// Returns the request of one report: a sample of each of two series.
    fn request(report: u32) -> WriteRequest {
        let series = ["a", "b"].map(|name| TimeSeries {
            labels: vec![Label { name: "__name__".to_owned(), value: name.to_owned() }],
            samples: vec![Sample { value: 0.5, timestamp: i64::from(report) * 1_000 }],
        });
        WriteRequest { timeseries: series.into(), metadata: Vec::new() }
    }

    /// Returns the values and times of all samples that the engine gets of a request.
    fn pass(state: &mut State, fault: JudgeFault, mut request: WriteRequest) -> Vec<(f64, i64)> {
        state.change(fault, &mut request);
        let samples = request.timeseries.iter().flat_map(|series| &series.samples);
        samples.map(|sample| (sample.value, sample.timestamp)).collect()
    }

    /// The collector may send a request twice. The judge allows that only if both are the same.
    #[test]
    fn repeat_of_a_request_is_changed_as_the_first_one() {
        let faults = [
            (JudgeFault::Lost, vec![]),
            (JudgeFault::Wrong, vec![(1.5, 4_000), (0.5, 4_000)]),
            (JudgeFault::Swapped, vec![(0.5, 4_000)]),
        ];
        for (fault, expected) in faults {
            let mut state = State::default();
            for report in 1..=REQUESTS_BEFORE {
                let time = i64::from(report) * 1_000;
                assert_eq!(pass(&mut state, fault, request(report)), [(0.5, time); 2], "{fault:?}");
            }
            for _ in 0..2 {
                assert_eq!(pass(&mut state, fault, request(4)), expected, "{fault:?}");
            }
            let mut next = vec![(0.5, 5_000); 2];
            if fault == JudgeFault::Swapped {
                next.push((0.5, 4_000));
            }
            assert_eq!(pass(&mut state, fault, request(5)), next, "{fault:?}");
        }
    }
}
