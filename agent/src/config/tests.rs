use std::io::Write;

use clap::{Args, Command, FromArgMatches};
use fleetgauge_proto::AgentId;
use tempfile::NamedTempFile;

use super::*;
use crate::metrics::MetricSet;

const TOKEN: &str = "0123456789abcdef";

/// Loads settings from flags and variables (without their prefix).
pub(super) fn load(flags: &[&str], variables: &[(&str, &str)]) -> Result<Config, String> {
    let command = Flags::augment_args(Command::new("agent").no_binary_name(true));
    let flags = Flags::from_arg_matches(&command.try_get_matches_from(flags).unwrap()).unwrap();
    let variables =
        variables.iter().map(|(name, text)| (format!("FLEETGAUGE_{name}"), (*text).to_owned()));
    Config::load(&flags, &Environment::new(variables)).map_err(|errors| errors.to_string())
}

pub(super) fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

pub(super) fn path(file: &NamedTempFile) -> &str {
    file.path().to_str().unwrap()
}

fn labels(config: &Config) -> Vec<(&str, &str)> {
    config.labels.iter().collect()
}

#[test]
fn defaults_are_valid() {
    let config = Config::default();
    assert_eq!(config.collector.to_string(), "127.0.0.1:45678");
    assert_eq!(config.id, IdSource::HostName);
    assert_eq!(config.interval, Duration::from_secs(15));
    assert_eq!(config.metrics, Selection::default());
    assert!(labels(&config).is_empty() && config.token.is_none() && config.tls.is_none());
    assert_eq!((&*config.log.filter, config.log.format), ("info", LogFormat::Text));
}

#[test]
fn flags_override_environment_overrides_file() {
    let file = file("collector = 'file:1'\ninterval = '3s'\nmetrics = 'classic'\nlog = 'warn'\n");
    let variables =
        [("CONFIG", path(&file)), ("COLLECTOR", "env:2"), ("INTERVAL", "1500ms"), ("LOG", "")];
    let config = load(&["--collector", "flag:3"], &variables).unwrap();
    assert_eq!(config.collector.to_string(), "flag:3");
    assert_eq!(config.interval, Duration::from_millis(1500));
    assert_eq!(config.metrics, Selection::of(MetricSet::Classic));
    assert_eq!(config.log.filter, "warn", "an empty variable counts as unset");
}

#[test]
fn several_collectors_come_from_any_source() {
    let of = |flags: &[&str], variables: &[(&str, &str)]| {
        load(flags, variables).map(|config| config.collector.to_string())
    };
    for text in ["collector = ['a:1', 'b:2']\n", "collector = 'a:1,b:2'\n"] {
        let file = file(text);
        assert_eq!(of(&["--config", path(&file)], &[]).unwrap(), "a:1,b:2", "{text}");
    }
    assert_eq!(of(&[], &[("COLLECTOR", "a:1, b:2")]).unwrap(), "a:1,b:2");
    let both = ["--collector", "a:1", "--collector", "b:2,c:3"];
    assert_eq!(of(&both, &[("COLLECTOR", "env:2")]).unwrap(), "a:1,b:2,c:3");
    let error = of(&["--collector", "a:1,b"], &[]).unwrap_err();
    assert!(error.starts_with("--collector=\"b\": must be HOST:PORT"), "{error}");
    let error = of(&["--collector", ""], &[]).unwrap_err();
    assert!(error.contains("collector: is empty; give at least one collector"), "{error}");
}

#[test]
fn strongest_of_id_and_id_from_wins() {
    let file = file("id = 'from-file'\n");
    let given = |id| IdSource::Given(AgentId::try_new(id).unwrap());
    let id = |flags: &[&str], variables: &[(&str, &str)]| {
        load(&[&["--config", path(&file)], flags].concat(), variables).unwrap().id
    };
    assert_eq!(id(&[], &[]), given("from-file"));
    assert_eq!(id(&["--id", "flag"], &[("ID", "env")]), given("flag"));
    assert_eq!(id(&["--id", "flag"], &[("ID_FROM", "machine-id")]), given("flag"));
    assert_eq!(id(&["--id-from", "hostname"], &[]), IdSource::HostName);
    assert_eq!(id(&[], &[("ID_FROM", "machine-id")]), IdSource::MachineId);
    let error = load(&["--id", "x", "--id-from", "hostname"], &[]).unwrap_err();
    assert_eq!(error, "--id: cannot be combined with id_from (flag --id-from); remove one of them");
}

