//! The collector's own families on a page that shows agents' families of the same names, such as
//! `process_open_fds`.
//!
//! All samples of a family must be together, under one TYPE. The registry suppresses an agent's
//! family that has the name of an own one and another kind.

use std::collections::HashMap;

use super::Format;
use super::openmetrics;

/// The collector's own families that are not on the page yet.
#[derive(Debug, Default)]
pub(crate) struct OwnFamilies<'a> {
    /// Lines of each family; `None` if it was taken.
    families: Vec<Option<&'a str>>,
    /// Index of each family by its name in the metadata.
    by_name: HashMap<&'a str, usize>,
    /// End mark of the page; can be empty.
    end: &'a str,
}

impl<'a> OwnFamilies<'a> {
    /// Splits a page of own metrics into its families. Each begins with its metadata.
    pub(crate) fn parse(page: &'a str) -> Self {
        let end = openmetrics::end(Format::OpenMetrics);
        let (page, end) =
            page.strip_suffix(end).map_or((page, ""), |rest| (rest, &page[rest.len()..]));
        let mut own = Self { end, ..Self::default() };
        let (mut begin, mut at) = (0, 0);
        let mut current = None;
        for line in page.split_inclusive('\n') {
            let name = name_of(line);
            if name.is_some() && name != current {
                own.push(current, &page[begin..at]);
                (begin, current) = (at, name);
            }
            at += line.len();
        }
        own.push(current, &page[begin..]);
        own
    }

    fn push(&mut self, name: Option<&'a str>, lines: &'a str) {
        if let Some(name) = name {
            self.by_name.insert(name, self.families.len());
        }
        self.families.push(Some(lines));
    }

    /// Removes the family whose name is in this metadata, and returns its lines.
    pub(super) fn take_like(&mut self, head: &str) -> Option<&'a str> {
        let at = self.by_name.get(name_of(head)?)?;
        self.families.get_mut(*at)?.take()
    }

    /// Returns the lines of the remaining families, and the end of the page.
    pub(crate) fn remaining(&self) -> String {
        self.families.iter().flatten().copied().chain([self.end]).collect()
    }
}

/// Returns the name of the family whose metadata begins the text.
fn name_of(text: &str) -> Option<&str> {
    let metadata = text.strip_prefix("# ")?;
    let (_, from_name) = metadata.split_once(' ')?;
    from_name.split_once(' ').map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# HELP a_bytes Some.\n# TYPE a_bytes counter\n# UNIT a_bytes bytes\n\
                        a_bytes_total 1\n# TYPE b gauge\nb{x=\"1\"} 2\nb{x=\"# c\"} 3\n\
                        # HELP c Last.\n# TYPE c gauge\nc 4\n";

    #[test]
    fn families_are_taken_by_name_and_the_others_keep_their_order() {
        for end in ["", "# EOF\n"] {
            let page = format!("{PAGE}{end}");
            let mut own = OwnFamilies::parse(&page);
            assert_eq!(own.remaining(), page);
            assert_eq!(own.take_like("# TYPE a_bytes_total unknown\n"), None);
            let taken = own.take_like("# TYPE b gauge\n# HELP b Another.\n");
            assert_eq!(taken, Some("# TYPE b gauge\nb{x=\"1\"} 2\nb{x=\"# c\"} 3\n"));
            assert_eq!(own.take_like("# TYPE b gauge\n"), None, "taken before");
            assert_eq!(own.remaining(), page.replace(taken.unwrap(), ""));
        }
        assert_eq!(OwnFamilies::parse("").remaining(), "");
        assert_eq!(OwnFamilies::parse("# EOF\n").remaining(), "# EOF\n");
    }
}
