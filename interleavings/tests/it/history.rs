//! The history of each agent id: operations with their time spans, and what a snapshot may contain.
//!
//! Each operation and each snapshot notes the logical time before and after it. The values of an id
//! in a snapshot must have been current at some moment between these two times.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// A span of logical time. An operation in progress has no end yet.
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

/// An operation of a session on an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Registers the id with this value, or takes it over.
    Take(u64),
    /// Stores this value, if the session still holds the id.
    Store(u64),
    /// Removes the id, if the session still holds it.
    Remove,
}

/// An operation of a session, and its time span.
#[derive(Debug, Clone)]
struct Entry {
    id: String,
    session: u64,
    operation: Operation,
    span: Span,
}

/// All operations that are in progress or have succeeded. The lock is from the standard library,
/// because Shuttle must not schedule it.
#[derive(Debug, Default)]
pub(crate) struct History {
    moment: AtomicU64,
    /// Operations in the order in which they started; `None` for one that failed.
    entries: Mutex<Vec<Option<Entry>>>,
}

impl History {
    pub(crate) fn moment(&self) -> u64 {
        self.moment.fetch_add(1, Ordering::SeqCst)
    }

    /// Records the start of an operation. Returns its index.
    pub(crate) fn begin(&self, id: &str, session: u64, operation: Operation) -> usize {
        let span = Span { from: self.moment(), to: u64::MAX };
        let mut entries = self.entries.lock().unwrap();
        entries.push(Some(Entry { id: id.to_owned(), session, operation, span }));
        entries.len() - 1
    }

    /// Records the end of an operation.
    pub(crate) fn end(&self, index: usize, succeeded: bool) {
        let now = self.moment();
        let mut entries = self.entries.lock().unwrap();
        if !succeeded {
            entries[index] = None;
            return;
        }
        let Some(entry) = &mut entries[index] else { return };
        entry.span.to = now;
        let entry = entry.clone();
        let of_id: Vec<_> = entries.iter().flatten().filter(|other| other.id == entry.id).collect();
        let allowed = matches!(entry.operation, Operation::Take(_)) || can_be_held(&of_id, &entry);
        assert!(allowed, "{entry:?} by a session that had lost the id: {of_id:?}");
    }

    /// Checks that an id can have had these values at some moment since `from`.
    pub(crate) fn check_snapshot(&self, id: &str, values: &[u64], from: u64) {
        let seen = Span { from, to: self.moment() };
        let entries = self.entries.lock().unwrap();
        let entries: Vec<_> = entries.iter().flatten().filter(|entry| entry.id == id).collect();
        let checked = match values {
            [] => can_be_absent(&entries, seen),
            [value] => can_have_value(&entries, seen, *value),
            _ => Err("the id is present twice"),
        };
        assert_eq!(checked, Ok(()), "{id} with {values:?} in {seen:?} after {entries:?}");
    }
}

fn takeovers<'a>(entries: &'a [&Entry]) -> impl Iterator<Item = &'a Entry> {
    entries.iter().filter(|entry| matches!(entry.operation, Operation::Take(_))).copied()
}

fn stores<'a>(entries: &'a [&Entry]) -> impl Iterator<Item = (u64, &'a Entry)> {
    entries.iter().filter_map(|entry| match entry.operation {
        Operation::Take(value) | Operation::Store(value) => Some((value, *entry)),
        Operation::Remove => None,
    })
}

/// Whether the session of `operation` can have held the id while the operation ran.
fn can_be_held(entries: &[&Entry], operation: &Entry) -> bool {
    let own = takeovers(entries).filter(|take| take.session == operation.session);
    own.filter(|take| !operation.span.is_before(take.span)).any(|take| {
        let lost = |other: &&Entry| {
            let ended = other.session == take.session && other.operation == Operation::Remove;
            let taken =
                other.session != take.session && matches!(other.operation, Operation::Take(_));
            (ended || taken)
                && take.span.is_before(other.span)
                && other.span.is_before(operation.span)
        };
        !entries.iter().copied().any(|other| lost(&other))
    })
}

/// Fails if the id cannot have been absent: one session held it throughout `seen`.
fn can_be_absent(entries: &[&Entry], seen: Span) -> Result<(), &'static str> {
    let throughout = |take: &Entry| {
        let lost = |other: &&Entry| {
            let ended = other.session == take.session && other.operation == Operation::Remove;
            let taken =
                other.session != take.session && matches!(other.operation, Operation::Take(_));
            (ended || taken) && !other.span.is_before(take.span) && !seen.is_before(other.span)
        };
        take.span.is_before(seen) && !entries.iter().copied().any(|other| lost(&other))
    };
    if takeovers(entries).any(throughout) { Err("the id was present throughout") } else { Ok(()) }
}

/// Fails if the id cannot have had this value at any moment of `seen`.
fn can_have_value(entries: &[&Entry], seen: Span, value: u64) -> Result<(), &'static str> {
    let Some((_, shown)) = stores(entries).find(|(other, _)| *other == value) else {
        return Err("no session stored this value");
    };
    if seen.is_before(shown.span) {
        return Err("the value was not stored yet");
    }
    let between = |other: &Entry| shown.span.is_before(other.span) && other.span.is_before(seen);
    match entries.iter().find(|other| between(other)) {
        Some(Entry { operation: Operation::Remove, .. }) => Err("the id was removed before"),
        Some(_) => Err("the value was replaced before"),
        None => Ok(()),
    }
}
