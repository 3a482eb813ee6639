//! The collector's own metrics.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::scrape::{self, ScrapeError};

/// Page of the collector's own metrics.
const PATH: &str = "/metrics/self";
/// Name and first label of the Reject counter.
const REJECTS: &str = "fleetgauge_rejects_total{code=\"";

/// The page of a collector's own metrics.
#[derive(Debug, Clone)]
pub(super) struct SelfMetrics(String);

impl SelfMetrics {
    pub(super) async fn fetch(http: SocketAddr) -> Result<Self, ScrapeError> {
        scrape::fetch(http, PATH).await.map(Self)
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
    use super::*;

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
