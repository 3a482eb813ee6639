//! The key `url` of a table `[[scrape]]`.

use fleetgauge_common::http_client::HttpUrl;

/// Maximum length of a socket's path, in bytes: the kernel's 108 less the final zero byte.
const MAX_SOCKET_BYTES: usize = 107;
/// URL of an exporter in error texts.
const EXAMPLE: &str = "http://localhost:9100/metrics";
/// Advice to the operator if the URL has another form.
const FORMS: &str = "must be http://HOST:PORT/PATH, https://HOST:PORT/PATH or unix:///SOCKET";

/// A valid `url`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ScrapeUrl {
    /// A page of an HTTP server.
    Http(HttpUrl),
    /// A Unix socket.
    Unix(Box<str>),
}

impl ScrapeUrl {
    /// Parses a URL. The error never contains it: it may include a password.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if let Some(url) = HttpUrl::parse(text, EXAMPLE) {
            return url.map(Self::Http);
        }
        match text.split_once("://") {
            Some(("unix", socket)) => Self::unix(socket),
            _ => Err(FORMS.to_owned()),
        }
    }

    fn unix(socket: &str) -> Result<Self, String> {
        if !socket.starts_with('/') || socket.ends_with('/') {
            return Err("must have an absolute path, such as unix:///run/exporter.sock".to_owned());
        }
        if socket.contains(char::is_control) {
            return Err("must not have control characters".to_owned());
        }
        if socket.len() > MAX_SOCKET_BYTES {
            return Err(format!("must have at most {MAX_SOCKET_BYTES} bytes after unix://"));
        }
        Ok(Self::Unix(socket.into()))
    }

    /// Returns the default of `instance`: host and port as Prometheus writes them, or the socket.
    pub(super) fn instance(&self) -> &str {
        match self {
            Self::Http(url) => url.authority(),
            Self::Unix(socket) => socket,
        }
    }
}

/// Checks the key `url`.
pub(super) fn is_url(text: &str) -> Result<(), String> {
    ScrapeUrl::parse(text).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(text: &str) -> (String, String, u16, String, bool) {
        match ScrapeUrl::parse(text).unwrap() {
            ScrapeUrl::Http(url) => {
                let (authority, endpoint, path) = (url.authority(), url.endpoint(), url.path());
                let (host, port) = (endpoint.host().into(), endpoint.port());
                (authority.into(), host, port, path.into(), url.is_tls())
            }
            ScrapeUrl::Unix(socket) => panic!("{socket}"),
        }
    }

    #[test]
    fn parts_of_http_urls_are_parsed() {
        for (text, authority, host, port, path, is_tls) in [
            (
                "http://localhost:9100/metrics",
                "localhost:9100",
                "localhost",
                9100,
                "/metrics",
                false,
            ),
            ("http://a.example/", "a.example", "a.example", 80, "/", false),
            ("https://a/x/y?z=1&z=%20", "a", "a", 443, "/x/y?z=1&z=%20", true),
            ("https://[::1]:1/m", "[::1]:1", "::1", 1, "/m", true),
            ("http://[2001:db8::1]/m", "[2001:db8::1]", "2001:db8::1", 80, "/m", false),
            ("http://a:1/m@x", "a:1", "a", 1, "/m@x", false),
        ] {
            let expected = (authority.into(), host.into(), port, path.into(), is_tls);
            assert_eq!(http(text), expected, "{text}");
            assert_eq!(ScrapeUrl::parse(text).unwrap().instance(), authority);
        }
    }

    #[test]
    fn socket_is_the_default_instance() {
        let url = ScrapeUrl::parse("unix:///run/a b.sock").unwrap();
        assert_eq!(url, ScrapeUrl::Unix("/run/a b.sock".into()));
        assert_eq!(url.instance(), "/run/a b.sock");
    }

    #[test]
    fn invalid_urls_are_errors_without_the_url() {
        let long = format!("http://a/{}", "hunter2".repeat(300));
        let long_socket = format!("unix:///hunter2/{}", "x".repeat(100));
        for (text, why) in [
            ("", "must be http://HOST:PORT/PATH"),
            ("localhost:9100/metrics", "must be http://HOST:PORT/PATH"),
            ("HTTP://a/", "must be http://HOST:PORT/PATH"),
            ("ftp://hunter2/", "must be http://HOST:PORT/PATH"),
            ("http:/a/m", "must be http://HOST:PORT/PATH"),
            ("http://user:hunter2@a/m", "set username and password_file"),
            ("http://user:hunter2@a", "set username and password_file"),
            ("http://hunter2", "must have a path"),
            ("http://hunter2?x=/", "must have a path"),
            ("http:///hunter2", "invalid host or port"),
            ("http://a:/hunter2", "invalid host or port"),
            ("http://a:0/hunter2", "invalid host or port"),
            ("http://a:65536/hunter2", "invalid host or port"),
            ("http://::1/hunter2", "invalid host or port"),
            ("http://[hunter2]/", "invalid host or port"),
            ("http://a b/hunter2", "invalid host or port"),
            ("http://a\r\nx: y/hunter2", "invalid host or port"),
            ("http://a/hunter2 x", "visible ASCII"),
            ("http://a/hunter2\r\nx: y", "visible ASCII"),
            ("http://a/hunter2\u{e9}", "visible ASCII"),
            ("http://a/hunter2\0", "visible ASCII"),
            ("http://a/m#hunter2", "fragment"),
            ("unix://hunter2.sock", "absolute path"),
            ("unix://", "absolute path"),
            ("unix:///run/hunter2/", "absolute path"),
            ("unix:///run/hunter2\0", "control characters"),
            (&long_socket, "at most 107 bytes"),
            (&long, "at most 2048 are allowed"),
        ] {
            let problem = ScrapeUrl::parse(text).unwrap_err();
            assert!(problem.contains(why) && !problem.contains("hunter2"), "{text:?}: {problem}");
        }
    }
}
