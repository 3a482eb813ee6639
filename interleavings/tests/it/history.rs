//! The history of each id: operations with their time spans, and what a snapshot may show.
//!
//! Whoever does or sees something notes the moments before and after. What is seen of an id must
//! have been so at some moment between those two.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// From before to after; of what is not over yet, to no end.
#[derive(Debug, Clone, Copy)]
struct Span {
    from: u64,
    to: u64,
}

impl Span {
    fn is_before(self, other: Self) -> bool {
        self.to < other.from
    }
}

/// What a session does to an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Takes it over and shows it with this value.
    Take(u64),
    /// Shows it with this value, if it is still this session's.
    Show(u64),
    /// Removes it, if it is still this session's.
    Remove,
}

/// A session's deed and when it was.
#[derive(Debug, Clone)]
struct Entry {
    id: String,
    session: u64,
    deed: Deed,
    span: Span,
}

/// All that was done or is being done, and has not failed. The lock is the standard library's, for
/// it is no part of what Shuttle orders.
#[derive(Debug, Default)]
pub(crate) struct History {
    moment: AtomicU64,
    /// `None` for what failed.
    entries: Mutex<Vec<Option<Entry>>>,
}

impl History {
    pub(crate) fn moment(&self) -> u64 {
        self.moment.fetch_add(1, Ordering::SeqCst)
    }

    /// Something is about to be done; where it is noted.
    pub(crate) fn begin(&self, id: &str, session: u64, deed: Deed) -> usize {
        let span = Span { from: self.moment(), to: u64::MAX };
        let mut entries = self.entries.lock().unwrap();
        entries.push(Some(Entry { id: id.to_owned(), session, deed, span }));
        entries.len() - 1
    }

    /// It is done, or has failed.
    pub(crate) fn end(&self, place: usize, done: bool) {
        let now = self.moment();
        let mut entries = self.entries.lock().unwrap();
        if !done {
            entries[place] = None;
            return;
        }
        let Some(entry) = &mut entries[place] else { return };
        entry.span.to = now;
        let entry = entry.clone();
        let of_id: Vec<_> = entries.iter().flatten().filter(|other| other.id == entry.id).collect();
        let may = matches!(entry.deed, Deed::Take(_)) || may_be_held(&of_id, &entry);
        assert!(may, "{entry:?} was done by who had lost it: {of_id:?}");
    }

    /// An id was seen with these values at some moment since `from`.
    pub(crate) fn saw(&self, id: &str, values: &[u64], from: u64) {
        let seen = Span { from, to: self.moment() };
        let entries = self.entries.lock().unwrap();
        let entries: Vec<_> = entries.iter().flatten().filter(|entry| entry.id == id).collect();
        let said = match values {
            [] => may_be_gone(&entries, seen),
            [value] => may_be_shown(&entries, seen, *value),
            _ => Err("it is there twice"),
        };
        assert_eq!(said, Ok(()), "{id} was seen with {values:?} in {seen:?} after {entries:?}");
    }
}

fn takes<'a>(entries: &'a [&Entry]) -> impl Iterator<Item = &'a Entry> {
    entries.iter().filter(|entry| matches!(entry.deed, Deed::Take(_))).copied()
}

fn shows<'a>(entries: &'a [&Entry]) -> impl Iterator<Item = (u64, &'a Entry)> {
    entries.iter().filter_map(|entry| match entry.deed {
        Deed::Take(value) | Deed::Show(value) => Some((value, *entry)),
        Deed::Remove => None,
    })
}

/// Whether a session can have had an id while it did something to it.
fn may_be_held(entries: &[&Entry], deed: &Entry) -> bool {
    let own = takes(entries).filter(|take| take.session == deed.session);
    own.filter(|take| !deed.span.is_before(take.span)).any(|take| {
        let lost = |other: &&Entry| {
            let ended = other.session == take.session && other.deed == Deed::Remove;
            let taken = other.session != take.session && matches!(other.deed, Deed::Take(_));
            (ended || taken) && take.span.is_before(other.span) && other.span.is_before(deed.span)
        };
        !entries.iter().copied().any(|other| lost(&other))
    })
}

/// Whether nothing kept it there throughout: a take, after which its session neither left nor was
/// replaced.
fn may_be_gone(entries: &[&Entry], seen: Span) -> Result<(), &'static str> {
    let throughout = |take: &Entry| {
        let lost = |other: &&Entry| {
            let ended = other.session == take.session && other.deed == Deed::Remove;
            let taken = other.session != take.session && matches!(other.deed, Deed::Take(_));
            (ended || taken) && !other.span.is_before(take.span) && !seen.is_before(other.span)
        };
        take.span.is_before(seen) && !entries.iter().copied().any(|other| lost(&other))
    };
    if takes(entries).any(throughout) { Err("it was there all the time") } else { Ok(()) }
}

/// Whether it can have been there with this value.
fn may_be_shown(entries: &[&Entry], seen: Span, value: u64) -> Result<(), &'static str> {
    let Some((_, shown)) = shows(entries).find(|(other, _)| *other == value) else {
        return Err("nobody wrote this value");
    };
    if seen.is_before(shown.span) {
        return Err("it was not there yet");
    }
    let between = |other: &Entry| shown.span.is_before(other.span) && other.span.is_before(seen);
    match entries.iter().find(|other| between(other)) {
        Some(Entry { deed: Deed::Remove, .. }) => Err("it had gone"),
        Some(_) => Err("it had another value"),
        None => Ok(()),
    }
}
