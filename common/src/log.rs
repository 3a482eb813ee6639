//! Logging to standard error, as text or JSON.

use std::io::IsTerminal;

use clap::ValueEnum;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

/// The format of log lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One line of text for each event
    #[default]
    Text,
    /// One JSON object for each event
    Json,
}

/// Handle that changes the filter of a running log.
pub type FilterHandle = reload::Handle<EnvFilter, Registry>;

/// Parses a level or `target=level` directives. Rejects a bare target, which would disable all
/// others.
///
/// # Errors
/// The text is not a filter; the error describes the format.
pub fn parse_filter(text: &str) -> Result<EnvFilter, String> {
    let is_level = |one: &str| !one.is_empty() && one.trim().parse::<LevelFilter>().is_ok();
    let is_directive = |one: &str| one.contains('=') || is_level(one);
    let filter = text.split(',').all(is_directive).then(|| EnvFilter::builder().parse(text).ok());
    filter.flatten().ok_or_else(|| {
        "must be error, warn, info, debug, trace or off, or directives such as \
         info,fleetgauge_collector=debug"
            .to_owned()
    })
}

/// Starts logging to standard error. Write errors are ignored: a full disk must not stop the
/// program.
pub fn start(filter: EnvFilter, format: LogFormat) -> FilterHandle {
    let (filter, handle) = reload::Layer::new(filter);
    let events = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_target(false)
        .log_internal_errors(false);
    let events = match format {
        LogFormat::Text => events.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => events.json().flatten_event(true).boxed(),
    };
    // An embedding program may have installed a subscriber.
    let _ = tracing_subscriber::registry().with(filter).with(events).try_init();
    handle
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn level_or_directives_are_accepted() {
        for text in ["info", "off", "info,fleetgauge_agent=debug", "a::b=trace"] {
            parse_filter(text).unwrap();
        }
        for text in ["", "loud", "fleetgauge_collector", "info,loud", "=!="] {
            let problem = parse_filter(text).map(|_| ()).unwrap_err();
            assert!(problem.starts_with("must be error, warn"), "{text:?}: {problem}");
        }
    }
}
