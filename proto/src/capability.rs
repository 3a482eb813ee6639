//! Capability bits of Hello and Welcome.

/// The collector acknowledges reports.
pub const ACKNOWLEDGEMENTS: u64 = 1 << 0;
/// The agent keeps a log and sends reports again on request. Needs [`ACKNOWLEDGEMENTS`].
pub const REPLAY: u64 = 1 << 1;
/// Both bits of an agent that keeps a log.
pub const LOG: u64 = ACKNOWLEDGEMENTS | REPLAY;
