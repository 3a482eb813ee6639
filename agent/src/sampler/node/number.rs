//! Parses numbers of procfs and sysfs.

/// Parses a whole number that is not negative.
pub(super) fn whole(text: &str) -> Option<f64> {
    text.parse::<u64>().ok().map(|number| number as f64)
}

/// Returns the digits after a prefix, such as `12` of `csrow12`; `None` if the name is another one.
pub(super) fn numbered<'a>(name: &'a str, prefix: &str) -> Option<&'a str> {
    let digits = name.strip_prefix(prefix)?;
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(digits)
}

/// Parses a list of CPUs, such as `0-3,8`, of at most `limit` CPUs. `None` if it is not one.
pub(super) fn cpu_list(text: &str, limit: usize) -> Option<Vec<u32>> {
    let mut cpus = Vec::new();
    for range in text.trim().split(',').filter(|range| !range.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        let room = limit.saturating_sub(cpus.len());
        cpus.extend((first..=last).take(room));
    }
    Some(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_have_only_digits() {
        assert_eq!(whole("42"), Some(42.0));
        assert_eq!(whole("18446744073709551615"), Some(18_446_744_073_709_551_615.0));
        for text in ["", "-1", "1.5", "inf", "1e3", "18446744073709551616", " 1"] {
            assert_eq!(whole(text), None, "{text:?}");
        }
    }

    #[test]
    fn numbered_names_end_in_digits_only() {
        assert_eq!(numbered("csrow12", "csrow"), Some("12"));
        for name in ["csrow", "csrow1a", "csrow+1", "csrow-1", "mc1", "1"] {
            assert_eq!(numbered(name, "csrow"), None, "{name:?}");
        }
    }

    #[test]
    fn cpu_list_has_ranges_and_is_bounded() {
        assert_eq!(cpu_list("\n", 9), Some(vec![]));
        assert_eq!(cpu_list("1,3-5\n", 9), Some(vec![1, 3, 4, 5]));
        assert_eq!(cpu_list("0-4294967295,7", 3), Some(vec![0, 1, 2]));
        assert_eq!(cpu_list("5-3", 9), Some(vec![]));
        for text in ["a", "1-", "-1", "1 2"] {
            assert_eq!(cpu_list(text, 9), None, "{text:?}");
        }
    }
}
