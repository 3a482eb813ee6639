//! Logs failures and returns the delay before the next round.

use std::fmt::Display;
use std::time::{Duration, Instant};

use fleetgauge_common::service_manager;
use tracing::{error, warn};

use super::candidates::Candidate;
use super::failure::{Failure, Retry};
use super::reporter::{Reporter, RetryDelay};
use super::sanitize::sanitize;

impl Reporter {
    /// Returns the delay before the next round: the backoff, adjusted to the delay or retry slot of
    /// the failure.
    fn next_delay(&mut self, failure: &Failure) -> RetryDelay {
        if let Some(slot) = failure.retry_slot {
            self.backoff.set_maximum(slot);
        }
        match failure.retry {
            Retry::Backoff => {}
            Retry::Slot(slot) => self.backoff.use_retry_slot(slot),
            Retry::After(delay) | Retry::AfterFix(delay) => self.backoff.set_minimum(delay),
        }
        RetryDelay {
            duration: self.backoff.next_delay(),
            ends_on_new_credentials: self.paused.has_permanent(),
        }
    }

    /// Handles the end of a session: logs it if `logged`, the duration, is given. Returns the delay
    /// before the next round.
    pub(super) fn connection_lost(
        &mut self,
        endpoint: &dyn Display,
        logged: Option<Duration>,
        failure: &Failure,
    ) -> RetryDelay {
        if failure.is_permanent() {
            return self.rejected(endpoint, failure);
        }
        let delay = self.next_delay(failure);
        let (cause, advice) = log_fields(failure);
        service_manager::status(&format!(
            "connection to {endpoint} lost: {}",
            status_text(failure)
        ));
        if let Some(lasted) = logged {
            let retry_in = to_milliseconds(delay.duration);
            warn!(collector = %endpoint, ?lasted, %cause, advice, ?retry_in, "connection lost");
        }
        delay
    }

    /// Handles a failed round: logs it if a line is due. Returns the delay before the next round.
    pub(super) fn round_failed(&mut self, failure: &Failure) -> RetryDelay {
        let endpoint = self.agent.collector.clone();
        if failure.is_permanent() {
            return self.rejected(&endpoint, failure);
        }
        let delay = self.next_delay(failure);
        let (cause, advice) = log_fields(failure);
        service_manager::status(&format!(
            "connecting to {endpoint} failed: {}",
            status_text(failure)
        ));
        if let Some(attempt) = self.round_log.failed(Instant::now()) {
            let retry_in = to_milliseconds(delay.duration);
            warn!(collector = %endpoint, attempt, %cause, advice, ?retry_in, "connection failed");
        }
        delay
    }

    /// Logs a permanent failure of a session or a round. Returns the delay before the next round.
    fn rejected(&mut self, endpoint: &dyn Display, failure: &Failure) -> RetryDelay {
        let delay = self.next_delay(failure);
        self.round_log.failed(Instant::now());
        let (cause, advice) = log_fields(failure);
        service_manager::status(&format!("rejected by {endpoint}: {}", status_text(failure)));
        let retry_in = to_milliseconds(delay.duration);
        error!(collector = %endpoint, %cause, advice, ?retry_in, "connection rejected");
        delay
    }

    /// Logs a failed address if a line is due. The round continues with the next address.
    pub(super) fn address_failed(&mut self, candidate: &Candidate, failure: &Failure) {
        let Candidate { endpoint, address, .. } = candidate;
        if let Some(attempt) = self.address_log.failed(Instant::now()) {
            let (cause, advice) = log_fields(failure);
            warn!(
                collector = %endpoint, %address, attempt, %cause, advice,
                "address failed; trying the next one"
            );
        }
    }
}

/// Returns cause and advice of a failure for a log line.
pub(super) fn log_fields(failure: &Failure) -> (String, Option<&str>) {
    (sanitize(&failure.cause), failure.advice.as_deref())
}

/// Returns cause and advice for the service manager's status.
fn status_text(failure: &Failure) -> String {
    let (cause, advice) = log_fields(failure);
    advice.map_or_else(|| cause.clone(), |advice| format!("{cause}; {advice}"))
}

/// Truncates a delay to milliseconds, for a log line.
fn to_milliseconds(delay: Duration) -> Duration {
    Duration::from_millis(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX))
}
