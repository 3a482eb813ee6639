use super::super::tests::{file, load, path};
use super::*;

/// Loads a file; errors have no path of the file.
fn read(text: &str) -> Result<Vec<TextfileSettings>, String> {
    let file = file(text);
    let prefix = format!("{}, line ", path(&file));
    let config = load(&["--config", path(&file)], &[]);
    config
        .map(|config| config.metrics.settings().textfiles.clone())
        .map_err(|errors| errors.replace(&prefix, ""))
}

#[test]
fn path_is_split_into_directory_and_pattern() {
    for (text, directory, pattern) in [
        ("/var/lib/node_exporter/*.prom", "/var/lib/node_exporter", "*.prom"),
        ("/x.prom", "/", "x.prom"),
        ("*.prom", ".", "*.prom"),
        ("a b/\u{e4}?", "a b", "\u{e4}?"),
    ] {
        let expected = (directory.into(), FilePattern::parse(pattern).unwrap());
        assert_eq!(split(text), Ok(expected), "{text}");
    }
}

#[test]
fn keys_have_defaults() {
    let textfiles = read(
        "[[textfile]]\npath = '/a/*.prom'\n\n[[textfile]]\npath = '/b/x.prom'\nmax_age = '1d'\n\
         max_size = '2KiB'\nlabels = { dc = 'fra' }\n",
    );
    let [first, second] = &textfiles.unwrap()[..] else { panic!("not two tables") };
    assert_eq!((first.max_age, first.max_size), (None, 1 << 20));
    assert!(first.labels.iter().next().is_none());
    assert_eq!((second.max_age, second.max_size), (Some(Duration::from_secs(86_400)), 2048));
    assert_eq!(second.labels.iter().collect::<Vec<_>>(), [("dc", "fra")]);
    assert_eq!((&*second.directory, second.pattern.as_str()), (Path::new("/b"), "x.prom"));
}

#[test]
fn invalid_paths_are_errors() {
    for (text, why) in [
        ("", "must name files, such as"),
        ("/", "must name files, such as"),
        ("/var/lib/", "must name files, such as"),
        ("/var/..", "must name files, such as"),
        ("/var/*/x.prom", "only in the name of the file"),
        ("/v?r/x.prom", "only in the name of the file"),
        ("/var/[ab].prom", "only * and ? are supported"),
        ("/var/a\nb", "control characters"),
        ("/var/a\0b", "control characters"),
    ] {
        let problem = split(text).unwrap_err();
        assert!(problem.contains(why), "{text:?}: {problem}");
    }
}

#[test]
fn all_errors_of_all_tables_are_reported() {
    let error = read(
        "[[textfile]]\npath = '/a/'\nmax_age = '0s'\n\n[[textfile]]\ndirectory = '/a'\n\
         max_size = 5\nlabels = { job = 'x' }\n",
    );
    let error = error.unwrap_err();
    for expected in [
        "2: textfile 1: path: must name files, such as",
        "3: textfile 1: max_age: must be between 1s and 366d",
        "5: textfile 2: path: is required; add path = \"FILES\"",
        "6: textfile 2: directory: set path to the files in it, such as DIRECTORY/*.prom",
        "7: textfile 2: max_size: must have a unit and quotes",
        "8: textfile 2: labels: label name \"job\" is reserved",
    ] {
        assert!(error.lines().any(|line| line.starts_with(expected)), "{expected}: {error}");
    }
    assert_eq!(error.lines().count(), 6, "{error}");
}

#[test]
fn same_files_twice_are_an_error() {
    let table = |extra: &str| format!("[[textfile]]\npath = '/a/*'\n{extra}\n");
    let error = read(&(table("") + &table(""))).unwrap_err();
    assert_eq!(error, "5: textfile 2: path: and labels are the same as in textfile 1; remove one");
    assert_eq!(read(&(table("") + &table("labels = { a = 'b' }"))).unwrap().len(), 2);
}

#[test]
fn number_of_tables_is_limited() {
    let tables = |count: usize| -> String {
        (0..count).map(|n| format!("[[textfile]]\npath = '/a/{n}'\n")).collect()
    };
    assert_eq!(read(&tables(MAX_TEXTFILES)).unwrap().len(), MAX_TEXTFILES);
    read(&tables(MAX_TEXTFILES + 1)).unwrap_err();
}
