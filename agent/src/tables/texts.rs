//! Many short texts in one buffer.

/// Texts one after the other.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Texts {
    bytes: String,
    ends: Vec<usize>,
}

impl Texts {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    pub(super) fn push(&mut self, text: &str) {
        self.bytes.push_str(text);
        self.ends.push(self.bytes.len());
    }

    /// Replaces the texts by the first `count` ones of `other`.
    pub(super) fn assign_start(&mut self, other: &Self, count: usize) {
        self.clear();
        let ends = other.ends.get(..count).unwrap_or(&other.ends);
        let bytes = ends.last().and_then(|end| other.bytes.get(..*end));
        self.bytes.push_str(bytes.unwrap_or_default());
        self.ends.extend_from_slice(ends);
    }

    /// Iterates over the texts.
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let text = &self.bytes[start..*end];
            start = *end;
            text
        })
    }
}

impl Clone for Texts {
    fn clone(&self) -> Self {
        Self { bytes: self.bytes.clone(), ends: self.ends.clone() }
    }

    /// Reuses the buffers.
    fn clone_from(&mut self, source: &Self) {
        self.bytes.clone_from(&source.bytes);
        self.ends.clone_from(&source.ends);
    }
}
