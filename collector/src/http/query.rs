//! Query parameters. Unknown names and invalid values are rejected, because a scrape of the wrong
//! agents would look like a scrape of the right ones.

use std::borrow::Cow;

use super::error::HttpError;
use crate::registry::FleetShard;

/// Maximum number of characters of a request that an error message quotes.
const MAX_QUOTED: usize = 40;

/// The query parameters of a request, none of them unknown or repeated.
#[derive(Debug)]
pub(super) struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    /// Parses a query string. `known` are the names of the parameters that the handler supports.
    pub(super) fn try_new(raw: Option<&'a str>, known: &[&str]) -> Result<Self, HttpError> {
        let mut pairs: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::new();
        for (name, value) in form_urlencoded::parse(raw.unwrap_or_default().as_bytes()) {
            if !known.contains(&&*name) {
                let takes = match known {
                    [] => "no parameters".to_owned(),
                    known => known.join(", "),
                };
                let name = quoted(&name);
                return Err(HttpError::bad_request(format!(
                    "unknown parameter {name}; this page takes {takes}"
                )));
            }
            if pairs.iter().any(|(other, _)| *other == name) {
                let message = format!("duplicate parameter {name}; give it once");
                return Err(HttpError::bad_request(message));
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    /// Returns the value of a parameter; `None` if it is not given.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| &**value)
    }

    /// Parses a parameter as an integer from `min` to `max`; `None` if it is not given.
    pub(super) fn number(&self, name: &str, min: u64, max: u64) -> Result<Option<u64>, HttpError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let number = text.parse().ok().filter(|number| (min..=max).contains(number));
        number.map(Some).ok_or_else(|| {
            let text = quoted(text);
            let message = format!("invalid {name}={text}; use a number from {min} to {max}");
            HttpError::bad_request(message)
        })
    }

    /// Returns the shard of the fleet that `shard` and `shards` select; the whole fleet without
    /// them.
    pub(super) fn shard(&self) -> Result<FleetShard, HttpError> {
        let shards = self.number("shards", 1, FleetShard::MAX)?;
        match (self.get("shard"), shards) {
            (None, None) => Ok(FleetShard::ALL),
            (Some(_), Some(shards)) => {
                let shard = self.number("shard", 0, shards - 1)?.unwrap_or_default();
                Ok(FleetShard::new(shard, shards))
            }
            _ => Err(HttpError::bad_request(
                "shard and shards must be given together, as in shard=0&shards=4",
            )),
        }
    }
}

/// Quotes a part of a request for an error message, shortened to [`MAX_QUOTED`] characters.
pub(super) fn quoted(text: &str) -> String {
    let mut short: String = text.chars().take(MAX_QUOTED).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("{short:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(raw: &str) -> Result<FleetShard, HttpError> {
        Query::try_new(Some(raw), &["shard", "shards"])?.shard()
    }

    #[test]
    fn shard_parameters_are_validated() {
        assert_eq!(shard(""), Ok(FleetShard::ALL));
        assert_eq!(shard("shard=0&shards=1"), Ok(FleetShard::ALL));
        assert_eq!(shard("shards=4&shard=3"), Ok(FleetShard::new(3, 4)));
        assert_eq!(shard("shard=1023&shards=1024"), Ok(FleetShard::new(1023, 1024)));
        let together = "shard and shards must be given together, as in shard=0&shards=4";
        for (raw, why) in [
            ("shard=0", together),
            ("shards=4", together),
            ("shard=4&shards=4", "invalid shard=\"4\"; use a number from 0 to 3"),
            ("shard=-1&shards=4", "invalid shard=\"-1\"; use a number from 0 to 3"),
            ("shard=&shards=4", "invalid shard=\"\"; use a number from 0 to 3"),
            ("shard=0&shards=0", "invalid shards=\"0\"; use a number from 1 to 1024"),
            ("shard=0&shards=1025", "invalid shards=\"1025\"; use a number from 1 to 1024"),
            (
                "shard=0&shards=99999999999999999999",
                "invalid shards=\"99999999999999999999\"; use a number from 1 to 1024",
            ),
            ("shard=0&shards=four", "invalid shards=\"four\"; use a number from 1 to 1024"),
            ("shard=0&shard=1&shards=4", "duplicate parameter shard; give it once"),
            ("part=1", "unknown parameter \"part\"; this page takes shard, shards"),
            ("%ff%0a", "unknown parameter \"\u{fffd}\\n\"; this page takes shard, shards"),
        ] {
            assert_eq!(shard(raw), Err(HttpError::bad_request(why)), "{raw}");
        }
    }

    #[test]
    fn errors_quote_a_limited_part_of_the_request() {
        let raw = "x".repeat(60_000);
        let Err(error) = Query::try_new(Some(&raw), &[]) else { panic!("it was accepted") };
        let why = format!("unknown parameter \"{}…\"; this page takes no parameters", &raw[..40]);
        assert_eq!(error, HttpError::bad_request(why));
    }
}
