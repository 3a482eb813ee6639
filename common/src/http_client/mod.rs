//! HTTP/1.1 client: connections, authentication and URLs. Redirects are never followed; what a
//! response means is up to the caller, which also limits the duration of a request.
//!
//! | module | contents |
//! |---|---|
//! | `url` | URLs of the settings |
//! | `dialer` | Looks a server up and connects to it, with TLS |
//! | `connection` | One connection, with limits on the head of a response |
//! | `auth` | User and password, or bearer token, from files |
//! | `reading` | Blocking calls |

mod auth;
mod connection;
mod dialer;
mod reading;
mod url;

pub use auth::{AuthReader, Authorization, HttpAuth, is_username};
pub use connection::{Connection, failed};
pub use dialer::Dialer;
pub use url::{HttpUrl, is_path};

/// An error of a client before a response arrived.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The connection cannot be established, or breaks.
    #[error("connection failed: {0}")]
    Connect(String),
    /// A file of the settings is unusable: password, token, certificate.
    #[error("cannot authenticate: {0}")]
    Credentials(String),
}
