//! Ids, labels, catalog and values of simulated agents. Every value encodes its agent, report and
//! position, so a page shows where each value came from.
//!
//! ```text
//!     bit 52        33 32                3 2         0
//!         | agent (20) | sequence (30)    | position (3) |
//! ```
//!
//! A float represents integers of 53 bits exactly.

use fleetgauge_agent::catalogs::Catalogs;
use fleetgauge_page::Labels;
use fleetgauge_proto::catalog::FamilyKind;
use fleetgauge_proto::message::{Catalog, Column, Family, Label, Table};
use fleetgauge_proto::{StaticLabels, Violation};

/// The gauges of every simulated agent, in the order of its reports. The first three have the names
/// of real ones, so that the collector's pages for people compare and draw them, whatever the
/// values mean.
pub const NAMES: [&str; 6] = [
    "host_cpu_usage_ratio",
    "host_filesystem_usage_ratio",
    "host_memory_usage_ratio",
    "sim_value_3",
    "sim_value_4",
    "sim_value_5",
];
/// Maximum number of simulated agents: names have six digits, and the number fits 20 bits.
pub const MAX_AGENTS: u32 = 1_000_000;
/// Name of the label whose value is the agent's id.
pub const AGENT: &str = "agent";
/// Static labels of simulated agents, each with its number of values. An agent's value is the agent
/// number modulo the number of values. These numbers are primes, so neighbours differ in every
/// label.
pub const LABELS: [(&str, u32); 4] = [("rack", 997), ("zone", 7), ("room", 101), ("site", 13)];
/// Default number of static labels.
pub const DEFAULT_LABELS: u8 = 2;

const NAME_PREFIX: &str = "sim-";
const NAME_DIGITS: usize = 6;
const POSITION_BITS: u32 = 3;
const SEQUENCE_BITS: u32 = 30;
const AGENT_BITS: u32 = 20;
/// Maximum sequence number: enough for 34 years at one report per second.
pub const MAX_SEQUENCE: u64 = (1 << SEQUENCE_BITS) - 1;

/// The origin that a value encodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValueOrigin {
    /// Number of the agent, below [`MAX_AGENTS`].
    pub agent: u32,
    /// Sequence number of the report, at most [`MAX_SEQUENCE`].
    pub sequence: u64,
    /// Position in the report, below 8.
    pub position: usize,
}

impl ValueOrigin {
    /// The encoded value.
    #[must_use]
    pub fn to_f64(self) -> f64 {
        let sequence = self.sequence & MAX_SEQUENCE;
        let bits = (u64::from(self.agent) << SEQUENCE_BITS | sequence) << POSITION_BITS;
        (bits | self.position as u64) as f64
    }

    /// Decodes a value; `None` if no simulated agent sends it.
    #[must_use]
    pub fn from_f64(value: f64) -> Option<Self> {
        let max = (1_u64 << (POSITION_BITS + SEQUENCE_BITS + AGENT_BITS)) as f64;
        if !(0.0..max).contains(&value) || value.fract() != 0.0 {
            return None;
        }
        let bits = value as u64;
        Some(Self {
            agent: (bits >> (POSITION_BITS + SEQUENCE_BITS)) as u32,
            sequence: (bits >> POSITION_BITS) & MAX_SEQUENCE,
            position: (bits & ((1 << POSITION_BITS) - 1)) as usize,
        })
    }
}

/// Id of a simulated agent.
#[must_use]
pub fn agent_name(agent: u32) -> String {
    format!("{NAME_PREFIX}{agent:0NAME_DIGITS$}")
}

/// Number of the agent with this id; `None` if it is not a simulated agent.
#[must_use]
pub fn agent_number(name: &str) -> Option<u32> {
    let digits = name.strip_prefix(NAME_PREFIX)?;
    let ours = digits.len() == NAME_DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
    if ours { digits.parse().ok() } else { None }
}

/// Position in a report of the gauge with this name; `None` if there is no such gauge.
#[must_use]
pub fn position_of(name: &str) -> Option<usize> {
    NAMES.iter().position(|own| *own == name)
}

/// The first `count` static labels of an agent.
///
/// # Errors
/// Only if a label above is invalid.
pub fn static_labels(agent: u32, count: u8) -> Result<StaticLabels, Violation> {
    let given = LABELS.iter().take(count.into());
    let given: Vec<_> = given.map(|(name, values)| (*name, (agent % values).to_string())).collect();
    let labels: Vec<_> = given.iter().map(|(name, value)| Label { name, value }).collect();
    StaticLabels::try_new(&labels)
}

