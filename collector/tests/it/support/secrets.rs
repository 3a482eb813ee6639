//! Credentials files, and configurations that use them.

use std::io::Write;
use std::path::{Path, PathBuf};

use fleetgauge_collector::Config;
use fleetgauge_collector::config::Flags;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::collector::config;
use super::pki::text;

/// Returns the digest of a token as written in a credentials file.
pub(crate) fn digest(token: impl AsRef<[u8]>) -> String {
    let digest = Sha256::digest(token);
    digest.iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

/// Returns an entry of a credentials file: an identity (`agent = "web-1"` or `user =
/// "prometheus"`), tokens and more lines.
pub(crate) fn entry(identity: &str, tokens: &[&str], more: &str) -> String {
    let tokens: Vec<_> = tokens.iter().map(digest).collect();
    format!("[[credential]]\n{identity}\ntokens = {tokens:?}\n{more}\n")
}

/// A directory of files that only the owner can read.
pub(crate) struct Files(TempDir);

impl Files {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file atomically.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let mut file = tempfile::NamedTempFile::new_in(self.0.path()).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let path = self.path(name);
        file.persist(&path).unwrap();
        path
    }
}

/// A configuration with credentials files for agents, for HTTP users or both, and the labels that
/// agents may set.
pub(crate) fn guarded(agents: Option<&Path>, readers: Option<&Path>, labels: &[&str]) -> Config {
    let mut flags =
        Flags::default().with("listen", "127.0.0.1:0").with("http_listen", "127.0.0.1:0");
    for (name, path) in [("credentials", agents), ("http_credentials", readers)] {
        if let Some(path) = path {
            flags = flags.with(name, text(path));
        }
    }
    for label in labels {
        flags = flags.with("allow_labels", label);
    }
    Config { drain: config().drain, ..Config::try_new(flags).unwrap() }
}
