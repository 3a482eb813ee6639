//! Integration with systemd: readiness, status and watchdog ([`notify`]), and socket activation.

pub(crate) mod notify;
pub(crate) mod socket_activation;
