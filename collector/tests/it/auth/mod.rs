//! Authorization: agents that claim another agent's id, policy reloads, and secrets that must not
//! appear in logs.

mod agents;
mod labels;
mod readers;
mod redaction;
mod reload;
