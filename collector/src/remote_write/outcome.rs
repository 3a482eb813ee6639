//! What the answer to a request means for its samples.

use std::borrow::Cow;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fleetgauge_common::http_client::HttpError;
use hyper::header::{DATE, HeaderMap, HeaderName, LOCATION, RETRY_AFTER};
use hyper::{StatusCode, http::HeaderValue};

/// Maximum pause that an engine can demand: a longer outage of the destination would be the
/// engine's mistake.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);
/// Maximum length of the excerpt of a body, in bytes: a line of the log.
const MAX_EXCERPT_BYTES: usize = 200;

/// Header of every answer of an engine that has understood a request of remote write 2.0.
const SAMPLES_WRITTEN: HeaderName =
    HeaderName::from_static("x-prometheus-remote-write-samples-written");

/// What happened to the samples of a request, and what to do with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The engine has stored them.
    Accepted,
    /// The engine refuses some of the samples (400, 409), or does not know the compression (400).
    Rejected {
        /// HTTP status.
        status: u16,
        /// Start of the body, as printable text.
        excerpt: String,
    },
    /// The request is too large (413): split it.
    TooLarge,
    /// The engine does not know the compression or the protocol: 415, or an answer to remote write
    /// 2.0 that does not confirm that it was understood.
    Unsupported {
        /// HTTP status.
        status: u16,
    },
    /// Send the same samples again.
    RetryLater {
        /// Pause that the engine demands, at most [`MAX_RETRY_AFTER`].
        after: Option<Duration>,
        /// Reason for logs and metrics.
        why: RetryReason,
    },
    /// The settings are wrong, for example the URL or the password (401, 403, 404, redirects). The
    /// samples are good: send them again with the longest backoff.
    Failed {
        /// HTTP status.
        status: u16,
        /// Target host of a redirect, or start of the body, as printable text.
        excerpt: String,
    },
}

/// Why a request must be sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RetryReason {
    /// The engine answered with 408, 429 or 5xx.
    Status {
        /// HTTP status.
        status: u16,
        /// Start of the body, as printable text.
        excerpt: String,
    },
    /// The connection or the TLS handshake failed, or the answer is not HTTP.
    Connect(String),
    /// The password, token or a TLS file cannot be read.
    Credentials(String),
    /// No answer within the timeout.
    Timeout(Duration),
}

impl RetryReason {
    /// Returns the stable name of the reason, for logs and metrics.
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            Self::Status { .. } => "status",
            Self::Connect(_) => "connect",
            Self::Credentials(_) => "credentials",
            Self::Timeout(_) => "timeout",
        }
    }
}

impl fmt::Display for RetryReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status { status, excerpt } if excerpt.is_empty() => {
                write!(f, "HTTP status {status}")
            }
            Self::Status { status, excerpt } => write!(f, "HTTP status {status}: {excerpt}"),
            Self::Connect(problem) => write!(f, "connection failed: {problem}"),
            Self::Credentials(problem) => write!(f, "cannot authenticate: {problem}"),
            Self::Timeout(limit) => write!(f, "no answer within {} ms", limit.as_millis()),
        }
    }
}

impl From<HttpError> for Outcome {
    fn from(error: HttpError) -> Self {
        let why = match error {
            HttpError::Connect(problem) => RetryReason::Connect(problem),
            HttpError::Credentials(problem) => RetryReason::Credentials(problem),
        };
        Self::RetryLater { after: None, why }
    }
}

impl Outcome {
    /// Returns the HTTP status, or why there was no answer.
    pub(super) fn status(&self) -> Cow<'static, str> {
        match self {
            // Engines answer 200 or 204, which mean the same.
            Self::Accepted => "2xx".into(),
            Self::TooLarge => "413".into(),
            Self::Unsupported { status }
            | Self::Rejected { status, .. }
            | Self::Failed { status, .. }
            | Self::RetryLater { why: RetryReason::Status { status, .. }, .. } => {
                status.to_string().into()
            }
            Self::RetryLater { why, .. } => why.reason().into(),
        }
    }

    /// Classifies an answer. `body` is its start; `now` is the time of its arrival.
    pub(super) fn of_answer(
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
        now: SystemTime,
    ) -> Self {
        let excerpt = || excerpt(body);
        match status.as_u16() {
            200..=299 => Self::Accepted,
            status @ (400 | 409) => Self::Rejected { status, excerpt: excerpt() },
            413 => Self::TooLarge,
            status @ 415 => Self::Unsupported { status },
            status @ (408 | 429 | 500..=599) => {
                let why = RetryReason::Status { status, excerpt: excerpt() };
                Self::RetryLater { after: retry_after(headers, now), why }
            }
            status @ 300..=399 => Self::Failed { status, excerpt: redirect(headers) },
            status => Self::Failed { status, excerpt: excerpt() },
        }
    }
}

