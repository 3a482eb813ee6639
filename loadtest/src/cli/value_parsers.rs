//! Parsers of flag values: quantities with units, and loopback addresses.

use std::net::SocketAddr;
use std::time::Duration;

pub(super) use fleetgauge_common::units::parse_duration as duration;

use crate::sim_values::{LABELS, MAX_AGENTS};

/// Maximum collectors of a run. Each needs two processes.
const MAX_COLLECTORS: usize = 1_000;

/// Parses the number of simulated agents.
///
/// # Errors
/// If the text is not a number in the allowed range.
pub fn agents(text: &str) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number| (1..=MAX_AGENTS).contains(number));
    number.ok_or_else(|| format!("must be a number of agents from 1 to {MAX_AGENTS}"))
}

/// Parses the number of static labels per agent.
///
/// # Errors
/// If the text is not a number in the allowed range.
pub fn labels(text: &str) -> Result<u8, String> {
    let max = LABELS.len();
    let number = text.parse().ok().filter(|number| usize::from(*number) <= max);
    number.ok_or_else(|| format!("must be a number of labels from 0 to {max}"))
}

/// Parses the number of collectors.
///
/// # Errors
/// If the text is not a number in the allowed range.
pub fn collectors(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=MAX_COLLECTORS).contains(number));
    number.ok_or_else(|| format!("must be a number of collectors from 1 to {MAX_COLLECTORS}"))
}

/// Parses a report interval that the protocol allows.
///
/// # Errors
/// If the text is not a duration in the allowed range.
pub fn interval(text: &str) -> Result<Duration, String> {
    let allowed = Duration::from_secs(1)..=Duration::from_secs(300);
    let interval = duration(text)?;
    allowed.contains(&interval).then_some(interval).ok_or_else(|| "must be 1s to 5m".to_owned())
}

/// Parses the length of a test or of a phase.
///
/// # Errors
/// If the text is not a duration in the allowed range.
pub fn run_time(text: &str) -> Result<Duration, String> {
    let allowed = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
    let length = duration(text)?;
    allowed.contains(&length).then_some(length).ok_or_else(|| "must be 1s to 24h".to_owned())
}

/// Parses a rate per second: `2000/s` or `2000`.
///
/// # Errors
/// If the text is not a rate in the allowed range.
pub fn ramp(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix("/s").unwrap_or(text).parse().ok();
    let allowed = number.filter(|rate| (1.0..=1e6).contains(rate));
    allowed.ok_or_else(|| "must be a rate from 1/s to 1000000/s".to_owned())
}

/// Parses a share of the agents per second: `1%/s`, `1%` or `1`.
///
/// # Errors
/// If the text is not a share in the allowed range.
pub fn churn(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    let number = number.strip_suffix('%').unwrap_or(number).parse().ok();
    let allowed = number.filter(|percent| (0.0..=100.0).contains(percent));
    allowed.ok_or_else(|| "must be a percentage per second from 0%/s to 100%/s".to_owned())
}

/// Parses a percentage of the rows per second: `1%/s` or `1%`.
///
/// # Errors
/// If the text is not a share in the allowed range.
pub fn row_churn(text: &str) -> Result<f64, String> {
    // A number alone could be a share or a percentage.
    let percent = text.strip_suffix("/s").unwrap_or(text).strip_suffix('%');
    let number = percent.and_then(|percent| percent.parse().ok());
    let allowed = number.filter(|percent| (0.0..=100.0).contains(percent));
    allowed.ok_or_else(|| "must be 0%/s to 100%/s, such as 0.5%/s".to_owned())
}

/// Parses a share: `1%` or `1`.
///
/// # Errors
/// If the text is not a share in the allowed range.
pub fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).parse().ok();
    let allowed = number.filter(|percent| (0.0..=50.0).contains(percent));
    allowed.ok_or_else(|| "must be a percentage from 0% to 50%".to_owned())
}

/// Parses a loopback address to connect to: a load test must not reach other machines.
///
/// # Errors
/// If the text is not a loopback address with a port.
pub fn loopback(text: &str) -> Result<SocketAddr, String> {
    match own_loopback(text)? {
        address if address.port() == 0 => {
            Err("port 0 cannot be connected to; give the port that the collector listens on"
                .to_owned())
        }
        address => Ok(address),
    }
}

/// Parses a loopback address to listen on. Port 0 selects a free port.
///
/// # Errors
/// If the text is not a loopback address with a port.
pub fn own_loopback(text: &str) -> Result<SocketAddr, String> {
    match text.parse::<SocketAddr>() {
        Err(_) => Err("must be IP:PORT, such as 127.0.0.1:45678".to_owned()),
        Ok(address) if !address.ip().is_loopback() => Err("not a loopback address: use \
             127.0.0.1 or [::1], and run the load test on the collector's own machine"
            .to_owned()),
        Ok(address) => Ok(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_quantities_are_parsed() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(interval("15s"), Ok(Duration::from_secs(15)));
        assert_eq!(run_time("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(run_time("24h"), Ok(Duration::from_secs(24 * 3600)));
        assert_eq!(ramp("2000/s"), Ok(2000.0));
        assert_eq!(ramp("2000"), Ok(2000.0));
        assert_eq!(churn("0.5%/s"), Ok(0.5));
        assert_eq!(churn("1"), Ok(1.0));
        assert_eq!([row_churn("0.5%/s"), row_churn("1%")], [Ok(0.5), Ok(1.0)]);
        assert_eq!(loopback("127.0.0.2:7"), Ok(SocketAddr::from(([127, 0, 0, 2], 7))));
        assert!(loopback("[::1]:7").is_ok());
    }

    #[test]
    fn invalid_quantities_are_refused() {
        assert!(interval("15").is_err());
        assert!(interval("500ms").is_err());
        assert!(interval("6m").is_err());
        assert!(run_time("0s").is_err());
        assert!(run_time("25h").is_err());
        for text in ["0", "-1/s", "NaN", "inf", "1e9"] {
            assert!(ramp(text).is_err(), "{text}");
        }
        for text in ["-1%", "101%", "NaN", "%"] {
            assert!(churn(text).is_err() && row_churn(text).is_err(), "{text}");
        }
        for text in ["0.01", "1/s"] {
            assert!(row_churn(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_loopback_addresses_are_accepted() {
        for text in
            ["192.0.2.1:45678", "0.0.0.0:45678", "[2001:db8::1]:1", "localhost:1", "127.0.0.1:0"]
        {
            assert!(loopback(text).is_err(), "{text}");
        }
    }
}
