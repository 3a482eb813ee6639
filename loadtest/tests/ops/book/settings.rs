//! Checks the settings in the book, and the example settings, with the program that reads them.

use std::process::Command;

use super::blocks::{Block, blocks, pages};
use crate::programs::{built, repository};

/// Files that the book shows and whose format is not that of the settings. They are named in the
/// first line of their blocks.
const OTHER_FILES: [&str; 3] = ["credentials.toml", "readers.toml", "telegraf.conf"];

/// A block's settings, without the lines that name files of the reader's host, and without users,
/// which need such a file.
fn settings(block: &Block) -> String {
    let is_elsewhere = |line: &&str| {
        line.contains("= \"/etc/") || line.contains("log_file") || line.starts_with("user")
    };
    block
        .text
        .lines()
        .filter(|line| !is_elsewhere(line))
        .fold(String::new(), |all, line| all + line + "\n")
}

/// Errors of a program for a settings file with this text; `None` if it accepts it.
fn errors(program: &str, text: &str) -> Option<String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let mut check = Command::new(built(program));
    check.arg("--check").arg("--config").arg(file.path());
    if program == "fleetgauge-agent" {
        // The name of this host may be illegal as an id.
        check.args(["--id", "example"]);
    }
    let done = check.output().unwrap();
    (!done.status.success()).then(|| String::from_utf8_lossy(&done.stderr).into_owned())
}

#[test]
#[ignore = "needs the built programs"]
fn settings_of_the_book_are_accepted_by_agent_or_collector() {
    let all = pages().into_iter().flat_map(|page| blocks(&page));
    let tables = all.filter(|block| block.language() == "toml");
    let is_setting = |block: &Block| {
        let first = block.text.lines().next().unwrap_or_default();
        !block.text.contains("[[credential]]")
            && !OTHER_FILES.iter().any(|file| first.contains(file))
    };
    let mut count = 0;
    for block in tables.filter(is_setting) {
        count += 1;
        let text = settings(&block);
        let Some(of_agent) = errors("fleetgauge-agent", &text) else { continue };
        let Some(of_collector) = errors("fleetgauge-collector", &text) else { continue };
        panic!("docs/{}:{}\n{of_agent}{of_collector}", block.page, block.line);
    }
    assert!(count > 10, "{count} blocks of settings");
}

/// The example settings without the marks of comments, except for a second source of the agent's
/// id, and settings that need a file of the reader's host.
fn uncommented(example: &str) -> String {
    let needs_more = |line: &str| {
        let keys = ["id_from", "tls_", "http_tls_", "username"];
        keys.iter().any(|key| line.starts_with(key))
            || ["= \"/etc/", "= \"/var/"].iter().any(|path| line.contains(path))
    };
    let is_setting = |text: &&str| text.starts_with(|c: char| c == '[' || c.is_ascii_lowercase());
    let lines =
        example.lines().map(|line| line.strip_prefix('#').filter(is_setting).unwrap_or(line));
    lines.filter(|line| !needs_more(line)).fold(String::new(), |all, line| all + line + "\n")
}

#[test]
#[ignore = "needs the built programs"]
fn example_settings_are_accepted_as_shipped_and_with_all_that_are_commented() {
    for name in ["agent", "collector"] {
        let shipped = std::fs::read_to_string(repository(&format!("deploy/{name}.toml"))).unwrap();
        let all = uncommented(&shipped);
        let count =
            all.lines().filter(|line| line.contains(" = ") && !line.starts_with('#')).count();
        assert!(count > 20, "{count} settings: {all}");
        for text in [&shipped, &all] {
            assert_eq!(errors(&format!("fleetgauge-{name}"), text), None, "{text}");
        }
    }
}