/// What the answers of an engine say about its knowledge of remote write 2.0.
#[derive(Debug, Default)]
pub(super) struct Confirmation {
    /// Whether it has confirmed a request.
    is_known: AtomicBool,
}

impl Confirmation {
    /// Returns what an answer to a request of remote write 2.0 means. An engine that only knows 1.0
    /// may find an empty request, and accept it.
    pub(super) fn check(
        &self,
        outcome: Outcome,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Outcome {
        let is_confirmed = headers.contains_key(SAMPLES_WRITTEN);
        let is_known = self.is_known.fetch_or(is_confirmed, Ordering::Relaxed) || is_confirmed;
        match outcome {
            Outcome::Accepted if !is_confirmed => Outcome::Unsupported { status: status.as_u16() },
            // It may refuse the protocol, and not the samples.
            Outcome::Rejected { status: status @ 400, .. } if !is_known => {
                Outcome::Unsupported { status }
            }
            other => other,
        }
    }
}

/// Returns how many seconds the engine's clock is ahead of `now`; negative if it is behind; `None`
/// without a valid `Date`. The header has whole seconds.
pub(super) fn clock_offset(headers: &HeaderMap, now: SystemTime) -> Option<i64> {
    let seconds = |time: SystemTime| {
        let since = time.duration_since(UNIX_EPOCH).ok()?;
        i64::try_from(since.as_secs()).ok()
    };
    seconds(date(headers.get(DATE)?)?)?.checked_sub(seconds(now)?)
}

fn date(value: &HeaderValue) -> Option<SystemTime> {
    httpdate::parse_http_date(value.to_str().ok()?).ok()
}

/// Returns the pause that a `Retry-After` demands. A date counts from the engine's `Date`, because
/// its clock can differ from ours.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?;
    let text = value.to_str().ok()?;
    let pause = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number has are a long pause too.
        text.parse().map_or(MAX_RETRY_AFTER, Duration::from_secs)
    } else {
        let now = headers.get(DATE).and_then(date).unwrap_or(now);
        date(value)?.duration_since(now).unwrap_or_default()
    };
    Some(pause.min(MAX_RETRY_AFTER))
}

/// Returns where a redirect leads: only the host, because user, path and query can have secrets.
fn redirect(headers: &HeaderMap) -> String {
    let location = headers.get(LOCATION).map(HeaderValue::as_bytes).unwrap_or_default();
    let text = String::from_utf8_lossy(location);
    let rest = text.split_once("://").map(|(_, rest)| rest).or_else(|| text.strip_prefix("//"));
    let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
    match host.rsplit('@').next() {
        Some(host) if !host.is_empty() => format!("redirect to {}", excerpt(host.as_bytes())),
        _ => "redirect to another path of the same host".to_owned(),
    }
}

/// Returns the start of untrusted bytes as one line of printable text.
fn excerpt(body: &[u8]) -> String {
    let is_cut = body.len() > MAX_EXCERPT_BYTES;
    let start = String::from_utf8_lossy(body.get(..MAX_EXCERPT_BYTES).unwrap_or(body));
    // The cut can be inside a character.
    let start = if is_cut { start.trim_end_matches('\u{fffd}') } else { &start };
    let mut line = String::with_capacity(start.len());
    for character in start.chars() {
        if character.is_whitespace() || character.is_control() {
            if !line.is_empty() && !line.ends_with(' ') {
                line.push(' ');
            }
        } else if matches!(character, '"' | '\'' | '\\') {
            line.push(character);
        } else {
            // Invisible characters and those that change the direction of text.
            line.extend(character.escape_debug());
        }
    }
    line.truncate(line.trim_end().len());
    if is_cut {
        line.push_str("...");
    }
    line
}

#[cfg(test)]
#[path = "outcome_tests.rs"]
mod tests;
