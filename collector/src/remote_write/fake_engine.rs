//! An engine for tests: answers requests with prepared bytes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// What the engine does after a request.
#[derive(Clone)]
pub(super) enum Answer {
    /// Sends these bytes and waits for the next request.
    Keep(Vec<u8>),
    /// Sends these bytes and closes the connection.
    Close(Vec<u8>),
    /// Sends these bytes when the head of the request has arrived, and never reads its body.
    Early(Vec<u8>),
    /// Sends the first bytes, and then the second ones for ever.
    Endless(Vec<u8>, Vec<u8>),
    /// Sends these bytes, and then nothing.
    Hang(Vec<u8>),
}

/// A request that the engine has received.
#[derive(Debug, Clone)]
pub(super) struct Received {
    /// Number of its connection, from 0.
    pub(super) connection: usize,
    /// Its first line and headers.
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

/// An engine that listens on a port of this host until it is dropped.
pub(super) struct FakeEngine {
    pub(super) port: u16,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

struct State {
    /// The last one is repeated.
    answers: VecDeque<Answer>,
    received: Vec<Received>,
    /// Bytes of endless answers.
    endless_bytes: usize,
}

impl FakeEngine {
    pub(super) async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self::with_tls(answers, None).await
    }

    pub(super) async fn with_tls(
        answers: impl IntoIterator<Item = Answer>,
        tls: Option<TlsAcceptor>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let answers = answers.into_iter().collect();
        let state = Arc::new(Mutex::new(State { answers, received: Vec::new(), endless_bytes: 0 }));
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            // Connections end with their engine.
            let mut connections = JoinSet::new();
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

    pub(super) fn received(&self) -> Vec<Received> {
        self.state.lock().unwrap().received.clone()
    }

    /// Returns how many bytes of endless answers were sent.
    pub(super) fn endless_bytes(&self) -> usize {
        self.state.lock().unwrap().endless_bytes
    }

    /// Returns the number of the connection of each request.
    pub(super) fn connections(&self) -> Vec<usize> {
        self.received().iter().map(|request| request.connection).collect()
    }
}

impl Drop for FakeEngine {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Returns a complete response.
pub(super) fn response(status: u16, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n{headers}\r\n{body}").into_bytes()
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    connection: usize,
    state: &Mutex<State>,
) {
    let mut read = Vec::new();
    loop {
        let Some(end) = read_head(&mut stream, &mut read).await else { return };
        let rest = read.split_off(end);
        let head = String::from_utf8(std::mem::replace(&mut read, rest)).unwrap();
        let answer = {
            let mut state = state.lock().unwrap();
            match state.answers.len() {
                1 => state.answers[0].clone(),
                _ => state.answers.pop_front().unwrap(),
            }
        };
        if !matches!(answer, Answer::Early(_)) {
            let length = content_length(&head);
            while read.len() < length {
                if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
                    return;
                }
            }
        }
        let body = read.drain(..content_length(&head).min(read.len())).collect();
        state.lock().unwrap().received.push(Received { connection, head, body });
        if !reply(&mut stream, answer, state).await {
            return;
        }
    }
}

/// Answers a request. Returns whether the connection remains.
async fn reply<S: AsyncWrite + Unpin>(
    stream: &mut S,
    answer: Answer,
    state: &Mutex<State>,
) -> bool {
    match answer {
        Answer::Keep(bytes) => stream.write_all(&bytes).await.is_ok(),
        Answer::Close(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
            false
        }
        Answer::Early(bytes) | Answer::Hang(bytes) => {
            let _ = stream.write_all(&bytes).await;
            std::future::pending().await
        }
        Answer::Endless(first, again) => {
            let _ = stream.write_all(&first).await;
            while stream.write_all(&again).await.is_ok() {
                state.lock().unwrap().endless_bytes += again.len();
            }
            false
        }
    }
}

/// Reads the head of a request. Returns its length; `None` if the client closes the connection.
async fn read_head<S: AsyncRead + Unpin>(stream: &mut S, read: &mut Vec<u8>) -> Option<usize> {
    loop {
        if let Some(end) = read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            return Some(end + 4);
        }
        if stream.read_buf(read).await.unwrap_or(0) == 0 {
            return None;
        }
    }
}

fn content_length(head: &str) -> usize {
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.map_or(0, |length| length.parse().unwrap())
}
