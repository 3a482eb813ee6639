//! Conversations between agents and a collector, frame by frame.

use fleetgauge_proto::report::ABSENT;

use super::accepted::{NEW_YEAR_MS, log_from, two_gauges};
use super::{catalog, change, column, family, fingerprint, hello, label, table};
use crate::owned::{
    Acknowledge, Bye, Drain, Hello, Owned, Ping, Pong, Reject, Report, Resend, Rows, Values,
    Welcome, WelcomeLimits,
};
use crate::reference::{encode_all, encode_changed};

/// A conversation.
pub(crate) struct Transcript {
    pub(crate) name: &'static str,
    pub(crate) note: &'static str,
    pub(crate) steps: Vec<Step>,
}

/// A frame of a conversation.
pub(crate) struct Step {
    /// Name of the connection.
    pub(crate) connection: &'static str,
    /// Who sends the frame: `agent` or `collector`.
    pub(crate) from: &'static str,
    pub(crate) note: &'static str,
    pub(crate) frame: Vec<u8>,
}

/// Returns all transcripts.
pub(crate) fn transcripts() -> Vec<Transcript> {
    vec![disk(), dispute(), drain(), outage()]
}

fn agent(connection: &'static str, note: &'static str, message: &Owned) -> Step {
    Step { connection, from: "agent", note, frame: message.frame() }
}

fn collector(connection: &'static str, note: &'static str, message: &Owned) -> Step {
    Step { connection, from: "collector", note, frame: message.frame() }
}

fn declare(connection: &'static str, note: &'static str, frame: Vec<u8>) -> Step {
    Step { connection, from: "agent", note, frame }
}

fn welcome(session_id: u64, interval_ms: u32, after_ms: u64, catalogs_known: u16) -> Owned {
    Owned::Welcome(welcome_fields(session_id, interval_ms, after_ms, catalogs_known))
}

fn welcome_fields(
    session_id: u64,
    interval_ms: u32,
    after_ms: u64,
    catalogs_known: u16,
) -> Welcome {
    Welcome {
        version: 1,
        capabilities: 0,
        session_id,
        interval_ms,
        unix_ms: NEW_YEAR_MS + after_ms,
        limits: WelcomeLimits {
            max_payload_bytes: 1_048_576,
            max_families: 1_000,
            max_series: 50_000,
            max_values: 100_000,
            max_label_bytes: 524_288,
        },
        catalogs_known,
        extensions: vec![],
    }
}

/// Returns a report, this many milliseconds after the first Welcome.
fn report(sequence: u64, after_ms: u64, values: Values) -> Owned {
    let unix_ms = NEW_YEAR_MS + after_ms;
    Owned::Report(Report { stream: 0, sequence, unix_ms, values })
}

fn rows(removed: &[u32], added: &[&str]) -> Owned {
    let one = change(removed, added);
    Owned::Rows(Rows { stream: 0, changes: vec![crate::owned::RowChange { table: 1, ..one }] })
}

fn reject(code: u16, text: &str, retry_after_ms: u32) -> Owned {
    let (text, retry_after_ms) = (text.into(), Some(retry_after_ms));
    Owned::Reject(Reject { stream: 0, code, text, retry_after_ms })
}

/// Returns a catalog with the load and a table of disks.
fn load_and_disks() -> Vec<u8> {
    let (read, write) = (label("direction", "read"), label("direction", "write"));
    let mut load = column(0, 1, &[], &[]);
    load.decimals = 2;
    let disk = vec![column(1, 1, &[], &[read]), column(1, 1, &[], &[write])];
    catalog(
        vec![family("load", 1), family("disk_bytes", 2)],
        vec![table("", vec![load]), table("device", disk)],
    )
}

