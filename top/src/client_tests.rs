use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::api::Overview;

/// Asks a server that answers each connection with `answer`, then with zeros for ever if `endless`.
async fn ask(answer: &'static str, endless: bool) -> Result<Overview, FetchError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/fleet/", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 1_024];
        let length = stream.read(&mut request).await.unwrap();
        let request = String::from_utf8_lossy(&request[..length]).into_owned();
        assert!(request.starts_with("GET /fleet/api/overview HTTP/1.1\r\n"), "{request}");
        stream.write_all(answer.as_bytes()).await.unwrap();
        while endless && stream.write_all(&[b' '; 65_536]).await.is_ok() {}
        // Open until the client leaves.
        let _ = stream.read(&mut [0]).await;
    });
    let url = HttpUrl::parse(&url, "").unwrap().unwrap();
    let result = Client::new(&url, None, HttpAuth::None).json("/api/overview").await;
    server.await.unwrap();
    result
}

#[tokio::test]
async fn answers_that_are_not_those_of_a_collector_are_errors() {
    let error = |answer| async move { ask(answer, false).await.unwrap_err() };
    let empty = |status| format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n").leak() as &str;
    assert_eq!(error(empty(401)).await, FetchError::Unauthorized);
    assert_eq!(error(empty(404)).await, FetchError::NotFound);
    assert_eq!(error(empty(503)).await, FetchError::Status(503));
    for body in ["HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n<hi>", empty(200)] {
        let found = error(body).await;
        assert!(matches!(found, FetchError::Invalid(_)), "{found}");
    }
    let found = error("SSH-2.0-OpenSSH_9.2\r\n\r\n").await;
    assert!(matches!(found, FetchError::Http(_)), "{found}");
}

#[tokio::test]
async fn answer_without_an_end_is_cut() {
    let answer = "HTTP/1.1 200 OK\r\n\r\n";
    assert_eq!(ask(answer, true).await.unwrap_err(), FetchError::Body);
}

#[tokio::test(start_paused = true)]
async fn collector_that_never_answers_is_not_awaited() {
    assert_eq!(ask("", false).await.unwrap_err(), FetchError::TimedOut);
}

#[tokio::test]
async fn json_of_a_hundred_thousand_levels_is_an_error() {
    let body = "[".repeat(100_000);
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).leak();
    assert!(matches!(ask(answer, false).await, Err(FetchError::Invalid(_))));
}
