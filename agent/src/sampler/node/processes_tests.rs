use super::*;
use crate::sampler::node::testing::Fixture;
use crate::tables::exposition;

fn stat(id: u32, name: &str, state: &str, threads: u32) -> String {
    format!(
        "{id} ({name}) {state} 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 {threads} 0 25 1000 200\n"
    )
}

fn host() -> Fixture {
    let fixture = Fixture::new();
    fixture.file("proc/sys/kernel/threads-max", "123\n");
    fixture.file("proc/sys/kernel/pid_max", "4194304\n");
    fixture.file("proc/1/stat", &stat(1, "init", "S", 1));
    fixture.file("proc/20/stat", &stat(20, "a b) R 1 (\n", "S", 3));
    for (tid, state) in [(20, "X"), (21, "R"), (22, "D")] {
        fixture.file(&format!("proc/20/task/{tid}/stat"), &stat(tid, "worker", state, 3));
    }
    fixture.bytes("proc/3/stat", &[b"3 (\xff\xfe) Z", &b" 0".repeat(50)[..]].concat());
    fixture.file("proc/cpuinfo", "");
    fixture.directory("proc/4");
    fixture
}

#[test]
fn processes_and_threads_are_counted_by_state() {
    let fixture = host();
    assert_eq!(
        fixture.samples(&COLLECTOR),
        [
            "node_processes_max_processes 4194304",
            "node_processes_max_threads 123",
            "node_processes_pids 3",
            "node_processes_state{state=\"S\"} 2",
            "node_processes_state{state=\"Z\"} 1",
            "node_processes_threads 4",
            "node_processes_threads_state{thread_state=\"D\"} 1",
            "node_processes_threads_state{thread_state=\"R\"} 1",
            "node_processes_threads_state{thread_state=\"S\"} 2",
            "node_processes_threads_state{thread_state=\"Z\"} 1",
        ],
        "the state of the first thread is that of the process"
    );
}

#[test]
fn processes_that_end_disappear() {
    let fixture = host();
    let mut reader = fixture.reader(&COLLECTOR);
    reader.samples();
    fixture.remove("proc/3");
    fixture.remove("proc/20/task/22");
    let samples = reader.samples();
    assert!(samples.contains(&"node_processes_pids 2".to_owned()));
    assert!(!samples.iter().any(|line| line.contains("\"Z\"") || line.contains("\"D\"")));
    fixture.remove("proc/20/task");
    assert!(!reader.samples().iter().any(|line| line.contains("\"R\"")), "it ends meanwhile");
}

#[test]
fn broken_files_and_missing_limits_are_errors() {
    let fixture = host();
    let mut reader = fixture.reader(&COLLECTOR);
    for text in
        ["", "1", "1 (init)", "1 (init) SS 1", "1 (init) S 1 1", "1 (init) \u{e9} 1", "\0\0)"]
    {
        fixture.file("proc/1/stat", text);
        assert!(reader.error().to_string().ends_with("/1/stat: broken"), "{text:?}");
    }
    fixture.file("proc/1/stat", &stat(1, "init", "S", 1));
    reader.samples();
    fixture.file("proc/sys/kernel/pid_max", "many\n");
    reader.error();
    fixture.remove("proc/sys/kernel/pid_max");
    reader.error();
}

#[test]
fn more_threads_than_the_limit_cost_only_their_states() {
    let fixture = host();
    let options = fixture.options();
    // Directories 1, 3, 4, 20, and threads 21, 22. Process 4 has ended.
    for (max, expected) in [(3, None), (4, Some(6)), (5, Some(10))] {
        let mut source = Processes::new(&options, max);
        let tables = (COLLECTOR.tables)(&options);
        let mut output = Output::new(&tables);
        output.begin();
        assert_eq!(source.read(&mut output).is_ok(), expected.is_some(), "{max}");
        output.finish();
        assert_eq!(exposition::lines(&tables, &output).len(), expected.unwrap_or(0), "{max}");
    }
}
