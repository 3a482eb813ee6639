//! Faults and floods that must not affect connected agents.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use fleetgauge_proto::Code;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, prlimit};

use crate::support::TEST_TIMEOUT;
use crate::support::agent::{Agent, identity};
use crate::support::collector::Collector;
use crate::support::command::Process;
use crate::support::driven::{Driven, Rig, Sent};
use crate::support::eventually;
use crate::support::frames::{gauges, report};

/// A day, in seconds.
const DAY: i64 = 86_400;

/// Raises the file limit of this process to the maximum.
fn raise_file_limit() {
    fleetgauge_common::file_limit::raise().unwrap();
}

/// Connects from an address that no other test uses.
fn from_elsewhere(to: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 2], 0)).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    socket.into()
}

#[test]
fn silent_connections_do_not_affect_agents() {
    raise_file_limit();
    let collector = Collector::start();
    let mut resident =
        Agent::join(collector.agents, &identity("resident"), &gauges(&["up"]), &[1.0]);
    let silent: Vec<_> = (0..1_000).map(|_| from_elsewhere(collector.agents)).collect();
    eventually("all are welcomed", || collector.metric("fleetgauge_connections_open") == 1_001.0);
    // Connected agents report, new ones are admitted, and pages are complete.
    for value in [2.0, 3.0] {
        resident.report(&[value]);
        let _late = Agent::join(collector.agents, &identity("late"), &gauges(&["up"]), &[value]);
        assert_eq!(collector.page().values_of("resident"), [value]);
        assert_eq!(collector.page().values_of("late"), [value]);
    }
    eventually("silent connections are closed", || collector.rejects("hello_timeout") == 1_000.0);
    resident.report(&[4.0]);
    assert_eq!(collector.page().values_of("resident"), [4.0]);
    drop(silent);
}

#[test]
fn slow_hellos_do_not_affect_agents() {
    let collector = Collector::start();
    let mut resident =
        Agent::join(collector.agents, &identity("resident"), &gauges(&["up"]), &[1.0]);
    let mut slow: Vec<_> = (0..50).map(|_| from_elsewhere(collector.agents)).collect();
    let hello = identity("slow").hello(&gauges(&["up"]));
    let begun = Instant::now();
    for (sent, byte) in hello.chunks(1).enumerate() {
        for stream in &mut slow {
            // Rejected connections get a Reject.
            let _ = stream.write_all(byte);
        }
        resident.report(&[sent as f64]);
        assert_eq!(collector.page().values_of("resident"), [sent as f64]);
        if collector.rejects("hello_timeout") == 50.0 {
            break;
        }
        assert!(begun.elapsed() < TEST_TIMEOUT, "slow connections are still open");
        std::thread::sleep(Duration::from_millis(250));
    }
    assert_eq!(collector.rejects("hello_timeout"), 50.0);
    assert!(!collector.page().shows("slow"));
}

/// Lowers the file limit of a process to the files that it has open. Returns the previous limit.
#[cfg(target_os = "linux")]
fn run_out(process: &Process) -> Rlimit {
    let open = std::fs::read_dir(format!("/proc/{}/fd", process.pid())).unwrap().count();
    let maximum = getrlimit(Resource::Nofile).maximum;
    let none = Rlimit { current: Some(open as u64), maximum };
    prlimit(Pid::from_raw(process.pid()), Resource::Nofile, none).unwrap()
}

#[test]
#[cfg(target_os = "linux")]
fn exhausted_file_descriptors_do_not_affect_agents() {
    let mut process = Process::start(&[]);
    let catalog = gauges(&["up"]);
    let mut fleet: Vec<_> = (0..5)
        .map(|n| Agent::join(process.agents, &identity(&format!("a{n}")), &catalog, &[1.0]))
        .collect();
    let mut scraper = TcpStream::connect(process.http).unwrap();
    assert_eq!(scraped(&mut scraper), 5);
    let before = run_out(&process);
    let mut late = Agent::greet(process.agents, &identity("late"), &catalog);
    process.logs("cannot accept agent connection");
    for agent in &mut fleet {
        agent.report(&[2.0]);
    }
    assert_eq!(scraped(&mut scraper), 5);
    // When descriptors are free again, waiting connections are served.
    prlimit(Pid::from_raw(process.pid()), Resource::Nofile, before).unwrap();
    late.expect_welcome(&catalog);
    late.report(&[3.0]);
    assert_eq!(scraped(&mut scraper), 6);
    process.signal(Signal::TERM);
    drop((fleet, late, scraper));
    assert_eq!(process.ends().code(), Some(0));
}

/// Scrapes all agents over this connection. Returns the number of agents on the page.
fn scraped(connection: &mut TcpStream) -> usize {
    connection.write_all(b"GET /metrics/agents HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    connection.set_read_timeout(Some(TEST_TIMEOUT)).unwrap();
    let (mut answer, mut byte) = (Vec::new(), [0]);
    while !answer.ends_with(b"\r\n0\r\n\r\n") {
        connection.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
    String::from_utf8(answer).unwrap().matches("agent=").count()
}

/// Sets the collector's time of day to the real time plus `seconds`.
fn jump(rig: &Rig, seconds: i64) {
    let now = std::time::SystemTime::now();
    let apart = Duration::from_secs(seconds.unsigned_abs());
    rig.collector.clock.set_time_of_day(if seconds < 0 { now - apart } else { now + apart });
}

fn reporting(rig: &Rig, id: &str) -> Driven {
    let mut agent = rig.connect();
    let catalog = gauges(&["load"]);
    agent.receives(rig, &identity(id).hello(&catalog));
    if let [Sent::Welcome { catalogs_known: false }] = agent.take_sent()[..] {
        agent.receives(rig, &catalog.bytes);
    }
    agent.receives(rig, &report(1, &[1.0]));
    agent
}

#[test]
fn jumps_of_the_time_of_day_end_no_session() {
    let mut rig = Rig::new(crate::support::collector::config());
    jump(&rig, 0);
    let mut agent = reporting(&rig, "stays");
    let mut gone = reporting(&rig, "gone");
    gone.finishes();
    let deadline = agent.session.deadline();
    for seconds in [DAY, 0, -DAY, 0, -4 * 365 * DAY * 20, 4 * 365 * DAY] {
        jump(&rig, seconds);
        agent.ticks(&rig);
        assert_eq!((agent.close_reason(), agent.session.deadline()), (None, deadline), "{seconds}");
        assert!(rig.page().shows("stays"));
        // Departures age by elapsed time, not by the time of day.
        rig.collector.roster.expire(rig.collector.clock.moment());
        assert_eq!(rig.collector.roster.departures().len(), 1, "{seconds}");
    }
    rig.now += 14_000;
    agent.receives(&rig, &report(2, &[2.0]));
    assert_eq!(agent.session.deadline(), rig.now + 45_000);
    rig.now += 45_000;
    agent.ticks(&rig);
    assert_eq!(agent.take_sent(), [Sent::Reject(Code::ReportTimeout)]);
}
