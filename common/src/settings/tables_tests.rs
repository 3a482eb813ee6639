use std::io::Write;
use std::time::Duration;

use tempfile::NamedTempFile;

use super::*;

fn any(_: &str) -> Result<(), String> {
    Ok(())
}

fn is_url(text: &str) -> Result<(), String> {
    if text.starts_with("http://") { Ok(()) } else { Err("must be a URL".to_owned()) }
}

fn is_word(text: &str) -> Result<(), String> {
    if text.contains(' ') { Err("must be one word".to_owned()) } else { Ok(()) }
}

const TABLES: Tables = Tables {
    keys: &[
        setting("url", Kind::Text(is_url), "URL", "The page").required(),
        setting("interval", Kind::seconds(1, 300), "DURATION", "Interval"),
        setting("timeout", Kind::seconds(1, 60), "DURATION", "Timeout").default("10s"),
        setting("labels", Kind::Table(any), "NAME=VALUE", "Labels"),
        setting("max_samples", Kind::Number(1, 100), "N", "Maximum samples"),
        setting("max_size", Kind::Size(1, 1 << 20), "SIZE", "Maximum size"),
        setting("ca", Kind::Path, "FILE", "CA"),
        setting("verify", Kind::Switch, "BOOL", "Verify"),
        setting("token", Kind::Text(is_word), "TOKEN", "Token").secret(),
        setting("groups", Kind::Text(is_word), "WORDS", "Groups").words(),
    ],
    max_tables: 3,
    hints: &[("user", "use token")],
};

const SETTINGS: [Setting; 4] = [
    setting("config", Kind::Path, "FILE", "Read settings from FILE").not_in_file(),
    setting("scrape", Kind::Tables(&TABLES), "TABLES", "Scrape").reloads(),
    setting("sets", Kind::Text(is_word), "WORDS", "Sets").words().default("basic"),
    setting("options", Kind::Table(any), "NAME=VALUE", "Options").flag("option"),
];

const PROGRAM: Program = Program { settings: &SETTINGS, other: &[], hints: &[] };

fn read_with(variables: &[(&str, &str)], file: &str) -> (Layers, NamedTempFile) {
    let mut config = NamedTempFile::new().unwrap();
    config.write_all(file.as_bytes()).unwrap();
    let path = config.path().to_str().unwrap();
    let flags = Flags::default().with(PROGRAM.find("config").unwrap(), path);
    let variables =
        variables.iter().map(|(name, text)| (format!("FLEETGAUGE_{name}"), (*text).to_owned()));
    (Layers::read(PROGRAM, &flags, &Environment::new(variables)), config)
}

fn read(file: &str) -> Layers {
    read_with(&[], file).0
}

/// Returns the errors, each without the file's path: `LINE: PROBLEM`.
fn errors(file: &str) -> Vec<String> {
    let (layers, config) = read_with(&[], file);
    let prefix = format!("{}, line ", config.path().display());
    let errors = layers.finish().unwrap_err().to_string();
    errors.lines().map(|line| line.replace(&prefix, "")).collect()
}

const FULL: &str = r#"
[[scrape]]
url = "http://a/"

[[scrape]]
url = "http://b/"
interval = "20s"
timeout = "5s"
max_samples = 7
max_size = "1KiB"
ca = "/ca.pem"
verify = true
token = "hunter2"
groups = "x, y"
[scrape.labels]
dc = "fra"
"a.b" = "1"
"#;

#[test]
fn tables_have_typed_values_and_defaults() {
    let layers = read(FULL);
    let [first, second] = &layers.tables("scrape")[..] else { panic!("not two tables") };
    assert_eq!((first.text("url"), first.label()), (Some("http://a/"), "scrape 1"));
    assert!(!first.is_set("timeout") && first.list("labels").is_empty() && !first.switch("verify"));
    assert_eq!(first.duration("timeout"), Duration::from_secs(10));
    assert_eq!(second.text("url"), Some("http://b/"));
    assert_eq!(second.duration("interval"), Duration::from_secs(20));
    assert_eq!(second.duration("timeout"), Duration::from_secs(5));
    assert_eq!((second.number("max_samples"), second.size("max_size")), (7, 1024));
    assert_eq!(second.path("ca"), Some("/ca.pem".into()));
    assert!(second.switch("verify"));
    assert_eq!(second.list("labels"), ["a.b=1", "dc=fra"]);
    assert_eq!(second.list("groups"), ["x", "y"]);
    layers.finish().unwrap();
}

