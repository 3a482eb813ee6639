//! The book as `mdbook` renders it.

use std::path::{Path, PathBuf};

use crate::programs::{installed, repository};

/// Files that `mdbook` writes for all pages: the sidebar, and the page for unknown addresses, whose
/// links count from the root of a site.
const NOT_PAGES: [&str; 2] = ["404.html", "toc.html"];

/// Values of the attributes `href` and `src`.
fn targets(html: &str) -> Vec<&str> {
    let attributes = [" href=\"", " src=\""].into_iter().flat_map(|name| html.split(name).skip(1));
    attributes.filter_map(|rest| rest.split('"').next()).collect()
}

/// Whether the target of a link exists: the file, and the element with that id.
fn resolves(page: &Path, target: &str) -> bool {
    let (file, id) = target.split_once('#').unwrap_or((target, ""));
    let path = if file.is_empty() { page.to_owned() } else { page.with_file_name(file) };
    if id.is_empty() {
        return path.exists();
    }
    let html = std::fs::read_to_string(path).unwrap_or_default();
    html.contains(&format!(" id=\"{id}\""))
}

fn pages(book: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(book).unwrap().map(|entry| entry.unwrap().path());
    let is_page = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        path.extension().is_some_and(|end| end == "html") && !NOT_PAGES.contains(&name)
    };
    entries.filter(is_page).collect()
}

#[test]
#[ignore = "needs mdbook"]
fn book_builds_without_warnings_and_its_links_resolve() {
    let book = tempfile::tempdir().unwrap();
    let mut mdbook = installed("MDBOOK", "mdbook");
    mdbook.arg("build").arg("--dest-dir").arg(book.path()).arg(repository(""));
    let done = mdbook.output().unwrap_or_else(|error| panic!("{mdbook:?}: {error}"));
    let log = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && !log.contains("WARN") && !log.contains("ERROR"), "{log}");

    let mut broken = Vec::new();
    let mut links = 0;
    for page in pages(book.path()) {
        let html = std::fs::read_to_string(&page).unwrap();
        for target in targets(&html).into_iter().filter(|target| !target.contains(':')) {
            links += 1;
            if !resolves(&page, target) {
                broken.push(format!("{}: {target}", page.file_name().unwrap().display()));
            }
        }
    }
    assert!(links > 1000, "{links} links");
    assert!(broken.is_empty(), "broken links: {broken:#?}");
}
