//! systemd socket activation. systemd owns the listening sockets, so clients that connect during a
//! restart wait in the backlog and are not refused.

use std::net::TcpListener;

use fleetgauge_common::settings::SettingError;

use crate::config::Flags;

/// Names of the sockets, as in `FileDescriptorName=` of their units.
const AGENTS: &str = "agents";
const HTTP: &str = "http";

/// The activated sockets.
#[derive(Debug, Default)]
pub(crate) struct ActivatedSockets {
    /// Listening sockets for agents; can be empty.
    pub(crate) agents: Vec<TcpListener>,
    /// Listening socket for HTTP; `None` if systemd passed none.
    pub(crate) http: Option<TcpListener>,
}

impl ActivatedSockets {
    /// Takes the sockets that the environment names.
    ///
    /// # Errors
    /// A socket is not TCP or has an unknown name.
    #[cfg(unix)]
    pub(crate) fn from_env() -> Result<Self, SettingError> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut sockets = listenfd::ListenFd::from_env();
        let mut activated = Self::default();
        for index in 0..sockets.len() {
            let name = names.split(':').nth(index).unwrap_or_default();
            let socket = sockets.take_tcp_listener(index);
            let socket = socket.map_err(|cause| bad(name, format!("cannot be used: {cause}")))?;
            match name {
                AGENTS => activated.agents.extend(socket),
                HTTP if activated.http.is_none() => activated.http = socket,
                HTTP => {
                    return Err(bad(name, "is a duplicate; pass only one socket with this name"));
                }
                _ => {
                    return Err(bad(
                        name,
                        "has an unknown name; set FileDescriptorName= to agents or http",
                    ));
                }
            }
        }
        Ok(activated)
    }

    /// Returns no sockets: this system has no socket activation.
    #[cfg(not(unix))]
    pub(crate) fn from_env() -> Result<Self, SettingError> {
        Ok(Self::default())
    }

    /// Replaces the configured addresses with those of the sockets.
    ///
    /// # Errors
    /// A socket has no address.
    pub(crate) fn replace_addresses(&self, flags: &mut Flags) -> Result<(), SettingError> {
        let address = |name, socket: &TcpListener| {
            let address = socket.local_addr().map_err(|cause| bad(name, cause.to_string()))?;
            Ok(address.to_string())
        };
        if !self.agents.is_empty() {
            let addresses = self.agents.iter().map(|socket| address(AGENTS, socket));
            flags.0.set_sockets("listen", addresses.collect::<Result<_, _>>()?);
        }
        if let Some(socket) = &self.http {
            flags.0.set_sockets("http_listen", vec![address(HTTP, socket)?]);
        }
        Ok(())
    }
}

fn bad(name: &str, problem: impl std::fmt::Display) -> SettingError {
    SettingError::new("LISTEN_FDS", format!("socket {name:?} {problem}"))
}
