//! A correct collector behind an HTTP proxy that rewrites its pages.

use std::future::pending;
use std::net::SocketAddr;

use fleetgauge_collector::{Config, Listeners};
use fleetgauge_loadtest::scrape;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A page, and its length according to the response header. A page shorter than that is truncated.
pub(crate) struct ProxiedPage {
    pub(crate) announced: usize,
    pub(crate) page: String,
}

impl From<String> for ProxiedPage {
    fn from(page: String) -> Self {
        Self { announced: page.len(), page }
    }
}

/// Address of the collector for agents, and of the proxy for HTTP.
pub(crate) struct PageProxy {
    pub(crate) agents: SocketAddr,
    pub(crate) http: SocketAddr,
}

impl PageProxy {
    /// Starts the collector and the proxy. Every page passes through `rewrite`.
    pub(crate) async fn start(rewrite: impl FnMut(String) -> ProxiedPage + Send + 'static) -> Self {
        let config = Config::default();
        let listeners = Listeners::bind(&config).unwrap();
        let agents = listeners.agent_addresses().unwrap()[0];
        let upstream = listeners.http.local_addr().unwrap();
        tokio::spawn(fleetgauge_collector::run(config, listeners, pending()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let http = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, upstream, rewrite));
        Self { agents, http }
    }
}

async fn serve(
    listener: TcpListener,
    upstream: SocketAddr,
    mut rewrite: impl FnMut(String) -> ProxiedPage + Send,
) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let path = read_path(&mut stream).await;
        let ProxiedPage { announced, page } =
            rewrite(scrape::fetch(upstream, &path).await.unwrap());
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
             Content-Length: {announced}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(page.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
    }
}

async fn read_path(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0, "a request without an end");
    }
    let request = String::from_utf8(request).unwrap();
    request.split(' ').nth(1).unwrap().to_owned()
}
