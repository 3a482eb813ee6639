//! The collector's own metrics.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::scrape::{self, ScrapeError};

/// Page of the collector's own metrics.
const PATH: &str = "/metrics/self";
/// Interval between two attempts to fetch the page.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);
/// Start of the series of the Reject counter, up to the value of its first label.
const REJECTS: &str = "fleetgauge_rejects_total{code=\"";

/// The page of a collector's own metrics.
#[derive(Debug, Clone, Default)]
pub(super) struct SelfMetrics(String);

impl SelfMetrics {
    pub(super) async fn fetch(http: SocketAddr) -> Result<Self, ScrapeError> {
        scrape::fetch(http, PATH).await.map(Self)
    }

    /// Fetches the metrics until an attempt succeeds. Returns empty metrics if the deadline passes.
    /// Also returns the error of the first failed attempt.
    pub(super) async fn fetch_until(
        http: SocketAddr,
        deadline: Instant,
    ) -> (Self, Option<ScrapeError>) {
        let mut first_error = None;
        loop {
            match Self::fetch(http).await {
                Ok(metrics) => return (metrics, first_error),
                Err(error) => drop(first_error.get_or_insert(error)),
            }
            if Instant::now() >= deadline {
                return (Self::default(), first_error);
            }
            sleep(RETRY_INTERVAL).await;
        }
    }

    /// Value of a counter or gauge; 0 if it is absent.
    pub(super) fn value(&self, series: &str) -> u64 {
        self.samples().find(|(own, _)| *own == series).map_or(0, |(_, value)| value)
    }

    /// Rejects counted since `before`, by code; codes without any are omitted.
    pub(super) fn rejects_since(&self, before: &Self) -> BTreeMap<String, u64> {
        let now = self.samples().filter_map(|(series, value)| {
            let code = series.strip_prefix(REJECTS)?.strip_suffix("\"}")?;
            // The counter of a restarted collector starts at 0.
            let rejects = value.checked_sub(before.value(series)).unwrap_or(value);
            Some((code.to_owned(), rejects))
        });
        now.filter(|(_, rejects)| *rejects > 0).collect()
    }

    fn samples(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            Some((series, value.parse::<f64>().ok()? as u64))
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_failed_fetch_is_repeated() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let http = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            for status in ["503 Service Unavailable", "200 OK"] {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    stream.read_buf(&mut request).await.unwrap();
                }
                let response = format!(
                    "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; \
                     charset=utf-8\r\nContent-Length: 4\r\nConnection: close\r\n\r\na 7\n"
                );
                stream.write_all(response.as_bytes()).await.unwrap();
            }
        });
        let deadline = Instant::now() + Duration::from_secs(60);
        let (metrics, error) = SelfMetrics::fetch_until(http, deadline).await;
        assert!(error.is_some_and(|error| error.to_string().contains("503")));
        assert_eq!(metrics.value("a"), 7);
        server.await.unwrap();
        // The listener is closed.
        let (metrics, error) = SelfMetrics::fetch_until(http, Instant::now()).await;
        assert!(error.is_some() && metrics.value("a") == 0);
    }

    #[test]
    fn rejects_since_an_earlier_page_are_counted() {
        let page = |bad, full| {
            SelfMetrics(format!(
                "# TYPE fleetgauge_rejects_total counter\n{REJECTS}bad_magic\"}} {bad}\n\
                 {REJECTS}collector_full\"}} {full}\nfleetgauge_memory_bytes 1048576.0\n"
            ))
        };
        let rejects = page(7, 3).rejects_since(&page(2, 3));
        assert_eq!(rejects, BTreeMap::from([("bad_magic".to_owned(), 5)]));
        let restarted = page(1, 0).rejects_since(&page(2, 3));
        assert_eq!(restarted, BTreeMap::from([("bad_magic".to_owned(), 1)]));
        assert_eq!(page(7, 3).value("fleetgauge_memory_bytes"), 1 << 20);
        assert_eq!(page(7, 3).value("fleetgauge_memory"), 0);
    }
}