#[test]
fn inline_tables_and_no_tables_are_valid() {
    let layers = read("scrape = [{ url = 'http://a/' }, { url = 'http://b/' }]\n");
    assert_eq!(layers.tables("scrape").len(), 2);
    for empty in ["", "scrape = []\n"] {
        let layers = read(empty);
        assert!(layers.tables("scrape").is_empty());
        layers.finish().unwrap();
    }
}

#[test]
fn errors_name_line_table_and_key() {
    let file = "[[scrape]]\nurl = 'ftp://a/'\nintervall = '1s'\n\n[[scrape]]\ninterval = '0s'\n\
                timeout = 5\nlabels = 'x'\nuser = 'x'\nmax_samples = '1'\nverify = 1\nzzz = 1\n\
                max_size = '1'\ngroups = ['a b', 5]\nca = ''\n";
    let mut errors = errors(file);
    errors.sort_by_key(|error| error.split(':').next().unwrap().parse::<usize>().unwrap());
    assert_eq!(
        errors,
        [
            "2: scrape 1: url: must be a URL",
            "3: scrape 1: intervall: unknown key; did you mean interval?",
            "5: scrape 2: url: is required; add url = \"URL\"",
            "6: scrape 2: interval: must be between 1s and 5m",
            "7: scrape 2: timeout: must have a unit and quotes, such as \"15s\"",
            "8: scrape 2: labels: must be a table: labels = { NAME = \"VALUE\" }",
            "9: scrape 2: user: use token",
            "10: scrape 2: max_samples: must be a whole number, without quotes",
            "11: scrape 2: verify: must be true or false, without quotes",
            "12: scrape 2: zzz: unknown key; remove it",
            "13: scrape 2: max_size: has no unit; append one of B, KiB, MiB, GiB, TiB, as in 64MiB",
            "14: scrape 2: groups: must be a quoted string",
            "15: scrape 2: ca: is empty; name a file or directory, or remove the setting",
        ]
    );
}

#[test]
fn other_types_than_tables_are_errors() {
    for (file, expected) in [
        ("scrape = 'http://a/'", "1: scrape: must be an array of tables: [[scrape]], then KEY"),
        ("\n[scrape]\nurl = 'http://a/'", "2: scrape: must have two brackets: [[scrape]]"),
        ("scrape = [5]", "1: scrape 1: must be a table: { KEY = VALUE }"),
        ("scrape = [{ url = 'http://a/' }, 'x']", "1: scrape 2: must be a table"),
        ("scrape = [1, 2, 3, 4]", "1: scrape: has 4 tables; at most 3 are allowed"),
        ("[[scrape]]\nurl = [", "2: invalid TOML:"),
        ("[[scrape]]\nurl = 'http://a/'\nurl = 'http://b/'", "3: invalid TOML: duplicate key"),
        ("[[scrap]]\nurl = 'http://a/'", "1: scrap: unknown setting; did you mean scrape?"),
    ] {
        let errors = errors(file);
        assert!(errors.len() == 1 && errors[0].starts_with(expected), "{expected}: {errors:?}");
    }
}

#[test]
fn tables_have_neither_variable_nor_flag() {
    let (layers, _config) = read_with(&[("SCRAPE", "http://a/")], "");
    let error = layers.finish().unwrap_err().to_string();
    let expected = "FLEETGAUGE_SCRAPE: can be set only in the settings file, as [[scrape]]";
    assert_eq!(error, expected);
    let command = Flags::add_to(clap::Command::new("test"), &SETTINGS);
    assert!(command.get_arguments().all(|argument| argument.get_id() != "scrape"));
}

