//! Query parameters. Unknown names and invalid values are refused: a scrape of the wrong thing
//! would look like a scrape.

use std::borrow::Cow;

use super::error::HttpError;
use crate::registry::FleetShard;

/// Maximum characters of a request that an error quotes.
const SHOWN: usize = 40;

/// The parameters of a request, each known and given once.
#[derive(Debug)]
pub(super) struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    /// Parses the query of a handler that knows these parameters.
    pub(super) fn try_new(raw: Option<&'a str>, known: &[&str]) -> Result<Self, HttpError> {
        let mut pairs: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::new();
        for (name, value) in form_urlencoded::parse(raw.unwrap_or_default().as_bytes()) {
            if !known.contains(&&*name) {
                let takes = match known {
                    [] => "no parameters".to_owned(),
                    known => known.join(", "),
                };
                let name = shown(&name);
                return Err(HttpError::bad_request(format!(
                    "{name} is no parameter of this page: it takes {takes}"
                )));
            }
            if pairs.iter().any(|(other, _)| *other == name) {
                return Err(HttpError::bad_request(format!("{name} is given twice: give it once")));
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    /// Returns a parameter.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| &**value)
    }

    /// Parses a parameter as an integer in this range.
    pub(super) fn number(
        &self,
        name: &str,
        least: u64,
        most: u64,
    ) -> Result<Option<u64>, HttpError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let number = text.parse().ok().filter(|number| (least..=most).contains(number));
        number.map(Some).ok_or_else(|| {
            let text = shown(text);
            HttpError::bad_request(format!("{name}={text} is not a number from {least} to {most}"))
        })
    }

    /// Returns the shard of the fleet in `shard` and `shards`; the whole fleet without them.
    pub(super) fn shard(&self) -> Result<FleetShard, HttpError> {
        let shards = self.number("shards", 1, FleetShard::MAX)?;
        match (self.get("shard"), shards) {
            (None, None) => Ok(FleetShard::ALL),
            (Some(_), Some(shards)) => {
                let shard = self.number("shard", 0, shards - 1)?.unwrap_or_default();
                Ok(FleetShard::new(shard, shards))
            }
            _ => Err(HttpError::bad_request(
                "shard and shards go together: shard=0&shards=4 is the first of four parts",
            )),
        }
    }
}

/// Quotes a part of a request.
pub(super) fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(SHOWN).collect();
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
    fn a_shard_is_one_of_its_number() {
        assert_eq!(shard(""), Ok(FleetShard::ALL));
        assert_eq!(shard("shard=0&shards=1"), Ok(FleetShard::ALL));
        assert_eq!(shard("shards=4&shard=3"), Ok(FleetShard::new(3, 4)));
        assert_eq!(shard("shard=1023&shards=1024"), Ok(FleetShard::new(1023, 1024)));
        let together = "shard and shards go together: shard=0&shards=4 is the first of four parts";
        for (raw, why) in [
            ("shard=0", together),
            ("shards=4", together),
            ("shard=4&shards=4", "shard=\"4\" is not a number from 0 to 3"),
            ("shard=-1&shards=4", "shard=\"-1\" is not a number from 0 to 3"),
            ("shard=&shards=4", "shard=\"\" is not a number from 0 to 3"),
            ("shard=0&shards=0", "shards=\"0\" is not a number from 1 to 1024"),
            ("shard=0&shards=1025", "shards=\"1025\" is not a number from 1 to 1024"),
            (
                "shard=0&shards=99999999999999999999",
                "shards=\"99999999999999999999\" is not a number from 1 to 1024",
            ),
            ("shard=0&shards=four", "shards=\"four\" is not a number from 1 to 1024"),
            ("shard=0&shard=1&shards=4", "shard is given twice: give it once"),
            ("part=1", "\"part\" is no parameter of this page: it takes shard, shards"),
            ("%ff%0a", "\"\u{fffd}\\n\" is no parameter of this page: it takes shard, shards"),
        ] {
            assert_eq!(shard(raw), Err(HttpError::bad_request(why)), "{raw}");
        }
    }

    #[test]
    fn what_is_shown_back_is_short() {
        let raw = "x".repeat(60_000);
        let Err(error) = Query::try_new(Some(&raw), &[]) else { panic!("it was taken") };
        let why =
            format!("\"{}…\" is no parameter of this page: it takes no parameters", &raw[..40]);
        assert_eq!(error, HttpError::bad_request(why));
    }
}
