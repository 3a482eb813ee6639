//! Properties of the coding of values, and comparison with [`crate::reference`].

use fleetgauge_proto::report::{ABSENT, EncodedValues, Values as Borrowed};
use fleetgauge_proto::{Code, Violation};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::context::Cells;
use crate::owned::Values;
use crate::reference::{self, of_units, stored};

/// A number of units that is small, near the largest one, or anything between.
fn units() -> impl Strategy<Value = i128> {
    const MAX: i128 = 1 << 50;
    prop_oneof![-300..300i128, MAX - 3..MAX + 3, -MAX - 3..3 - MAX, -MAX..MAX]
}

/// Floats with any bits, special ones, and those that are whole or almost whole.
fn float() -> impl Strategy<Value = f64> {
    let special = select(vec![
        ABSENT,
        f64::NAN,
        f64::from_bits(0x7ff0_0000_0000_0001),
        f64::from_bits(0xfff0_0000_0000_0002),
        f64::from_bits(u64::MAX),
        0.0,
        -0.0,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::MAX,
        f64::MIN_POSITIVE,
        f64::from_bits(1),
        9_223_372_036_854_775_808.0,
        -9_223_372_036_854_775_808.0,
    ]);
    let whole = || (units(), 0..=9u8).prop_map(|(units, decimals)| of_units(units, decimals));
    let almost = (whole(), -3..=3i64)
        .prop_map(|(whole, ulps)| f64::from_bits(whole.to_bits().wrapping_add_signed(ulps)));
    prop_oneof![2 => special, 4 => whole(), 2 => almost, 2 => any::<u64>().prop_map(f64::from_bits)]
}

/// A value of the previous report and the value now, equal or close more often than by chance.
fn pair() -> impl Strategy<Value = (f64, f64)> {
    let near = (units(), -200..200i128, 0..=9u8).prop_map(|(units, step, decimals)| {
        (of_units(units, decimals), of_units(units + step, decimals))
    });
    prop_oneof![float().prop_map(|float| (float, float)), (float(), float()), near,]
}

/// The cells before a report, and their values now.
fn cells() -> impl Strategy<Value = (Cells, Vec<f64>)> {
    let decimals = prop_oneof![3 => vec(0..=9u8, 0..5), 1 => vec(0..=3u8, 5..20)];
    vec((0..5usize, decimals), 0..5).prop_flat_map(|shape| {
        let count = shape.iter().map(|(rows, decimals)| rows * decimals.len()).sum::<usize>();
        vec(pair(), count).prop_map(move |pairs| {
            let (values, now) = pairs.into_iter().unzip();
            (Cells { shape: shape.clone(), values }, now)
        })
    })
}

/// Coded values whose codes fit their bytes: often almost legal.
fn joined() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![2 => 0..4u8, 1 => any::<u8>()];
    let coded = prop_oneof![4 => 0..3u8, 1 => 0..16u8].prop_flat_map(move |code| {
        let len = usize::from(if code > 7 { code - 7 } else { code });
        (Just(code), vec(byte.clone(), len))
    });
    (vec(coded, 0..12), vec(any::<u8>(), 0..2)).prop_map(|(coded, rest)| {
        let codes = coded.chunks(2).map(|pair| pair[0].0 | pair.get(1).map_or(0, |two| two.0 << 4));
        let bytes = coded.iter().flat_map(|(_, bytes)| bytes.clone());
        codes.chain(bytes).chain(rest).collect()
    })
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn all_stored(values: &[f64]) -> Vec<f64> {
    values.iter().copied().map(stored).collect()
}

fn owned(values: Borrowed<'_>) -> Values {
    match values {
        Borrowed::All(values) => Values::All(values.to_vec()),
        Borrowed::Changed { bitmap, values } => {
            Values::Changed { bitmap: bitmap.to_vec(), values: values.to_vec() }
        }
    }
}

/// Encodes in the form of `like`.
fn encode_like(like: &Values, cells: &Cells, now: &[f64]) -> Values {
    let mut encoded = EncodedValues::default();
    match like {
        Values::All(_) => encoded.encode_all(now, cells.shape()),
        Values::Changed { .. } => encoded.encode_changed(&cells.values, now, cells.shape()),
    }
    owned(encoded.values())
}

fn decode(values: &Values, cells: &Cells) -> Result<Vec<f64>, Violation> {
    let mut now = cells.values.clone();
    values.borrowed().decode(&mut now, cells.shape())?;
    Ok(now)
}

/// Checks that both implementations decode to the same, and that accepted values are canonical.
fn compare(values: &Values, cells: &Cells) -> Result<(), TestCaseError> {
    let ours = decode(values, cells);
    let theirs = reference::decode(values, &cells.values, &cells.decimals());
    let ours_bits = ours.as_deref().map(bits).map_err(Violation::code);
    prop_assert_eq!(&ours_bits, &theirs.as_deref().map(bits).map_err(|code| *code));
    if let Ok(now) = ours {
        prop_assert_eq!(&encode_like(values, cells, &now), values);
    }
    Ok(())
}

