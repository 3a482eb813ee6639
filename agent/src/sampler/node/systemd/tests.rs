use std::sync::{Arc, Mutex};

use zbus::{Message, ObjectPath, Variant};

use super::*;
use crate::sampler::node::testing::Fixture;
use crate::tables::exposition;

/// Answers that were recorded.
#[derive(Debug, Clone, Default)]
struct Recorded {
    units: Vec<Unit>,
    /// Values by path, interface and name: `/ssh_2eservice Service.Type`.
    values: BTreeMap<String, Value>,
    /// Number of calls for properties.
    calls: Arc<Mutex<usize>>,
    /// Property whose call has no answer.
    hangs: Option<&'static str>,
}

impl Systemd for Recorded {
    fn begin(&mut self) -> Result<(), CallError> {
        Ok(())
    }

    fn units(&mut self) -> Result<Vec<Unit>, CallError> {
        Ok(self.units.clone())
    }

    fn property(&mut self, path: &str, interface: &str, name: &str) -> Result<Value, CallError> {
        *self.calls.lock().unwrap() += 1;
        if self.hangs == Some(name) {
            return Err(CallError::Failed("timed out".to_owned()));
        }
        let value = self.values.get(&format!("{path} {interface}.{name}"));
        value.cloned().ok_or_else(|| CallError::Refused(format!("unknown property {name}")))
    }
}

impl Recorded {
    fn unit(&mut self, name: &str, active_state: &str, values: &[(&str, Value)]) {
        let path = format!("/unit/{}", name.replace(['.', '-'], "_"));
        for (property, value) in values {
            self.values.insert(format!("{path} {property}"), value.clone());
        }
        self.units.push(Unit {
            name: name.to_owned(),
            load_state: "loaded".to_owned(),
            active_state: active_state.to_owned(),
            path,
        });
    }

    fn manager(&mut self, name: &str, value: &str) {
        let key = format!("/org/freedesktop/systemd1 Manager.{name}");
        self.values.insert(key, text(value));
    }

