//! A filesystem that does not respond, like a network mount whose server is gone.

use std::process::Command;

use rustix::process::Signal;

use crate::programs::{Collector, Program, agent, wait_for};

use super::until;

/// Makes every statfs call of the agent hang until the returned program is killed.
fn hang(agent: &Program) -> Program {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-e", "trace=statfs", "-e", "inject=statfs:delay_enter=600s"]);
    strace.args(["-p", &agent.pid().to_string()]);
    let strace = Program::start(strace);
    wait_for("strace", 10, || strace.log().contains("attached").then_some(()));
    strace
}

#[test]
#[ignore = "needs strace, and to be allowed to trace"]
fn hung_mount_loses_only_its_own_series() {
    let collector = Collector::start(&[]);
    let agent = agent("mounted", &collector, "basic");
    let page = || collector.get("/metrics/agents", "");
    let filesystem = |page: &str| page.contains("host_filesystem_usage_ratio{agent=\"mounted\"}");
    let memory = |page: &str| page.contains("host_memory_usage_ratio{agent=\"mounted\"}");
    until("all series", 10, || filesystem(&page()) && memory(&page()));
    let hung = hang(&agent);
    let absent = until("the filesystem left out", 10, || !filesystem(&page()));
    for _ in 0..20 {
        let page = page();
        assert!(memory(&page) && !filesystem(&page), "{page}");
        std::thread::sleep(std::time::Duration::from_millis(250));
    }
    hung.signal(Signal::INT);
    let back = until("the filesystem back", 20, || filesystem(&page()));
    assert!(agent.log().contains("source recovered"), "it never failed");
    println!("left out after {absent:?}, back {back:?} after the mount was");
}
