//! Requirements of non-loopback listeners: authentication, and TLS to protect the credentials.

use std::net::SocketAddr;

use fleetgauge_common::settings::SettingError;

/// How a port is protected, or that the operator waives protection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Guard {
    /// Whether clients must authenticate.
    pub(super) authenticated: bool,
    /// Whether the port uses TLS.
    pub(super) encrypted: bool,
    /// Whether the operator has waived authentication and TLS with `--insecure`.
    pub(super) insecure: bool,
}

/// Checks that an address of the agent port is loopback, protected, or allowed by `--insecure`.
pub(super) fn agents(address: SocketAddr, guard: Guard) -> Result<(), SettingError> {
    let without = Without {
        tls: "--tls-certificate",
        risk: "report as any agent",
        remedy: "--credentials or --tls-client-ca",
    };
    exposed("listen", address, guard, &without)
}

/// Checks that an address of the HTTP port is loopback, protected, or allowed by `--insecure`.
pub(super) fn http(address: SocketAddr, guard: Guard) -> Result<(), SettingError> {
    let without = Without {
        tls: "--http-tls-certificate",
        risk: "read every metric",
        remedy: "--http-credentials or --http-tls-client-ca",
    };
    exposed("http_listen", address, guard, &without)
}

/// Parts of the error messages for an unprotected port.
struct Without {
    /// What any host could do without authentication.
    risk: &'static str,
    /// Flags that enable authentication.
    remedy: &'static str,
    /// Flag that enables TLS.
    tls: &'static str,
}

fn exposed(
    setting: &str,
    address: SocketAddr,
    guard: Guard,
    without: &Without,
) -> Result<(), SettingError> {
    if address.ip().is_loopback() || guard.insecure {
        return Ok(());
    }
    let Without { risk, remedy, tls } = without;
    let problem = match guard {
        Guard { authenticated: false, .. } => format!(
            "{address} is not a loopback address and has no authentication: any host could \
             {risk}; set {remedy}"
        ),
        Guard { encrypted: false, .. } => format!(
            "{address} is not a loopback address and has no TLS: credentials could be read on the \
             wire; set {tls}"
        ),
        _ => return Ok(()),
    };
    let problem = format!("{problem}, use 127.0.0.1 or [::1], or allow it with --insecure");
    Err(SettingError::new(setting, problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn non_loopback_address_needs_authentication_and_tls_or_insecure() {
        for (authenticated, encrypted, insecure, refused_for) in [
            (false, false, false, Some("authentication")),
            (false, true, false, Some("authentication")),
            (true, false, false, Some("TLS")),
            (true, true, false, None),
            (false, false, true, None),
            (true, false, true, None),
        ] {
            let guard = Guard { authenticated, encrypted, insecure };
            for exposed in ["0.0.0.0:1", "[::]:1", "192.0.2.1:1", "[2001:db8::1]:1"] {
                let exposed = exposed.parse().unwrap();
                for bad in [agents(exposed, guard).err(), http(exposed, guard).err()] {
                    match (bad, refused_for) {
                        (None, None) => {}
                        (Some(bad), Some(why)) => {
                            assert!(
                                bad.problem().contains(why) && bad.problem().contains("--insecure"),
                                "{bad}"
                            );
                        }
                        (bad, _) => panic!("{guard:?}: {bad:?}"),
                    }
                }
            }
            for loopback in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1"] {
                let loopback = loopback.parse().unwrap();
                assert!(agents(loopback, guard).is_ok() && http(loopback, guard).is_ok());
            }
        }
    }
}
