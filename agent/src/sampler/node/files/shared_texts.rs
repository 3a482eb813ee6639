//! Texts of files that several sources read in the same round.
//!
//! The kernel makes the text of such a file anew for each reading. `/proc/stat` of a host with many
//! CPUs and interrupts takes longer than most sources.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Maximum age of a text. A round takes a few milliseconds.
const MAX_AGE: Duration = Duration::from_millis(50);
/// Maximum number of texts of a thread.
const MAX_TEXTS: usize = 8;

thread_local! {
    /// Texts that this thread has read; `None` if it does not share them.
    static TEXTS: RefCell<Option<Vec<Text>>> = const { RefCell::new(None) };
}

struct Text {
    path: PathBuf,
    read: Instant,
    text: String,
}

/// Shares texts from now on among the sources that this thread reads.
pub(in crate::sampler) fn share_texts() {
    TEXTS.with_borrow_mut(|texts| {
        texts.get_or_insert_default();
    });
}

/// Replaces `text` by that of a file if a source has just read it. Returns whether it has.
pub(super) fn take_recent(path: &Path, text: &mut String, now: Instant) -> bool {
    TEXTS.with_borrow(|texts| {
        let is_recent = |recent: &&Text| {
            recent.path == path && now.saturating_duration_since(recent.read) <= MAX_AGE
        };
        let Some(recent) = texts.iter().flatten().find(is_recent) else { return false };
        text.clone_from(&recent.text);
        true
    })
}

/// Keeps the text of a file for other sources.
pub(super) fn keep(path: &Path, text: &str, now: Instant) {
    TEXTS.with_borrow_mut(|texts| {
        let Some(texts) = texts else { return };
        if let Some(kept) = texts.iter_mut().find(|kept| kept.path == path) {
            kept.read = now;
            text.clone_into(&mut kept.text);
        } else if texts.len() < MAX_TEXTS {
            texts.push(Text { path: path.to_owned(), read: now, text: text.to_owned() });
        }
    });
}

#[cfg(test)]
mod tests {
    use super::super::KeptFile;
    use super::*;
    use crate::sampler::node::testing::Fixture;

    #[test]
    fn sources_of_a_thread_share_a_text_for_a_moment() {
        let now = Instant::now();
        let path = Path::new("/proc/stat");
        let taken = |path: &str, now| {
            let mut text = "before".to_owned();
            take_recent(Path::new(path), &mut text, now).then_some(text)
        };
        keep(path, "1", now);
        assert_eq!(taken("/proc/stat", now), None, "the thread does not share texts");
        share_texts();
        keep(path, "1", now);
        keep(path, "2", now);
        share_texts();
        assert_eq!(taken("/proc/stat", now + MAX_AGE).as_deref(), Some("2"));
        assert_eq!(taken("/proc/meminfo", now), None);
        assert_eq!(taken("/proc/stat", now + MAX_AGE * 2), None);
    }

    #[test]
    fn number_of_texts_is_bounded() {
        share_texts();
        let now = Instant::now();
        (0..=MAX_TEXTS).for_each(|file| keep(Path::new(&file.to_string()), "", now));
        assert!(take_recent(Path::new("0"), &mut String::new(), now));
        let last = MAX_TEXTS.to_string();
        assert!(!take_recent(Path::new(&last), &mut String::new(), now));
    }

    #[test]
    fn only_shared_files_share_their_text() {
        let fixture = Fixture::new();
        share_texts();
        let path = fixture.path("proc/stat");
        let [mut first, mut own] = [KeptFile::shared(&path), KeptFile::new(&path)];
        let is_shared = |number: u32| {
            fixture.file("proc/stat", "before");
            let before = first.read().unwrap().to_owned();
            fixture.file("proc/stat", &number.to_string());
            assert_eq!(own.read().unwrap(), number.to_string());
            let mut second = KeptFile::shared(&path);
            second.read().unwrap() == before && !second.is_open()
        };
        // A slow machine may take longer than texts are shared.
        assert!((0..100).any(is_shared));
    }
}
