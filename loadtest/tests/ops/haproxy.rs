//! Agents behind a real HAProxy, configured as docs/operate.md says.

use std::process::Command;

use super::http;
use super::programs::{Collector, Program, agent, built, free_address, installed, wait_for};

/// Source address of HAProxy, which the collector trusts.
const BALANCER: &str = "127.0.0.9";

/// Starts HAProxy in front of the collector, listening at these addresses.
fn haproxy(collector: &str, at: &[&str], server_options: &str) -> Program {
    let binds: Vec<_> = at.iter().map(|address| format!("    bind {address}\n")).collect();
    let config = format!(
        "global\n    log stderr format raw local0 notice\n\
         defaults\n    mode tcp\n    timeout connect 5s\
         \n    timeout client 16m\n    timeout server 16m\n\
         frontend agents\n{}    default_backend fleetgauge\n\
         backend fleetgauge\n    source {BALANCER}\
         \n    server collector {collector} {server_options}\n",
        binds.concat()
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), config).unwrap();
    let mut command = installed("HAPROXY", "haproxy");
    command.arg("-db").arg("-f").arg(file.path());
    let program = Program::start(command);
    wait_for("a balancer that listens", 10, || {
        at.iter().all(|address| std::net::TcpStream::connect(address).is_ok()).then_some(())
    });
    drop(file);
    program
}

/// Source address of an agent, according to the collector.
fn address_of(id: &str, collector: &Collector) -> Option<String> {
    let listed = http::get(&collector.http, "/api/agents", "").ok()?;
    let agent = listed.lines().find(|line| line.contains(&format!("\"id\":\"{id}\"")))?;
    Some(agent.split_once("\"address\":\"")?.1.split_once('"')?.0.to_owned())
}

#[test]
#[ignore = "needs haproxy"]
fn collector_sees_client_addresses_behind_haproxy() {
    let collector = Collector::start(&["--proxy-protocol-from", BALANCER, "--classic"]);
    let (v4, v6) = (free_address(), free_address().replace("127.0.0.1", "[::1]"));
    let options = "send-proxy-v2 check check-send-proxy inter 100ms";
    let _balancer = haproxy(&collector.agents, &[&v4, &v6], options);
    let through = |id: &str, address: &str| {
        let mut command = Command::new(built("fleetgauge-agent"));
        command.args(["--id", id, "--collector", address, "--interval", "1s"]);
        Program::start(command)
    };
    let _agents = [through("four", &v4), through("six", &v6)];
    for (id, ip) in [("four", "127.0.0.1:"), ("six", "[::1]:")] {
        let address = wait_for("an agent that is listed", 20, || address_of(id, &collector));
        let port = address.strip_prefix(ip).unwrap_or_else(|| panic!("{id} is at {address}"));
        let series = format!("agent=\"{id}\",client_no=\"{port}\"");
        wait_for("its series", 10, || {
            collector.get("/metrics/agents", "").contains(&series).then_some(())
        });
    }
    let own = collector.get("/metrics/self", "");
    let none = "fleetgauge_connections_closed_total{reason=\"bad_proxy_header\"} 0\n";
    assert!(own.contains(none), "health checks were counted: {own}");
    // A direct connection needs no PROXY header.
    let _direct = agent("direct", &collector, "basic");
    wait_for("the direct agent", 20, || address_of("direct", &collector));
}

#[test]
#[ignore = "needs haproxy"]
fn haproxy_without_proxy_headers_is_refused_and_logged() {
    let collector = Collector::start(&["--proxy-protocol-from", BALANCER]);
    let front = free_address();
    let _balancer = haproxy(&collector.agents, &[&front], "check inter 100ms");
    let mut command = Command::new(built("fleetgauge-agent"));
    command.args(["--id", "lost", "--collector", &front]);
    let agent = Program::start(command);
    wait_for("a rejected agent", 20, || {
        let own = collector.get("/metrics/self", "");
        let reason = "fleetgauge_connections_closed_total{reason=\"bad_proxy_header\"} ";
        let count = own.lines().find_map(|line| line.strip_prefix(reason)).unwrap().to_owned();
        (count != "0").then_some(())
    });
    assert_eq!(address_of("lost", &collector), None, "{}", agent.log());
}
