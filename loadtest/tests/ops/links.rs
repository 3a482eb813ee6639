//! Links between the documents lead to files and headings that exist.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::programs::repository;

/// The documents at the root of the repository and under `docs/`.
fn documents() -> Vec<PathBuf> {
    let directories = ["", "docs"].map(repository);
    let entries = directories.iter().flat_map(|directory| std::fs::read_dir(directory).unwrap());
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}

/// Returns the document at `path` without its code blocks.
fn prose(path: &Path) -> String {
    let mut code = false;
    let mut prose = String::new();
    for line in std::fs::read_to_string(path).unwrap().lines() {
        if line.trim_start().starts_with("```") {
            code = !code;
        } else if !code {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    prose
}

/// Returns the anchors of the headings, as GitHub derives them.
fn anchors(path: &Path) -> BTreeSet<String> {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    let anchor = |heading: &str| {
        heading.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")
    };
    let text = prose(path);
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#').trim())).collect()
}

#[test]
fn relative_links_in_documents_resolve() {
    let mut broken = Vec::new();
    let mut links = 0;
    for document in documents() {
        let text = prose(&document);
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains(':')) {
            links += 1;
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = document.parent().unwrap().join(path);
            let file = if path.is_empty() { document.clone() } else { file };
            let heading = anchor.is_empty() || (file.is_file() && anchors(&file).contains(anchor));
            if !file.exists() || !heading {
                broken.push(format!("{}: {target}", document.display()));
            }
        }
    }
    assert!(links > 100, "{links} links");
    assert!(broken.is_empty(), "broken links: {broken:#?}");
}
