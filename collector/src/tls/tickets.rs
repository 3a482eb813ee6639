//! Session tickets with a short lifetime.

use std::sync::Arc;

use rustls::crypto::GetRandomFailed;
use rustls::crypto::ring::Ticketer;
use rustls::server::ProducesTickets;
use rustls::ticketer::TicketRotator;

/// Time for which a key encrypts new tickets, in seconds. For the same time again it only decrypts.
const LIFETIME: u32 = 30 * 60;

/// Creates a ticketer whose keys exist only in memory.
pub(super) fn short_lived() -> Result<Arc<dyn ProducesTickets>, rustls::Error> {
    let key = || match Ticketer::new() {
        Ok(key) => Ok(Box::new(Key(key)) as Box<dyn ProducesTickets>),
        Err(_) => Err(GetRandomFailed),
    };
    Ok(Arc::new(TicketRotator::new(LIFETIME, key)?))
}

/// A key with [`LIFETIME`] instead of the six hours of rustls.
#[derive(Debug)]
struct Key(Arc<dyn ProducesTickets>);

impl ProducesTickets for Key {
    fn enabled(&self) -> bool {
        self.0.enabled()
    }

    fn lifetime(&self) -> u32 {
        LIFETIME
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.0.encrypt(plain)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.0.decrypt(ticket)
    }
}
