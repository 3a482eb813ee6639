//! A request that gets no page.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

/// Why there is no page: a status and one sentence for whoever asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    status: StatusCode,
    why: String,
}

impl Refused {
    /// The request itself is wrong; `why` says what would be right.
    pub(crate) fn bad_request(why: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, why: why.into() }
    }

    /// What is asked for is not there.
    pub(crate) fn not_found(why: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, why: why.into() }
    }

    /// The sender has no right to it.
    pub(crate) fn forbidden(why: impl Into<String>) -> Self {
        Self { status: StatusCode::FORBIDDEN, why: why.into() }
    }

    /// It cannot be done as things are; `why` says what to do first.
    pub(crate) fn conflict(why: impl Into<String>) -> Self {
        Self { status: StatusCode::CONFLICT, why: why.into() }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.status, self.why + "\n").into_response()
    }
}
