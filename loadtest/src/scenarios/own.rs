//! What a collector says of itself.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::scrape::{self, ScrapeError};

/// Where it says so.
const PATH: &str = "/metrics/self";
/// Between two attempts to fetch it.
const RETRY_EVERY: Duration = Duration::from_millis(100);
/// The counter of Rejects, up to its code.
const REJECTS: &str = "fleetgauge_rejects_total{code=\"";

/// A page of a collector's own metrics.
#[derive(Debug, Clone, Default)]
pub(super) struct Own(String);

impl Own {
    pub(super) async fn fetch(http: SocketAddr) -> Result<Self, ScrapeError> {
        scrape::fetch(http, PATH).await.map(Self)
    }

    /// Tries again until it comes, or to the deadline: without a page then, which counts nothing.
    /// Why it did not come at first, if it did not.
    pub(super) async fn fetch_until(
        http: SocketAddr,
        deadline: Instant,
    ) -> (Self, Option<ScrapeError>) {
        let mut first_error = None;
        loop {
            match Self::fetch(http).await {
                Ok(own) => return (own, first_error),
                Err(error) => drop(first_error.get_or_insert(error)),
            }
            if Instant::now() >= deadline {
                return (Self::default(), first_error);
            }
            sleep(RETRY_EVERY).await;
        }
    }

    /// A count or a size; 0 if it is not there.
    pub(super) fn value(&self, series: &str) -> u64 {
        self.samples().find(|(own, _)| *own == series).map_or(0, |(_, value)| value)
    }

    /// Rejects counted since then, by code; codes that were not counted are left out.
    pub(super) fn rejects_since(&self, before: &Self) -> BTreeMap<String, u64> {
        let now = self.samples().filter_map(|(series, value)| {
            let code = series.strip_prefix(REJECTS)?.strip_suffix("\"}")?;
            // A collector that was started again has counted all of them since.
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
    async fn page_that_fails_is_fetched_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let http = listener.local_addr().unwrap();
        let served = tokio::spawn(async move {
            for answer in ["503 Service Unavailable", "200 OK"] {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    stream.read_buf(&mut request).await.unwrap();
                }
                let answer = format!(
                    "HTTP/1.1 {answer}\r\nContent-Type: text/plain; version=0.0.4; \
                     charset=utf-8\r\nContent-Length: 4\r\nConnection: close\r\n\r\na 7\n"
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        let deadline = Instant::now() + Duration::from_secs(60);
        let (own, error) = Own::fetch_until(http, deadline).await;
        assert!(error.is_some_and(|error| error.to_string().contains("503")));
        assert_eq!(own.value("a"), 7);
        served.await.unwrap();
        // Nobody listens any more.
        let (own, error) = Own::fetch_until(http, Instant::now()).await;
        assert!(error.is_some() && own.value("a") == 0);
    }

    #[test]
    fn rejects_are_counted_from_then_on() {
        let page = |bad, full| {
            Own(format!(
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
