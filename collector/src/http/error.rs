//! Errors as HTTP responses.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

/// An error response: a status and a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HttpError {
    status: StatusCode,
    why: String,
}

impl HttpError {
    /// The request is invalid; `why` says what would be valid.
    pub(crate) fn bad_request(why: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, why: why.into() }
    }

    /// The resource does not exist.
    pub(crate) fn not_found(why: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, why: why.into() }
    }

    /// The sender is not permitted.
    pub(crate) fn forbidden(why: impl Into<String>) -> Self {
        Self { status: StatusCode::FORBIDDEN, why: why.into() }
    }

    /// The current state does not allow the request; `why` says what to do first.
    pub(crate) fn conflict(why: impl Into<String>) -> Self {
        Self { status: StatusCode::CONFLICT, why: why.into() }
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        (self.status, self.why + "\n").into_response()
    }
}
