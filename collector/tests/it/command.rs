//! The command: settings, exit codes, signals, and a log that cannot be written.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Output, Stdio};

use assert_cmd::assert::OutputAssertExt;
use fleetgauge_proto::Code;
use rustix::process::Signal;

use crate::support::agent::{Agent, Heard, who};
use crate::support::command::{Process, command};
use crate::support::frames::gauges;
use crate::support::{eventually, http};

/// Runs it to its end.
fn output(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Exit code 64, and all these words on standard error.
fn is_refused(output: &Output, words: &[&str]) {
    let said = stderr(output);
    assert_eq!(output.status.code(), Some(64), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in {said:?}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

fn file(content: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(content.as_bytes()).unwrap();
    file
}

fn with_file(content: &str, more: &[&str]) -> Output {
    let file = file(content);
    let mut arguments = vec!["--check", "--config", file.path().to_str().unwrap()];
    arguments.extend(more);
    output(&arguments)
}

#[test]
fn flags_that_cannot_be() {
    for (arguments, words) in [
        (&["--nonsense"][..], &["--nonsense"][..]),
        (&["--listen", "nonsense"], &["listen", "nonsense", "127.0.0.1:45678"]),
        (&["--http", "localhost:1234"], &["http", "IP:PORT"]),
        (&["--http", "127.0.0.1"], &["http", "IP:PORT"]),
        (&["--advertise", "metrics.example.com"], &["advertise", "HOST:PORT"]),
        (&["--max-connections", "many"], &["--max-connections", "many"]),
        (&["--max-connections", "0"], &["max_connections", "0", "1 to", "ulimit"]),
        (&["--max-connections", "999999999"], &["max_connections", "ulimit"]),
        (&["--max-scrapes", "65"], &["max_scrapes", "1 to 64"]),
        (&["--max-interval-seconds", "301"], &["max_interval_seconds", "1 to 300"]),
        (&["--max-payload-bytes", "100"], &["max_payload_bytes", "16384 to 16777215"]),
        (&["--drain-seconds", "601"], &["drain_seconds", "0 to 600"]),
        (&["--departed-hours", "0"], &["departed_hours", "1 to 8760"]),
        (&["--max-departed", "1000001"], &["max_departed", "0 to 1000000"]),
        (&["--return-seconds", "0"], &["return_seconds", "1 to 3600"]),
        (&["--state-seconds", "0"], &["state_seconds", "1 to 3600"]),
        (&["--expect", "/nonexistent"], &["expect", "/nonexistent"]),
        (&["--log", "=!="], &["log"]),
        (&["--config", "/nonexistent.toml"], &["config", "/nonexistent.toml"]),
        (&["stray"], &["stray"]),
    ] {
        let mut all = vec!["--check"];
        all.extend(arguments);
        is_refused(&output(&all), words);
    }
}

#[test]
fn files_that_cannot_be() {
    for (content, words) in [
        ("listen = [", &["config"][..]),
        ("lissten = [\"127.0.0.1:0\"]", &["config", "lissten"]),
        ("max_scrapes = \"four\"", &["config", "max_scrapes"]),
        ("max_scrapes = -1", &["config", "max_scrapes"]),
        ("advertise = \"http://a:1/\"", &["advertise", "HOST:PORT"]),
        ("max_scrapes = 1000", &["max_scrapes", "1 to 64"]),
        ("http = \"0.0.0.0:1234\"", &["http", "--insecure"]),
        ("[kinds]\nload = \"gouge\"", &["kinds.load", "gouge", "histogram"]),
        ("[kindz]\nload = \"gauge\"", &["config", "kindz"]),
    ] {
        is_refused(&with_file(content, &[]), words);
    }
}

#[test]
fn a_public_address_needs_insecure() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:45678"] {
        for flag in ["--listen", "--http"] {
            is_refused(
                &output(&["--check", flag, address]),
                &[&flag[2..], "loopback", "--insecure", "authentication"],
            );
            output(&["--check", flag, address, "--insecure"]).assert().success();
        }
    }
    output(&["--check", "--listen", "[::1]:0", "--listen", "127.9.9.9:1"]).assert().success();
}

#[test]
fn check_and_version_and_help() {
    output(&["--check"]).assert().success();
    let version = output(&["--version"]);
    assert_eq!(version.status.code(), Some(0));
    let shown = String::from_utf8(version.stdout).unwrap();
    assert_eq!(shown, format!("fleetgauge-collector {}\n", env!("CARGO_PKG_VERSION")));
    let help = String::from_utf8(output(&["--help"]).stdout).unwrap();
    for setting in ["--max-schema-bytes", "FLEETGAUGE_MAX_SCHEMA_BYTES", "127.0.0.1:45678"] {
        assert!(help.contains(setting), "{setting}");
    }
}

#[test]
fn a_settings_file_that_is_endless_or_no_file() {
    let endless = "#".repeat((1 << 20) + 1);
    is_refused(&with_file(&endless, &[]), &["config", "more than 1048576 bytes"]);
    let directory = command(&["--check", "--config", "/"]).output().unwrap();
    is_refused(&directory, &["config: /", "is not a file"]);
    let device = command(&["--check", "--config", "/dev/zero"]).output().unwrap();
    is_refused(&device, &["config: /dev/zero", "is not a file"]);
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let bad = "max_scrapes = 1000\nhttp = \"nonsense\"\nlisten = [\"nonsense\"]";
    let file = file(bad);
    let path = file.path().to_str().unwrap();
    let mut environment = command(&["--check", "--config", path]);
    environment
        .env("FLEETGAUGE_MAX_SCRAPES", "2000")
        .env("FLEETGAUGE_HTTP", "127.0.0.1:0")
        .env("FLEETGAUGE_LISTEN", "127.0.0.1:0,127.0.0.1:0");
    is_refused(&environment.output().unwrap(), &["max_scrapes", "2000"]);
    environment.args(["--max-scrapes", "3000"]);
    is_refused(&environment.output().unwrap(), &["max_scrapes", "3000"]);
    environment.env("FLEETGAUGE_MAX_SCRAPES", "4");
    is_refused(&environment.output().unwrap(), &["max_scrapes", "3000"]);
    let mut right = command(&["--check", "--config", path, "--http", "127.0.0.1:0"]);
    right.args(["--listen", "127.0.0.1:0", "--max-scrapes", "4"]);
    right.env("FLEETGAUGE_HTTP", "nonsense").output().unwrap().assert().success();
    let mut named = command(&["--check"]);
    named.env("FLEETGAUGE_CONFIG", path);
    is_refused(&named.output().unwrap(), &["nonsense"]);
}

#[test]
fn switches_in_the_environment() {
    for (value, refused) in [("true", false), ("1", false), ("false", true), ("0", true)] {
        let mut command = command(&["--check", "--http", "0.0.0.0:0"]);
        let output = command.env("FLEETGAUGE_INSECURE", value).output().unwrap();
        assert_eq!(output.status.code(), Some(if refused { 64 } else { 0 }), "{value}");
    }
    let nonsense = command(&["--check"]).env("FLEETGAUGE_CLASSIC", "maybe").output().unwrap();
    is_refused(&nonsense, &["--classic", "maybe"]);
}

#[test]
fn switches_are_overruled_like_all_settings() {
    let public = "insecure = true\nhttp = \"0.0.0.0:0\"";
    with_file(public, &[]).assert().success();
    is_refused(&with_file(public, &["--insecure=false"]), &["http", "--insecure"]);
    let file = file(public);
    let mut command = command(&["--check", "--config", file.path().to_str().unwrap()]);
    command.env("FLEETGAUGE_INSECURE", "false");
    is_refused(&command.output().unwrap(), &["http", "--insecure"]);
    command.arg("--insecure").output().unwrap().assert().success();
}

#[test]
fn a_busy_port_is_named_with_a_way_out() {
    // A port of Linux's ephemeral range, as the kernel gave it.
    let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = busy.local_addr().unwrap();
    let ephemeral = address.port() >= 32_768;
    for flags in [["--listen", "--http"], ["--http", "--listen"]] {
        let taken = address.to_string();
        let output = output(&[flags[0], &taken, flags[1], "127.0.0.1:0"]);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&taken), "{said}");
        assert_eq!(said.contains("net.ipv4.ip_local_reserved_ports"), ephemeral, "{said}");
    }
}

