//! The demo starts, shows this host and the simulated ones, and exits with success on Ctrl-C.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
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
        assert!(page.contains("agent=\"web-01.demo\""), "{page}");
        let pid = rustix::process::Pid::from_child(&demo.0);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        assert_eq!(demo.0.wait().unwrap().code(), Some(0));
    }
}

/// A running demo, killed when the test ends.
struct Demo(Child);

impl Demo {
    fn start(flags: &[&str]) -> Self {
        let mut demo = Command::new(env!("CARGO_BIN_EXE_fleetgauge-loadtest"));
        demo.args(["demo", "--agents", "6", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
        Self(demo.args(flags).stdout(Stdio::piped()).spawn().unwrap())
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
