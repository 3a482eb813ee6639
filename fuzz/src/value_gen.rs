//! Generates values of reports, special ones among them.

use arbitrary::{Arbitrary, Result, Unstructured};
use fleetgauge_proto::report::ABSENT;

use crate::reference::of_units;

/// Values at the borders of the compact coding and of the text formats.
const SPECIAL: [f64; 17] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.1,
    0.3,
    127.0,
    128.0,
    1e9,
    1_125_899_906_842_623.0,
    1_125_899_906_842_624.0,
    9_007_199_254_740_993.0,
    1e300,
    ABSENT,
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
];

/// A generated value, sometimes one of [`SPECIAL`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Value(pub(crate) f64);

impl<'a> Arbitrary<'a> for Value {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let special: u8 = u.arbitrary()?;
        Ok(Self(match (SPECIAL.get(usize::from(special)), special) {
            (Some(value), _) => *value,
            (None, ..100) => of_units(u.arbitrary::<i64>()?.into(), special % 10),
            (None, ..180) => u.arbitrary::<i16>()?.into(),
            (None, _) => u.arbitrary()?,
        }))
    }
}
