//! Faults and strictness of the engine that the receiver stands for, switchable at any time.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::labels::Labels;

/// Decides by the labels whether a series is meant.
pub type LabelPredicate = Arc<dyn Fn(Labels<'_>) -> bool + Send + Sync>;

/// How requests are answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Answer {
    /// Store the samples, or refuse them by the rules.
    #[default]
    Normal,
    /// A status without storing.
    Status {
        /// Status, such as 503.
        status: u16,
        /// Value of the header Retry-After.
        retry_after: Option<String>,
    },
    /// Read the request, then never answer and store nothing.
    Hang,
    /// Close the connection after the request was read, without an answer.
    Cut {
        /// Whether the samples are stored before.
        stored: bool,
    },
    /// 302 to this URL without storing.
    Redirect(String),
    /// 200 with a page of HTML without storing, as a login page of a proxy.
    Html,
    /// A body without end, sent slowly. Samples are stored if the status is 2xx.
    EndlessBody {
        /// Status, such as 200 or 400.
        status: u16,
    },
}

impl Answer {
    /// 503: the engine is down.
    #[must_use]
    pub fn refuse() -> Self {
        Self::Status { status: 503, retry_after: None }
    }
}

/// What a request has to fulfil beyond the protocol.
#[derive(Clone, Default)]
pub(crate) struct EngineRules {
    pub(crate) poison: Option<(LabelPredicate, u16)>,
    pub(crate) in_order_only: Option<u16>,
    pub(crate) max_body: Option<usize>,
    pub(crate) zstd_refusal: Option<u16>,
    pub(crate) version_2_refusal: Option<u16>,
}

#[derive(Clone, Default)]
struct State {
    answer: Answer,
    /// Requests that `answer` is for; none if it is for all.
    left: Option<u32>,
    delay: Duration,
    rules: EngineRules,
}

/// Switches for faults. Clones share them; they apply to requests that are read afterwards.
#[derive(Clone, Default)]
pub struct Faults {
    state: Arc<Mutex<State>>,
}

impl Faults {
    /// Answers all requests this way.
    pub fn answer(&self, answer: Answer) {
        let mut state = self.state.lock();
        state.answer = answer;
        state.left = None;
    }

    /// Answers the next requests this way, and those after them normally.
    pub fn answer_next(&self, requests: u32, answer: Answer) {
        let mut state = self.state.lock();
        state.answer = answer;
        state.left = Some(requests);
    }

    /// Answers 503 to all requests.
    pub fn refuse(&self) {
        self.answer(Answer::refuse());
    }

    /// Waits before each request is handled.
    pub fn delay(&self, delay: Duration) {
        self.state.lock().delay = delay;
    }

    /// Refuses requests with a series that the predicate selects, with this status (400 or 409).
    pub fn poison(
        &self,
        status: u16,
        predicate: impl Fn(Labels<'_>) -> bool + Send + Sync + 'static,
    ) {
        self.state.lock().rules.poison = Some((Arc::new(predicate), status));
    }

    /// Answers 413 to compressed bodies with more bytes.
    pub fn too_large(&self, bytes: usize) {
        self.state.lock().rules.max_body = Some(bytes);
    }

    /// Answers this status (415 or 400) to zstd.
    pub fn no_zstd(&self, status: u16) {
        self.state.lock().rules.zstd_refusal = Some(status);
    }

    /// Answers this status (415 or 400) to remote write 2.0.
    pub fn no_version_2(&self, status: u16) {
        self.state.lock().rules.version_2_refusal = Some(status);
    }

    /// Refuses requests as Prometheus without an out-of-order window, with this status (400 or
    /// 409): one sample older than the newest of its series, or of the same time with another
    /// value, and nothing of the request is stored. A repeat of the newest sample is accepted.
    pub fn in_order_only(&self, status: u16) {
        self.state.lock().rules.in_order_only = Some(status);
    }

    /// Ends all faults and rules.
    pub fn clear(&self) {
        *self.state.lock() = State::default();
    }

    /// Returns what applies to a request that has been read.
    pub(crate) fn next(&self) -> (Answer, Duration, EngineRules) {
        let mut state = self.state.lock();
        match state.left {
            Some(0) => {
                state.answer = Answer::Normal;
                state.left = None;
            }
            Some(left) => state.left = Some(left - 1),
            None => {}
        }
        (state.answer.clone(), state.delay, state.rules.clone())
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        f.debug_struct("Faults")
            .field("answer", &state.answer)
            .field("left", &state.left)
            .field("delay", &state.delay)
            .finish_non_exhaustive()
    }
}
