//! A second implementation of the compact coding of values, from its description.
//!
//! It is slow and obvious: decimal text instead of float arithmetic, and decoding accepts what
//! encoding would have written.

use fleetgauge_proto::Code;
use fleetgauge_proto::report::is_absent;

use crate::owned::Values;

/// A coded value: its code and its bytes.
type Coded = (u8, Vec<u8>);

/// Returns the value that a receiver stores: every NaN except `ABSENT` becomes the canonical one.
pub(crate) fn stored(value: f64) -> f64 {
    let is_other_nan = value.is_nan() && !is_absent(value);
    if is_other_nan { f64::from_bits(0x7ff8_0000_0000_0000) } else { value }
}

/// Returns the float that is nearest to this many units.
pub(crate) fn of_units(units: i128, decimals: u8) -> f64 {
    let places = usize::from(decimals);
    let digits = format!("{:0width$}", units.unsigned_abs(), width = places + 1);
    let (whole, fraction) = digits.split_at(digits.len() - places);
    let sign = if units < 0 { "-" } else { "" };
    format!("{sign}{whole}.{fraction}").parse().expect("a number")
}

/// Returns the number of units of a whole value.
fn to_units(value: f64, decimals: u8) -> Option<i128> {
    let text = format!("{value:.*}", usize::from(decimals));
    let units: i128 = text.replace('.', "").parse().ok()?;
    let is_same = of_units(units, decimals).to_bits() == value.to_bits();
    (is_same && units.abs() < 1_125_899_906_842_624).then_some(units)
}

fn digits_of(mut number: u128) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 0 {
        bytes.push(u8::try_from(number % 256).expect("a digit to the base of 256"));
        number /= 256;
    }
    bytes
}

fn number_of(digits: &[u8]) -> u128 {
    digits.iter().rev().fold(0, |number, digit| number * 256 + u128::from(*digit))
}

fn encode_value(old: f64, new: f64, decimals: u8) -> Coded {
    let (first_code, bytes) = match (to_units(old, decimals), to_units(new, decimals)) {
        (Some(old), Some(new)) if new >= old => (0, digits_of(2 * (new - old).unsigned_abs())),
        (Some(old), Some(new)) => (0, digits_of(2 * (old - new).unsigned_abs() - 1)),
        _ => (7, digits_of(u128::from(old.to_bits() ^ new.to_bits()))),
    };
    (first_code + u8::try_from(bytes.len()).expect("at most eight bytes"), bytes)
}

fn decode_value(old: f64, (code, bytes): Coded, decimals: u8) -> Option<f64> {
    let number = number_of(&bytes);
    let new = if code > 7 {
        f64::from_bits(old.to_bits() ^ u64::try_from(number).expect("at most eight bytes"))
    } else {
        let half = i128::try_from(number / 2).expect("a small number");
        let step = if number.is_multiple_of(2) { half } else { -half - 1 };
        of_units(to_units(old, decimals)? + step, decimals)
    };
    let is_legal = stored(new).to_bits() == new.to_bits();
    (is_legal && encode_value(old, new, decimals) == (code, bytes)).then_some(new)
}

/// Returns the codes, two a byte, and then the bytes of all values.
fn join(coded: &[Coded]) -> Vec<u8> {
    let code = |of: Option<&Coded>| of.map_or(0, |(code, _)| *code);
    let pairs = coded.chunks(2).map(|pair| code(pair.first()) + 16 * code(pair.get(1)));
    pairs.chain(coded.iter().flat_map(|(_, bytes)| bytes.clone())).collect()
}

/// Undoes [`join`].
fn split(joined: &[u8], count: usize) -> Result<Vec<Coded>, Code> {
    let code_bytes = count.div_ceil(2);
    if joined.len() < code_bytes {
        return Err(Code::WrongValueCount);
    }
    let (code_bytes, mut rest) = joined.split_at(code_bytes);
    let mut codes: Vec<_> = code_bytes.iter().flat_map(|byte| [byte % 16, byte / 16]).collect();
    let mut coded = Vec::new();
    for code in codes.drain(..count) {
        let len = usize::from(if code > 7 { code - 7 } else { code });
        let (bytes, after) = rest.split_at_checked(len).ok_or(Code::BadValue)?;
        coded.push((code, bytes.to_vec()));
        rest = after;
    }
    if join(&coded) == joined { Ok(coded) } else { Err(Code::BadValue) }
}

