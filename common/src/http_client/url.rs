//! `http://` and `https://` URLs of the settings.

use crate::endpoint::Endpoint;

/// Maximum length of a URL, in bytes. Longer ones are refused by many HTTP servers.
const MAX_URL_BYTES: usize = 2048;

/// A valid URL of an HTTP server.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpUrl {
    authority: Box<str>,
    endpoint: Endpoint,
    path: Box<str>,
    is_tls: bool,
}

/// Leaves out path and query, which may have secrets.
impl std::fmt::Debug for HttpUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        write!(f, "{scheme}://{}/…", self.authority)
    }
}

impl HttpUrl {
    /// Parses a URL; `None` if its scheme is neither `http` nor `https`. `example` is a URL with a
    /// path. The error never contains the URL, which may include a password.
    ///
    /// # Errors
    /// The URL has an invalid host, port or path, or has a user.
    pub fn parse(text: &str, example: &str) -> Option<Result<Self, String>> {
        match text.split_once("://") {
            Some(("http", rest)) => Some(Self::parse_rest(text, rest, false, example)),
            Some(("https", rest)) => Some(Self::parse_rest(text, rest, true, example)),
            _ => None,
        }
    }

    fn parse_rest(text: &str, rest: &str, is_tls: bool, example: &str) -> Result<Self, String> {
        is_short(text)?;
        let (authority, path) = match rest.find(['/', '?', '#']) {
            Some(end) => rest.split_at(end),
            None => (rest, ""),
        };
        if authority.contains('@') {
            return Err("must not have a user; set username and password_file".to_owned());
        }
        if !path.starts_with('/') {
            return Err(format!("must have a path after the host, such as {example}"));
        }
        is_path(path)?;
        let port = if is_tls { 443 } else { 80 };
        let has_port = authority.contains(':') && !authority.ends_with(']');
        let endpoint = match has_port {
            true => Endpoint::parse(authority),
            false => Endpoint::parse(&format!("{authority}:{port}")),
        };
        let invalid = |_| format!("has an invalid host or port; write it as in {example}");
        let endpoint = endpoint.map_err(invalid)?;
        Ok(Self { authority: authority.into(), endpoint, path: path.into(), is_tls })
    }

    /// Returns host and port, as written.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Returns host and port; the port is that of the scheme if it is not written.
    #[must_use]
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Returns path and query: visible ASCII that starts with a slash.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns whether the scheme is `https`.
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        self.is_tls
    }
}

/// Checks a path of HTTP with its query. It becomes part of a request's first line.
///
/// # Errors
/// It has no leading slash, a fragment or an illegal character, or is too long.
pub fn is_path(text: &str) -> Result<(), String> {
    if !text.starts_with('/') {
        return Err("must start with /, such as /metrics".to_owned());
    }
    is_short(text)?;
    if text.contains('#') {
        return Err("must not have a fragment; remove # and what follows".to_owned());
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("must have only visible ASCII in its path; write %20 for a space".to_owned());
    }
    Ok(())
}

fn is_short(text: &str) -> Result<(), String> {
    match text.len() {
        0..=MAX_URL_BYTES => Ok(()),
        length => Err(format!("has {length} bytes; at most {MAX_URL_BYTES} are allowed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_starts_with_a_slash() {
        is_path("/probe?target=a").unwrap();
        for path in ["", "metrics", "/a b", "/a#b"] {
            is_path(path).unwrap_err();
        }
    }

    #[test]
    fn debug_output_has_no_path() {
        let url = HttpUrl::parse("https://a:1/hunter2?hunter2", "").unwrap().unwrap();
        assert_eq!(format!("{url:?}"), "https://a:1/…");
    }
}
