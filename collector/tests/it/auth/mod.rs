//! Authorization: agents that claim an id of another, policies that change, secrets that must not
//! be logged.

mod agents;
mod labels;
mod readers;
mod redaction;
mod reload;