fn disk() -> Transcript {
    let catalog = load_and_disks();
    let hello = Hello { catalogs: vec![fingerprint(&catalog)], ..hello() };
    let one = [0.25, 4096.0, 8192.0];
    let later = [0.25, 12_288.0, 8192.0];
    let added = [0.25, 12_288.0, 8192.0, ABSENT, ABSENT];
    let two = [0.5, 12_288.0, 8192.0, 512.0, 0.0];
    let removed = [0.5, 512.0, 0.0];
    let last = [0.5, 1024.0, 0.0];
    let changed =
        |old: &[f64], now: &[f64]| encode_changed(old, now, &[2, 0, 0, 0, 0][..old.len()]);
    let all = encode_all(&one, &[2, 0, 0]);
    let bye = Owned::Bye(Bye { stream: 0, reason: 0 });
    Transcript {
        name: "disk",
        note: "A host whose disk appears and disappears.",
        steps: vec![
            agent("web-1", "one catalog", &Owned::Hello(hello)),
            collector(
                "web-1",
                "session 1, every 15 s, the catalog is not known",
                &welcome(1, 15_000, 0, 0),
            ),
            declare(
                "web-1",
                "table 0: load; table 1: disk_bytes, read and write, by device",
                catalog,
            ),
            agent("web-1", "table 1 gets the row sda", &rows(&[], &["sda"])),
            agent("web-1", "1, All: load 0.25; sda 4096, 8192", &report(1, 20, all)),
            agent("web-1", "2, Changed: sda 12288 read", &report(2, 15_020, changed(&one, &later))),
            agent(
                "web-1",
                "sdb is attached: its row is added, at position 1",
                &rows(&[], &["sdb"]),
            ),
            agent(
                "web-1",
                "3, Changed: load 0.5; sdb 512, 0. Its values were absent",
                &report(3, 30_020, changed(&added, &two)),
            ),
            agent("web-1", "sda is detached: position 0 is removed", &rows(&[0], &[])),
            agent(
                "web-1",
                "4, Changed: sdb 1024 read, which is value 1 now",
                &report(4, 45_020, changed(&removed, &last)),
            ),
            agent("web-1", "stopping", &bye),
        ],
    }
}

fn dispute() -> Transcript {
    let other =
        Hello { host_nonce: *b"host-nonce-00002", process_nonce: *b"proc-nonce-00002", ..hello() };
    let full = |cpu, bytes| encode_all(&[cpu, bytes], &[2, 0]);
    let conflict = reject(70, "web-1 is alive elsewhere", 30_000);
    let superseded = reject(71, "A newer connection took over this agent id.", 10_000);
    let (ping, pong) = (Owned::Ping(Ping { token: 1 }), Owned::Pong(Pong { token: 1 }));
    Transcript {
        name: "dispute",
        note: "Two hosts claim the id web-1. The holder lives at first, then falls silent.",
        steps: vec![
            agent("first", "web-1, host 1", &Owned::Hello(hello())),
            collector("first", "session 1, the catalog is not known", &welcome(1, 15_000, 0, 0)),
            declare("first", "two gauges", two_gauges()),
            agent(
                "first",
                "1, All: 0.25, 1000000000; it holds the id",
                &report(1, 10, full(0.25, 1e9)),
            ),
            agent("second", "web-1, host 2: the id is in use", &Owned::Hello(other.clone())),
            collector("first", "a challenge, to be answered within 5 s", &ping),
            agent("first", "alive", &pong),
            collector("second", "id_conflict, retry after 30 s", &conflict),
            agent("third", "web-1, host 2 again; host 1 has lost its power", &Owned::Hello(other)),
            collector("first", "a challenge, which nobody answers", &ping),
            collector("first", "superseded, 5 s later", &superseded),
            collector("third", "session 3, the catalog is known", &welcome(3, 15_000, 43_000, 1)),
            agent("third", "1, All: 0.5, 2000000000", &report(1, 43_010, full(0.5, 2e9))),
        ],
    }
}

