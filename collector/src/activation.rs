//! Sockets that the service manager holds and hands over (systemd's socket activation). Whoever connects while the
//! collector restarts waits in the socket's queue instead of being refused.

use std::net::TcpListener;

use crate::config::BadSetting;

/// What the sockets are called: `FileDescriptorName=` in their units.
const AGENTS: &str = "agents";
const HTTP: &str = "http";

/// The sockets that were handed over.
#[derive(Debug, Default)]
pub(crate) struct Handed {
    /// For agents; none may have been.
    pub(crate) agents: Vec<TcpListener>,
    /// For HTTP.
    pub(crate) http: Option<TcpListener>,
}

impl Handed {
    /// Takes those that the environment tells of.
    ///
    /// # Errors
    /// One is no TCP socket, or has a name that says nothing.
    #[cfg(unix)]
    pub(crate) fn take() -> Result<Self, BadSetting> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut sockets = listenfd::ListenFd::from_env();
        let mut handed = Self::default();
        for number in 0..sockets.len() {
            let name = names.split(':').nth(number).unwrap_or_default();
            let socket = sockets.take_tcp_listener(number);
            let socket = socket.map_err(|cause| bad(name, format!("cannot be used: {cause}")))?;
            match name {
                AGENTS => handed.agents.extend(socket),
                HTTP if handed.http.is_none() => handed.http = socket,
                HTTP => return Err(bad(name, "is the second of that name; hand over one")),
                _ => {
                    return Err(bad(
                        name,
                        "must be called agents or http: set FileDescriptorName=",
                    ));
                }
            }
        }
        Ok(handed)
    }

    /// Nobody hands anything over here.
    #[cfg(not(unix))]
    pub(crate) fn take() -> Result<Self, BadSetting> {
        Ok(Self::default())
    }

    /// Puts the sockets' addresses where the settings have those that would be bound.
    ///
    /// # Errors
    /// A socket has no address.
    pub(crate) fn take_the_place_of(
        &self,
        listen: &mut Option<Vec<String>>,
        http: &mut Option<String>,
    ) -> Result<(), BadSetting> {
        let address = |name, socket: &TcpListener| {
            let address = socket.local_addr().map_err(|cause| bad(name, cause.to_string()))?;
            Ok(address.to_string())
        };
        if !self.agents.is_empty() {
            let addresses = self.agents.iter().map(|socket| address(AGENTS, socket));
            *listen = Some(addresses.collect::<Result<_, _>>()?);
        }
        if let Some(socket) = &self.http {
            *http = Some(address(HTTP, socket)?);
        }
        Ok(())
    }
}

fn bad(name: &str, problem: impl std::fmt::Display) -> BadSetting {
    BadSetting::new("LISTEN_FDS", format!("the socket {name:?} that was handed over {problem}"))
}
