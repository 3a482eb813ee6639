use std::io::Write;

use super::*;

fn load(flags: &[&str], env: &[(&str, &str)]) -> Result<Config, String> {
    let flags = <Flags as clap::Parser>::try_parse_from(["agent"].iter().chain(flags)).unwrap();
    let env = |name: &str| {
        env.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    };
    Config::load(&flags, env).map_err(|error| error.to_string())
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn labels(config: &Config) -> Vec<(&str, &str)> {
    config.labels.iter().collect()
}

#[test]
fn nothing_said_is_legal() {
    let config = load(&[], &[]).unwrap();
    assert_eq!(config.collector.to_string(), "127.0.0.1:45678");
    assert_eq!(config.id, IdSource::HostName);
    assert_eq!(config.interval, Duration::from_secs(15));
    assert_eq!(config.metrics, MetricSet::Basic);
    assert_eq!(labels(&config), []);
    assert_eq!(config.log, LevelFilter::INFO);
}

#[test]
fn flags_win_over_environment_over_file() {
    let file = file("collector = 'file:1'\ninterval = '3s'\nmetrics = 'classic'\nlog = 'warn'\n");
    let path = file.path().to_str().unwrap();
    let env = [
        ("FLEETGAUGE_CONFIG", path),
        ("FLEETGAUGE_COLLECTOR", "env:2"),
        ("FLEETGAUGE_INTERVAL", "2s"),
        ("FLEETGAUGE_LOG", ""),
    ];
    let config = load(&["--collector", "flag:3"], &env).unwrap();
    assert_eq!(config.collector.to_string(), "flag:3");
    assert_eq!(config.interval, Duration::from_secs(2));
    assert_eq!(config.metrics, MetricSet::Classic);
    assert_eq!(config.log, LevelFilter::WARN, "an empty variable is none");
}

#[test]
fn the_strongest_place_that_says_who_it_is_wins() {
    let file = file("id = 'from-file'\n");
    let path = file.path().to_str().unwrap();
    let given = |id| IdSource::Given(AgentId::try_new(id).unwrap());
    let id = |flags: &[&str], env: &[(&str, &str)]| {
        load(&[&["--config", path], flags].concat(), env).unwrap().id
    };
    assert_eq!(id(&[], &[]), given("from-file"));
    assert_eq!(id(&["--id", "flag"], &[("FLEETGAUGE_ID", "env")]), given("flag"));
    assert_eq!(id(&["--id-from", "hostname"], &[]), IdSource::HostName);
    assert_eq!(id(&[], &[("FLEETGAUGE_ID_FROM", "machine-id")]), IdSource::MachineId);
    let error = load(&["--id", "x", "--id-from", "hostname"], &[]).unwrap_err();
    assert_eq!(error, "--id: contradicts --id-from. Set only one of the two.");
}

#[test]
fn labels_come_from_one_place() {
    let file = file("[labels]\ndc = 'file'\nrole = 'db, primary'\n");
    let path = file.path().to_str().unwrap();
    let config = load(&["--config", path], &[]).unwrap();
    assert_eq!(labels(&config), [("dc", "file"), ("role", "db, primary")]);
    let env = [("FLEETGAUGE_LABELS", "rack=7, dc=env")];
    let config = load(&["--config", path], &env).unwrap();
    assert_eq!(labels(&config), [("dc", "env"), ("rack", "7")]);
    let config = load(&["--config", path, "--label", "dc=flag=x"], &env).unwrap();
    assert_eq!(labels(&config), [("dc", "flag=x")]);
}

#[test]
fn a_bad_setting_says_which_and_what_is_right() {
    for (flags, said) in [
        (
            ["--collector", "here"],
            "--collector: \"here\" is not the address of a collector. Give HOST:PORT",
        ),
        (
            ["--interval", "999ms"],
            "--interval: \"999ms\" is not an interval. Give one from 1s to 5m",
        ),
        (["--interval", "301s"], "--interval: \"301s\" is not an interval. Give one from 1s to 5m"),
        (["--interval", "15"], "--interval: \"15\" is not an interval. Give one from 1s to 5m"),
        (
            ["--metrics", "all"],
            "--metrics: \"all\" is not a set of metrics. There are basic and classic.",
        ),
        (["--id", "my pc"], "--id: \"my pc\" is not an id. Give 1 to 128 of"),
        (
            ["--id-from", "dmi"],
            "--id-from: \"dmi\" is no source of ids. There are hostname and machine-id.",
        ),
        (["--log", "loud"], "--log: \"loud\" is not a level. Give off, error, warn, info"),
        (["--label", "dc"], "--label: \"dc\" is not a label. Give NAME=VALUE"),
        (["--label", "d-c=x"], "--label: label name \"d-c\" is not legal. A name is a letter or _"),
        (["--label", "agent=x"], "--label: label name \"agent\" is reserved. The collector or"),
    ] {
        let error = load(&flags, &[]).unwrap_err();
        assert!(error.starts_with(said), "{error}");
    }
}

#[test]
fn a_bad_setting_is_found_where_it_was_made() {
    let error = load(&[], &[("FLEETGAUGE_INTERVAL", "soon")]).unwrap_err();
    assert!(error.starts_with("FLEETGAUGE_INTERVAL: \"soon\""), "{error}");
    let error = load(&[], &[("FLEETGAUGE_LABELS", "a=1,a=2")]).unwrap_err();
    assert_eq!(error, "FLEETGAUGE_LABELS: label \"a\" is given twice.");
    let file = file("id_from = 'x'\n");
    let path = file.path().to_str().unwrap();
    let error = load(&["--config", path], &[]).unwrap_err();
    assert!(error.starts_with(&format!("id_from in {path}: \"x\"")), "{error}");
    let error = load(&["--config", path, "--id", "hidden-by-me"], &[]).unwrap_err();
    assert!(error.starts_with("id_from in"), "{error}");
    let error = load(&["--config", "/nonexistent/x.toml"], &[]).unwrap_err();
    let right = "--config /nonexistent/x.toml: it cannot be read: No such file";
    assert!(error.starts_with(right) && error.contains("Name a TOML file"), "{error}");
}

#[test]
fn labels_fit_the_introduction() {
    let flags: Vec<String> =
        (0..9).flat_map(|n| ["--label".into(), format!("l{n}={}", "x".repeat(1_000))]).collect();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let error = load(&flags, &[]).unwrap_err();
    assert!(error.starts_with("--label: names and values take 9018 bytes."), "{error}");
}

const TOKEN: &str = "0123456789abcdef";

#[test]
fn the_token_comes_from_the_strongest_place() {
    let [flag, env, setting] = [0; 3].map(|_| file(TOKEN));
    let path = |file: &tempfile::NamedTempFile| file.path().to_str().unwrap().to_owned();
    let settings = file(&format!("token_file = '{}'\n", path(&setting)));
    let (config, flag, env) = (path(&settings), path(&flag), path(&env));
    let token = |flags: &[&str], env: &[(&str, &str)]| {
        load(&[&["--config", &config], flags].concat(), env).unwrap().token
    };
    let in_file = |path: &str| Some(TokenSource::File(path.into()));
    let given = Some(TokenSource::Given(Token::parse(TOKEN).unwrap()));
    assert_eq!(token(&[], &[]), in_file(&path(&setting)));
    assert_eq!(token(&[], &[("FLEETGAUGE_TOKEN_FILE", &env)]), in_file(&env));
    assert_eq!(token(&[], &[("FLEETGAUGE_TOKEN", TOKEN)]), given);
    let flags = ["--token-file", &flag];
    assert_eq!(token(&flags, &[("FLEETGAUGE_TOKEN", TOKEN)]), in_file(&flag));
    let both = [("FLEETGAUGE_TOKEN", TOKEN), ("FLEETGAUGE_TOKEN_FILE", env.as_str())];
    let error = load(&[], &both).unwrap_err();
    assert!(error.starts_with("FLEETGAUGE_TOKEN: contradicts FLEETGAUGE_TOKEN_FILE"), "{error}");
}

#[test]
fn a_token_that_cannot_be_is_named_and_not_shown() {
    let short = file("hunter2\n");
    let path = short.path().to_str().unwrap();
    let error = load(&["--token-file", path], &[]).unwrap_err();
    assert!(error.starts_with(&format!("--token-file: {path}: 7 characters can be")), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
    let error = load(&[], &[("FLEETGAUGE_TOKEN", "hunter2")]).unwrap_err();
    assert!(error.starts_with("FLEETGAUGE_TOKEN: 7 characters"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
    let error = load(&[], &[("FLEETGAUGE_TOKEN", "")]).unwrap_err();
    assert!(error.starts_with("FLEETGAUGE_TOKEN: is empty. Set it"), "{error}");
    let error = load(&[], &[("FLEETGAUGE_TOKEN", " \n")]).unwrap_err();
    assert!(error.starts_with("FLEETGAUGE_TOKEN: it holds something else"), "{error}");
    let empty = file("");
    let error = load(&["--token-file", empty.path().to_str().unwrap()], &[]).unwrap_err();
    assert!(error.contains("there is no token in it"), "{error}");
    let error = load(&["--token-file", "/nonexistent"], &[]).unwrap_err();
    assert!(error.contains("/nonexistent: it cannot be read: No such file"), "{error}");
}

#[test]
fn a_token_is_not_sent_unencrypted_to_another_host() {
    let env = [("FLEETGAUGE_TOKEN", TOKEN)];
    let elsewhere = ["--collector", "192.0.2.1:45678"];
    let error = load(&elsewhere, &env).unwrap_err();
    assert!(error.starts_with("collector: the token is not sent to 192.0.2.1:45678"), "{error}");
    assert!(error.contains("--insecure"), "{error}");
    load(&elsewhere, &[]).unwrap();
    load(&["--collector", "127.0.0.1:45678"], &env).unwrap();
    // Where a name leads is known when it is resolved.
    load(&["--collector", "collector.example:45678"], &env).unwrap();
    assert!(load(&[&elsewhere[..], &["--insecure"]].concat(), &env).unwrap().insecure);
    let [yes, no] = ["true", "false"].map(|said| [env[0], ("FLEETGAUGE_INSECURE", said)]);
    load(&elsewhere, &yes).unwrap();
    load(&elsewhere, &no).unwrap_err();
    let error = load(&[], &[("FLEETGAUGE_INSECURE", "perhaps")]).unwrap_err();
    assert_eq!(error, "FLEETGAUGE_INSECURE: \"perhaps\" is neither true nor false.");
}
