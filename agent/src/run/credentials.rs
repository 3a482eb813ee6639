//! What a connection takes from files: the token, and the certificates and keys of TLS.

use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tokio_rustls::TlsConnector;

use super::Agent;
use super::disk;
use crate::config::Token;
use crate::tls::{Tls, TlsSettings};

/// How often the agent looks whether its files have changed, while that may mend a refusal.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// A host on the way could read the token.
#[derive(Debug, thiserror::Error)]
#[error("the token is not sent to {0} unencrypted")]
pub(super) struct Exposed(IpAddr);

/// The token and the material of TLS, as they were when they were read.
#[derive(Clone, Default)]
pub(super) struct Credentials {
    pub(super) token: Option<Token>,
    /// With the connector that uses it.
    pub(super) tls: Option<(Tls, TlsConnector)>,
    /// The files, from before they were read.
    stamps: Vec<Option<Stamp>>,
}

/// What changes when a file is written or replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    modified: Option<SystemTime>,
}

/// What a look at the files has shown.
#[derive(Debug, PartialEq, Eq)]
enum Look {
    /// They give the same credentials.
    Same,
    /// They give others.
    Changed,
    /// They were written or replaced, and one of them cannot be used.
    Unreadable,
}

impl Credentials {
    /// Reads what `agent` needs, which may take long. `before` was read last: its session tickets
    /// stay if the files of TLS are the same.
    ///
    /// # Errors
    /// The first file that will not do, and what to do about it.
    pub(super) fn read(agent: &Agent, before: Option<Tls>) -> Result<Self, String> {
        let stamps = stamps(agent);
        let token = agent.token.as_ref().map(|source| source.token()).transpose()?;
        let tls = match &agent.tls {
            Some(settings) => Some(connecting(settings, before)?),
            None => None,
        };
        Ok(Self { token, tls, stamps })
    }

    /// The same on a thread that may block.
    pub(super) async fn read_aside(agent: &Agent, before: Option<Tls>) -> Result<Self, String> {
        if agent.token.is_none() && agent.tls.is_none() {
            return Ok(Self::default());
        }
        let agent = agent.clone();
        disk::read("its token and its files of TLS", move || Self::read(&agent, before)).await
    }

    /// What is not as it is in `other`.
    pub(super) fn changes(&self, other: &Self) -> Vec<&'static str> {
        let mut changes = Vec::new();
        if self.token != other.token {
            changes.push("token");
        }
        let same = match (&self.tls, &other.tls) {
            (Some((one, _)), Some((two, _))) => one.reads_as(two),
            (one, two) => one.is_none() && two.is_none(),
        };
        if !same {
            changes.push("files of TLS");
        }
        changes
    }

    /// Waits until the files of `agent` give other credentials. A file that is only written again
    /// does not count.
    pub(super) async fn changed(&mut self, agent: &Agent) {
        let mut unreadable = false;
        loop {
            sleep(LOOK_EVERY).await;
            match self.look(agent).await {
                Look::Same => unreadable = false,
                Look::Changed => return,
                // Once: the file may be half written.
                Look::Unreadable if unreadable => return,
                Look::Unreadable => unreadable = true,
            }
        }
    }

    /// Reads the files of `agent` again if their stamps have changed.
    async fn look(&mut self, agent: &Agent) -> Look {
        let stamped = agent.clone();
        let now = spawn_blocking(move || stamps(&stamped)).await;
        if now.is_ok_and(|now| now == self.stamps) {
            return Look::Same;
        }
        let before = self.tls.as_ref().map(|(tls, _)| tls.clone());
        match Self::read_aside(agent, before).await {
            Ok(read) if read.changes(self).is_empty() => {
                self.stamps = read.stamps;
                Look::Same
            }
            Ok(_) => Look::Changed,
            Err(_) => Look::Unreadable,
        }
    }

    /// The token to send to `address`: to another host only under TLS, or if the operator allows it
    /// unencrypted.
    pub(super) fn token_for(
        &self,
        agent: &Agent,
        address: IpAddr,
    ) -> Result<Option<&Token>, Exposed> {
        let address = address.to_canonical();
        let anywhere = agent.insecure || self.tls.is_some();
        match &self.token {
            Some(_) if !address.is_loopback() && !anywhere => Err(Exposed(address)),
            token => Ok(token.as_ref()),
        }
    }
}

/// TLS that has read its files.
fn connecting(settings: &TlsSettings, before: Option<Tls>) -> Result<(Tls, TlsConnector), String> {
    let before = before.filter(|tls| tls.settings() == settings);
    let mut tls = before.unwrap_or_else(|| Tls::new(settings.clone()));
    let connector = tls.connector().map_err(|bad| bad.to_string())?;
    Ok((tls, connector))
}

fn stamps(agent: &Agent) -> Vec<Option<Stamp>> {
    let token = agent.token.as_ref().and_then(|source| source.file());
    let tls = agent.tls.iter().flat_map(TlsSettings::files);
    token.into_iter().chain(tls).map(stamp).collect()
}

/// `None` of what is not there.
fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    #[cfg(unix)]
    let inode = std::os::unix::fs::MetadataExt::ino(&metadata);
    #[cfg(not(unix))]
    let inode = 0;
    Some(Stamp { inode, bytes: metadata.len(), modified: metadata.modified().ok() })
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

    /// Holds up the only thread that may block until the file is there: a read on another thread
    /// finds none.
    #[test]
    fn files_are_not_read_on_the_agents_thread() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(1)
            .build()
            .unwrap();
        runtime.block_on(async {
            let directory = tempfile::tempdir().unwrap();
            let ca = directory.path().join("ca.pem");
            let (go_on, held_up) = std::sync::mpsc::channel::<()>();
            let holding = spawn_blocking(move || held_up.recv());
            let tls = TlsSettings { ca: Some(ca.clone()), ..TlsSettings::default() };
            let agent = agent(Config { tls: Some(tls), ..Config::default() });
            let write = async {
                std::fs::write(ca, "no certificate").unwrap();
                go_on.send(()).unwrap();
            };
            let (read, ()) = tokio::join!(Credentials::read_aside(&agent, None), write);
            let error = read.err().unwrap();
            assert!(error.contains("holds no certificate"), "{error}");
            holding.await.unwrap().unwrap();
        });
    }

    /// Puts a new file in the place of `path`.
    fn replace(path: &Path, text: &str) {
        let new = tempfile::NamedTempFile::new_in(path.parent().unwrap()).unwrap();
        std::fs::write(new.path(), text).unwrap();
        new.persist(path).unwrap();
    }

    #[tokio::test]
    async fn files_with_the_same_content_are_no_change() {
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
        assert_eq!(credentials.look(&agent).await, Look::Same);
        replace(&token, "hunter2hunter2hunter2-first");
        replace(&ca, &one);
        assert_ne!(credentials.stamps, stamps(&agent));
        assert_eq!(credentials.look(&agent).await, Look::Same);
        assert_eq!(credentials.stamps, stamps(&agent), "the files are not read at each look");
        replace(&ca, &two);
        assert_eq!(credentials.look(&agent).await, Look::Changed);
        replace(&ca, &one);
        replace(&token, "hunter2hunter2hunter2-second");
        assert_eq!(credentials.look(&agent).await, Look::Changed);
        replace(&token, "");
        assert_eq!(credentials.look(&agent).await, Look::Unreadable);
    }
}
