//! The parts of a running collector: listeners, background tasks, reload, graceful shutdown.

pub(crate) mod accept;
mod listeners;
pub(crate) mod reload;
pub(crate) mod roster_saver;
pub(crate) mod roster_ticker;
pub(crate) mod runtime;
pub(crate) mod shutdown;
pub(crate) mod ticker;

pub use listeners::{BindError, Listeners};
