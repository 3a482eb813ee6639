//! The values of a report decode to those of a second implementation of the compact coding, or are
//! rejected with the same code. Values encode as they do there, and decode to themselves.

use arbitrary::{Arbitrary, Result, Unstructured};
use fleetgauge_proto::report::EncodedValues;

use crate::catalog_gen::vec_of;
use crate::owned::Values;
use crate::reference::{self, stored};
use crate::value_gen::Value;

#[derive(Debug, Arbitrary)]
struct Input {
    /// Number of rows, and decimal places of the values of a row, by table.
    #[arbitrary(with = |u: &mut Unstructured<'_>| vec_of(u, 3, table))]
    shape: Vec<(usize, Vec<u8>)>,
    /// Values before the report. The list repeats.
    before: [Value; 4],
    /// Values to encode, `None` for the one before. The list repeats.
    now: [Option<Value>; 5],
    received: Received,
}

/// Encoded values that need not be valid.
#[derive(Debug, Arbitrary)]
enum Received {
    All(Vec<u8>),
    Changed {
        bitmap: Vec<u8>,
        values: Vec<u8>,
    },
    /// The values to encode, with a byte replaced.
    Altered {
        is_all: bool,
        at: u16,
        byte: u8,
    },
    /// The values to encode, without their last bytes.
    Shortened {
        is_all: bool,
        by: u8,
    },
}

fn table(u: &mut Unstructured<'_>) -> Result<(usize, Vec<u8>)> {
    let decimals = vec_of(u, 4, |u| u.int_in_range(0..=9_u8))?;
    // A table has at least one column.
    let decimals = if decimals.is_empty() { vec![0] } else { decimals };
    Ok((u.int_in_range(0..=5)?, decimals))
}

/// The values of an agent before a report.
struct Cells {
    shape: Vec<(usize, Vec<u8>)>,
    /// Decimal places of each value.
    decimals: Vec<u8>,
    before: Vec<f64>,
}

/// Decodes the received values, and encodes others.
pub fn check(data: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let shape = input.shape.iter();
    let decimals: Vec<u8> = shape.flat_map(|(rows, decimals)| decimals.repeat(*rows)).collect();
    let before = input.before.iter().cycle().map(|value| stored(value.0));
    let before = before.take(decimals.len()).collect();
    let cells = Cells { shape: input.shape, decimals, before };
    let now = input.now.iter().cycle().zip(&cells.before);
    let now: Vec<_> = now.map(|(new, old)| new.map_or(*old, |new| new.0)).collect();
    let (all, changed) = cells.encode(&now);
    let choose = |is_all| if is_all { all.clone() } else { changed.clone() };
    cells.check_decoding(&match input.received {
        Received::All(values) => Values::All(values),
        Received::Changed { bitmap, values } => Values::Changed { bitmap, values },
        Received::Altered { is_all, at, byte } => altered(choose(is_all), at.into(), byte),
        Received::Shortened { is_all, by } => shortened(choose(is_all), by.into()),
    });
}

impl Cells {
    fn shape(&self) -> impl Iterator<Item = (usize, &[u8])> {
        self.shape.iter().map(|(rows, decimals)| (*rows, &**decimals))
    }

    /// Encodes values, all of them and only the changed ones. Checks both, and that they decode to
    /// the values.
    fn encode(&self, now: &[f64]) -> (Values, Values) {
        let mut encoded = EncodedValues::default();
        let all = reference::encode_all(now, &self.decimals);
        encoded.encode_all(now, self.shape());
        assert_eq!(encoded.values(), all.borrowed(), "all of {now:?}");
        let changed = reference::encode_changed(&self.before, now, &self.decimals);
        encoded.encode_changed(&self.before, now, self.shape());
        assert_eq!(encoded.values(), changed.borrowed(), "{now:?} after {:?}", self.before);
        let expected: Vec<_> = now.iter().map(|value| stored(*value).to_bits()).collect();
        for values in [&all, &changed] {
            assert_eq!(self.check_decoding(values), Some(expected.clone()), "{now:?}");
        }
        (all, changed)
    }

    /// Decodes values as the second implementation does. Returns their bits; `None` if they are
    /// rejected.
    fn check_decoding(&self, values: &Values) -> Option<Vec<u64>> {
        let bits = |cells: Vec<f64>| cells.into_iter().map(f64::to_bits).collect::<Vec<_>>();
        let mut cells = self.before.clone();
        let decoded = values.borrowed().decode(&mut cells, self.shape());
        let decoded = decoded.map(|()| bits(cells)).map_err(|violation| violation.code());
        let expected = reference::decode(values, &self.before, &self.decimals).map(bits);
        assert_eq!(decoded, expected, "{values:?} after {:?}", self.before);
        decoded.ok()
    }
}

fn altered(mut values: Values, at: usize, byte: u8) -> Values {
    let bytes = match &mut values {
        Values::All(values) => vec![values],
        Values::Changed { bitmap, values } => vec![bitmap, values],
    };
    let mut bytes: Vec<_> = bytes.into_iter().flatten().collect();
    if let Some(at) = at.checked_rem(bytes.len()) {
        *bytes[at] = byte;
    }
    values
}

fn shortened(mut values: Values, by: usize) -> Values {
    let (Values::All(bytes) | Values::Changed { values: bytes, .. }) = &mut values;
    bytes.truncate(bytes.len().saturating_sub(by));
    values
}
