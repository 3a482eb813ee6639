//! What a collector keeps for each entry of a directory: files, or directories below it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::directory::Directory;
use super::kept_file::KeptFile;
use crate::sampler::SourceError;
use crate::sampler::node::number::whole;

/// Maximum number of entries of a directory. Further ones are ignored.
const MAX_ENTRIES: usize = 10_000;
/// Maximum number of characters of a line in an error.
const MAX_QUOTED_CHARS: usize = 80;

/// A directory that is listed again and again, with a `T` for each of its entries.
#[derive(Debug)]
pub(in crate::sampler::node) struct Entries<T> {
    path: PathBuf,
    directory: Directory,
    create: Create<T>,
    entries: Vec<Entry<T>>,
}

/// Creates what is kept for the entry at a path.
struct Create<T>(Box<dyn Fn(&Path) -> T + Send>);

impl<T> fmt::Debug for Create<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Create")
    }
}

/// An entry of a directory and what is kept for it.
#[derive(Debug)]
pub(in crate::sampler::node) struct Entry<T> {
    /// Name in the directory.
    pub(in crate::sampler::node) name: String,
    /// What is kept as long as the entry exists.
    pub(in crate::sampler::node) kept: T,
    seen: bool,
}

impl<T> Entries<T> {
    /// Creates a directory. `create` is called with the path of each new entry.
    pub(in crate::sampler::node) fn new(
        path: impl Into<PathBuf>,
        create: impl Fn(&Path) -> T + Send + 'static,
    ) -> Self {
        let create = Create(Box::new(create));
        let path = path.into();
        Self { directory: Directory::new(&path), path, create, entries: Vec::new() }
    }

    /// Lists the directory. Returns the entries that exist now and whose name is selected, in
    /// ascending order of their names.
    ///
    /// # Errors
    /// [`SourceError::NothingFound`] if the directory does not exist; another error if it cannot be
    /// read.
    pub(in crate::sampler::node) fn list(
        &mut self,
        selects: impl FnMut(&str) -> bool,
    ) -> Result<&mut [Entry<T>], SourceError> {
        match self.update(selects) {
            Ok(()) => Ok(&mut self.entries),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(SourceError::NothingFound),
            Err(error) => Err(SourceError::new(format_args!("{}: {error}", self.path.display()))),
        }
    }

    /// Lists the directory as [`Self::list`] does. One that does not exist has no entries.
    ///
    /// # Errors
    /// The directory exists but cannot be read.
    pub(in crate::sampler::node) fn list_if_exists(
        &mut self,
        selects: impl FnMut(&str) -> bool,
    ) -> Result<&mut [Entry<T>], SourceError> {
        match self.update(selects) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(SourceError::new(format_args!("{}: {error}", self.path.display())))
            }
            _ => Ok(&mut self.entries),
        }
    }

    fn update(&mut self, mut selects: impl FnMut(&str) -> bool) -> io::Result<()> {
        let Self { path, directory, create, entries } = self;
        entries.iter_mut().for_each(|entry| entry.seen = false);
        let listed = directory.list(|name| {
            if !selects(name) {
                return;
            }
            match entries.binary_search_by(|entry| entry.name.as_str().cmp(name)) {
                Ok(at) => entries[at].seen = true,
                Err(at) if entries.len() < MAX_ENTRIES => {
                    let kept = create.0(&path.join(name));
                    entries.insert(at, Entry { name: name.to_owned(), kept, seen: true });
                }
                Err(_) => {}
            }
        });
        entries.retain(|entry| entry.seen);
        listed
    }
}

/// Reads the number of a file that must exist.
///
/// # Errors
/// The file cannot be read, or its text is not a number.
pub(in crate::sampler::node) fn number(file: &mut KeptFile) -> Result<f64, SourceError> {
    let number = parse(file.read()?);
    number.ok_or_else(|| not_a_number(file))
}

/// Reads the number of a file; `None` if the file does not exist.
///
/// # Errors
/// The file cannot be read, or its text is not a number.
pub(in crate::sampler::node) fn number_if_exists(
    file: &mut KeptFile,
) -> Result<Option<f64>, SourceError> {
    let Some(text) = file.read_if_exists()? else { return Ok(None) };
    let number = parse(text);
    if number.is_none() { Err(not_a_number(file)) } else { Ok(number) }
}

