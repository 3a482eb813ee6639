//! Code that the collector and the agent share: settings, logging, secret files, the service
//! manager, the file limit, and a client of HTTP servers. Nothing of the agents' protocol.

pub mod endpoint;
pub mod file_limit;
pub mod http_client;
pub mod log;
pub mod secret_file;
pub mod service_manager;
pub mod settings;
pub mod text;
pub mod tls_client;
pub mod units;