#[test]
fn labels_come_from_the_strongest_source() {
    let file = file("[labels]\ndc = 'file'\nrole = 'db, primary'\n");
    let config = load(&["--config", path(&file)], &[]).unwrap();
    assert_eq!(labels(&config), [("dc", "file"), ("role", "db, primary")]);
    let variables = [("LABELS", "rack=7, dc=env")];
    let config = load(&["--config", path(&file)], &variables).unwrap();
    assert_eq!(labels(&config), [("dc", "env"), ("rack", "7")]);
    let config = load(&["--config", path(&file), "--label", "dc=flag=x"], &variables).unwrap();
    assert_eq!(labels(&config), [("dc", "flag=x")]);
}

#[test]
fn invalid_value_is_named_with_what_is_right() {
    for (flags, expected) in [
        (["--collector", "here"], "--collector=\"here\": must be HOST:PORT, such as"),
        (["--interval", "999ms"], "--interval=\"999ms\": must be between 1s and 5m"),
        (["--interval", "301s"], "--interval=\"301s\": must be between 1s and 5m"),
        (["--interval", "15"], "--interval=\"15\": has no unit; append one of"),
        (["--metrics", "all"], "--metrics=\"all\": must be basic, classic or node"),
        (["--id", "my pc"], "--id=\"my pc\": must have 1 to 128 characters from"),
        (["--id-from", "dmi"], "--id-from=\"dmi\": must be hostname or machine-id"),
        (["--log", "loud"], "--log=\"loud\": must be error, warn, info"),
        (["--log-format", "jsn"], "must be text or json; did you mean json?"),
        (["--label", "dc"], "--label=\"dc\": must be NAME=VALUE, such as dc=fra"),
        (["--label", "d-c=x"], "--label=\"d-c=x\": the name must be a letter or _"),
        (["--label", "agent=x"], "label name \"agent\" is reserved for the collector or"),
        (["--config", "/nonexistent.toml"], "--config: /nonexistent.toml: cannot be read"),
        (["--tls-server-name", "a b"], "must be a host name or an IP address"),
    ] {
        let error = load(&flags, &[]).unwrap_err();
        assert!(error.contains(expected), "{expected:?} is not in {error:?}");
    }
}

#[test]
fn all_errors_are_reported_with_their_source() {
    let file = file("metrics = 'all'\nintervall = '1s'\n\n[labels]\ndc = 5\n");
    let variables = [("INTERVAL", "soon"), ("COLECTOR", "c:1"), ("LABELS", "a=1,a=2")];
    let error = load(&["--config", path(&file), "--id", "a b"], &variables).unwrap_err();
    let at = |line| format!("{}, line {line}", path(&file));
    for expected in [
        "--id=\"a b\": must have 1 to 128 characters from".to_owned(),
        "FLEETGAUGE_INTERVAL=\"soon\": must be a whole number followed by a unit".to_owned(),
        "FLEETGAUGE_COLECTOR: unknown setting; did you mean FLEETGAUGE_COLLECTOR?".to_owned(),
        "FLEETGAUGE_LABELS: label \"a\" is given twice".to_owned(),
        format!("{}: metrics: must be basic, classic or node", at(1)),
        format!("{}: intervall: unknown setting; did you mean interval?", at(2)),
        format!("{}: labels: must be a quoted string", at(5)),
    ] {
        assert!(error.lines().any(|line| line.starts_with(&expected)), "{expected}: {error}");
    }
}

#[test]
fn log_file_requires_a_log() {
    let config = load(&["--log-file=/run/reports"], &[]).unwrap();
    assert_eq!(config.log_file.as_deref(), Some(std::path::Path::new("/run/reports")));
    let errors = load(&["--log-file=/run/reports", "--log-size=0B"], &[]).unwrap_err();
    assert!(errors.contains("log_file") || errors.contains("--log-file"), "{errors}");
    assert!(errors.contains("requires a log; set log_size"), "{errors}");
}

