//! Valid and invalid credentials files, and their errors.

use super::*;

#[test]
fn invalid_files_name_the_line_and_a_remedy() {
    let good = digest("hunter2");
    for (text, said) in [
        (String::new(), ": has no credentials; write [[credential]]"),
        ("# nobody\n".to_owned(), ": has no credentials"),
        (
            "credential = 5".to_owned(),
            ", line 1: invalid TOML, or a value of the wrong type; write [[credential]]",
        ),
        ("\n[[credential]\n".to_owned(), ", line 2: invalid TOML"),
        (
            entry("a", &["t"], "token = 'hunter2'"),
            ", line 4: unknown field `token`, expected one of `agent`, `tokens`, `labels`",
        ),
        ("[[credential]]\ntokens = []\n".to_owned(), ", line 1: missing field `agent`"),
        (
            "[[credential]]\nagent = 'a'\n".to_owned(),
            ", line 1: agent \"a\" has no tokens, and client certificates are not required",
        ),
        ("[[credential]]\nagent = 'a'\ntokens = 'hunter2'\n".to_owned(), ", line 3: invalid TOML"),
        (
            "[[credential]]\nagent = 'a'\ntokens = ['hunter2']\n".to_owned(),
            ", line 1: invalid token; write \"sha256:\" and 64 hexadecimal digits",
        ),
        (
            format!("[[credential]]\nagent = 'a'\ntokens = ['{good}', '{good}', '{good}']\n"),
            ", line 1: the entry has 3 tokens; at most 2",
        ),
        (
            entry("a", &["t"], "") + &entry("a", &["u"], ""),
            ", line 5: agent \"a\" has two entries; remove one",
        ),
        (
            entry("a*", &["t"], "") + &entry("a*", &["u"], ""),
            ", line 5: agent \"a*\" has two entries",
        ),
        (entry("my pc", &["t"], ""), ", line 1: agent id \"my pc\" is invalid; use 1 to 128"),
        (entry("*-fra", &["t"], ""), ", line 1: agent id \"*-fra\" is invalid"),
        (entry("w*b*", &["t"], ""), ", line 1: \"w*b*\" is not a valid pattern"),
        (entry("a b*", &["t"], ""), ", line 1: \"a b*\" is not a valid pattern"),
        (entry("a", &["t"], "labels = { job = 'x' }"), ", line 1: label name \"job\" is reserved"),
        (entry("a", &["t"], "labels = { site = '' }"), ", line 1: label \"site\" has no value"),
    ] {
        let problem = problem(&text);
        assert!(problem.starts_with(said), "{problem:?} instead of {said:?}");
        assert!(!problem.contains("hunter2") && !problem.contains(&good[7..]), "{problem}");
    }
}

#[test]
fn files_of_any_size_are_read_completely() {
    let many = |count| (0..count).map(|n| entry(&format!("a{n}"), &["t"], "")).collect::<String>();
    for count in [1, 999, 1_000, 1_001, 2_000, 2_001] {
        let policy = policy(&many(count));
        assert_eq!(policy.agents.as_ref().unwrap().len(), count);
        assert!(admit(&policy, &format!("a{}", count - 1), "t").is_ok());
    }
    // Each entry takes four lines: errors name the right line of a file read in parts.
    let twice = many(2_500) + &entry("a7", &["t"], "");
    assert!(problem(&twice).starts_with(", line 10001: agent \"a7\" has two entries; remove one"));
    let broken = many(2_500) + "agent =\n";
    assert!(problem(&broken).starts_with(", line 10001: invalid TOML"));
    let indented = many(1_500).replace("[[credential]]", "  [[ credential ]]");
    assert_eq!(policy(&indented).agents.unwrap().len(), 1_500);
}

#[test]
fn patterns_are_limited() {
    let many = |count| (0..count).map(|n| entry(&format!("p{n}-*"), &[], "")).collect::<String>();
    assert_eq!(policy(&many(1_000)).agents.unwrap().len(), 1_000);
    assert!(problem(&many(1_001)).contains("more than 1000 entries with a pattern"));
}

#[test]
fn oversized_file_is_rejected_unread() {
    let file = NamedTempFile::new().unwrap();
    file.as_file().set_len(1 << 40).unwrap();
    let problem = Credentials::read(file.path(), false, None).unwrap_err().to_string();
    assert!(problem.contains("has more than 67108864 bytes"), "{problem}");
}

#[test]
fn missing_files_directories_and_binary_files_are_rejected() {
    for (path, why) in [("/nonexistent", "cannot be read: No such file"), ("/", "is not a file")] {
        let problem = Credentials::read(Path::new(path), false, None).unwrap_err().to_string();
        assert!(problem.starts_with(&format!("{path}: {why}")), "{problem}");
    }
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(b"\xff\xfe").unwrap();
    let problem = Credentials::read(file.path(), false, None).unwrap_err().to_string();
    assert!(problem.contains("not text in UTF-8"), "{problem}");
}

#[cfg(unix)]
#[test]
fn file_accessible_to_everyone_is_rejected() {
    use std::os::unix::fs::PermissionsExt;
    let file = file(&entry("a", &["t"], ""));
    for (mode, allowed) in [(0o600, true), (0o640, true), (0o644, false), (0o602, false)] {
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        let read = Credentials::read(file.path(), false, None);
        assert_eq!(read.is_ok(), allowed, "{mode:o}");
        if let Err(bad) = read {
            assert!(bad.to_string().contains(&format!("mode {mode:03o}); chmod 600")), "{bad}");
        }
    }
}

/// Such digests result from `sha256sum` if the token file is empty or contains only a line end.
#[test]
fn digests_of_blank_secrets_are_rejected() {
    for blank in ["", "\n", "\r\n", " ", "\t", " \n", "\n\n", "\r\n\r\n", "    "] {
        let agents = entry("a", &["t"], "") + &entry("b", &["t", blank], "");
        let of_agents = problem(&agents);
        let readers = agents.replace("agent = ", "user = ");
        let of_readers = Readers::read(file(&readers).path()).unwrap_err().to_string();
        for said in [of_agents, of_readers] {
            let expected = ", line 5: a token is the SHA-256 of an empty or blank string";
            assert!(said.contains(expected), "{said}");
            assert!(said.contains("fleetgauge-collector token"), "{said}");
        }
    }
}
