//! Parsers of flag values: quantities as people write them, and addresses that may be loaded.

use std::net::SocketAddr;
use std::time::Duration;

use crate::sim_values::{LABELS, MAX_AGENTS};

/// Maximum collectors of a run: each takes two processes.
const MAX_COLLECTORS: usize = 1_000;

/// Number of simulated agents.
///
/// # Errors
/// The allowed range.
pub fn agents(text: &str) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number| (1..=MAX_AGENTS).contains(number));
    number.ok_or_else(|| format!("{text:?} is not a number of agents from 1 to {MAX_AGENTS}"))
}

/// Number of static labels of each agent.
///
/// # Errors
/// The allowed range.
pub fn labels(text: &str) -> Result<u8, String> {
    let most = LABELS.len();
    let number = text.parse().ok().filter(|number| usize::from(*number) <= most);
    number.ok_or_else(|| format!("{text:?} is not a number of labels from 0 to {most}"))
}

/// Number of collectors.
///
/// # Errors
/// The allowed range.
pub fn collectors(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=MAX_COLLECTORS).contains(number));
    number
        .ok_or_else(|| format!("{text:?} is not a number of collectors from 1 to {MAX_COLLECTORS}"))
}

/// Duration: `500ms`, `15s`, `2m`.
///
/// # Errors
/// The expected format.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let parsed = number.parse().ok().and_then(|number: u64| match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        _ => None,
    });
    parsed.ok_or_else(|| format!("{text:?} is not a duration such as 500ms, 15s or 2m"))
}

/// Report interval that the protocol allows.
///
/// # Errors
/// The allowed range.
pub fn interval(text: &str) -> Result<Duration, String> {
    let legal = Duration::from_secs(1)..=Duration::from_secs(300);
    match duration(text)? {
        interval if legal.contains(&interval) => Ok(interval),
        _ => Err(format!("{text:?} is not within 1s to 5m")),
    }
}

/// Length of a test or of a phase.
///
/// # Errors
/// The allowed range.
pub fn run_time(text: &str) -> Result<Duration, String> {
    let legal = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
    match duration(text)? {
        duration if legal.contains(&duration) => Ok(duration),
        _ => Err(format!("{text:?} is not within 1s to 1440m")),
    }
}

/// Rate per second: `2000` or `2000/s`.
///
/// # Errors
/// The allowed range.
pub fn ramp(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix("/s").unwrap_or(text).parse().ok();
    number
        .filter(|rate| (1.0..=1e6).contains(rate))
        .ok_or_else(|| format!("{text:?} is not a rate from 1/s to 1000000/s"))
}

/// Factor: `2` or `2.5`.
///
/// # Errors
/// The allowed range.
pub fn times(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|times| (1.0..=1e6).contains(times));
    number.ok_or_else(|| format!("{text:?} is not a number from 1 to 1000000"))
}

/// Percent of the agents per second: `1`, `1%` or `1%/s`.
///
/// # Errors
/// The allowed range.
pub fn churn(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    let number = number.strip_suffix('%').unwrap_or(number).parse().ok();
    number
        .filter(|percent| (0.0..=100.0).contains(percent))
        .ok_or_else(|| format!("{text:?} is not a share from 0%/s to 100%/s"))
}

/// Percent: `1` or `1%`.
///
/// # Errors
/// The allowed range.
pub fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).parse().ok();
    number
        .filter(|percent| (0.0..=50.0).contains(percent))
        .ok_or_else(|| format!("{text:?} is not a share from 0% to 50%"))
}

/// Loopback address to connect to: a load test must not reach other machines.
///
/// # Errors
/// The expected format, or that the address is not loopback.
pub fn loopback(text: &str) -> Result<SocketAddr, String> {
    match own_loopback(text)? {
        address if address.port() == 0 => Err("port 0 is no port to connect to".to_owned()),
        address => Ok(address),
    }
}

/// Loopback address to listen on; port 0 takes a free port.
///
/// # Errors
/// The expected format, or that the address is not loopback.
pub fn own_loopback(text: &str) -> Result<SocketAddr, String> {
    match text.parse::<SocketAddr>() {
        Err(_) => Err(format!("{text:?} is not IP:PORT, such as 127.0.0.1:45678")),
        Ok(address) if !address.ip().is_loopback() => Err(format!(
            "{address} is not a loopback address: only 127.0.0.1 or [::1] may be loaded; run the \
             load test on the collector's own machine"
        )),
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
        assert_eq!(ramp("2000/s"), Ok(2000.0));
        assert_eq!(ramp("2000"), Ok(2000.0));
        assert_eq!(churn("0.5%/s"), Ok(0.5));
        assert_eq!(churn("1"), Ok(1.0));
        assert_eq!(loopback("127.0.0.2:7"), Ok(SocketAddr::from(([127, 0, 0, 2], 7))));
        assert!(loopback("[::1]:7").is_ok());
    }

    #[test]
    fn invalid_quantities_are_refused() {
        for text in ["", "15", "1h", "-1s", "1.5s"] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert!(interval("500ms").is_err());
        assert!(interval("6m").is_err());
        assert!(run_time("0s").is_err());
        for text in ["0", "-1/s", "NaN", "inf", "1e9"] {
            assert!(ramp(text).is_err(), "{text}");
        }
        for text in ["-1%", "101%", "NaN", "%"] {
            assert!(churn(text).is_err(), "{text}");
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
