//! The values of a report, all or only the changed ones, in a compact coding.
//!
//! Values are in the order of the agent's catalogs, tables, rows and columns. A changed value is
//! coded by its difference to the previous report, in which an absent value counts as 0. Decoding
//! does not allocate: it writes straight into the agent's cells.

use crate::codec::{BorrowDecode, Encode};
use crate::number::Coded;
use crate::violation::Violation;

/// The NaN that marks an absent value: the series has no sample now.
pub const ABSENT: f64 = f64::from_bits(0x7ff0_0000_0000_0002);
/// The canonical NaN: apart from [`ABSENT`], the only NaN allowed in a report.
const NAN: f64 = f64::from_bits(0x7ff8_0000_0000_0000);

/// Returns whether a value is [`ABSENT`].
#[must_use]
pub fn is_absent(value: f64) -> bool {
    value.to_bits() == ABSENT.to_bits()
}

/// Shape of a table in a report: the number of its rows, and the decimal places of each value of a
/// row. A column of several values repeats its decimal places.
pub type TableShape<'a> = (usize, &'a [u8]);

/// The encoded values of a report, borrowed from its payload.
///
/// ```
/// use fleetgauge_proto::report::{ABSENT, EncodedValues};
///
/// // One row of three values without decimal places.
/// let shape = || [(1, &[0, 0, 0][..])].into_iter();
/// let mut encoded = EncodedValues::default();
/// let mut row = [ABSENT; 3];
/// encoded.encode_all(&[1.0, 2.0, 3.0], shape());
/// encoded.values().decode(&mut row, shape())?;
/// assert_eq!(row, [1.0, 2.0, 3.0]);
///
/// encoded.encode_changed(&row, &[1.0, 5.0, 3.0], shape());
/// encoded.values().decode(&mut row, shape())?;
/// assert_eq!(row, [1.0, 5.0, 3.0]);
/// # Ok::<(), fleetgauge_proto::Violation>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, BorrowDecode)]
pub enum Values<'a> {
    /// Every value.
    All(
        /// The codes and then the bytes of all values, as if each were 0 before.
        &'a [u8],
    ),
    /// The values whose bits differ from those in the previous report.
    Changed {
        /// One bit for each value, lowest bit first; spare bits are zero.
        bitmap: &'a [u8],
        /// The codes and then the bytes of the values with a set bit.
        values: &'a [u8],
    },
}

impl Values<'_> {
    /// Writes the values into `cells`, which hold the values of the previous report. Cells beyond
    /// the shape have no decimal places. After an error some cells are already written.
    ///
    /// # Errors
    /// [`Violation::BadBitmap`], [`Violation::WrongValueCount`] or [`Violation::BadValue`].
    pub fn decode<'a>(
        &self,
        cells: &mut [f64],
        shape: impl Iterator<Item = TableShape<'a>>,
    ) -> Result<(), Violation> {
        let mut shape = ShapeCursor::new(shape);
        match self {
            Self::All(values) => {
                let mut values = CodedValues::try_new(values, cells.len())?;
                for (at, cell) in cells.iter_mut().enumerate() {
                    let Some(new) = values.next(0.0, shape.decimals(at)) else {
                        return Err(values.violation());
                    };
                    *cell = new;
                }
                values.finish()
            }
            Self::Changed { bitmap, values } => {
                let mut values = CodedValues::try_new(values, changed(bitmap, cells.len())?)?;
                for (at, word) in bitmap.chunks(8).enumerate() {
                    let mut bits = word_of(word);
                    while bits != 0 {
                        let at = at * 64 + bits.trailing_zeros() as usize;
                        bits &= bits - 1;
                        let cell = &mut cells[at];
                        let Some(new) = values.next(before(*cell), shape.decimals(at)) else {
                            return Err(values.violation());
                        };
                        if new.to_bits() == cell.to_bits() {
                            return Err(Violation::BadValue {
                                what: "the bitmap marks a value that has not changed",
                            });
                        }
                        *cell = new;
                    }
                }
                values.finish()
            }
        }
    }
}

