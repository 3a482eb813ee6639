//! Integers of seven bits a byte, lowest first.

/// Set in every byte but the last of an integer.
const MORE: u8 = 0x80;

/// Appends an integer.
pub(super) fn push(mut number: u64, out: &mut Vec<u8>) {
    while let Some(rest) = Some(number >> 7).filter(|rest| *rest > 0) {
        out.push(number as u8 | MORE);
        number = rest;
    }
    out.push(number as u8);
}

/// Splits an integer from what follows it; `None` if `bytes` does not start with one.
pub(super) fn split(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0_u64;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        number |= u64::from(byte & !MORE) << (7 * at);
        if byte & MORE == 0 {
            return Some((number, bytes.get(at + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_survive() {
        for number in [0, 1, 127, 128, 16_383, 16_384, u64::MAX - 1, u64::MAX] {
            let mut bytes = Vec::new();
            push(number, &mut bytes);
            bytes.push(7);
            assert_eq!(split(&bytes), Some((number, &[7][..])));
        }
    }

    #[test]
    fn integer_without_an_end_is_none() {
        assert_eq!(split(&[]), None);
        assert_eq!(split(&[0x80]), None);
        assert_eq!(split(&[0x80; 20]), None);
    }
}
