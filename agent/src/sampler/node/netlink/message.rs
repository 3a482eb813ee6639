//! Requests, messages and attributes of netlink as bytes, in the byte order of the host.

/// Length of a message's header, in bytes.
const HEADER_BYTES: usize = 16;
/// Length of an attribute's header, in bytes.
const ATTRIBUTE_HEADER_BYTES: usize = 4;
/// Messages and attributes start at multiples of this number of bytes.
const ALIGNMENT: usize = 4;
/// Flags of a request for a dump: `NLM_F_REQUEST` and `NLM_F_DUMP`.
pub(super) const DUMP: u16 = 0x301;
/// Flag of an answer: `NLM_F_DUMP_INTR`. The dump is not consistent, because what it lists has
/// changed meanwhile.
pub(super) const INTERRUPTED: u16 = 0x10;
/// No flags, for tests.
#[cfg(test)]
pub(super) const NO_FLAGS: u16 = 0;
/// The bits of an attribute's type that are no flags: `NLA_TYPE_MASK`.
const ATTRIBUTE_TYPE_MASK: u16 = 0x3fff;

/// Type of a message without content: `NLMSG_NOOP`.
pub(super) const NOOP: u16 = 1;
/// Type of an error: `NLMSG_ERROR`.
pub(super) const ERROR: u16 = 2;
/// Type of the last message of a dump: `NLMSG_DONE`.
pub(super) const DONE: u16 = 3;
/// Type of a message that says that data was lost: `NLMSG_OVERRUN`.
pub(super) const OVERRUN: u16 = 4;

/// A message without its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Message<'a> {
    pub(super) kind: u16,
    pub(super) flags: u16,
    /// Sequence number of the request that it answers.
    pub(super) sequence: u32,
    pub(super) payload: &'a [u8],
}

/// The messages of a datagram. An item is `None` where the bytes are no message; it is the last.
#[derive(Debug)]
pub(super) struct Messages<'a>(&'a [u8]);

impl<'a> Messages<'a> {
    pub(super) const fn new(datagram: &'a [u8]) -> Self {
        Self(datagram)
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Option<Message<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let message = self.split();
        if message.is_none() {
            self.0 = &[];
        }
        Some(message)
    }
}

impl<'a> Messages<'a> {
    fn split(&mut self) -> Option<Message<'a>> {
        let bytes = self.0;
        let len = usize::try_from(u32_at(bytes, 0)?).ok()?;
        let payload = bytes.get(HEADER_BYTES..len)?;
        let (kind, flags) = (u16_at(bytes, 4)?, u16_at(bytes, 6)?);
        let message = Message { kind, flags, sequence: u32_at(bytes, 8)?, payload };
        self.0 = after(bytes, len);
        Some(message)
    }
}

/// The attributes of a message, by type. They end at the first one that is not complete.
#[derive(Debug)]
pub(super) struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    /// Returns the attributes that follow the fixed part of a payload.
    pub(super) fn after(payload: &'a [u8], fixed_bytes: usize) -> Self {
        Self(after(payload, fixed_bytes))
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.0;
        let len = usize::from(u16_at(bytes, 0)?);
        let value = bytes.get(ATTRIBUTE_HEADER_BYTES..len)?;
        self.0 = after(bytes, len);
        Some((u16_at(bytes, 2)? & ATTRIBUTE_TYPE_MASK, value))
    }
}

/// Returns the bytes that follow an item of this length and its padding.
fn after(bytes: &[u8], len: usize) -> &[u8] {
    bytes.get(len.next_multiple_of(ALIGNMENT)..).unwrap_or_default()
}

/// Returns a message.
pub(super) fn message(kind: u16, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let len = (HEADER_BYTES + payload.len()) as u32;
    let mut bytes = Vec::with_capacity(len as usize);
    bytes.extend(len.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    // Port: the kernel.
    bytes.extend(0_u32.to_ne_bytes());
    bytes.extend(payload);
    bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
    bytes
}

/// Appends an attribute to a payload.
pub(super) fn push_attribute(payload: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let len = (ATTRIBUTE_HEADER_BYTES + value.len()) as u16;
    payload.extend(len.to_ne_bytes());
    payload.extend(kind.to_ne_bytes());
    payload.extend(value);
    payload.resize(payload.len().next_multiple_of(ALIGNMENT), 0);
}

/// Returns the number at this offset.
pub(super) fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(offset..)?.first_chunk()?))
}

/// Returns the number at this offset.
pub(super) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(offset..)?.first_chunk()?))
}

/// Returns the number at this offset.
pub(super) fn i32_at(bytes: &[u8], offset: usize) -> Option<i32> {
    Some(i32::from_ne_bytes(*bytes.get(offset..)?.first_chunk()?))
}

/// Returns the number at this offset.
pub(super) fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(*bytes.get(offset..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_a_datagram_are_split() {
        let mut datagram = message(16, NO_FLAGS, 7, b"abcde");
        datagram.extend(message(DONE, NO_FLAGS, 7, &[0; 4]));
        let messages: Vec<_> = Messages::new(&datagram).collect();
        let first = Message { kind: 16, flags: 0, sequence: 7, payload: b"abcde" };
        let second = Message { kind: DONE, flags: 0, sequence: 7, payload: &[0; 4] };
        assert_eq!(messages, [Some(first), Some(second)]);
    }

    #[test]
    fn broken_lengths_end_the_messages() {
        let whole = message(16, NO_FLAGS, 7, b"abcd");
        let mut short = whole.clone();
        short[0] = 3;
        let mut long = whole.clone();
        long[..4].copy_from_slice(&u32::MAX.to_ne_bytes());
        for bytes in [&whole[..17], &whole[..3], &short, &long] {
            assert_eq!(Messages::new(bytes).collect::<Vec<_>>(), [None]);
        }
    }

    #[test]
    fn attributes_are_split_until_one_is_broken() {
        let mut payload = vec![0; 3];
        payload.resize(4, 0);
        push_attribute(&mut payload, 3, b"eth0\0");
        push_attribute(&mut payload, 0x8000 | 4, &1500_u32.to_ne_bytes());
        payload.extend([9, 0, 1, 0, 5]);
        let attributes: Vec<_> = Attributes::after(&payload, 3).collect();
        assert_eq!(attributes, [(3, &b"eth0\0"[..]), (4, &1500_u32.to_ne_bytes()[..])]);
        assert_eq!(Attributes::after(&payload, 400).count(), 0);
        assert_eq!(Attributes::after(&[0; 64], 0).count(), 0, "a length of 0 is no loop");
    }
}
