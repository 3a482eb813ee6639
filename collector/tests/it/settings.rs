//! Settings of the command: their sources, errors, and `--check`.

use std::io::Write;
use std::process::{Command, Output};

use tempfile::NamedTempFile;

use crate::support::command::command;

/// Runs the command with `--check`.
fn check(arguments: &[&str]) -> Output {
    checking(arguments).output().unwrap()
}

fn checking(arguments: &[&str]) -> Command {
    let mut command = command(&["--check"]);
    command.args(arguments);
    command
}

/// Runs the command with a settings file.
fn check_file(content: &str, arguments: &[&str]) -> Output {
    let file = file(content);
    let mut command = checking(&["--config", path(&file)]);
    command.args(arguments).output().unwrap()
}

fn file(content: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(content.as_bytes()).unwrap();
    file
}

fn path(file: &NamedTempFile) -> &str {
    file.path().to_str().unwrap()
}

/// Returns the errors, one a line, of a command that exits with 64.
fn errors(output: &Output) -> String {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(64), "{text}");
    assert!(!text.contains("panicked"), "{text}");
    text.replace("fleetgauge-collector: ", "")
}

/// Returns the settings that `--check` prints.
fn printed(output: &Output) -> String {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn unknown_flag_exits_64_and_names_the_nearest() {
    for (flag, nearest) in [("--lissten", "--listen"), ("--max-memry", "--max-memory")] {
        let error = errors(&check(&[flag, "1"]));
        assert!(error.contains(flag) && error.contains(&format!("'{nearest}'")), "{error}");
    }
    errors(&check(&["stray"]));
}

#[test]
fn invalid_flag_is_named_with_what_is_right() {
    for (arguments, expected) in [
        (["--listen", "here"], "--listen=\"here\": must be IP:PORT, such as 127.0.0.1:45678"),
        (["--http-listen", "localhost:1"], "--http-listen=\"localhost:1\": must be IP:PORT"),
        (["--advertise", "metrics"], "--advertise=\"metrics\": must be HOST:PORT"),
        (["--max-connections", "many"], "--max-connections=\"many\": must be a whole number"),
        (["--max-connections", "0"], "--max-connections=\"0\": must be between 1 and"),
        (["--max-scrapes", "65"], "--max-scrapes=\"65\": must be between 1 and 64"),
        (["--max-interval", "301s"], "--max-interval=\"301s\": must be between 1s and 5m"),
        (["--max-payload", "100B"], "--max-payload=\"100B\": must be between 16KiB and 16777215B"),
        (["--drain-timeout", "601s"], "--drain-timeout=\"601s\": must be between 0s and 10m"),
        (["--drain-timeout", "5"], "--drain-timeout=\"5\": has no unit; append one of"),
        (["--max-memory", "1GB"], "--max-memory=\"1GB\": must have one of the units B, KiB, MiB"),
        (["--departed-retention", "0h"], "=\"0h\": must be between 1h and 365d"),
        (["--tls-min-version", "1.1"], "--tls-min-version=\"1.1\": must be 1.2 or 1.3"),
        (["--log-format", "jsn"], "--log-format=\"jsn\": must be text or json; did you mean json?"),
        (["--exempt-addresses", "10.0.0/8"], "must be an IP address or a prefix, such as"),
        (["--types", "load=gouge"], "--types=\"load=gouge\": must be FAMILY=TYPE, where TYPE is"),
        (["--log", "=!="], "--log=\"=!=\": must be error, warn, info"),
        (["--expected-agents", "/nonexistent"], "--expected-agents: cannot read /nonexistent"),
        (["--config", "/nonexistent.toml"], "--config: /nonexistent.toml: cannot be read"),
        (["--config", "/"], "--config: /: is not a file"),
        (["--config", "/dev/zero"], "--config: /dev/zero: is not a file"),
        (["--credentials", ""], "--credentials=\"\": is empty; name a file"),
    ] {
        let error = errors(&check(&arguments));
        assert!(error.contains(expected), "{expected:?} is not in {error:?}");
    }
}

#[test]
fn more_connections_than_the_file_limit_allows_are_rejected_with_a_remedy() {
    let error = errors(&check(&["--max-connections", "999999999"]));
    assert!(error.contains("ulimit -n") && error.contains("LimitNOFILE="), "{error}");
}

#[test]
fn invalid_file_is_named_with_path_and_line() {
    for (content, expected) in [
        ("listen = [", "line 1: invalid TOML: "),
        ("\nlissten = []", "line 2: lissten: unknown setting; did you mean listen?"),
        ("[typez]\nload = 'gauge'", "line 1: typez: unknown setting; did you mean types?"),
        ("config = 'x'", "line 1: config: unknown setting"),
        ("max_scrapes = 'four'", "line 1: max_scrapes: must be a whole number, without quotes"),
        ("max_scrapes = -1", "line 1: max_scrapes: must not be negative"),
        ("max_scrapes = 1000", "line 1: max_scrapes: must be between 1 and 64"),
        ("\n\ndrain_timeout = 5", "line 3: drain_timeout: must have a unit and quotes"),
        ("max_memory = 1", "line 1: max_memory: must have a unit and quotes, such as \"64MiB\""),
        ("max_memory = '1GB'", "line 1: max_memory: must have one of the units"),
        ("http_listen = ['127.0.0.1:1']", "line 1: http_listen: must be a quoted string"),
        ("listen = '127.0.0.1:1'", "line 1: listen: must be a list of strings"),
        ("listen = [\n'127.0.0.1:1',\n'x']", "line 3: listen: must be IP:PORT"),
        ("classic = 'yes'", "line 1: classic: must be true or false, without quotes"),
        ("[types]\nload = 'gouge'", "line 2: types: must be FAMILY=TYPE, where TYPE is"),
        ("types = 5", "line 1: types: must be a table"),
        ("token = 'x'", "line 1: token: tokens belong in the file that credentials names"),
    ] {
        let file = file(content);
        let error = errors(&check(&["--config", path(&file)]));
        let expected = format!("{}, {expected}", path(&file));
        assert!(error.contains(&expected), "{expected:?} is not in {error:?}");
    }
    let endless = "#".repeat((1 << 20) + 1);
    let error = errors(&check_file(&endless, &[]));
    assert!(error.contains("has more than 1048576 bytes"), "{error}");
}

#[test]
fn value_of_a_file_is_never_shown() {
    for content in [
        "listen = ['hunter2']",
        "max_memory = 'hunter2'",
        "token = 'hunter2'",
        "hunter2 = 1",
        "credentials = hunter2",
        "credentials = \"hunter2",
        "credentials = 'x' hunter2",
        "tls_min_version = 'hunter2'",
        "types = { load = 'hunter2' }",
        "hunter2",
    ] {
        let error = errors(&check_file(content, &[]));
        // The name of a key is no secret.
        assert!(!error.replace("hunter2: unknown", "").contains("hunter2"), "{content}: {error}");
    }
}

#[test]
fn content_of_a_key_in_place_of_its_path_is_not_shown() {
    let mut command = checking(&[]);
    command.env("FLEETGAUGE_TLS_KEY", "-----BEGIN PRIVATE KEY-----\nhunter2\n");
    let error = errors(&command.output().unwrap());
    assert!(error.contains("FLEETGAUGE_TLS_KEY: must be the path of a file"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn unknown_variable_is_rejected_unless_it_belongs_to_another_program() {
    for (name, expected) in [
        ("FLEETGAUGE_LISTN", "FLEETGAUGE_LISTN: unknown setting; did you mean FLEETGAUGE_LISTEN?"),
        ("FLEETGAUGE_XYZZY", "FLEETGAUGE_XYZZY: unknown setting; unset it"),
        ("FLEETGAUGE_TOKENS_", "FLEETGAUGE_TOKENS_: unknown setting"),
    ] {
        let error = errors(&checking(&[]).env(name, "hunter2").output().unwrap());
        assert!(error.contains(expected) && !error.contains("hunter2"), "{error}");
    }
    for name in [
        // Of the agent.
        "FLEETGAUGE_TOKEN",
        "FLEETGAUGE_ID",
        "FLEETGAUGE_TLS_CA",
        // Of Kubernetes, for services called fleetgauge and fleetgauge-collector.
        "FLEETGAUGE_PORT",
        "FLEETGAUGE_SERVICE_HOST",
        "FLEETGAUGE_COLLECTOR_SERVICE_HOST",
        "FLEETGAUGE_COLLECTOR_SERVICE_PORT",
        "FLEETGAUGE_COLLECTOR_SERVICE_PORT_HTTP",
        "FLEETGAUGE_COLLECTOR_PORT",
        "FLEETGAUGE_COLLECTOR_PORT_1234_TCP",
        "FLEETGAUGE_COLLECTOR_PORT_1234_TCP_ADDR",
        "FLEETGAUGE_COLLECTOR_PORT_1234_TCP_PROTO",
    ] {
        printed(&checking(&[]).env(name, "tcp://10.0.0.1:1234").output().unwrap());
    }
}

#[test]
fn all_errors_of_all_sources_are_reported_together() {
    let file = file("max_scrapes = 1000\nmax_memry = '1GiB'\ntls_key = '/nonexistent'\n");
    let mut command = checking(&["--config", path(&file), "--listen", "nonsense"]);
    command.args(["--http-listen", "0.0.0.0:0", "--max-catalogs", "0"]);
    command.env("FLEETGAUGE_DRAIN_TIMEOUT", "5").env("FLEETGAUGE_LISTN", "x");
    let errors = errors(&command.output().unwrap());
    for expected in [
        "--listen=\"nonsense\": ",
        "--max-catalogs=\"0\": ",
        "--http-listen: 0.0.0.0:0 is not a loopback address",
        "FLEETGAUGE_DRAIN_TIMEOUT=\"5\": has no unit",
        "FLEETGAUGE_LISTN: ",
        "line 1: max_scrapes: ",
        "line 2: max_memry: ",
        "line 3: tls_key: requires tls_certificate; set tls_certificate too",
    ] {
        assert!(errors.contains(expected), "{expected:?} is not in {errors}");
    }
    assert_eq!(errors.lines().count(), 8, "{errors}");
}

#[test]
fn flag_overrides_variable_and_variable_overrides_file() {
    let file = file("max_scrapes = 1\nmax_catalogs = 2\nmax_departed = 3\n");
    let mut command = checking(&["--config", path(&file), "--max-scrapes", "10"]);
    command.env("FLEETGAUGE_MAX_SCRAPES", "20").env("FLEETGAUGE_MAX_CATALOGS", "30");
    let text = printed(&command.output().unwrap());
    for (value, origin) in [
        ("max_scrapes = 10", "flag --max-scrapes".to_owned()),
        ("max_catalogs = 30", "environment variable FLEETGAUGE_MAX_CATALOGS".to_owned()),
        ("max_departed = 3", format!("{} line 3", path(&file))),
        ("max_families = 1000", "default".to_owned()),
        ("drain_timeout = \"5s\"", "default".to_owned()),
        ("exempt_addresses = [\"127.0.0.0/8\", \"::1\"]", "default".to_owned()),
    ] {
        let line = text.lines().find(|line| line.starts_with(value));
        let line = line.unwrap_or_else(|| panic!("{value:?} is not in {text}"));
        assert_eq!(line.split_once(" # ").map(|(_, origin)| origin), Some(&*origin), "{line}");
    }
    assert!(text.contains("# credentials is not set\n"), "{text}");
}

#[test]
fn overridden_value_is_checked_all_the_same() {
    let error = errors(&check_file("max_scrapes = 1000\n", &["--max-scrapes", "4"]));
    assert!(error.contains("line 1: max_scrapes: must be between 1 and 64"), "{error}");
}

#[test]
fn printed_settings_can_be_used_as_a_file() {
    let arguments = ["--listen", "127.0.0.1:0,[::1]:0", "--max-memory", "2048MiB"];
    let kinds = ["--types", "load=gauge", "--exempt-addresses=", "--classic"];
    let text = printed(&check(&[&arguments[..], &kinds].concat()));
    let set = |text: &str| -> Vec<_> {
        let lines = text.lines().filter(|line| !line.contains("config") && line.contains(" = "));
        let set = lines.filter(|line| !line.ends_with("# default"));
        set.map(|line| line.split(" # ").next().unwrap().trim_end().to_owned()).collect()
    };
    assert_eq!(set(&text).len(), 5, "{text}");
    assert_eq!(set(&text), set(&printed(&check_file(&set(&text).join("\n"), &[]))));
}

#[test]
fn file_named_by_a_variable_is_read() {
    let file = file("max_scrapes = 7\n");
    let output = checking(&[]).env("FLEETGAUGE_CONFIG", path(&file)).output().unwrap();
    assert!(printed(&output).contains("max_scrapes = 7 "));
}

#[test]
fn empty_variable_is_unset_but_an_empty_list_and_an_error_for_a_path() {
    let text = printed(&checking(&[]).env("FLEETGAUGE_MAX_SCRAPES", "").output().unwrap());
    assert!(text.contains("max_scrapes = 4 "), "{text}");
    let text = printed(&checking(&[]).env("FLEETGAUGE_EXEMPT_ADDRESSES", "").output().unwrap());
    assert!(text.contains("exempt_addresses = [] "), "{text}");
    let error = errors(&checking(&[]).env("FLEETGAUGE_CREDENTIALS", "").output().unwrap());
    assert!(error.contains("FLEETGAUGE_CREDENTIALS=\"\": is empty; name a file"), "{error}");
}

#[test]
fn switch_is_set_by_flag_variable_and_file() {
    let public = ["--http-listen", "0.0.0.0:0"];
    for (value, valid) in [("true", true), ("1", true), ("false", false), ("0", false)] {
        let mut command = checking(&public);
        let output = command.env("FLEETGAUGE_INSECURE", value).output().unwrap();
        assert_eq!(output.status.success(), valid, "{value}");
    }
    let error = errors(&checking(&[]).env("FLEETGAUGE_CLASSIC", "maybe").output().unwrap());
    assert!(error.contains("FLEETGAUGE_CLASSIC=\"maybe\": must be true or false"), "{error}");
    printed(&check_file("insecure = true", &public));
    errors(&check_file("insecure = true", &[&public[..], &["--insecure=false"]].concat()));
    let mut overruled = checking(&public);
    overruled.env("FLEETGAUGE_INSECURE", "false");
    errors(&overruled.output().unwrap());
    printed(&overruled.arg("--insecure").output().unwrap());
}

#[test]
fn non_loopback_address_needs_protection_or_insecure() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:45678"] {
        for flag in ["--listen", "--http-listen"] {
            let error = errors(&check(&[flag, address]));
            for word in [flag, "loopback", "--insecure", "authentication"] {
                assert!(error.contains(word), "{word:?} is not in {error:?}");
            }
            printed(&check(&[flag, address, "--insecure"]));
        }
    }
    printed(&check(&["--listen", "[::1]:0", "--listen", "127.9.9.9:1"]));
}

#[test]
fn check_rejects_a_state_directory_that_is_a_file() {
    let file = file("");
    let error = errors(&check(&["--state-dir", path(&file), "--max-scrapes", "0"]));
    assert!(error.contains(&format!("--state-dir: {} is not a", path(&file))), "{error}");
    assert!(error.contains("--max-scrapes=\"0\": "), "{error}");
}

/// Returns the log of a collector that cannot bind its port.
fn log_of_failed_start(arguments: &[&str]) -> String {
    let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = busy.local_addr().unwrap().to_string();
    let output = command(&["--listen", &address]).args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn first_log_line_has_the_version() {
    let log = log_of_failed_start(&[]);
    let version = format!("version=\"{}\"", env!("CARGO_PKG_VERSION"));
    assert!(log.lines().next().unwrap().contains(&version), "{log}");
}

#[test]
fn json_log_format_writes_an_object_per_line() {
    let log = log_of_failed_start(&["--log-format", "json"]);
    let lines: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["version"], env!("CARGO_PKG_VERSION"), "{log}");
    assert_eq!(lines.last().unwrap()["level"], "ERROR", "{log}");
}

#[test]
fn help_groups_options_and_shows_defaults_and_examples() {
    let text = |flag| String::from_utf8(command(&[flag]).output().unwrap().stdout).unwrap();
    let (short, long) = (text("-h"), text("--help"));
    for help in [&short, &long] {
        for word in [
            "Listening:",
            "TLS for HTTP:",
            "--max-catalogs-size <SIZE>",
            "[default: 64MiB]",
            "--log-format <FORMAT>",
            "FLEETGAUGE_<NAME>",
        ] {
            assert!(help.contains(word), "{word:?} is not in {help}");
        }
    }
    assert!(short.contains("[possible values: text, json]"), "{short}");
    assert!(long.contains("Examples:") && long.contains("docs/configuration.md"), "{long}");
    assert!(short.lines().count() < long.lines().count() / 2);
    let version = command(&["--version"]).output().unwrap();
    let expected = format!("fleetgauge-collector {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8(version.stdout).unwrap(), expected);
}