proptest! {
    #[test]
    fn both_implementations_write_the_same_values((cells, now) in cells()) {
        let decimals = cells.decimals();
        let all = reference::encode_all(&now, &decimals);
        prop_assert_eq!(encode_like(&all, &cells, &now), all);
        let changed = reference::encode_changed(&cells.values, &now, &decimals);
        prop_assert_eq!(encode_like(&changed, &cells, &now), changed);
    }

    #[test]
    fn decoding_restores_the_values((mut cells, now) in cells()) {
        let all = encode_like(&Values::All(vec![]), &cells, &now);
        prop_assert_eq!(bits(&decode(&all, &cells).unwrap()), bits(&all_stored(&now)));
        compare(&all, &cells)?;
        // The sender may still have NaNs that the receiver does not store.
        let changed = reference::encode_changed(&cells.values, &now, &cells.decimals());
        let sent = encode_like(&changed, &cells, &now);
        cells.values = all_stored(&cells.values);
        prop_assert_eq!(bits(&decode(&sent, &cells).unwrap()), bits(&all_stored(&now)));
        compare(&sent, &cells)?;
    }

    #[test]
    fn any_bytes_are_values_or_a_named_error(
        (mut cells, _) in cells(),
        joined in joined(),
        bytes in vec(any::<u8>(), 0..40),
        bitmap in vec(any::<u8>(), 0..4),
    ) {
        cells.values = all_stored(&cells.values);
        for values in [joined, bytes] {
            compare(&Values::All(values.clone()), &cells)?;
            compare(&Values::Changed { bitmap: bitmap.clone(), values }, &cells)?;
        }
    }

    #[test]
    fn values_that_fit_the_shape_are_accepted_only_in_their_canonical_form(
        joined in joined(),
        decimals in 0..=9u8,
        olds in vec(float(), 12),
    ) {
        // Try every number of values that the codes can mean.
        for count in 0..=12 {
            let shape = vec![(count, vec![decimals])];
            let cells = Cells { shape, values: all_stored(&olds[..count]) };
            compare(&Values::All(joined.clone()), &cells)?;
            let mut bitmap = vec![0xff; count / 8];
            bitmap.extend((count % 8 > 0).then(|| (1 << (count % 8)) - 1));
            compare(&Values::Changed { bitmap, values: joined.clone() }, &cells)?;
        }
    }

    #[test]
    fn an_xor_is_accepted_only_if_a_value_is_not_whole(
        (old, new) in pair(),
        decimals in 0..=9u8,
    ) {
        let cells = Cells { shape: vec![(1, vec![decimals])], values: vec![stored(old)] };
        let xor = (cells.values[0].to_bits() ^ new.to_bits()).to_le_bytes();
        let len = xor.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        if len == 0 {
            return Ok(());
        }
        let code = 7 + u8::try_from(len).expect("at most eight");
        let values = [&[code], &xor[..len]].concat();
        compare(&Values::Changed { bitmap: vec![1], values }, &cells)?;
    }

    #[test]
    fn mutated_values_are_values_or_a_named_error(
        (mut cells, now) in cells(),
        at in any::<Index>(),
        byte in any::<u8>(),
        is_all in any::<bool>(),
        mutation in 0..3,
    ) {
        cells.values = all_stored(&cells.values);
        let form = if is_all { Values::All(vec![]) } else {
            Values::Changed { bitmap: vec![], values: vec![] }
        };
        let mut values = encode_like(&form, &cells, &now);
        let (Values::All(bytes) | Values::Changed { values: bytes, .. }) = &mut values;
        match mutation {
            0 => bytes.insert(at.index(bytes.len() + 1), byte),
            _ if bytes.is_empty() => {}
            1 => drop(bytes.remove(at.index(bytes.len()))),
            _ => {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        }
        compare(&values, &cells)?;
    }
}

#[test]
fn a_nan_of_other_bits_is_not_a_change() {
    let (old, now) = (f64::from_bits(0x7ff8_0000_0000_1234), f64::from_bits(0xfff8_0000_0000_0001));
    let mut encoded = EncodedValues::default();
    encoded.encode_changed(&[old], &[now], [(1, &[0][..])].into_iter());
    assert_eq!(encoded.values(), Borrowed::Changed { bitmap: &[0], values: &[] });
}

#[test]
fn a_value_after_a_nan_of_other_bits_is_coded_as_after_the_canonical_nan() {
    let shape = || [(1, &[0][..])].into_iter();
    let mut encoded = EncodedValues::default();
    encoded.encode_changed(&[f64::from_bits(0x7ff8_0000_0000_1234)], &[1.5], shape());
    let mut cells = [f64::from_bits(0x7ff8_0000_0000_0000)];
    encoded.values().decode(&mut cells, shape()).expect("legal");
    assert_eq!(cells[0].to_bits(), 1.5f64.to_bits());
}

#[test]
fn a_set_bit_of_an_unchanged_value_is_rejected() {
    let shape = || [(1, &[0][..])].into_iter();
    // A step of 0 units, and an absent value that is absent again.
    let absent = [0x0f, 2, 0, 0, 0, 0, 0, 0xf0, 0x7f];
    for (cell, values) in [(7.0, &[0][..]), (ABSENT, &absent)] {
        let values = Borrowed::Changed { bitmap: &[1], values };
        let refused = values.decode(&mut [cell], shape()).expect_err("unchanged");
        assert_eq!(refused.code(), Code::BadValue);
    }
}

#[test]
fn zero_after_an_absent_value_is_a_change() {
    let shape = || [(1, &[0][..])].into_iter();
    let mut cells = [ABSENT];
    Borrowed::Changed { bitmap: &[1], values: &[0] }.decode(&mut cells, shape()).expect("legal");
    assert_eq!(cells[0].to_bits(), 0.0f64.to_bits());
}