#[test]
fn labels_fit_hello() {
    let flags: Vec<String> =
        (0..9).flat_map(|n| ["--label".into(), format!("l{n}={}", "x".repeat(1_000))]).collect();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let error = load(&flags, &[]).unwrap_err();
    assert_eq!(error, "--label: names and values have 9018 bytes; at most 8192 are allowed");
}

#[test]
fn strongest_of_token_and_token_file_wins() {
    let [flag, env, setting] = [0; 3].map(|_| file(TOKEN));
    let settings = file(&format!("token_file = '{}'\n", path(&setting)));
    let token = |flags: &[&str], variables: &[(&str, &str)]| {
        load(&[&["--config", path(&settings)], flags].concat(), variables).unwrap().token
    };
    let in_file = |path: &str| Some(TokenSource::File(path.into()));
    let given = Some(TokenSource::Given(Token::parse(TOKEN).unwrap()));
    assert_eq!(token(&[], &[]), in_file(path(&setting)));
    assert_eq!(token(&[], &[("TOKEN_FILE", path(&env))]), in_file(path(&env)));
    assert_eq!(token(&[], &[("TOKEN", TOKEN)]), given);
    assert_eq!(token(&["--token-file", path(&flag)], &[("TOKEN", TOKEN)]), in_file(path(&flag)));
    let error = load(&[], &[("TOKEN", TOKEN), ("TOKEN_FILE", path(&env))]).unwrap_err();
    assert!(error.starts_with("FLEETGAUGE_TOKEN: cannot be combined with token_file ("), "{error}");
}

