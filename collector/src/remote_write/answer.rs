//! What a sender does after the answer to a request.

use std::time::Duration;

use super::backoff::Backoff;
use super::compression::Encoding;
use super::destination::Destination;
use super::outcome::Outcome;

/// The engine's answer for the samples of a request.
#[derive(Debug)]
pub(super) enum Answer {
    Accepted,
    Refused {
        status: u16,
        excerpt: String,
    },
    TooLarge,
    /// The collector stops.
    Aborted,
}

/// What to do after an answer.
#[derive(Debug)]
pub(super) enum Next {
    Done(Answer),
    /// Send again at once, with another compression.
    Again,
    Wait(Duration),
}

impl Next {
    /// Decides what to do after a request that was compressed with `used`.
    pub(super) fn after(
        outcome: Outcome,
        destination: &Destination,
        used: Encoding,
        backoff: &mut Backoff,
    ) -> Self {
        let compression = &destination.compression;
        match outcome {
            Outcome::Accepted => {
                compression.accepted(used);
                destination.succeeded();
                Self::Done(Answer::Accepted)
            }
            Outcome::Rejected { .. } if compression.falls_back(used, false) => {
                compression.zstd_refused();
                Self::Again
            }
            Outcome::Rejected { status, excerpt } => {
                Self::Done(Answer::Refused { status, excerpt })
            }
            Outcome::TooLarge => Self::Done(Answer::TooLarge),
            Outcome::Unsupported { .. } if compression.falls_back(used, true) => {
                compression.zstd_refused();
                Self::Again
            }
            Outcome::Unsupported { status } => {
                destination.failed_protocol(status);
                Self::Wait(Backoff::after_failure())
            }
            Outcome::RetryLater { after, why } => {
                destination.failed(&why.to_string());
                Self::Wait(backoff.next(after))
            }
            Outcome::Failed { status, excerpt } => {
                destination.failed(&format!("HTTP status {status}: {excerpt}"));
                Self::Wait(Backoff::after_failure())
            }
        }
    }
}
