use super::*;

fn id(name: &str) -> AgentId {
    AgentId::try_new(name).unwrap()
}

fn agent(ended_ms: Option<u64>, series: &[u8]) -> JournaledAgent {
    JournaledAgent { ended_ms, interval_ms: 15_000, series: series.into() }
}

fn header() -> Vec<u8> {
    let mut file = Vec::new();
    write_header(&mut file);
    file
}

/// Appends a record.
type Write<'a> = &'a dyn Fn(&mut Vec<u8>);

/// Returns a journal, and the positions at which its records end.
fn journal() -> (Vec<u8>, Vec<usize>) {
    let mut file = header();
    let mut ends = vec![file.len()];
    let writes: [Write<'_>; 7] = [
        &|out| write_heartbeat(1_000, out),
        &|out| write_catalog(7, b"catalog", out),
        &|out| write_agent(&id("a"), &agent(None, b"first"), out),
        &|out| write_agent(&id("b"), &agent(Some(9), b""), out),
        &|out| write_agent(&id("a"), &agent(None, b"second"), out),
        &|out| write_gone(&id("b"), out),
        &|out| write_heartbeat(2_000, out),
    ];
    for write in writes {
        write(&mut file);
        ends.push(file.len());
    }
    (file, ends)
}

fn read(file: &[u8]) -> (JournalContents, Option<JournalDamage>) {
    read_journal(file, 1 << 20)
}

#[test]
fn last_record_of_an_agent_and_the_last_heartbeat_apply() {
    let (contents, damage) = read(&journal().0);
    assert!(damage.is_none(), "{damage:?}");
    let expected = JournalContents {
        heartbeat_ms: Some(2_000),
        catalogs: [(7, b"catalog"[..].into())].into(),
        agents: [(id("a"), agent(None, b"second"))].into(),
        is_torn: false,
    };
    assert_eq!(contents, expected);
}

#[test]
fn torn_tail_is_cut_and_everything_before_it_applies() {
    let (file, ends) = journal();
    for length in header().len()..=file.len() {
        let (contents, damage) = read(&file[..length]);
        assert!(damage.is_none(), "{length} bytes: {damage:?}");
        assert_eq!(contents.is_torn, !ends.contains(&length), "{length} bytes");
        let end = ends.iter().rev().find(|end| **end <= length).unwrap();
        let (whole, _) = read(&file[..*end]);
        assert_eq!(JournalContents { is_torn: false, ..contents }, whole, "{length} bytes");
    }
}

#[test]
fn flipped_bit_is_detected_and_records_before_it_apply() {
    let (file, ends) = journal();
    for (position, bit) in (0..file.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
        let mut damaged = file.clone();
        damaged[position] ^= 1 << bit;
        let (contents, damage) = read(&damaged);
        assert!(damage.is_some(), "bit {bit} of byte {position}");
        let before = ends.iter().rev().find(|end| **end <= position);
        let expected = before.map_or_else(JournalContents::default, |end| read(&file[..*end]).0);
        assert_eq!(contents, expected, "bit {bit} of byte {position}");
    }
}

/// A record with these lengths and as many bytes as are left.
fn claiming(length: u32, body: &[u8]) -> Vec<u8> {
    let mut file = header();
    for field in [length, !length, 0] {
        file.extend_from_slice(&field.to_le_bytes());
    }
    file.extend_from_slice(body);
    file
}

#[test]
fn journal_that_claims_a_gigabyte_is_rejected() {
    for length in [0, 1 << 30, u32::MAX, u32::try_from(MAX_BODY_BYTES).unwrap() + 1] {
        let (_, damage) = read(&claiming(length, &[0; 100]));
        assert!(matches!(damage, Some(JournalDamage::Length(18))), "{length}: {damage:?}");
    }
}

#[test]
fn claimed_length_allocates_no_more_than_the_file_has() {
    let length = u32::try_from(MAX_BODY_BYTES).unwrap();
    let file = claiming(length, &[0; 100]);
    let mut reader = Reader { from: file[header().len()..].take(1 << 30), at: 0, body: Vec::new() };
    let mut contents = JournalContents::default();
    assert!(!reader.record(&mut contents).unwrap());
    assert!(contents.is_torn);
    assert!(reader.body.capacity() < 10_000, "{}", reader.body.capacity());
}

#[test]
fn journal_larger_than_its_limit_is_read_up_to_there() {
    let (file, ends) = journal();
    let (contents, damage) = read_journal(&*file, ends[3] as u64 + 5);
    assert!(matches!(damage, Some(JournalDamage::TooLarge(_))), "{damage:?}");
    assert_eq!(contents.agents, [(id("a"), agent(None, b"first"))].into());
}

#[test]
fn other_files_and_versions_are_rejected() {
    for file in [&b""[..], b"fleet", b"{\"roster\":{\"version\":1}}"] {
        let (_, damage) = read(file);
        assert!(matches!(damage, Some(JournalDamage::Foreign)), "{damage:?}");
    }
    let mut file = header();
    *file.last_mut().unwrap() = 9;
    let (_, damage) = read(&file);
    assert!(matches!(damage, Some(JournalDamage::Version(9))), "{damage:?}");
}

#[test]
fn records_with_invalid_fields_are_rejected() {
    let bodies: [(u8, &[u8]); 8] = [
        (0, b""),
        (5, b""),
        (CATALOG, b"abc"),
        (AGENT, b"\x01a1234567"),
        (AGENT, b"\x02\xff\xff123456781234"),
        (GONE, b"\x05abcd"),
        (GONE, b"\x01ab"),
        (HEARTBEAT, b"123456789"),
    ];
    for (kind, body) in bodies {
        let mut file = header();
        record(kind, &mut file, |out| out.extend_from_slice(body));
        let (_, damage) = read(&file);
        assert!(matches!(damage, Some(JournalDamage::Record(18))), "{kind}: {damage:?}");
    }
}
