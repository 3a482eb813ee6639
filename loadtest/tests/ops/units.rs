//! The shipped units under a real systemd, which boots in a container over a copy-on-write view of
//! this host's files.

use std::path::Path;

use super::boot::Root;
use super::programs::{built, repository};

#[test]
#[ignore = "needs root, systemd-container and curl"]
fn shipped_units_run_under_systemd() {
    let Some(root) = Root::mount(Path::new("/")) else { return };
    for program in ["fleetgauge-collector", "fleetgauge-agent"] {
        root.put(&built(program), &format!("usr/bin/{program}"));
        let unit = format!("{program}.service");
        root.put(
            &repository(&format!("deploy/systemd/{unit}")),
            &format!("etc/systemd/system/{unit}"),
        );
        let users = format!("sysusers.d/{program}.conf");
        root.put(&repository(&format!("deploy/{users}")), &format!("etc/{users}"));
    }
    for port in ["agents", "http"] {
        let unit = format!("fleetgauge-collector-{port}.socket");
        root.put(
            &repository(&format!("deploy/systemd/{unit}")),
            &format!("etc/systemd/system/{unit}"),
        );
    }
    for settings in ["collector.toml", "agent.toml"] {
        root.put(&repository(&format!("deploy/{settings}")), &format!("etc/fleetgauge/{settings}"));
    }

    let facts = root.boot(&repository("loadtest/tests/ops/units/check.sh"));
    let fact = |name: &str| facts.get(name);
    assert_eq!(fact("started"), "active active");
    assert_eq!((fact("series"), fact("filesystem")), ("6", "1"));
    assert_eq!(fact("writable"), "1", "the agent does not see the host's mounts");
    assert_eq!(fact("network"), "1", "the agent cannot use netlink");
    assert_eq!(fact("init"), "1", "processes are hidden");
    assert_eq!(fact("roots"), "0", "somebody runs as root");
    assert_eq!(fact("reloaded"), "active active");
    assert_eq!(fact("running"), "0 0", "the watchdog was not fed");
    assert_eq!(fact("frozen"), "1 1", "the watchdog did not act");
    assert_eq!(fact("series_after"), "6");
    let stop: u64 = fact("stop_ms").parse().unwrap();
    assert!(stop > 3_000, "nobody was waited for: {stop} ms");
    assert_eq!(fact("stopped"), "success");
    assert_eq!(fact("refused"), "0");
    assert_eq!(fact("results"), "success success");
    assert_eq!(fact("port_free"), "active", "systemd gave up on a port in use");
}
