//! Bodies of answers, among them one that never ends.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Interval;

/// Time between chunks: slow enough to cost nothing, fast enough to pass any bound soon.
const PACE: Duration = Duration::from_millis(5);
/// Bytes of a chunk.
const CHUNK: &[u8] = &[b'x'; 4096];

/// Body of an answer.
pub(crate) enum AnswerBody {
    Full(Option<Bytes>),
    Endless(Interval),
}

impl AnswerBody {
    pub(crate) fn full(text: impl Into<Bytes>) -> Self {
        Self::Full(Some(text.into()).filter(|text| !text.is_empty()))
    }

    pub(crate) fn endless() -> Self {
        let mut interval = tokio::time::interval(PACE);
        // A client that reads late must not get all missed chunks at once.
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        Self::Endless(interval)
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Full(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Self::Endless(interval) => interval
                .poll_tick(context)
                .map(|_| Some(Ok(Frame::data(Bytes::from_static(CHUNK))))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Full(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(text) => {
                let length = text.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
            }
            Self::Endless(_) => SizeHint::default(),
        }
    }
}
