//! The demo starts, shows this host and the simulated ones, and exits with success on Ctrl-C.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fleetgauge_loadtest::scrape;

use crate::PATIENCE;

#[cfg(unix)]
#[test]
fn demo_shows_real_and_simulated_hosts_until_ctrl_c() {
    for (flags, name) in [(&[][..], "host_cpu_usage_ratio{"), (&["--classic"][..], "cpu{")] {
        let mut demo = Demo::start(flags);
        let printed = BufReader::new(demo.0.stdout.take().unwrap());
        let http = printed.lines().find_map(|line| http_address(&line.unwrap())).unwrap();
        // Only the real host has the metrics of node_exporter.
        let expects_node = cfg!(target_os = "linux") && flags.is_empty();
        let page = wait_for_page(http, |page| {
            let count = |name| page.lines().filter(|line| line.starts_with(name)).count();
            count(name) == 7 && (!expects_node || count("node_uname_info{") == 1)
        });
        let labels = "role=\"web\",site=\"frankfurt\"";
        assert!(
            page.lines().any(|line| line.contains("=\"web-01.demo\"") && line.contains(labels))
        );
        demo.interrupt();
        assert_eq!(demo.0.wait().unwrap().code(), Some(0));
    }
}

/// Simulated hosts have the series of this host, with names and values of their own.
#[cfg(target_os = "linux")]
#[test]
fn demo_with_profile_node_shows_hosts_like_this_one() {
    let mut demo = Demo::start(&["--profile", "node"]);
    let printed = BufReader::new(demo.0.stdout.take().unwrap());
    let http = printed.lines().find_map(|line| http_address(&line.unwrap())).unwrap();
    let page = wait_for_page(http, |page| {
        page.lines().filter(|line| line.starts_with("node_uname_info{")).count() == 7
    });
    for name in ["web-01.demo", "db-01.demo"] {
        let series = page.lines().filter(|line| line.contains(&format!("agent=\"{name}\"")));
        assert!(series.count() > 200, "{page}");
        assert!(page.contains(&format!("nodename=\"{name}\"")), "{page}");
    }
    demo.interrupt();
    assert_eq!(demo.0.wait().unwrap().code(), Some(0));
}

#[cfg(unix)]
#[test]
#[ignore = "needs prometheus"]
fn demo_with_prometheus_has_history_and_ends_it() {
    let (mut demo, prometheus) = Demo::with_prometheus();
    until("all agents in Prometheus", || {
        let count = "GET /api/v1/query?query=count(fleetgauge_agent_up) HTTP/1.0\r\n\r\n";
        answer(prometheus, count).is_some_and(|answer| answer.contains(",\"7\"]"))
    });
    demo.interrupt();
    assert_eq!(demo.0.wait().unwrap().code(), Some(0));
    assert!(TcpStream::connect(prometheus).is_err(), "Prometheus still runs");
}

#[cfg(unix)]
#[test]
#[ignore = "needs prometheus"]
fn killed_demo_leaves_no_prometheus() {
    let (mut demo, prometheus) = Demo::with_prometheus();
    demo.0.kill().unwrap();
    until("the end of Prometheus", || TcpStream::connect(prometheus).is_err());
}

#[test]
fn demo_without_the_installed_engine_says_how_to_install_it() {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_fleetgauge-loadtest"));
    let empty = tempfile::tempdir().unwrap();
    let demo = demo.args(["demo", "--engine", "prometheus"]).env("PATH", empty.path());
    let output = demo.output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("apt-get install prometheus"), "{error}");
}

/// A running demo, killed when the test ends.
struct Demo(Child);

impl Demo {
    fn start(flags: &[&str]) -> Self {
        let mut demo = Command::new(env!("CARGO_BIN_EXE_fleetgauge-loadtest"));
        demo.args(["demo", "--agents", "6", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
        Self(demo.args(flags).stdout(Stdio::piped()).spawn().unwrap())
    }

    /// Starts a demo with an engine. Returns the address of Prometheus.
    #[cfg(unix)]
    fn with_prometheus() -> (Self, SocketAddr) {
        let mut demo = Self::start(&["--engine", "prometheus"]);
        let mut printed = BufReader::new(demo.0.stdout.take().unwrap()).lines().map(Result::unwrap);
        let graph = printed.find(|line| line.contains("/graph?g0.expr=host_cpu")).unwrap();
        (demo, http_address(&graph).unwrap())
    }

    #[cfg(unix)]
    fn interrupt(&self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn http_address(line: &str) -> Option<SocketAddr> {
    let (_, url) = line.split_once("http://")?;
    url.split_once('/')?.0.parse().ok()
}

/// Returns the answer to an HTTP request; `None` without a connection.
#[cfg(unix)]
fn answer(http: SocketAddr, request: &str) -> Option<String> {
    let mut stream = TcpStream::connect(http).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// Waits until the condition holds.
#[cfg(unix)]
fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < until, "{what}: not in time");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn wait_for_page(http: SocketAddr, complete: impl Fn(&str) -> bool) -> String {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let until = Instant::now() + PATIENCE;
    loop {
        let page = runtime.block_on(scrape::fetch(http, "/metrics/agents")).unwrap();
        if complete(&page) {
            return page;
        }
        assert!(Instant::now() < until, "never complete:\n{page}");
        // There is no event to wait for when a page changes.
        std::thread::sleep(Duration::from_millis(50));
    }
}