/// Index of a static label in [`LABELS`]; `None` if it is another label.
#[must_use]
pub fn label_index(name: &str) -> Option<usize> {
    // Called for every label of a page. Comparisons with constants need no call.
    let [first, second, third, fourth] = LABELS.map(|(own, _)| own);
    [name == first, name == second, name == third, name == fourth].into_iter().position(|is| is)
}

/// Whether a series has exactly the first `count` static labels of an agent.
#[must_use]
pub fn has_labels(shown: Labels<'_>, agent: u32, count: u8) -> bool {
    let mut found = 0;
    let mut given = shown.iter().filter(|(name, _)| *name != AGENT);
    let is_own = given.all(|(name, value)| {
        found += 1;
        let label = label_index(name).filter(|index| *index < usize::from(count));
        label.is_some_and(|index| is_number(value, agent % LABELS[index].1))
    });
    is_own && found == count
}

/// Whether the text is this number in canonical form.
#[must_use]
pub fn is_number(text: &str, number: u32) -> bool {
    let is_usual = text == "0" || text.starts_with(|c| matches!(c, '1'..='9'));
    is_usual && text.parse() == Ok(number)
}

/// The catalogs that all simulated agents share: one, with one table without row labels.
///
/// # Errors
/// Only if a name above is invalid.
pub fn catalogs() -> Result<Catalogs, Violation> {
    let families = NAMES.map(|name| Family {
        name,
        kind: FamilyKind::Gauge as u8,
        unit: "",
        help: "Simulated value: encodes its agent, report and position.",
    });
    let columns = (0..).take(NAMES.len()).map(|family| Column {
        family,
        width: 1,
        decimals: 0,
        parameters: Vec::new(),
        labels: Vec::new(),
    });
    let table = Table { row_labels: Vec::new(), columns: columns.collect() };
    Catalogs::try_new(vec![Catalog {
        stream: 0,
        slot: 0,
        families: families.to_vec(),
        tables: vec![table],
    }])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_round_trip_through_text() {
        for agent in [0, 1, 14_999, MAX_AGENTS - 1] {
            for sequence in [0, 1, 77, (1 << SEQUENCE_BITS) - 1] {
                for position in 0..NAMES.len() {
                    let origin = ValueOrigin { agent, sequence, position };
                    let text = origin.to_f64().to_string();
                    assert_eq!(ValueOrigin::from_f64(text.parse().unwrap()), Some(origin));
                }
            }
        }
    }

    #[test]
    fn foreign_values_do_not_decode() {
        for value in [-1.0, 0.5, 9_007_199_254_740_992.0, f64::NAN, f64::INFINITY] {
            assert_eq!(ValueOrigin::from_f64(value), None, "{value}");
        }
    }

    #[test]
    fn ids_are_numbered() {
        assert_eq!(agent_name(42), "sim-000042");
        assert_eq!(agent_number("sim-000042"), Some(42));
        for name in ["sim-42", "sim-0000042", "sim-00004x", "sim-+00042", "web-000042", ""] {
            assert_eq!(agent_number(name), None, "{name}");
        }
    }

    #[test]
    fn only_the_labels_of_the_agent_match() {
        let one = fleetgauge_page::Format::Text;
        let has = |labels: &str, agent, count| {
            let page = format!("# TYPE a gauge\na{{{labels}}} 1\n");
            let (mut reader, mut has) = (fleetgauge_page::Reader::new(one), Vec::new());
            reader.push(page.as_bytes(), |read| {
                if let fleetgauge_page::Item::Sample(sample) = read.unwrap() {
                    has.push(has_labels(sample.labels, agent, count));
                }
            });
            has == [true]
        };
        let given = static_labels(1_000, 2).unwrap();
        assert_eq!(given.iter().collect::<Vec<_>>(), [("rack", "3"), ("zone", "6")]);
        assert!(has("agent=\"a\",rack=\"3\",zone=\"6\"", 1_000, 2));
        assert!(has("zone=\"6\",rack=\"3\"", 1_000, 2));
        assert!(has("agent=\"a\"", 1_000, 0));
        for wrong in ["rack=\"3\"", "rack=\"3\",zone=\"5\"", "rack=\"03\",zone=\"6\""] {
            assert!(!has(wrong, 1_000, 2), "{wrong}");
        }
        assert!(!has("rack=\"3\",zone=\"6\"", 1_000, 1));
        assert!(!has("rack=\"3\",zone=\"6\",room=\"91\"", 1_000, 2));
    }

    #[test]
    fn catalog_has_one_table_without_row_labels() {
        let catalogs = catalogs().unwrap();
        let tables: Vec<_> =
            catalogs.tables().iter().map(|table| (table.row_labels(), table.width())).collect();
        assert_eq!(tables, [(0, NAMES.len())]);
    }
}
