//! The token and the TLS files of a connection.

use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tokio_rustls::TlsConnector;

use super::Agent;
use super::blocking_read;
use crate::config::Token;
use crate::tls::{TlsClient, TlsSettings};

/// Polling interval for changed files while the agent waits after a permanent failure.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// The token would be sent unencrypted to another host.
#[derive(Debug, thiserror::Error)]
#[error("refusing to send the token to {0} unencrypted")]
pub(super) struct TokenExposed(IpAddr);

/// The token and the TLS client, as last read.
#[derive(Clone, Default)]
pub(super) struct Credentials {
    pub(super) token: Option<Token>,
    /// The TLS client and the connector made from it.
    pub(super) tls: Option<(TlsClient, TlsConnector)>,
    /// Stamps of the token and TLS files, taken before the files were read.
    stamps: Vec<Option<FileStamp>>,
}

/// Metadata of a file. Changes when the file is written or replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileStamp {
    inode: u64,
    bytes: u64,
    modified: Option<SystemTime>,
}

/// Result of a check for changed files.
#[derive(Debug, PartialEq, Eq)]
enum FileChange {
    /// The credentials are the same.
    Unchanged,
    /// The credentials changed.
    Changed,
    /// A file changed and cannot be used.
    Unreadable,
}

impl Credentials {
    /// Reads the credentials of `agent`. May block.
    ///
    /// If the TLS files are the same, keeps the session tickets of `before`, the last TLS client.
    ///
    /// # Errors
    /// The first unusable file, and what to do.
    pub(super) fn read(agent: &Agent, before: Option<TlsClient>) -> Result<Self, String> {
        let stamps = stamps(agent);
        let token = agent.token.as_ref().map(|source| source.token()).transpose()?;
        let tls = match &agent.tls {
            Some(settings) => Some(connect_with(settings, before)?),
            None => None,
        };
        Ok(Self { token, tls, stamps })
    }

    /// Calls [`Self::read`] on a blocking thread.
    pub(super) async fn read_on_thread(
        agent: &Agent,
        before: Option<TlsClient>,
    ) -> Result<Self, String> {
        if agent.token.is_none() && agent.tls.is_none() {
            return Ok(Self::default());
        }
        let agent = agent.clone();
        blocking_read::read("the token and TLS files", move || Self::read(&agent, before)).await
    }

    /// Returns the names of the credentials that differ from `other`.
    pub(super) fn changes(&self, other: &Self) -> Vec<&'static str> {
        let mut changes = Vec::new();
        if self.token != other.token {
            changes.push("token");
        }
        let same = match (&self.tls, &other.tls) {
            (Some((one, _)), Some((two, _))) => one.has_same_files(two),
            (one, two) => one.is_none() && two.is_none(),
        };
        if !same {
            changes.push("TLS files");
        }
        changes
    }

    /// Waits until the files of `agent` contain other credentials. Writing the same contents does
    /// not count.
    pub(super) async fn changed(&mut self, agent: &Agent) {
        let mut unreadable = false;
        loop {
            sleep(POLL_INTERVAL).await;
            match self.check_files(agent).await {
                FileChange::Unchanged => unreadable = false,
                FileChange::Changed => return,
                // Wait once more: the file may be partly written.
                FileChange::Unreadable if unreadable => return,
                FileChange::Unreadable => unreadable = true,
            }
        }
    }

    /// Reads the files of `agent` again if a stamp changed.
    async fn check_files(&mut self, agent: &Agent) -> FileChange {
        let files = agent.clone();
        let now = spawn_blocking(move || stamps(&files)).await;
        if now.is_ok_and(|now| now == self.stamps) {
            return FileChange::Unchanged;
        }
        let before = self.tls.as_ref().map(|(tls, _)| tls.clone());
        match Self::read_on_thread(agent, before).await {
            Ok(read) if read.changes(self).is_empty() => {
                self.stamps = read.stamps;
                FileChange::Unchanged
            }
            Ok(_) => FileChange::Changed,
            Err(_) => FileChange::Unreadable,
        }
    }

    /// Returns the token for a connection to `address`. Fails if the token would go to another host
    /// without TLS, unless the operator allows sending it unencrypted.
    pub(super) fn token_for(
        &self,
        agent: &Agent,
        address: IpAddr,
    ) -> Result<Option<&Token>, TokenExposed> {
        let address = address.to_canonical();
        let allowed = agent.insecure || self.tls.is_some();
        match &self.token {
            Some(_) if !address.is_loopback() && !allowed => Err(TokenExposed(address)),
            token => Ok(token.as_ref()),
        }
    }
}

