//! The collector's pages in a real browser.

mod webdriver;

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::programs::{Collector, Program, agent_with, wait_for};
use webdriver::Browser;

/// Widths of a phone, a laptop and a wall screen, in pixels.
const WIDTHS: [u32; 3] = [390, 1_280, 2_560];
const SCHEMES: [&str; 2] = ["light", "dark"];

/// A collector with three agents, and a browser.
struct Pages {
    collector: Collector,
    agents: Vec<Program>,
    browser: Browser,
}

impl Pages {
    fn start(scripts: bool) -> Self {
        let collector = Collector::start(&[]);
        let agents = ["web-1", "web-2", "db-1"].map(|id| {
            let role = if id.starts_with("db") { "role=db" } else { "role=web" };
            agent_with(id, &collector, &["--interval", "1s", "--label", role])
        });
        wait_for("three agents", 60, || {
            let page = collector.get("/api/search?state=up", "");
            page.contains("\"found\":3").then_some(())
        });
        Self { collector, agents: agents.into(), browser: Browser::start(scripts) }
    }

    fn open(&self, path: &str) {
        self.browser.open(&format!("http://{}{path}", self.collector.http));
    }

    fn text(&self) -> String {
        self.browser.run("return document.body.innerText").as_str().unwrap().to_owned()
    }

    /// Waits until the page shows, or no longer shows, a text.
    fn wait_for_text(&self, text: &str, is_shown: bool) {
        wait_for(text, 60, || (self.text().contains(text) == is_shown).then_some(()));
    }

    fn expect_no_errors(&self) {
        let errors = self.browser.console();
        assert!(errors.is_empty(), "{errors:?}");
    }
}

/// Where the screenshots are.
fn screenshots() -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages");
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

/// Checks a page on every screen, dark and light, and takes pictures of it if there are `scripts`.
fn fits(pages: &Pages, (path, name, text): (&str, &str, &str), scripts: bool) {
    for (width, scheme) in WIDTHS.into_iter().flat_map(|width| SCHEMES.map(|one| (width, one))) {
        pages.browser.show(width, scheme);
        pages.open(path);
        assert!(pages.text().contains(text), "{path}: {}", pages.text());
        let overflow =
            "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
        assert_eq!(pages.browser.run(overflow), 0, "{path} at {width}");
        let ground = "return getComputedStyle(document.body).backgroundColor";
        let ground = pages.browser.run(ground);
        let is_dark = ground.as_str().unwrap().starts_with("rgb(20,");
        assert_eq!(is_dark, scheme == "dark", "{ground}");
        if scripts {
            pages.browser.screenshot(&screenshots().join(format!("{name}-{width}-{scheme}.png")));
        }
    }
}

#[test]
#[ignore = "needs chromium"]
fn pages_fit_every_screen_dark_and_light_with_and_without_scripts() {
    for scripts in [true, false] {
        let mut pages = Pages::start(scripts);
        for page in [
            ("/", "overview", "db-1"),
            ("/agents", "agents", "db-1"),
            ("/agents/db-1", "agent", "db-1"),
        ] {
            fits(&pages, page, scripts);
        }
        pages.expect_no_errors();
        pages.agents[0].kill();
        // Without script, a page must be loaded again.
        wait_for("a missing agent", 60, || {
            pages.open("/agents?state=missing");
            pages.text().contains("web-1").then_some(())
        });
        fits(&pages, ("/agents?state=missing", "missing", "web-1"), scripts);
        fits(&pages, ("/agents/web-1", "departed", "not connected"), scripts);
    }
}

