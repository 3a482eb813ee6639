//! Tickets by which a client that was here a short while ago comes again without proving all of it anew.

use std::sync::Arc;

use rustls::crypto::GetRandomFailed;
use rustls::crypto::ring::Ticketer;
use rustls::server::ProducesTickets;
use rustls::ticketer::TicketRotator;

/// For how long a key is used for new tickets, in seconds; its tickets are good for as long again.
const LIFETIME: u32 = 30 * 60;

/// Tickets under keys that nobody else has and that are kept nowhere.
pub(super) fn short_lived() -> Result<Arc<dyn ProducesTickets>, rustls::Error> {
    let key = || match Ticketer::new() {
        Ok(key) => Ok(Box::new(Key(key)) as Box<dyn ProducesTickets>),
        Err(_) => Err(GetRandomFailed),
    };
    Ok(Arc::new(TicketRotator::new(LIFETIME, key)?))
}

/// A key for as long as it is used: rustls would use it for six hours.
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
