//! Which lines of a page differ from those that a browser has.
//!
//! Templates write what changes alone, such as a row of a table, as a line of its own. So an event
//! has the few lines that changed, and the collector needs no parser of HTML.

use std::hash::{BuildHasher, RandomState};

use serde::Serialize;

/// The lines of a page's content that a browser has, as hashes. Their key is random, so that no
/// agent can make up a text that looks unchanged.
#[derive(Debug, Default)]
pub(crate) struct ShownLines {
    key: RandomState,
    hashes: Vec<u64>,
}

/// What a browser changes in its copy of the lines.
#[derive(Debug, Serialize)]
struct Change<'a> {
    /// Number of lines afterwards.
    lines: usize,
    /// Index and text of each line that differs.
    set: Vec<(usize, &'a str)>,
}

impl ShownLines {
    /// Records that the browser gets this content. Returns the change as JSON on one line; `None`
    /// if nothing differs.
    pub(crate) fn update(&mut self, content: &str) -> Option<String> {
        let lines = content.split('\n').count();
        let mut is_changed = self.hashes.len() != lines;
        // A line that did not exist differs from every text, also from the one with hash 0.
        let known = self.hashes.len();
        self.hashes.resize(lines, 0);
        let mut set = Vec::new();
        for (index, (own, line)) in self.hashes.iter_mut().zip(content.split('\n')).enumerate() {
            let hash = self.key.hash_one(line);
            if index >= known || *own != hash {
                *own = hash;
                is_changed = true;
                set.push((index, line));
            }
        }
        is_changed.then(|| serde_json::to_string(&Change { lines, set }).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_change_has_every_line_and_later_ones_those_that_differ() {
        let mut shown = ShownLines::default();
        let first = shown.update("a\n<b>\"2\"</b>\nc").unwrap();
        assert_eq!(first, r#"{"lines":3,"set":[[0,"a"],[1,"<b>\"2\"</b>"],[2,"c"]]}"#);
        assert_eq!(shown.update("a\n<b>\"2\"</b>\nc"), None);
        assert_eq!(shown.update("a\nx\nc").as_deref(), Some(r#"{"lines":3,"set":[[1,"x"]]}"#));
    }

    #[test]
    fn lines_can_be_added_and_removed_at_the_end() {
        let mut shown = ShownLines::default();
        shown.update("a\nb\nc").unwrap();
        assert_eq!(shown.update("a").as_deref(), Some(r#"{"lines":1,"set":[]}"#));
        assert_eq!(shown.update("a\nb").as_deref(), Some(r#"{"lines":2,"set":[[1,"b"]]}"#));
        assert_eq!(shown.update("").as_deref(), Some(r#"{"lines":1,"set":[[0,""]]}"#));
    }

    /// An event of the stream ends at an empty line.
    #[test]
    fn change_with_line_breaks_in_texts_is_one_line() {
        let change = ShownLines::default().update("a\r\n\u{2028}\n").unwrap();
        assert!(!change.contains(['\n', '\r']), "{change:?}");
    }
}
