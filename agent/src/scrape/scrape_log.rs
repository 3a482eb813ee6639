//! Log lines about the scrapes of an exporter.

use std::sync::Arc;

use tracing::{info, warn};

use super::exporter::Exporter;
use crate::config::ScrapeSettings;

/// Logs changes of the state of an exporter, each once. Never logs its URL or credentials.
#[derive(Debug)]
pub(super) struct ScrapeLog {
    settings: Arc<ScrapeSettings>,
    is_failing: bool,
    /// Whether its last page had samples that were left out.
    leaves_out: bool,
}

impl ScrapeLog {
    pub(super) const fn new(settings: Arc<ScrapeSettings>) -> Self {
        Self { settings, is_failing: false, leaves_out: false }
    }

    /// Logs a failure once until a scrape succeeds, and left out samples once until a page has
    /// none.
    pub(super) fn scraped(&mut self, exporter: &Exporter) {
        let (job, instance) = (&*self.settings.job, &*self.settings.instance);
        let result = &exporter.scraped().result;
        let failed_before = std::mem::replace(&mut self.is_failing, result.is_err());
        match result {
            Err(cause) if !failed_before => {
                warn!(job, instance, reason = cause.reason(), %cause, "scrape failed");
            }
            Err(_) => {}
            Ok(_) => {
                if failed_before {
                    info!(job, instance, "scrape recovered");
                }
                let (left_out, samples) = (exporter.left_out(), exporter.samples_left_out());
                let leaves_out = samples > 0;
                if leaves_out && !self.leaves_out {
                    let cause = match left_out.samples {
                        0 => "another sample has the same name and labels, or another type",
                        _ => left_out.cause,
                    };
                    warn!(job, instance, samples, cause, "samples left out");
                }
                self.leaves_out = leaves_out;
            }
        }
    }
}
