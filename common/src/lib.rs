//! Code that the collector and the agent share: settings, logging, secret files, the service
//! manager and the file limit. No network, no protocol.

pub mod file_limit;
pub mod log;
pub mod secret_file;
pub mod service_manager;
pub mod settings;
pub mod units;