#[test]
fn an_address_of_nobody_is_an_error() {
    let output = output(&["--insecure", "--listen", "192.0.2.1:1", "--http", "127.0.0.1:0"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("192.0.2.1:1"));
}

#[test]
fn the_log_tells_who_comes_and_goes() {
    let mut process = Process::start(&[]);
    let agent = Agent::join(process.agents, &who("visitor"), &gauges(&["load"]), &[1.0]);
    let port = agent.stream.local_addr().unwrap().port().to_string();
    let came = process.logs("agent reports");
    assert!(came.contains("INFO") && came.contains("visitor") && came.contains(&port), "{came:?}");
    drop(agent);
    let left = process.logs("agent gone");
    assert!(
        left.contains("INFO") && left.contains("visitor") && left.contains("closed"),
        "{left:?}"
    );
    assert!(!left.contains('\u{1b}'), "no colours into a pipe: {left:?}");
}

/// One agent reports, another is refused: both are logged.
fn works(process: &Process) {
    let mut agent = Agent::join(process.agents, &who("a"), &gauges(&["load"]), &[1.0]);
    for n in 0..3 {
        let mut stranger = Agent::connect(process.agents);
        stranger.send(b"nonsense");
        stranger.expect_reject(Code::BadMagic);
        agent.report(&[f64::from(n)]);
        let page = http::request(process.http, "GET", "/metrics/agents", &[]);
        assert!(page.whole);
        assert_eq!(page.text().lines().last(), Some(&*format!("load{{agent=\"a\"}} {n}")));
    }
}

#[test]
fn a_full_disk_under_the_log() {
    let full = || Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    let mut deaf = command(&["--log", "debug"]);
    deaf.stderr(full());
    let mut process = Process::start_deaf(deaf);
    works(&process);
    process.signal(Signal::TERM);
    assert_eq!(process.ends().code(), Some(0));
    for (arguments, code) in [(&["--check"][..], 0), (&["--max-scrapes", "0"], 64), (&["--x"], 64)]
    {
        let status = command(arguments).stderr(full()).status().unwrap();
        assert_eq!(status.code(), Some(code), "{arguments:?}");
    }
}

#[test]
fn a_log_that_nobody_reads_any_more() {
    let mut process = Process::start(&["--log", "debug"]);
    process.close_log();
    works(&process);
    process.signal(Signal::INT);
    assert_eq!(process.ends().code(), Some(0));
}

#[test]
fn a_closed_stderr() {
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "exec \"$0\" \"$@\" 2>&- >&-", env!("CARGO_BIN_EXE_fleetgauge-collector")]);
    let mut process = Process::start_deaf(shell);
    works(&process);
    process.signal(Signal::TERM);
    assert_eq!(process.ends().code(), Some(0));
}