fn drain() -> Transcript {
    let hello = || Owned::Hello(Hello { interval_ms: 1_000, ..hello() });
    let (one, two, three) = ([0.25, 1e9], [0.5, 1e9], [0.5, 1e9 + 4096.0]);
    let decimals = [2, 0];
    let drain = Owned::Drain(Drain { delay_ms: 2_500, target: None });
    let bye = Owned::Bye(Bye { stream: 0, reason: 1 });
    let second = encode_changed(&one, &two, &decimals);
    let third = encode_changed(&two, &three, &decimals);
    Transcript {
        name: "drain",
        note: "A collector stops; its agent goes on at another one.",
        steps: vec![
            agent("before", "web-1, every second", &hello()),
            collector("before", "session 7, the catalog is not known", &welcome(7, 1_000, 0, 0)),
            declare("before", "two gauges", two_gauges()),
            agent(
                "before",
                "1, All: 0.25, 1000000000",
                &report(1, 10, encode_all(&one, &decimals)),
            ),
            collector("before", "leave in 2.5 s", &drain),
            agent("before", "2, Changed: 0.5", &report(2, 1_010, second)),
            agent("before", "3, Changed: 1000004096", &report(3, 2_010, third)),
            agent("before", "drained", &bye),
            agent("after", "a new connection, at once", &hello()),
            collector("after", "session 1 of another collector", &welcome(1, 1_000, 3_020, 0)),
            declare("after", "two gauges", two_gauges()),
            agent(
                "after",
                "4, All: the sequence continues",
                &report(4, 3_030, encode_all(&three, &decimals)),
            ),
        ],
    }
}

fn outage() -> Transcript {
    let with_log = |first| {
        Owned::Hello(Hello { capabilities: 0b11, extensions: vec![log_from(first)], ..hello() })
    };
    let granted = |session_id, after_ms, catalogs_known| {
        let welcome = welcome_fields(session_id, 15_000, after_ms, catalogs_known);
        Owned::Welcome(Welcome { capabilities: 0b11, ..welcome })
    };
    let full = |cpu, bytes| encode_all(&[cpu, bytes], &[2, 0]);
    let changed = |old: [f64; 2], now: [f64; 2]| encode_changed(&old, &now, &[2, 0]);
    let again = |sequence, after_ms, values| {
        let unix_ms = NEW_YEAR_MS + after_ms;
        Owned::Report(Report { stream: 1, sequence, unix_ms, values })
    };
    let acknowledge =
        |sequence| Owned::Acknowledge(Acknowledge { stream: 1, sequence, unix_ms: NEW_YEAR_MS });
    let resend = Owned::Resend(Resend { stream: 1, first: 2, reports: 3 });
    let catalog_again = {
        let mut frame = two_gauges();
        frame[8] = 1;
        frame
    };
    let (one, two, three, four, five) =
        ([0.25, 1e9], [0.5, 1e9], [0.5, 2e9], [0.75, 2e9], [0.25, 2e9]);
    Transcript {
        name: "outage",
        note: "An agent that keeps a log loses its connection, and sends the reports of the outage.",
        steps: vec![
            agent("before", "the log begins with report 1", &with_log(1)),
            collector(
                "before",
                "session 8, both capabilities, the catalog is not known",
                &granted(8, 0, 0),
            ),
            declare("before", "two gauges", two_gauges()),
            agent("before", "1, All: 0.25, 1000000000", &report(1, 10, full(one[0], one[1]))),
            collector("before", "1 is durable: the agent drops it from the log", &acknowledge(1)),
            agent("after", "the log begins with report 2", &with_log(2)),
            collector(
                "after",
                "session 9, both capabilities, the catalog is known",
                &granted(9, 45_000, 1),
            ),
            agent(
                "after",
                "4, All: 0.75, 2000000000; shown at once",
                &report(4, 45_010, full(four[0], four[1])),
            ),
            collector("after", "three reports, from 2 on", &resend),
            declare("after", "two gauges, on stream 1, which has no catalog yet", catalog_again),
            agent("after", "2, All, on stream 1", &again(2, 15_010, full(two[0], two[1]))),
            agent("after", "3, Changed, compared with 2", &again(3, 30_010, changed(two, three))),
            agent("after", "4, Changed, compared with 3", &again(4, 45_010, changed(three, four))),
            collector("after", "2 to 4 are durable", &acknowledge(4)),
            agent(
                "after",
                "5, Changed, compared with 4 of stream 0",
                &report(5, 60_010, changed(four, five)),
            ),
            collector("after", "5 is durable", &acknowledge(5)),
            agent("after", "stopping", &Owned::Bye(Bye { stream: 0, reason: 0 })),
        ],
    }
}
