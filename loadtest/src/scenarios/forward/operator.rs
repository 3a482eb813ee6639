//! What an operator asks of a collector over HTTP: to drain its agents, and whether it is ready.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, ensure};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::scrape::TOKEN;

/// Timeout of a request.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum body of an answer, in bytes.
const MAX_BODY: usize = 64 << 10;

/// Asks a share of a collector's agents to leave for `target` within `over`. Returns their number.
pub(super) async fn drain(
    http: SocketAddr,
    target: SocketAddr,
    share: f64,
    over: Duration,
) -> anyhow::Result<u64> {
    let over = over.as_millis();
    let path = format!("/api/drain?target={target}&share={share}&over={over}ms");
    let (status, body) = request(http, Method::POST, &path).await.context("cannot drain")?;
    let text = String::from_utf8_lossy(&body);
    ensure!(status == StatusCode::OK, "cannot drain: {status}: {text}");
    let answer: serde_json::Value = serde_json::from_slice(&body)?;
    answer["agents"].as_u64().with_context(|| format!("cannot drain: {text}"))
}

/// Whether a collector accepts agents.
pub(super) async fn is_ready(http: SocketAddr) -> bool {
    let answer = request(http, Method::GET, "/readyz").await;
    answer.is_ok_and(|(status, _)| status == StatusCode::OK)
}

async fn request(
    http: SocketAddr,
    method: Method,
    path: &str,
) -> anyhow::Result<(StatusCode, Bytes)> {
    let answered = async {
        let stream = TcpStream::connect(http).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends with the answer, because the sender is dropped then.
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("Host", http.to_string())
            .header("Authorization", format!("Bearer {TOKEN}"))
            .body(Empty::<Bytes>::new())?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_BODY).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("{error}"))?;
        Ok((status, body.to_bytes()))
    };
    timeout(TIMEOUT, answered).await.context("no answer in time")?
}