    fn source(&self, options: &[(&str, &str)]) -> Units {
        let options = Fixture::new().options_with(options);
        Units::new(&options, Box::new(self.clone())).unwrap()
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn host() -> Recorded {
    let mut host = Recorded::default();
    host.manager("Version", "252.22-1~deb12u1");
    host.manager("Virtualization", "kvm");
    host.manager("SystemState", "running");
    let service = [
        ("Service.Type", text("notify")),
        ("Service.NRestarts", Value::Number(3)),
        ("Service.TasksCurrent", Value::Number(7)),
        ("Service.TasksMax", Value::Number(u64::MAX)),
        ("Unit.ActiveEnterTimestamp", Value::Number(1_700_000_000_250_000)),
    ];
    host.unit("ssh.service", "active", &service);
    let trigger = ("Timer.LastTriggerUSec", Value::Number(1_600_000_000_500_000));
    host.unit("apt.timer", "inactive", &[trigger]);
    let socket =
        [("Socket.NAccepted", Value::Number(12)), ("Socket.NConnections", Value::Number(2))];
    host.unit("dbus.socket", "active", &socket);
    host.unit("-.mount", "active", &[("Mount.Type", text("ext4"))]);
    host.unit("odd.target", "reloading", &[]);
    host.units.push(Unit {
        name: "gone.service".into(),
        load_state: "not-found".into(),
        active_state: "inactive".into(),
        path: "/unit/gone".into(),
    });
    host
}

fn samples(source: &mut Units) -> Vec<String> {
    let mut output = Output::new(&tables::all());
    output.begin();
    source.read(&mut output).unwrap();
    output.finish();
    let lines = exposition::lines(&tables::all(), &output);
    lines.iter().map(|line| line.trim_start_matches("node_systemd_").to_owned()).collect()
}

/// Returns lines of units that say that something is so.
fn ones(lines: &[String]) -> Vec<&str> {
    let is_one = |line: &&str| line.starts_with("unit_state") && line.ends_with(" 1");
    lines.iter().map(String::as_str).filter(is_one).collect()
}

#[test]
fn units_are_read() {
    let lines = samples(&mut host().source(&[]));
    assert_eq!(
        ones(&lines),
        [
            r#"unit_state{name="apt.timer",state="inactive"} 1"#,
            r#"unit_state{name="dbus.socket",state="active"} 1"#,
            r#"unit_state{name="ssh.service",state="active",type="notify"} 1"#,
        ]
    );
    let others: Vec<_> = lines.iter().filter(|line| !line.starts_with("unit_state")).collect();
    assert_eq!(
        others,
        [
            r#"socket_accepted_connections_total{name="dbus.socket"} 12"#,
            r#"socket_current_connections{name="dbus.socket"} 2"#,
            "system_running 1",
            r#"timer_last_trigger_seconds{name="apt.timer"} 1600000000.5"#,
            r#"units{state="activating"} 0"#,
            r#"units{state="active"} 3"#,
            r#"units{state="deactivating"} 0"#,
            r#"units{state="failed"} 0"#,
            r#"units{state="inactive"} 2"#,
            r#"units{state="reloading"} 1"#,
            r#"version{version="252.22-1~deb12u1"} 252.22"#,
            r#"virtualization_info{virtualization_type="kvm"} 1"#,
        ]
    );
    assert_eq!(lines.len() - others.len(), 4 * STATES.len(), "five series for each unit");
}

#[test]
fn options_add_restarts_tasks_and_start_times() {
    let options = [(RESTARTS, "true"), (TASKS, "true"), (START_TIMES, "true")];
    let lines = samples(&mut host().source(&options));
    let added = |line: &&String| {
        ["service_", "unit_tasks", "unit_start"].iter().any(|start| line.starts_with(start))
    };
    assert_eq!(
        lines.iter().filter(added).collect::<Vec<_>>(),
        [
            r#"service_restart_total{name="ssh.service"} 3"#,
            r#"unit_start_time_seconds{name="apt.timer"} 0"#,
            r#"unit_start_time_seconds{name="odd.target"} 0"#,
            r#"unit_start_time_seconds{name="ssh.service"} 1700000000.25"#,
            r#"unit_tasks_current{name="ssh.service"} 7"#,
        ]
    );
}

#[test]
fn patterns_match_whole_names() {
    let selected = |options: &[(&str, &str)]| {
        let lines = samples(&mut host().source(options));
        lines.iter().filter(|line| line.starts_with("unit_state")).count() / STATES.len()
    };
    assert_eq!(selected(&[(INCLUDE, "ssh")]), 0);
    assert_eq!(selected(&[(INCLUDE, "ssh|dbus.*")]), 1);
    assert_eq!(selected(&[(EXCLUDE, "ssh")]), 5);
    assert_eq!(selected(&[(EXCLUDE, r"ssh\..*|.+\.timer")]), 3);
    assert_eq!(selected(&[(EXCLUDE, "")]), 5);
    assert_eq!(selected(&[(INCLUDE, "")]), 0);
}

#[test]
fn mounts_have_their_filesystem_as_type() {
    let lines = samples(&mut host().source(&[(EXCLUDE, "")]));
    let line = r#"unit_state{name="-.mount",state="active",type="ext4"} 1"#;
    assert!(ones(&lines).contains(&line), "{lines:#?}");
}

#[test]
fn types_are_asked_again_some_readings_later() {
    let host = host();
    let mut source = host.source(&[]);
    let mut calls = || {
        let before = *host.calls.lock().unwrap();
        samples(&mut source);
        *host.calls.lock().unwrap() - before
    };
    let first = calls();
    assert_eq!(calls(), first - 1);
    assert!((0..READINGS_PER_TYPE).any(|_| calls() == first));
}

#[test]
fn unknown_properties_cost_only_themselves() {
    let mut old = host();
    old.values.retain(|key, _| key.contains("SystemState") || key.contains("NConnections"));
    let lines = samples(&mut old.source(&[(RESTARTS, "true")]));
    let shown = |line: &&String| !line.starts_with("unit");
    assert_eq!(
        lines.iter().filter(shown).collect::<Vec<_>>(),
        [
            r#"socket_current_connections{name="dbus.socket"} 2"#,
            "version 0",
            r#"virtualization_info{virtualization_type="unknown"} 1"#,
        ]
    );
    old.manager("Virtualization", "");
    old.manager("Version", "systemd 99");
    let lines = samples(&mut old.source(&[]));
    for line in ["version 0", r#"virtualization_info{virtualization_type="none"} 1"#] {
        assert!(lines.iter().any(|other| other == line), "{lines:#?}");
    }
}

#[test]
fn call_without_answer_ends_the_reading() {
    for property in ["Version", "SystemState", "Type", "NAccepted"] {
        let mut host = host();
        host.hangs = Some(property);
        let error = host.source(&[]).read(&mut Output::new(&tables::all())).unwrap_err();
        assert_eq!(error, SourceError::new("systemd does not answer: timed out"));
    }
}

/// A message with this body.
macro_rules! message {
    ($body:expr) => {
        Message::signal("/x", "x.y", "Z").build($body).unwrap()
    };
}

#[test]
fn lists_of_units_are_decoded() {
    let path = |path: &'static str| ObjectPath::try_from(path).unwrap();
    let ssh = (
        "ssh.service",
        "A \"shell\"",
        "loaded",
        "active",
        "running",
        "",
        path("/org/freedesktop/systemd1/unit/ssh_2eservice"),
        0_u32,
        "",
        path("/"),
    );
    let units = Unit::decode_list(&message!(&vec![ssh])).unwrap();
    assert_eq!(
        units,
        [Unit {
            name: "ssh.service".into(),
            load_state: "loaded".into(),
            active_state: "active".into(),
            path: "/org/freedesktop/systemd1/unit/ssh_2eservice".into(),
        }]
    );
    Unit::decode_list(&message!(&vec![("a", 1_u32)])).unwrap_err();
    Unit::decode_list(&message!(&())).unwrap_err();
}

#[test]
fn properties_are_decoded() {
    let decoded = |value: Variant<'_>| Value::decode(&message!(&value)).unwrap();
    assert_eq!(decoded(Variant::from("notify")), text("notify"));
    assert_eq!(decoded(Variant::from(7_u32)), Value::Number(7));
    assert_eq!(decoded(Variant::from(u64::MAX)), Value::Number(u64::MAX));
    assert_eq!(decoded(Variant::from(-1_i32)), Value::Other);
    Value::decode(&message!(&())).unwrap_err();
}