#[test]
fn sigterm_asks_agents_to_leave() {
    // Longer than the timeout of this test: the drain ends when all agents have left.
    let mut process = Process::start(&["--drain-seconds", "600"]);
    let mut agent = Agent::join(process.agents, &who("a"), &gauges(&["load"]), &[1.0]);
    process.signal(Signal::TERM);
    assert!(matches!(agent.hear(), Heard::Drain { .. }));
    assert_eq!(http::request(process.http, "GET", "/readyz", &[]).status, 503);
    drop(agent);
    assert_eq!(process.ends().code(), Some(0));
    process.logs("stopped");
}

#[test]
fn sigint_waits_no_longer_than_it_must() {
    let mut process = Process::start(&["--drain-seconds", "1"]);
    let mut agent = Agent::join(process.agents, &who("a"), &gauges(&["load"]), &[1.0]);
    // Another client has a page in flight and does not read it.
    let mut idle = std::net::TcpStream::connect(process.http).unwrap();
    idle.write_all(b"GET /metrics HTTP/1.1\r\n").unwrap();
    process.signal(Signal::INT);
    agent.expect_code(Code::Draining);
    assert_eq!(process.ends().code(), Some(0));
    let _ = idle.read(&mut [0]);
}

#[test]
fn a_full_collector_still_answers_its_scrape() {
    let mut shell = std::process::Command::new("sh");
    let limited = "ulimit -n 320 && exec \"$0\" \"$@\" 2>/dev/null";
    shell.args(["-c", limited, env!("CARGO_BIN_EXE_fleetgauge-collector")]);
    let process = Process::start_deaf(shell);
    let join = |n| Agent::join(process.agents, &who(&format!("a{n}")), &gauges(&["up"]), &[1.0]);
    let fleet: Vec<_> = (0..64).map(join).collect();
    // They are refused, and stay to read more.
    let crowd: Vec<_> = (0..300).map(|_| Agent::connect(process.agents)).collect();
    for _ in 0..10 {
        let page = http::request(process.http, "GET", "/metrics/agents", &[]);
        assert!(page.whole);
        assert_eq!(page.text().matches("agent=").count(), 64);
    }
    let own = http::request(process.http, "GET", "/metrics/self", &[]).text();
    assert!(own.contains("fleetgauge_accept_errors_total 0"), "descriptors never ran out");
    drop((crowd, fleet));
}

#[test]
fn several_addresses() {
    let process = Process::start(&["--listen", "127.0.0.1:0"]);
    let one = Agent::join(process.agents, &who("one"), &gauges(&["load"]), &[1.0]);
    let two = Agent::join(process.listeners[1], &who("two"), &gauges(&["load"]), &[1.0]);
    eventually("both are shown", || {
        let page = http::request(process.http, "GET", "/metrics/agents", &[]).text();
        page.contains("one") && page.contains("two")
    });
    drop((one, two));
}