/// Reads the TLS files. Returns the TLS client and its connector.
fn connect_with(
    settings: &TlsSettings,
    before: Option<TlsClient>,
) -> Result<(TlsClient, TlsConnector), String> {
    let before = before.filter(|tls| tls.settings() == settings);
    let mut tls = before.unwrap_or_else(|| TlsClient::new(settings.clone()));
    let connector = tls.connector().map_err(|bad| bad.to_string())?;
    Ok((tls, connector))
}

fn stamps(agent: &Agent) -> Vec<Option<FileStamp>> {
    let token = agent.token.as_ref().and_then(|source| source.file());
    let tls = agent.tls.iter().flat_map(TlsSettings::files);
    token.into_iter().chain(tls).map(stamp).collect()
}

/// Returns the stamp of a file; `None` if it does not exist.
fn stamp(path: &Path) -> Option<FileStamp> {
    let metadata = std::fs::metadata(path).ok()?;
    #[cfg(unix)]
    let inode = std::os::unix::fs::MetadataExt::ino(&metadata);
    #[cfg(not(unix))]
    let inode = 0;
    Some(FileStamp { inode, bytes: metadata.len(), modified: metadata.modified().ok() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, TokenSource};
    use crate::identity::{Host, IdSource};

    fn agent(config: Config) -> Agent {
        let id = IdSource::Given(fleetgauge_proto::AgentId::try_new("web-1").unwrap());
        Agent::new(&Config { id, ..config }, &Host::default()).unwrap()
    }

    /// Occupies the only blocking thread until the file exists: a read on another thread would
    /// start earlier and find no file.
    #[test]
    fn files_are_read_on_a_blocking_thread() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(1)
            .build()
            .unwrap();
        runtime.block_on(async {
            let directory = tempfile::tempdir().unwrap();
            let ca = directory.path().join("ca.pem");
            let (release, released) = std::sync::mpsc::channel::<()>();
            let occupied = spawn_blocking(move || released.recv());
            let tls = TlsSettings { ca: Some(ca.clone()), ..TlsSettings::default() };
            let agent = agent(Config { tls: Some(tls), ..Config::default() });
            let write = async {
                std::fs::write(ca, "no certificate").unwrap();
                release.send(()).unwrap();
            };
            let (read, ()) = tokio::join!(Credentials::read_on_thread(&agent, None), write);
            let error = read.err().unwrap();
            assert!(error.contains("has no PEM certificate"), "{error}");
            occupied.await.unwrap().unwrap();
        });
    }

    /// Replaces the file at `path`.
    fn replace(path: &Path, text: &str) {
        let new = tempfile::NamedTempFile::new_in(path.parent().unwrap()).unwrap();
        std::fs::write(new.path(), text).unwrap();
        new.persist(path).unwrap();
    }

    #[tokio::test]
    async fn rewriting_the_same_contents_is_no_change() {
        let directory = tempfile::tempdir().unwrap();
        let [token, ca] = ["token", "ca.pem"].map(|name| directory.path().join(name));
        let [one, two] = ["collector", "other"]
            .map(|name| rcgen::generate_simple_self_signed([name.to_owned()]).unwrap().cert.pem());
        replace(&token, "hunter2hunter2hunter2-first");
        replace(&ca, &one);
        let tls = TlsSettings { ca: Some(ca.clone()), ..TlsSettings::default() };
        let token_source = Some(TokenSource::File(token.clone()));
        let agent = agent(Config { token: token_source, tls: Some(tls), ..Config::default() });
        let mut credentials = Credentials::read(&agent, None).unwrap();
        assert_eq!(credentials.check_files(&agent).await, FileChange::Unchanged);
        replace(&token, "hunter2hunter2hunter2-first");
        replace(&ca, &one);
        assert_ne!(credentials.stamps, stamps(&agent));
        assert_eq!(credentials.check_files(&agent).await, FileChange::Unchanged);
        assert_eq!(credentials.stamps, stamps(&agent), "the stamps are updated");
        replace(&ca, &two);
        assert_eq!(credentials.check_files(&agent).await, FileChange::Changed);
        replace(&ca, &one);
        replace(&token, "hunter2hunter2hunter2-second");
        assert_eq!(credentials.check_files(&agent).await, FileChange::Changed);
        replace(&token, "");
        assert_eq!(credentials.check_files(&agent).await, FileChange::Unreadable);
    }
}