fn before(cell: f64) -> f64 {
    if is_absent(cell) { 0.0 } else { cell }
}

/// Encodes all values.
pub(crate) fn encode_all(now: &[f64], decimals: &[u8]) -> Values {
    let values = now.iter().zip(decimals);
    let coded: Vec<_> =
        values.map(|(value, decimals)| encode_value(0.0, stored(*value), *decimals)).collect();
    Values::All(join(&coded))
}

/// Encodes the changed values.
pub(crate) fn encode_changed(old: &[f64], now: &[f64], decimals: &[u8]) -> Values {
    let mut bitmap = vec![0; now.len().div_ceil(8)];
    let mut coded = Vec::new();
    for at in 0..now.len() {
        let (old, new) = (stored(old[at]), stored(now[at]));
        if old.to_bits() != new.to_bits() {
            bitmap[at / 8] += 2u8.pow(u32::try_from(at % 8).expect("below eight"));
            coded.push(encode_value(before(old), new, decimals[at]));
        }
    }
    Values::Changed { bitmap, values: join(&coded) }
}

/// Returns the cells after a report.
pub(crate) fn decode(values: &Values, cells: &[f64], decimals: &[u8]) -> Result<Vec<f64>, Code> {
    let (places, joined, cells_before): (Vec<usize>, _, _) = match values {
        Values::All(joined) => ((0..cells.len()).collect(), joined, vec![0.0; cells.len()]),
        Values::Changed { bitmap, values } => {
            let bits = (0..bitmap.len() * 8).filter(|at| bitmap[at / 8] >> (at % 8) & 1 == 1);
            let places: Vec<_> = bits.collect();
            let is_spare = places.iter().any(|at| *at >= cells.len());
            if bitmap.len() != cells.len().div_ceil(8) || is_spare {
                return Err(Code::BadBitmap);
            }
            (places, values, cells.iter().copied().map(before).collect())
        }
    };
    let mut after = cells.to_vec();
    for (at, coded) in places.iter().zip(split(joined, places.len())?) {
        let new = decode_value(cells_before[*at], coded, decimals[*at]).ok_or(Code::BadValue)?;
        let is_unchanged = new.to_bits() == cells[*at].to_bits();
        if is_unchanged && matches!(values, Values::Changed { .. }) {
            return Err(Code::BadValue);
        }
        after[*at] = new;
    }
    Ok(after)
}

#[test]
fn the_reference_codes_some_values_as_written_by_hand() {
    use fleetgauge_proto::report::ABSENT;

    let cases: [(f64, f64, u8, u8, &[u8]); 10] = [
        (0.0, 0.0, 0, 0, &[]),
        (0.0, -1.0, 0, 1, &[1]),
        (0.0, 1.0, 0, 1, &[2]),
        (7.0, 135.0, 0, 2, &[0, 1]),
        (0.0, 0.25, 2, 1, &[50]),
        (0.3, 0.1, 1, 1, &[3]),
        (0.0, 0.5, 0, 15, &[0, 0, 0, 0, 0, 0, 0xe0, 0x3f]),
        (0.0, -0.0, 0, 15, &[0, 0, 0, 0, 0, 0, 0, 0x80]),
        (0.0, ABSENT, 0, 15, &[2, 0, 0, 0, 0, 0, 0xf0, 0x7f]),
        (f64::from_bits(0x3fe0_0000_0000_0000), f64::from_bits(0x3fe0_0000_0000_0007), 0, 8, &[7]),
    ];
    for (old, new, decimals, code, bytes) in cases {
        assert_eq!(encode_value(old, new, decimals), (code, bytes.to_vec()), "{old} to {new}");
    }
}
