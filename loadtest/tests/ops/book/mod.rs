//! The book, which `mdbook` makes of `docs/`: it is complete, answers the questions of operators
//! within two clicks, and its commands work.

pub(crate) mod blocks;
#[cfg(unix)]
mod commands;
mod rendered;
mod settings;
mod sizes;

use std::collections::BTreeSet;

use blocks::{blocks, documents, links, pages, text};

/// The first page that a reader sees.
const START: &str = "README.md";

/// Languages of blocks. `sh` is run by a test; `sh example` is not.
const LANGUAGES: [&str; 9] =
    ["console", "frames", "hex", "ini", "promql", "sh", "text", "toml", "yaml"];

/// Questions of operators, and the sections that answer them.
const ANSWERS: [(&str, &str); 10] = [
    ("How do I install it on 10,000 hosts?", "install.md#install-on-ten-or-ten-thousand-hosts"),
    ("How do I report a metric of my own?", "own-metrics.md"),
    ("What if a collector fails?", "high-availability.md#run-two-collectors"),
    ("How do I upgrade?", "upgrade.md"),
    ("What does my fleet need?", "size.md"),
    ("How do I replace node_exporter?", "moving-from-node-exporter.md"),
    ("How do I secure it?", "secure.md#secure-a-fleet-in-five-commands"),
    ("How do I retire a host?", "operate.md#retire-a-host-for-good"),
    ("Which host flaps?", "troubleshoot.md#find-a-flapping-host"),
    ("What does this alert mean?", "prometheus.md#reference-alerts"),
];

/// Link targets of a page that lead to other pages of the book, with and without their anchors.
fn reached_from(page: &str) -> BTreeSet<String> {
    let targets = links(&text(page));
    let files: Vec<_> = targets.iter().map(|target| target.split('#').next().unwrap()).collect();
    files.into_iter().map(ToOwned::to_owned).chain(targets.clone()).collect()
}

/// Link targets within two clicks of the start page.
fn near_the_start() -> BTreeSet<String> {
    let first = reached_from(START);
    let pages = pages();
    let second: Vec<_> = first.intersection(&pages).map(|page| reached_from(page)).collect();
    first.into_iter().chain(second.into_iter().flatten()).collect()
}

#[test]
fn table_of_contents_names_every_page() {
    assert_eq!(pages(), documents());
}

#[test]
fn start_page_leads_to_every_page_within_two_clicks() {
    let near = near_the_start();
    let far: Vec<_> = pages().into_iter().filter(|page| !near.contains(page)).collect();
    assert_eq!(far, [START], "a page is far from the start");
}

#[test]
fn questions_of_operators_are_answered_within_two_clicks() {
    let near = near_the_start();
    let open: Vec<_> = ANSWERS.iter().filter(|(_, answer)| !near.contains(*answer)).collect();
    assert!(open.is_empty(), "no short way to {open:#?}");
}

/// What is outside of `docs/` is not part of the book, so a link to it would be broken.
#[test]
fn pages_link_to_pages_of_the_book_only() {
    let links = documents().into_iter().flat_map(|page| {
        let links = links(&text(&page)).into_iter();
        links.map(|link| format!("{page}: {link}")).collect::<Vec<_>>()
    });
    let outside: Vec<_> = links.filter(|link| link.contains(": ../")).collect();
    assert!(outside.is_empty(), "name the path instead of a link: {outside:#?}");
}

#[test]
fn every_block_names_its_language_and_every_command_is_run_or_an_example() {
    let all: Vec<_> = pages().iter().flat_map(|page| blocks(page)).collect();
    assert!(all.len() > 100, "{} blocks", all.len());
    let unmarked: Vec<_> = all
        .iter()
        .filter(|block| !LANGUAGES.contains(&block.language()))
        .map(|block| format!("docs/{}:{}: {}", block.page, block.line, block.info))
        .collect();
    assert!(unmarked.is_empty(), "blocks without one of {LANGUAGES:?}: {unmarked:#?}");
    let mislabelled: Vec<_> = all
        .iter()
        .filter(|block| block.language() == "sh" && !["sh", "sh example"].contains(&&*block.info))
        .map(|block| format!("docs/{}:{}: {}", block.page, block.line, block.info))
        .collect();
    assert!(mislabelled.is_empty(), "neither run nor an example: {mislabelled:#?}");
}

/// A page with commands that must work is one of those whose commands the tests run.
#[cfg(unix)]
#[test]
fn commands_of_every_page_with_commands_are_run() {
    let with_commands: BTreeSet<_> =
        pages().into_iter().filter(|page| blocks(page).iter().any(blocks::Block::is_run)).collect();
    let run: BTreeSet<_> = commands::PAGES.into_iter().map(ToOwned::to_owned).collect();
    assert_eq!(run, with_commands);
}
