//! `fleetgauge-top`: the fleet of a collector in a terminal.
//!
//! | module | contents |
//! |---|---|
//! | `cli` | Command line |
//! | `client` | Requests to the collector |
//! | `api` | Its answers |
//! | `app` | What is shown, and what keys change |
//! | `view` | Draws it |
//! | `terminal` | Keys, signals and the loop of the program |

pub mod cli;

mod api;
mod app;
mod client;
mod terminal;
mod view;