impl Values<'_> {
    /// Checks that the values can be those of this many cells, before memory is allocated for them.
    ///
    /// # Errors
    /// [`Violation::BadBitmap`] or [`Violation::WrongValueCount`].
    pub fn check_count(&self, cells: usize) -> Result<(), Violation> {
        let (values, count) = match self {
            Self::All(values) => (values, cells),
            Self::Changed { bitmap, values } => (values, changed(bitmap, cells)?),
        };
        CodedValues::try_new(values, count).map(drop)
    }
}

/// Returns the value from which a cell's next value is coded.
fn before(cell: f64) -> f64 {
    if is_absent(cell) { 0.0 } else { cell }
}

/// Returns the number of set bits of a bitmap over this many values.
fn changed(bitmap: &[u8], cells: usize) -> Result<usize, Violation> {
    let spare = match (cells % 8, bitmap.last()) {
        (0, _) | (_, None) => 0,
        (used, Some(last)) => last >> used,
    };
    if bitmap.len() != cells.div_ceil(8) || spare != 0 {
        return Err(Violation::BadBitmap { values: cells });
    }
    Ok(bitmap.iter().map(|byte| byte.count_ones() as usize).sum())
}

/// Returns up to eight bytes of a bitmap as a number, lowest byte first. A loop over 64 bits ends
/// less often than one over 8, and each end is a branch that is hard to predict.
fn word_of(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// Finds the decimal places of values in ascending order.
struct ShapeCursor<'a, I> {
    tables: I,
    decimals: &'a [u8],
    row: usize,
    table_end: usize,
}

impl<'a, I: Iterator<Item = TableShape<'a>>> ShapeCursor<'a, I> {
    fn new(tables: I) -> Self {
        Self { tables, decimals: &[], row: 0, table_end: 0 }
    }

    /// Returns the decimal places of the value at `at`. Call with ascending positions.
    fn decimals(&mut self, at: usize) -> u8 {
        while at >= self.table_end {
            let Some((rows, decimals)) = self.tables.next() else { return 0 };
            self.decimals = decimals;
            self.row = self.table_end;
            self.table_end += rows * decimals.len();
        }
        while at >= self.row + self.decimals.len() {
            self.row += self.decimals.len();
        }
        self.decimals[at - self.row]
    }
}

/// Reads coded values: a code of four bits for each, low bits first, then the bytes of all.
struct CodedValues<'a> {
    codes: &'a [u8],
    high: bool,
    bytes: &'a [u8],
    /// Whether bytes of the last value are missing.
    is_short: bool,
}

impl<'a> CodedValues<'a> {
    fn try_new(values: &'a [u8], count: usize) -> Result<Self, Violation> {
        let wrong = Violation::WrongValueCount { bytes: values.len(), expected: count };
        let (codes, bytes) = values.split_at_checked(count.div_ceil(2)).ok_or(wrong)?;
        if count % 2 == 1 && codes.last().is_some_and(|last| last >> 4 != 0) {
            let what = "the high four bits of the last byte of codes are not 0";
            return Err(Violation::BadValue { what });
        }
        Ok(Self { codes, high: false, bytes, is_short: false })
    }

    /// Reads the next value; `None` if it is illegal. `old` is the cell's value in the previous
    /// report, or 0.
    #[inline]
    fn next(&mut self, old: f64, decimals: u8) -> Option<f64> {
        let code = match (self.codes, self.high) {
            ([first, ..], false) => first & 15,
            ([first, rest @ ..], true) => {
                self.codes = rest;
                first >> 4
            }
            ([], _) => 0,
        };
        self.high = !self.high;
        let bytes = self.take(Coded::len_of(code))?;
        let value = Coded { code, bytes }.value_after(old, decimals);
        value.filter(|value| {
            !value.is_nan() || is_absent(*value) || value.to_bits() == NAN.to_bits()
        })
    }

