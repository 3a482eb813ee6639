//! Where the values of a file's lines go.

/// Maximum number of lines. `/proc/vmstat` has 200. Further lines are skipped.
const MAX_LINES: usize = 2_000;

/// Where the value of a line goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// Nowhere.
    Skip,
    /// The column with this index.
    Column(usize),
    /// A found family with this name.
    Found(Box<str>),
}

/// The targets of a file's named lines. The lines of a file are the same in each reading, so that
/// each target is found once and then only its name compared. All names are in one text: names all
/// over the memory would be slow to compare, because caches lose them between two readings.
#[derive(Debug, Default)]
pub(super) struct LineTargets {
    /// The names, one after the other.
    names: String,
    lines: Vec<LineTarget>,
}

#[derive(Debug)]
struct LineTarget {
    /// Where its name ends.
    end: usize,
    target: Target,
}

impl LineTargets {
    /// Returns the target of the line with this index and name. `find` is called if the line was
    /// another one before. Lines are asked for in their order.
    pub(super) fn get(
        &mut self,
        index: usize,
        name: &str,
        find: impl FnOnce(&str) -> Target,
    ) -> &Target {
        if index >= MAX_LINES {
            return &Target::Skip;
        }
        let Self { names, lines } = self;
        let before = index.checked_sub(1).map(|before| lines.get(before));
        let start = before.map_or(0, |line| line.map_or(names.len(), |line| line.end));
        let known = lines.get(index).and_then(|line| names.get(start..line.end));
        if known != Some(name) {
            // A new line moves all that follow: they are found again as they are asked for.
            lines.truncate(index);
            names.truncate(start);
            lines.resize_with(index, || LineTarget { end: start, target: Target::Skip });
            names.push_str(name);
            lines.push(LineTarget { end: names.len(), target: find(name) });
        }
        &lines[index].target
    }
}

/// Returns the name of a found family: `prefix`, `name` and `suffix`. `None` if no family can have
/// this name.
pub(super) fn family_name(prefix: &str, name: &str, suffix: &str) -> Option<Box<str>> {
    let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let valid = !name.is_empty() && name.bytes().all(is_valid);
    valid.then(|| format!("{prefix}{name}{suffix}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_is_found_again_if_the_line_has_another_name() {
        let mut targets = LineTargets::default();
        let column = |column| move |_: &str| Target::Column(column);
        assert_eq!(*targets.get(1, "b", column(1)), Target::Column(1));
        assert_eq!(*targets.get(1, "b", column(2)), Target::Column(1));
        assert_eq!(*targets.get(2, "bc", column(3)), Target::Column(3));
        assert_eq!(*targets.get(1, "c", column(3)), Target::Column(3));
        assert_eq!(*targets.get(2, "bc", column(5)), Target::Column(5));
        assert_eq!(*targets.get(0, "a", column(4)), Target::Column(4));
        assert_eq!(*targets.get(MAX_LINES, "x", column(5)), Target::Skip);
    }

    #[test]
    fn family_name_is_valid() {
        assert_eq!(family_name("node_", "a_1", "_x").as_deref(), Some("node_a_1_x"));
        for name in ["", "a b", "a\"", "ä", "a\u{fffd}"] {
            assert_eq!(family_name("node_", name, ""), None, "{name:?}");
        }
    }
}