#[test]
fn invalid_token_is_named_and_not_shown() {
    let short = file("hunter2\n");
    let error = load(&["--token-file", path(&short)], &[]).unwrap_err();
    let expected = format!("--token-file: {}: the token must have at least 16", path(&short));
    assert!(error.starts_with(&expected) && !error.contains("hunter2"), "{error}");
    let error = load(&[], &[("TOKEN", "hunter2")]).unwrap_err();
    assert!(error.starts_with("FLEETGAUGE_TOKEN: must have at least 16"), "{error}");
    let error = load(&[], &[("TOKEN", "")]).unwrap_err();
    assert!(error.starts_with("FLEETGAUGE_TOKEN: must not be empty"), "{error}");
    let error = load(&["--token-file", "/nonexistent"], &[]).unwrap_err();
    assert!(error.contains("/nonexistent: cannot be read: No such file"), "{error}");
    let config = file("token = 'hunter2hunter2hunter2'\n");
    let error = load(&["--config", path(&config)], &[]).unwrap_err();
    assert!(error.contains("line 1: token: the token belongs in the file"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn token_in_the_environment_is_never_printed() {
    let config = load(&[], &[("TOKEN", TOKEN)]).unwrap();
    assert!(config.effective.to_string().contains("# token is set and not shown"));
    assert!(!format!("{config:?} {}", config.effective).contains(TOKEN));
}

#[test]
fn token_is_not_sent_unencrypted_to_another_host() {
    let variables = [("TOKEN", TOKEN)];
    let other_host = ["--collector", "192.0.2.1:45678"];
    let error = load(&other_host, &variables).unwrap_err();
    let expected = "--collector: the token would be sent to 192.0.2.1:45678 unencrypted";
    assert!(error.starts_with(expected) && error.contains("--insecure"), "{error}");
    load(&other_host, &[]).unwrap();
    load(&["--collector", "127.0.0.1:45678"], &variables).unwrap();
    // A name is checked when it is resolved.
    load(&["--collector", "collector.example:45678"], &variables).unwrap();
    let one_of_two = ["--collector", "127.0.0.1:45678,192.0.2.1:45678"];
    assert!(load(&one_of_two, &variables).unwrap_err().starts_with(expected));
    assert!(load(&[&other_host[..], &["--insecure"]].concat(), &variables).unwrap().insecure);
    let [yes, no] = ["true", "false"].map(|text| [variables[0], ("INSECURE", text)]);
    load(&other_host, &yes).unwrap();
    load(&other_host, &no).unwrap_err();
}

#[test]
fn tls_settings_enable_tls_unless_it_is_disabled() {
    let pem = rcgen::generate_simple_self_signed(["collector".to_owned()]).unwrap().cert.pem();
    let ca = file(&pem);
    let flags = ["--tls-ca", path(&ca)];
    let config = load(&flags, &[]).unwrap();
    assert_eq!(config.tls.unwrap().ca.as_deref(), Some(ca.path()));
    assert!(config.effective.to_string().contains("tls = true "), "the default follows");
    assert!(load(&flags, &[("TLS", "false")]).unwrap().tls.is_none());
    let error = load(&["--tls-key", path(&ca)], &[]).unwrap_err();
    assert!(
        error.contains("--tls-key: requires --tls-certificate; set --tls-certificate too"),
        "{error}"
    );
}

/// Returns the mount points of procfs and sysfs, the root, and the directory of udev's data.
fn paths(config: &Config) -> [&str; 4] {
    let NodePaths { procfs, sysfs, rootfs, udev_data } = config.metrics.settings().options.paths();
    [procfs, sysfs, rootfs, udev_data].map(|path| path.to_str().unwrap())
}

#[test]
fn node_settings_have_defaults() {
    let config = Config::default();
    assert_eq!(config.metrics, Selection::default());
    let settings = config.metrics.settings();
    assert!(settings.scrapes.is_empty() && settings.textfiles.is_empty());
    assert_eq!(paths(&config), ["/proc", "/sys", "/", "/run/udev/data"]);
}

#[test]
fn node_settings_come_from_every_source() {
    let file = file(
        "metrics = 'node'\ncollectors = 'default, +processes'\npath_sysfs = '/host/sys'\n\
         path_procfs = '/x'\n[node]\n'filesystem.mount-points-exclude' = '^/(snap|a,b)='\n",
    );
    let variables = [("CONFIG", path(&file)), ("PATH_UDEV_DATA", "/host/udev")];
    let config = load(&["--path.procfs", "/host/proc", "--path.rootfs=/host"], &variables).unwrap();
    assert!(config.metrics.collectors().contains(&"processes"));
    let options = &config.metrics.settings().options;
    assert_eq!(options.text("filesystem.mount-points-exclude"), "^/(snap|a,b)=");
    assert_eq!(paths(&config), ["/host/proc", "/host/sys", "/host", "/host/udev"]);

    let flags = ["--collectors=-cpu", "--collectors", "+processes,-loadavg"];
    let node = ["--node", "filesystem.fs-types-exclude=", "--node=diskstats.device-exclude=a,b"];
    let config = load(&[&flags[..], &node].concat(), &variables).unwrap();
    let collectors = config.metrics.collectors();
    assert!(collectors.contains(&"processes") && !collectors.contains(&"cpu"));
    let options = &config.metrics.settings().options;
    assert_eq!(options.text("diskstats.device-exclude"), "a,b");
    assert_eq!(options.text("filesystem.fs-types-exclude"), "");
    assert_ne!(options.text("filesystem.mount-points-exclude"), "^/(snap|a,b)=");
}

#[test]
fn collectors_and_options_that_do_not_exist_are_named() {
    for (flags, expected) in [
        (["--collectors", "+loadvag"], "collectors: there is no collector \"loadvag\"; the coll"),
        (["--node", "loadavg.none=1"], "node: no collector has the option \"loadavg.none\""),
        (["--node", "filesystem.fs-types-exclude=("], "is not a regular expression"),
    ] {
        let error = load(&flags, &[]).unwrap_err();
        assert!(error.contains(expected), "{expected:?} is not in {error:?}");
    }
}

#[test]
fn invalid_node_settings_are_named() {
    for (flags, expected) in [
        (&["--collectors", "default,+a b"][..], "--collectors=\"+a b\": must be default, or +NAME"),
        (&["--collectors", "default,,+a"], "--collectors=\"\": must be default, or +NAME"),
        (&["--collectors=++a"], "--collectors=\"++a\": must be default, or +NAME"),
        (&["--node", "x.y"], "--node=\"x.y\": must be NAME=VALUE, such as filesystem."),
        (&["--node", "=1"], "--node=\"=1\": must be NAME=VALUE"),
        (&["--node", "a b=1"], "--node=\"a b=1\": must be NAME=VALUE"),
        (&["--node", "a=1", "--node", "a=2"], "--node: option \"a\" is given twice; remove one"),
        (&["--path.procfs="], "--path.procfs=\"\": is empty; name a file or directory"),
    ] {
        let error = load(flags, &[]).unwrap_err();
        assert!(error.starts_with(expected), "{expected:?} is not in {error:?}");
    }
}
