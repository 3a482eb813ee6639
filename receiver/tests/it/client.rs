//! HTTP client that sends handmade requests.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use fleetgauge_receiver::wire::{TimeSeries, WriteRequest};
use fleetgauge_receiver::{Receiver, ReceiverSettings};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use prost::Message;
use tokio::net::TcpStream;

/// Deadline of everything that happens at once on an idle machine.
pub(crate) const SOON: Duration = Duration::from_secs(30);
/// Time for which nothing may happen.
pub(crate) const MOMENT: Duration = Duration::from_millis(100);

pub(crate) fn receiver() -> Receiver {
    Receiver::start(ReceiverSettings::default()).unwrap()
}

/// Request with one series `up{agent="a"}`.
pub(crate) fn up(samples: &[(i64, f64)]) -> WriteRequest {
    WriteRequest::of(vec![TimeSeries::of(&UP, samples)])
}

/// Labels of the series of [`up`].
pub(crate) const UP: [(&str, &str); 2] = [("__name__", "up"), ("agent", "a")];

pub(crate) fn stale() -> f64 {
    f64::from_bits(fleetgauge_receiver::STALE_MARKER)
}

pub(crate) fn snappy(request: &WriteRequest) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(&request.encode_to_vec()).unwrap()
}

pub(crate) fn zstd(request: &WriteRequest) -> Vec<u8> {
    zstd::encode_all(request.encode_to_vec().as_slice(), 1).unwrap()
}

/// POST with the headers of remote write and this encoding.
pub(crate) fn post(encoding: &str, body: Vec<u8>) -> Request<Full<Bytes>> {
    Request::post("/api/v1/write")
        .header("Host", "engine")
        .header("Content-Type", "application/x-protobuf")
        .header("Content-Encoding", encoding)
        .header("X-Prometheus-Remote-Write-Version", "0.1.0")
        .body(Full::new(body.into()))
        .unwrap()
}

/// A connection to a receiver.
pub(crate) struct Client {
    sender: SendRequest<Full<Bytes>>,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(std::io::Error::other)?;
        tokio::spawn(connection);
        Ok(Self { sender })
    }

    pub(crate) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> hyper::Result<Response<Incoming>> {
        let answer = async {
            self.sender.ready().await?;
            self.sender.send_request(request).await
        };
        tokio::time::timeout(SOON, answer).await.expect("an answer or an error in time")
    }
}

/// Sends a request on a connection of its own.
pub(crate) async fn send(
    receiver: &Receiver,
    request: Request<Full<Bytes>>,
) -> hyper::Result<Response<Incoming>> {
    Client::connect(receiver.address()).await.unwrap().send(request).await
}

/// Sends samples and returns the status.
pub(crate) async fn write(receiver: &Receiver, request: &WriteRequest) -> StatusCode {
    send(receiver, post("snappy", snappy(request))).await.unwrap().status()
}

pub(crate) async fn text(answer: Response<Incoming>) -> String {
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}
