use std::io::Write;

use tempfile::NamedTempFile;

use super::*;

const fn any(_: &str) -> Result<(), String> {
    Ok(())
}

const SETTINGS: [Setting; 8] = [
    setting("config", Kind::Path, "FILE", "Read settings from FILE").not_in_file(),
    setting("collector", Kind::Text(any), "ADDR", "Report to ADDR").default("127.0.0.1:1"),
    setting("interval", Kind::seconds(1, 300), "DURATION", "Report interval").default("15s"),
    setting("labels", Kind::Table(any), "NAME=VALUE", "Set a label").flag("label").reloads(),
    setting("token", Kind::Text(no_space), "TOKEN", "The token").secret_variable(),
    setting("token_file", Kind::Path, "FILE", "Read the token from FILE"),
    setting("tls", Kind::Switch, "BOOL", "Use TLS").default("false"),
    setting("max_values", Kind::Number(1, 100), "N", "Maximum values"),
];

const PROGRAM: Program =
    Program { settings: &SETTINGS, other: names::COLLECTOR, hints: &[("tokn", "use token_file")] };

fn no_space(text: &str) -> Result<(), String> {
    if text.contains(' ') { Err("must be one word".to_owned()) } else { Ok(()) }
}

/// Reads flags (`name=value`), variables, and a file.
fn read(flags: &[&str], variables: &[(&str, &str)], file: &str) -> (Layers, NamedTempFile) {
    let mut config = NamedTempFile::new().unwrap();
    config.write_all(file.as_bytes()).unwrap();
    let path = config.path().to_str().unwrap();
    let mut all = Flags::default().with(PROGRAM.find("config").unwrap(), path);
    for flag in flags {
        let (name, text) = flag.split_once('=').unwrap();
        all = all.with(PROGRAM.find(name).unwrap(), text);
    }
    let variables =
        variables.iter().map(|(name, text)| (format!("FLEETGAUGE_{name}"), (*text).to_owned()));
    let environment = Environment::new(variables);
    (Layers::read(PROGRAM, &all, &environment), config)
}

fn errors(layers: Layers) -> String {
    layers.finish().unwrap_err().to_string()
}

#[test]
fn defaults_hold_without_any_source() {
    let (layers, _) = read(&[], &[], "");
    assert_eq!(layers.text("collector"), Some("127.0.0.1:1"));
    assert_eq!(layers.duration("interval"), std::time::Duration::from_secs(15));
    assert!(!layers.switch("tls") && layers.list("labels").is_empty());
    layers.finish().unwrap();
}

#[test]
fn table_is_overridden_as_a_whole() {
    let file = "[labels]\ndc = 'file'\nrole = 'db, primary'\n";
    let variables = [("LABELS", "rack=7, dc=env")];
    assert_eq!(read(&[], &[], file).0.list("labels"), ["dc=file", "role=db, primary"]);
    assert_eq!(read(&[], &variables, file).0.list("labels"), ["rack=7", "dc=env"]);
    let flags = ["labels=dc=a,b", "labels=x=y"];
    assert_eq!(read(&flags, &variables, file).0.list("labels"), ["dc=a,b", "x=y"]);
}

#[test]
fn secret_is_never_shown() {
    let (layers, _) = read(&[], &[("TOKEN", "hunter2")], "");
    assert_eq!(layers.text("token"), Some("hunter2"));
    let printed = layers.finish().unwrap().to_string();
    assert!(printed.contains("# token is set and not shown"), "{printed}");
    assert!(!printed.contains("hunter2"), "{printed}");
    let error = errors(read(&[], &[("TOKEN", "hunter2 hunter2")], "").0);
    assert_eq!(error, "FLEETGAUGE_TOKEN: must be one word");
}

#[test]
fn secret_in_the_file_is_an_error_with_a_hint() {
    let (layers, config) = read(&[], &[], "tokn = 'hunter2'\ntoken = 'hunter2'\n");
    let path = config.path().display();
    let error = errors(layers);
    assert!(error.contains(&format!("{path}, line 1: tokn: use token_file")), "{error}");
    assert!(error.contains(&format!("{path}, line 2: token: unknown setting")), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn excluding_settings_name_each_other_and_their_origin() {
    let (mut layers, config) = read(&["token_file=/x"], &[], "max_values = 7\n");
    layers.excludes("token_file", "max_values");
    let origin = format!("{} line 1", config.path().display());
    let expected =
        format!("--token-file: cannot be combined with max_values ({origin}); remove one of them");
    assert_eq!(errors(layers), expected);
}

#[test]
fn overriding_source_decides_between_alternative_settings() {
    let file = "token_file = '/x'\n";
    let (mut layers, _) = read(&[], &[("TOKEN", "t")], file);
    assert_eq!(layers.either("token_file", "token"), Some("token"));
    layers.finish().unwrap();
    let (mut layers, _) = read(&["token_file=/y"], &[("TOKEN", "t")], file);
    assert_eq!(layers.either("token_file", "token"), Some("token_file"));
    layers.finish().unwrap();
    let (mut layers, _) = read(&[], &[("TOKEN", "t"), ("TOKEN_FILE", "/y")], file);
    layers.either("token_file", "token");
    let expected = "FLEETGAUGE_TOKEN_FILE: cannot be combined with token (environment variable";
    let error = errors(layers);
    assert!(error.starts_with(expected), "{error}");
}

#[test]
fn missing_companion_is_named_as_its_source_writes_it() {
    for (flags, variables, expected) in [
        (
            &["token_file=/x"][..],
            &[][..],
            "--token-file: requires --tls; set --tls too, or remove this setting",
        ),
        (
            &[],
            &[("TOKEN_FILE", "/x")],
            "FLEETGAUGE_TOKEN_FILE: requires FLEETGAUGE_TLS; set FLEETGAUGE_TLS too",
        ),
    ] {
        let (mut layers, _) = read(flags, variables, "");
        layers.requires("token_file", "tls");
        let error = errors(layers);
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn computed_default_is_used_and_printed() {
    let (mut layers, _) = read(&[], &[], "");
    layers.set_default("max_values", "42".to_owned());
    assert_eq!(layers.number("max_values"), 42);
    let printed = layers.finish().unwrap().to_string();
    assert!(printed.lines().any(|line| line.starts_with("max_values = 42 ")), "{printed}");
}

#[test]
fn restart_is_required_for_changed_settings_that_do_not_reload() {
    let effective = |file: &str| read(&[], &[], file).0.finish().unwrap();
    let old = effective("max_values = 7\n");
    let new = effective("max_values = 8\ninterval = '20s'\nlabels = { a = 'b' }\n");
    // Each call writes a new file, so its path differs, too.
    assert_eq!(old.restart_required(&new), ["config", "interval", "max_values"]);
}
