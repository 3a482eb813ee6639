//! The collector from outside: agents over real sockets, pages over HTTP, and the command as a
//! process.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod api;
mod auth;
mod bounds;
mod command;
mod conflicts;
mod discovery;
mod drain;
mod faults;
mod hostile;
mod log;
mod model;
mod other_language;
mod pages;
mod presence;
mod proxied;
mod reconnect;
mod remote_write;
mod roster;
mod scrapes;
mod session;
mod settings;
mod supervised;
mod support;
mod tls;
#[cfg(unix)]
mod token;
mod transcripts;
mod watchers;
mod web;
