//! Scanner for the protobuf messages of remote write 1.0.
//!
//! Label bytes of a series are not decoded here: a series that is known is found by them.

use std::borrow::Cow;

use crate::samples::Sample;

/// Longest encoding of a 64-bit integer: 64 bits in groups of 7.
const MAX_VARINT_BYTES: usize = 10;

/// Reason why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Undecodable(pub(crate) &'static str);

/// Value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32,
}

/// Iterator over the fields of a message.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn varint(&mut self) -> Result<u64, Undecodable> {
        let mut value = 0_u64;
        for index in 0..MAX_VARINT_BYTES {
            let (&byte, rest) = self.rest.split_first().ok_or(Undecodable("truncated integer"))?;
            self.rest = rest;
            if index + 1 == MAX_VARINT_BYTES && byte > 1 {
                return Err(Undecodable("integer above 64 bits"));
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Undecodable("integer above 64 bits"))
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], Undecodable> {
        let length = usize::try_from(length).map_err(|_| Undecodable("field beyond the end"))?;
        let (taken, rest) =
            self.rest.split_at_checked(length).ok_or(Undecodable("field beyond the end"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn field(&mut self) -> Result<(u64, Value<'a>), Undecodable> {
        let key = self.varint()?;
        let number = key >> 3;
        if number == 0 {
            return Err(Undecodable("field number 0"));
        }
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => {
                let bytes = self.take(8)?;
                let bytes = bytes.try_into().map_err(|_| Undecodable("truncated number"))?;
                Value::Fixed64(u64::from_le_bytes(bytes))
            }
            2 => {
                let length = self.varint()?;
                Value::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Value::Fixed32)?,
            _ => return Err(Undecodable("unknown wire type")),
        };
        Ok((number, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), Undecodable>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// Appends the integers of a packed field, up to a number of all.
pub(crate) fn integers(
    packed: &[u8],
    limit: usize,
    integers: &mut Vec<u64>,
) -> Result<(), Undecodable> {
    let mut fields = Fields::new(packed);
    while !fields.rest.is_empty() {
        if integers.len() >= limit {
            return Err(Undecodable("too many integers"));
        }
        integers.push(fields.varint()?);
    }
    Ok(())
}

/// Part of a `WriteRequest`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    Series(&'a [u8]),
    Metadata(&'a [u8]),
}

/// Iterates over the series and metadata of a `WriteRequest`.
pub(crate) fn request(message: &[u8]) -> impl Iterator<Item = Result<Part<'_>, Undecodable>> {
    Fields::new(message).filter_map(|field| match field {
        Ok((1, Value::Bytes(series))) => Some(Ok(Part::Series(series))),
        Ok((3, Value::Bytes(metadata))) => Some(Ok(Part::Metadata(metadata))),
        Ok((1 | 3, _)) => Some(Err(Undecodable("wrong wire type in a request"))),
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    })
}

/// Appends the samples of a `TimeSeries` and returns its label fields.
pub(crate) fn series<'a>(
    message: &'a [u8],
    samples: &mut Vec<Sample>,
) -> Result<Cow<'a, [u8]>, Undecodable> {
    let mut fields = Fields::new(message);
    let mut labels = Cow::Borrowed(&message[..0]);
    loop {
        let before = fields.rest;
        let Some(field) = fields.next() else { return Ok(labels) };
        match field? {
            (1, Value::Bytes(_)) => {
                let start = message.len() - before.len();
                let end = message.len() - fields.rest.len();
                match &mut labels {
                    Cow::Borrowed(own) if own.len() == start => {
                        *own = message.get(..end).unwrap_or_default();
                    }
                    // Labels behind samples: legal, though no sender does it.
                    other => {
                        other
                            .to_mut()
                            .extend_from_slice(message.get(start..end).unwrap_or_default());
                    }
                }
            }
            (2, Value::Bytes(message)) => samples.push(sample(message)?),
            (1 | 2, _) => return Err(Undecodable("wrong wire type in a series")),
            _ => {}
        }
    }
}

fn sample(message: &[u8]) -> Result<Sample, Undecodable> {
    let mut sample = Sample { unix_ms: 0, bits: 0 };
    for field in Fields::new(message) {
        match field? {
            (1, Value::Fixed64(bits)) => sample.bits = bits,
            (2, Value::Varint(unix_ms)) => sample.unix_ms = unix_ms.cast_signed(),
            (1 | 2, _) => return Err(Undecodable("wrong wire type in a sample")),
            _ => {}
        }
    }
    Ok(sample)
}

/// Returns name and value of a `Label`.
pub(crate) fn label(message: &[u8]) -> Result<(&str, &str), Undecodable> {
    let mut label = ("", "");
    for field in Fields::new(message) {
        match field? {
            (1, Value::Bytes(name)) => label.0 = text(name)?,
            (2, Value::Bytes(value)) => label.1 = text(value)?,
            (1 | 2, _) => return Err(Undecodable("wrong wire type in a label")),
            _ => {}
        }
    }
    Ok(label)
}

pub(crate) fn text(bytes: &[u8]) -> Result<&str, Undecodable> {
    str::from_utf8(bytes).map_err(|_| Undecodable("text is not UTF-8"))
}

#[cfg(test)]
#[path = "scan_tests.rs"]
mod tests;