/// Rules of axe-core: contrast, names of controls, order of headings, and others.
#[test]
#[ignore = "needs chromium and axe-core"]
fn pages_have_no_violation_of_rules_for_accessibility() {
    let file = std::env::var_os("AXE_CORE").expect("AXE_CORE: path of axe.min.js");
    let axe = std::fs::read_to_string(file).unwrap();
    let mut pages = Pages::start(true);
    // So that the pages show an agent that is missing, too.
    pages.agents[0].kill();
    let check = "return axe.run().then(found => ({
        passed: found.passes.length,
        violations: found.violations.map(
            rule => rule.id + ' ' + rule.nodes.map(node => node.html).join(' ')) }))";
    let paths = ["/", "/agents", "/agents?q=nothing", "/agents/db-1", "/agents/web-1"];
    let screens = WIDTHS.into_iter().flat_map(|width| SCHEMES.map(|scheme| (width, scheme)));
    let mut report = String::new();
    for (path, (width, scheme)) in screens.flat_map(|screen| paths.map(|path| (path, screen))) {
        pages.browser.show(width, scheme);
        pages.open(path);
        pages.wait_for_text("fleetgauge", true);
        pages.browser.run(&axe);
        let found = pages.browser.run(check);
        assert_eq!(found["violations"], serde_json::json!([]), "{path} at {width}, {scheme}");
        assert!(found["passed"].as_u64().unwrap() > 10, "{path}: {found}");
        let passed = &found["passed"];
        report += &format!("{path} at {width}, {scheme}: {passed} rules passed, none violated\n");
    }
    std::fs::write(screenshots().join("axe.txt"), report).unwrap();
}

#[test]
#[ignore = "needs chromium"]
fn open_page_of_an_agent_draws_its_values() {
    let pages = Pages::start(true);
    pages.open("/agents/db-1");
    let points = "return document.querySelector('svg.spark polyline')?.points.length ?? 0";
    let count = || pages.browser.run(points).as_u64().unwrap();
    wait_for("a line", 60, || (count() >= 2).then_some(()));
    let before = count();
    wait_for("a longer line", 60, || (count() > before).then_some(()));
    // Somebody who filters the series keeps the input, although the page changes meanwhile.
    pages.browser.run("document.querySelector('input[name=filter]').focus()");
    pages.browser.type_text("cpu_usage");
    pages.wait_for_text("host_memory_total_bytes", false);
    assert!(pages.text().contains("host_cpu_usage_ratio"), "{}", pages.text());
    let entered = "return document.activeElement.value + location.search";
    assert_eq!(pages.browser.run(entered), "cpu_usage?filter=cpu_usage");
    pages.expect_no_errors();
}

#[test]
#[ignore = "needs chromium"]
fn open_page_follows_the_fleet() {
    let mut pages = Pages::start(true);
    pages.open("/agents");
    pages.wait_for_text("3 agents", true);
    let db = &mut pages.agents[2];
    db.kill();
    let killed = Instant::now();
    wait_for("the row of the agent", 60, || {
        let row = "return document.querySelector('tr:has(.state.missing) th')?.innerText";
        (pages.browser.run(row) == "db-1").then_some(())
    });
    println!("the page showed the death after {:?}", killed.elapsed());
    pages.open("/");
    pages.wait_for_text("2 up", true);
    pages.expect_no_errors();
    // All that a page loads is the collector's.
    let loaded = "return performance.getEntriesByType('resource').map(one => one.name)";
    let loaded = pages.browser.run(loaded);
    let own = format!("http://{}/", pages.collector.http);
    let loaded = loaded.as_array().unwrap();
    assert!(loaded.len() >= 2, "{loaded:?}");
    assert!(loaded.iter().all(|url| url.as_str().unwrap().starts_with(&own)), "{loaded:?}");
    pages.collector.kill();
    pages.wait_for_text("The collector does not answer", true);
}

#[test]
#[ignore = "needs chromium"]
fn agents_are_found_while_one_types() {
    let pages = Pages::start(true);
    pages.open("/");
    pages.open("/agents");
    pages.browser.type_text("DB");
    pages.wait_for_text("web-1", false);
    assert!(pages.text().contains("db-1"), "{}", pages.text());
    let entered = "return document.activeElement.value + location.search";
    assert_eq!(pages.browser.run(entered), "DB?q=DB&state=all&sort=id");
    // The address holds the view.
    let address = pages.browser.run("return location.href");
    pages.browser.back();
    pages.wait_for_text("This collector", true);
    pages.browser.open(address.as_str().unwrap());
    assert!(!pages.text().contains("web-1"), "{}", pages.text());
    let click = "document.querySelector('thead a[href*=\"sort=cpu\"]').click()";
    pages.browser.run(click);
    wait_for("the order", 60, || {
        let order = "return document.querySelector('[aria-sort=descending]')?.innerText";
        (pages.browser.run(order) == "CPU").then_some(())
    });
    pages.expect_no_errors();
}