/// Reads a file and parses its text.
///
/// # Errors
/// The file cannot be read, or `parse` returns what is wrong with its text.
pub(in crate::sampler::node) fn parse_file<T, E: fmt::Display>(
    file: &mut KeptFile,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, SourceError> {
    let parsed = parse(file.read()?);
    parsed.map_err(|problem| malformed(file, problem))
}

/// Reads a file and parses its text, as [`parse_file`] does.
///
/// # Errors
/// Those of [`parse_file`]; [`SourceError::NothingFound`] if the file does not exist.
pub(in crate::sampler::node) fn parse_existing_file<T, E: fmt::Display>(
    file: &mut KeptFile,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, SourceError> {
    let parsed = parse(file.read_if_exists()?.ok_or(SourceError::NothingFound)?);
    parsed.map_err(|problem| malformed(file, problem))
}

/// Reads the whole number of a file that must exist.
///
/// # Errors
/// The file cannot be read, or its text is not a whole number.
pub(in crate::sampler::node) fn whole_number(file: &mut KeptFile) -> Result<f64, SourceError> {
    parse_file(file, |text| whole(text.trim()).ok_or("not a whole number"))
}

/// Parses a decimal number with white space around it.
pub(in crate::sampler::node) fn parse(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

/// Returns the problem of a file that has this line.
pub(in crate::sampler::node) fn bad_line(line: &str) -> String {
    let start: String = line.chars().take(MAX_QUOTED_CHARS).collect();
    format!("bad line {start:?}")
}

/// Returns the error for a file whose text has another form.
pub(in crate::sampler::node) fn malformed(
    file: &KeptFile,
    problem: impl fmt::Display,
) -> SourceError {
    SourceError::new(format_args!("{}: {problem}", file.path().display()))
}

fn not_a_number(file: &KeptFile) -> SourceError {
    malformed(file, "not a number")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::node::testing::Fixture;

    #[test]
    fn kept_state_lives_as_long_as_its_entry() {
        let fixture = Fixture::new();
        let mut entries = Entries::new(fixture.path("sys/ports"), |_| 0);
        assert_eq!(entries.list(|_| true).unwrap_err(), SourceError::NothingFound);
        assert!(entries.list_if_exists(|_| true).unwrap().is_empty());
        fixture.directory("sys/ports/2");
        fixture.directory("sys/ports/1");
        fixture.directory("sys/ports/other");
        let mut read = || {
            let listed = entries.list(|name| name != "other").unwrap();
            listed.iter_mut().for_each(|entry| entry.kept += 1);
            listed.iter().map(|entry| (entry.name.clone(), entry.kept)).collect::<Vec<_>>()
        };
        assert_eq!(read(), [("1".to_owned(), 1), ("2".to_owned(), 1)]);
        fixture.remove("sys/ports/1");
        assert_eq!(read(), [("2".to_owned(), 2)]);
        fixture.directory("sys/ports/1");
        assert_eq!(read(), [("1".to_owned(), 1), ("2".to_owned(), 3)]);
        fixture.remove("sys/ports");
        assert!(entries.list_if_exists(|_| true).unwrap().is_empty());
    }

    #[test]
    fn number_must_be_finite_and_its_file_may_be_optional() {
        let fixture = Fixture::new();
        let mut file = KeptFile::new(fixture.path("sys/number"));
        assert_eq!(number_if_exists(&mut file), Ok(None));
        number(&mut file).unwrap_err();
        fixture.file("sys/number", " 12\n");
        assert_eq!(number(&mut file), Ok(12.0));
        assert_eq!(number_if_exists(&mut file), Ok(Some(12.0)));
        for text in ["", "x", "NaN", "inf", "1 2"] {
            fixture.file("sys/number", text);
            let error = number(&mut file).unwrap_err();
            assert!(error.to_string().ends_with("sys/number: not a number"), "{error}");
            number_if_exists(&mut file).unwrap_err();
        }
    }
}