#[test]
fn secret_of_a_table_is_never_shown() {
    let layers = read(FULL);
    assert!(!format!("{layers:?}").contains("hunter2"));
    let effective = layers.finish().unwrap();
    assert!(!format!("{effective:?} {effective}").contains("hunter2"));
    assert!(effective.to_string().contains(" line 5; token is set and not shown"), "{effective}");
    let file = "[[scrape]]\nurl = 'http://a/'\ntoken = 'hunter2 hunter2'\n";
    assert_eq!(errors(file), ["3: scrape 1: token: must be one word"]);
    let file = "[[scrape]]\nurl = 'http://a/'\ntokn = 'hunter2'\ntoken = ['hunter2']\n";
    assert!(errors(file).iter().all(|error| !error.contains("hunter2")));
}

#[test]
fn printed_tables_are_valid_settings() {
    let effective = read(FULL).finish().unwrap();
    let printed = effective.to_string();
    let expected = r#"  { url = "http://b/", interval = "20s", timeout = "5s", "#;
    assert!(printed.lines().any(|line| line.starts_with(expected)), "{printed}");
    let without_config: String = printed.lines().skip(1).map(|line| format!("{line}\n")).collect();
    let again = read(&without_config).finish().unwrap();
    let lines = |effective: &Effective| -> Vec<_> {
        let text = effective.to_string();
        text.lines().skip(1).map(|line| line.split(" # ").next().unwrap().to_owned()).collect()
    };
    assert_eq!(lines(&again), lines(&effective));
    assert!(read("").finish().unwrap().to_string().contains("# scrape is not set\n"));
    assert!(read("scrape = []\n").finish().unwrap().to_string().contains("scrape = [] "));
}

#[test]
fn program_can_reject_combinations_of_keys() {
    let mut layers = read("[[scrape]]\nurl = 'http://a/'\nca = '/x'\nmax_samples = 1\n");
    let entry = layers.tables("scrape").remove(0);
    layers.accept(entry.requires("ca", "verify"));
    layers.accept(entry.requires("ca", "url"));
    layers.accept(entry.excludes("max_samples", "ca"));
    layers.accept(entry.excludes("max_samples", "verify"));
    layers.reject(entry.error("timeout", "is too long"));
    let errors = layers.finish().unwrap_err().to_string();
    let errors: Vec<_> = errors.lines().map(|line| line.split(", line ").nth(1).unwrap()).collect();
    assert_eq!(
        errors,
        [
            "3: scrape 1: ca: requires verify; set verify too, or remove this key",
            "4: scrape 1: max_samples: cannot be combined with ca; remove one of them",
            "1: scrape 1: timeout: is too long",
        ]
    );
}

#[test]
fn words_are_a_list_or_one_text() {
    for file in ["sets = 'basic, node'", "sets = ['basic', 'node']"] {
        assert_eq!(read(file).list("sets"), ["basic", "node"]);
    }
    assert_eq!(read("").list("sets"), ["basic"]);
    assert!(read("sets = []").list("sets").is_empty() && read("sets = ''").list("sets").is_empty());
    let (layers, _config) = read_with(&[("SETS", "node,basic")], "sets = 'file'");
    assert_eq!(layers.list("sets"), ["node", "basic"]);
    assert_eq!(errors("sets = 'a b,c,d e'"), ["1: sets: must be one word"; 2]);
    assert_eq!(errors("sets = 5"), ["1: sets: must be a list of strings or one string: \"…,…\""]);
    assert_eq!(errors("sets = ['a', 5]"), ["1: sets: must be a quoted string"]);
}

#[test]
fn choices_of_a_list_are_distinct() {
    #[derive(Clone, Debug, PartialEq, clap::ValueEnum)]
    enum Set {
        Basic,
        Node,
    }
    assert_eq!(read("sets = 'node,basic,node'").choices::<Set>("sets"), [Set::Node, Set::Basic]);
    assert_eq!(read("sets = 'node,else'").choices::<Set>("sets"), [Set::Node]);
}

#[test]
fn names_with_dots_must_be_quoted() {
    assert_eq!(
        errors("[options]\nfilesystem.exclude = 'x'\n"),
        ["2: options: must be a quoted string; put names with dots in quotes"]
    );
    let layers = read("[options]\n'filesystem.exclude' = '^/snap'\n");
    assert_eq!(layers.list("options"), ["filesystem.exclude=^/snap"]);
    let printed = layers.finish().unwrap().to_string();
    let expected = "options = { \"filesystem.exclude\" = \"^/snap\" }";
    assert!(printed.contains(expected), "{printed}");
}
