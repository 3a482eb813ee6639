//! An exporter for tests.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use fleetgauge_common::http_client::HttpAuth;

use crate::config::{ScrapeSettings, ScrapeTarget};

/// What the exporter does after a request.
#[derive(Clone)]
pub(super) enum Answer {
    /// Sends these bytes and waits for the next request.
    Keep(Vec<u8>),
    /// Sends these bytes and closes the connection.
    Close(Vec<u8>),
    /// Sends the first bytes, and then the second ones for ever.
    Endless(Vec<u8>, Vec<u8>),
    /// Never answers.
    Hang,
    /// Sends these bytes after it was notified, and waits for the next request.
    Late(Arc<Notify>, Vec<u8>),
}

/// An exporter that listens on a port of this host until it is dropped.
pub(super) struct FakeExporter {
    port: u16,
    state: Arc<Mutex<State>>,
    task: tokio::task::JoinHandle<()>,
}

struct State {
    answer: Answer,
    /// Heads of the requests, each with the number of its connection.
    requests: Vec<(usize, String)>,
}

impl FakeExporter {
    pub(super) async fn start(answer: Answer) -> Self {
        Self::with_tls(answer, None).await
    }

    pub(super) async fn with_tls(answer: Answer, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State { answer, requests: Vec::new() }));
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            // Connections end with their exporter.
            let mut connections = tokio::task::JoinSet::new();
            for number in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let (state, tls) = (Arc::clone(&shared), tls.clone());
                connections.spawn(async move {
                    match tls {
                        None => serve(stream, number, &state).await,
                        Some(tls) => {
                            let Ok(stream) = tls.accept(stream).await else { return };
                            serve(stream, number, &state).await;
                        }
                    }
                });
            }
        });
        Self { port, state, task }
    }

    /// Starts an exporter on a Unix socket. Its port is 0.
    #[cfg(unix)]
    pub(super) fn on_socket(answer: Answer, socket: &std::path::Path) -> Self {
        let listener = tokio::net::UnixListener::bind(socket).unwrap();
        let state = Arc::new(Mutex::new(State { answer, requests: Vec::new() }));
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            for number in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                serve(stream, number, &shared).await;
            }
        });
        Self { port: 0, state, task }
    }

    pub(super) fn set_answer(&self, answer: Answer) {
        self.state.lock().unwrap().answer = answer;
    }

    /// Returns the heads of all requests, each with the number of its connection.
    pub(super) fn requests(&self) -> Vec<(usize, String)> {
        self.state.lock().unwrap().requests.clone()
    }

    /// Returns the settings to scrape it.
    pub(super) fn settings(&self) -> ScrapeSettings {
        settings(self.port)
    }

    /// Closes the port and all connections.
    pub(super) async fn stop(&mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for FakeExporter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Returns the settings to scrape a port of this host.
pub(super) fn settings(port: u16) -> ScrapeSettings {
    let minute = std::time::Duration::from_secs(60);
    ScrapeSettings {
        target: ScrapeTarget::Tcp {
            host: "127.0.0.1".into(),
            port,
            path: "/metrics?x=1".into(),
            tls: None,
        },
        job: "test".into(),
        instance: "here".into(),
        interval: minute,
        timeout: minute,
        labels: Default::default(),
        auth: HttpAuth::None,
        max_samples: 10_000,
        max_size: 1 << 20,
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    number: usize,
    state: &Mutex<State>,
) {
    let mut head = Vec::new();
    loop {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        let request = String::from_utf8(std::mem::take(&mut head)).unwrap();
        let answer = {
            let mut state = state.lock().unwrap();
            state.requests.push((number, request));
            state.answer.clone()
        };
        match answer {
            Answer::Keep(bytes) => {
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Answer::Close(bytes) => {
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
                return;
            }
            Answer::Endless(first, again) => {
                let mut bytes = first;
                while stream.write_all(&bytes).await.is_ok() {
                    bytes.clone_from(&again);
                }
                return;
            }
            Answer::Hang => std::future::pending().await,
            Answer::Late(notified, bytes) => {
                notified.notified().await;
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Returns a complete response with these headers, each with its line end.
pub(super) fn response(headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// Returns the answer with a page.
pub(super) fn page(body: &str) -> Answer {
    Answer::Keep(response("Content-Type: text/plain; version=0.0.4\r\n", body.as_bytes()))
}
