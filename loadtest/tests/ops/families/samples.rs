//! The families and samples of a page, in a form that does not depend on their order.

use std::collections::BTreeMap;

use fleetgauge_page::{Format, Item, Reader, unescape};

/// Labels by name.
pub(crate) type Labels = BTreeMap<String, String>;
/// Values by sample name and labels. All NaNs have the same bits.
pub(crate) type Samples = BTreeMap<(String, Labels), u64>;

/// A family that has samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Family {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) help: String,
    pub(crate) samples: Samples,
}

/// Parses a page. Families without samples are left out.
pub(crate) fn read(page: &str, format: Format) -> Vec<Family> {
    let mut families: Vec<Family> = Vec::new();
    let mut take = |read: Result<Item<'_>, _>| match read.unwrap() {
        Item::Family(family) => families.push(Family {
            name: family.name.clone(),
            kind: family.kind.to_owned(),
            help: family.help.clone().unwrap_or_default(),
            samples: Samples::new(),
        }),
        Item::Sample(sample) => {
            let own = |(name, value): (&str, &str)| (name.to_owned(), plain(name, value));
            // A label with an empty value is no label.
            let labels = sample.labels.iter().map(own).filter(|(_, value)| !value.is_empty());
            let key = (sample.name.to_owned(), labels.collect());
            let samples = &mut families.last_mut().unwrap().samples;
            assert_eq!(samples.insert(key, bits(sample.value)), None, "{sample:?} twice");
        }
    };
    let mut reader = Reader::new(format);
    reader.push(page.as_bytes(), &mut take);
    reader.finish(&mut take);
    families.retain(|family| !family.samples.is_empty());
    families
}

/// Returns a label value without escapes. Bounds and quantiles have one form in all formats.
fn plain(name: &str, value: &str) -> String {
    match name {
        "le" | "quantile" => canonical(value),
        _ => unescape(value, true).unwrap(),
    }
}

/// Returns a bound or quantile in the form that both formats and Prometheus agree on.
pub(crate) fn canonical(bound: &str) -> String {
    bound.parse::<f64>().unwrap().to_string()
}

/// Returns the bits of a value.
pub(crate) fn bits(value: f64) -> u64 {
    if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() }
}

/// Returns the families with the samples of one agent, without its label.
pub(crate) fn of_agent(families: &[Family], agent: &str) -> Vec<Family> {
    let mut families = families.to_vec();
    for family in &mut families {
        let samples = std::mem::take(&mut family.samples).into_iter();
        let own = samples.filter_map(|((name, mut labels), value)| {
            let is_own = labels.remove("agent").is_some_and(|id| id == agent);
            is_own.then_some(((name, labels), value))
        });
        family.samples = own.collect();
    }
    families.retain(|family| !family.samples.is_empty());
    families
}

/// Returns the samples of all families.
pub(crate) fn all(families: &[Family]) -> Samples {
    families.iter().flat_map(|family| family.samples.clone()).collect()
}

/// Fails with the first differences if the samples are not the same. There can be thousands.
pub(crate) fn assert_same(found: &Samples, expected: &Samples, what: &str) {
    let beyond = |all: &Samples, other: &Samples| {
        let missing = all.iter().filter(|(key, value)| other.get(*key) != Some(*value));
        missing
            .map(|((name, labels), value)| format!("{name}{labels:?} {value:x}"))
            .take(10)
            .collect::<Vec<_>>()
    };
    let (lost, foreign) = (beyond(expected, found), beyond(found, expected));
    assert!(
        lost.is_empty() && foreign.is_empty(),
        "{what}: {} samples instead of {}; lost {lost:#?}, foreign {foreign:#?}",
        found.len(),
        expected.len()
    );
}