    #[inline]
    fn take(&mut self, len: usize) -> Option<u64> {
        if let Some(first) = self.bytes.first_chunk::<8>() {
            self.bytes = &self.bytes[len..];
            return Some(u64::from_le_bytes(*first) & LOW_BYTES[len]);
        }
        let Some((own, rest)) = self.bytes.split_at_checked(len) else {
            self.is_short = true;
            return None;
        };
        self.bytes = rest;
        let mut bytes = [0; 8];
        bytes[..len].copy_from_slice(own);
        Some(u64::from_le_bytes(bytes))
    }

    /// Returns why the last value was illegal.
    #[cold]
    fn violation(&self) -> Violation {
        Violation::BadValue {
            what: if self.is_short {
                "the bytes of a value are missing"
            } else {
                "a value is not in its canonical coding"
            },
        }
    }

    fn finish(self) -> Result<(), Violation> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        Err(Violation::BadValue { what: "bytes follow the last value" })
    }
}

/// Masks of the lowest bytes, by their number.
const LOW_BYTES: [u64; 9] = {
    let mut masks = [u64::MAX; 9];
    let mut len = 0;
    while len < 8 {
        masks[len] = (1 << (8 * len)) - 1;
        len += 1;
    }
    masks
};

/// Encodes the values of reports. Keep it: its buffers are used again.
#[derive(Debug, Clone, Default)]
pub struct EncodedValues {
    /// Whether only the changed values are in it.
    is_changed: bool,
    bitmap: Vec<u8>,
    /// Codes, then bytes.
    values: Vec<u8>,
    bytes: Vec<u8>,
    count: usize,
}

impl EncodedValues {
    /// Returns the encoded values.
    #[must_use]
    pub fn values(&self) -> Values<'_> {
        let values = &*self.values;
        if self.is_changed {
            Values::Changed { bitmap: &self.bitmap, values }
        } else {
            Values::All(values)
        }
    }

    /// Encodes all values.
    pub fn encode_all<'a>(&mut self, now: &[f64], shape: impl Iterator<Item = TableShape<'a>>) {
        self.begin(false);
        let mut shape = ShapeCursor::new(shape);
        for (at, value) in now.iter().enumerate() {
            self.push(0.0, canonical(*value), shape.decimals(at));
        }
        self.values.append(&mut self.bytes);
    }

    /// Encodes the values that differ from those of the previous report. `before` and `now` must
    /// have the same length. NaNs other than [`ABSENT`] count as one value.
    pub fn encode_changed<'a>(
        &mut self,
        before: &[f64],
        now: &[f64],
        shape: impl Iterator<Item = TableShape<'a>>,
    ) {
        self.begin(true);
        let mut shape = ShapeCursor::new(shape);
        self.bitmap.resize(now.len().div_ceil(8), 0);
        for (at, (old, new)) in before.iter().zip(now).enumerate() {
            let (old, new) = (canonical(*old), canonical(*new));
            if old.to_bits() != new.to_bits() {
                self.bitmap[at / 8] |= 1 << (at % 8);
                self.push(self::before(old), new, shape.decimals(at));
            }
        }
        self.values.append(&mut self.bytes);
    }

    fn begin(&mut self, is_changed: bool) {
        self.is_changed = is_changed;
        self.bitmap.clear();
        self.values.clear();
        self.count = 0;
    }

    fn push(&mut self, old: f64, new: f64, decimals: u8) {
        let Coded { code, bytes } = Coded::of(old, new, decimals);
        if self.count.is_multiple_of(2) {
            self.values.push(code);
        } else if let Some(last) = self.values.last_mut() {
            *last |= code << 4;
        }
        self.count += 1;
        self.bytes.extend_from_slice(&bytes.to_le_bytes()[..Coded::len_of(code)]);
    }
}

/// Returns the value as a report has it: there is one NaN besides [`ABSENT`].
fn canonical(value: f64) -> f64 {
    if value.is_nan() && !is_absent(value) { NAN } else { value }
}
