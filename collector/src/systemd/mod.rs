//! Integration with systemd: readiness, status and watchdog ([`notify`]), and socket activation.

#[cfg(unix)]
pub(crate) mod notify;
#[cfg(not(unix))]
#[path = "notify_stub.rs"]
pub(crate) mod notify;
pub(crate) mod socket_activation;
