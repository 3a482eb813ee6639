//! Reads the book: its pages, their blocks of code and their links.

use std::collections::BTreeSet;
use std::path::Path;

use crate::programs::repository;

/// A block of code between two fences.
pub(crate) struct Block {
    pub(crate) page: String,
    pub(crate) line: usize,
    /// What follows the opening fence: the language, and `example` if no test runs the block.
    pub(crate) info: String,
    pub(crate) text: String,
}

impl Block {
    pub(crate) fn language(&self) -> &str {
        self.info.split(' ').next().unwrap_or_default()
    }

    /// Whether a test must run the block.
    pub(crate) fn is_run(&self) -> bool {
        self.info == "sh"
    }
}

/// File names of the pages that the book contains.
pub(crate) fn pages() -> BTreeSet<String> {
    links(&text("SUMMARY.md")).into_iter().collect()
}

/// File names of all documents in `docs/`, except the table of contents.
pub(crate) fn documents() -> BTreeSet<String> {
    let entries = std::fs::read_dir(repository("docs")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let is_page = |name: &String| {
        Path::new(name).extension().is_some_and(|end| end == "md") && name != "SUMMARY.md"
    };
    names.filter(is_page).collect()
}

pub(crate) fn text(page: &str) -> String {
    let path = repository("docs").join(page);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the targets of the links in a text.
pub(crate) fn links(text: &str) -> Vec<String> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.map(ToOwned::to_owned).collect()
}

/// Returns the blocks of a page. An indented block loses the indent of its fence.
pub(crate) fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut fence = None;
    for (number, line) in text(page).lines().enumerate() {
        let is_fence = line.trim_start().starts_with("```");
        match (fence, is_fence) {
            (None, true) => {
                let info = line.trim().trim_start_matches('`').to_owned();
                fence = Some(line.len() - line.trim_start().len());
                let (page, text) = (page.to_owned(), String::new());
                blocks.push(Block { page, line: number + 1, info, text });
            }
            (Some(_), true) => fence = None,
            (Some(indent), false) => {
                let block = &mut blocks.last_mut().unwrap().text;
                block.push_str(line.get(indent..).unwrap_or_default());
                block.push('\n');
            }
            (None, false) => {}
        }
    }
    assert_eq!(fence, None, "{page} ends within a block");
    blocks
}

/// Returns the commands of the page's block that starts with `begin`.
pub(crate) fn commands(page: &str, begin: &str) -> String {
    let block = blocks(page).into_iter().find(|block| block.text.starts_with(begin));
    block.unwrap_or_else(|| panic!("no block of {page} starts with {begin}")).text
}
