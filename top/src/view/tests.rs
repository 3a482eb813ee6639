use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;
use serde_json::json;

use super::*;
use crate::app::{Answer, Host};

fn overview(id: &str, reason: &str) -> Answer {
    let headline = |name: &str| {
        json!({
            "name": name, "count": 3, "mean": 0.25, "bars": [2, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            "worst": [{ "id": id, "value": 0.95 }, { "id": "web-2", "value": 0.1 }],
        })
    };
    let overview = json!({
        "at": 1_000, "series": 1_234, "reports_per_second": 2.5,
        "samples_per_second": 1_250.0,
        "agents": { "connected": 3, "missing": 1, "departed_today": 2 },
        "headlines": [headline("cpu"), headline("memory"), headline("disk")],
        "missing": [{ "id": "db-9", "at": 940, "reason": reason }],
        "collector": {
            "version": "0.1.0", "connections": 3, "max_connections": 100, "memory": 1024.0,
            "max_memory": 4096.0, "engines": [{ "name": id, "lag": 1.5 }],
        },
        "something_new": [1, 2],
    });
    Answer::Overview(serde_json::from_value(overview).unwrap())
}

fn list(id: &str, label: &str) -> Answer {
    let agent = json!({ "id": id, "state": "up", "labels": { "role": label }, "cpu": 0.5 });
    let agents: Vec<_> = std::iter::repeat_n(agent, 100).collect();
    let list = json!({ "found": 250, "page": 1, "pages": 3, "agents": agents });
    Answer::Search(serde_json::from_value(list).unwrap())
}

fn host(text: &str) -> Answer {
    let profile = json!({
        "labels": { "role": text }, "address": text, "version": text, "since": 1,
        "last_report": 2, "interval_ms": 15_000, "series": 2, "cpu": 0.5, "memory": null,
    });
    let profile = serde_json::from_value(profile).unwrap();
    Answer::Host(Host { profile, series: vec![format!("up{{x=\"{text}\"}} 1"); 1_000] })
}

/// An app that shows each screen, with this text wherever a peer's text is shown.
fn screens(text: &str) -> Vec<App> {
    let show = |screen, answer| {
        let mut app = App::new("127.0.0.1:1234".to_owned(), true);
        app.screen = screen;
        app.answer(&app.request(), Ok(answer));
        app
    };
    vec![
        show(Screen::Overview, overview(text, text)),
        show(Screen::Agents, list(text, text)),
        show(Screen::Host(text.to_owned()), host(text)),
    ]
}

fn shown(app: &App, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(app, frame)).unwrap();
    terminal.backend().to_string()
}

#[test]
fn screens_show_what_they_are_about() {
    let [overview, agents, host] = &screens("web-1")[..] else { panic!() };
    let text = shown(overview, 120, 30);
    for expected in
        ["3 up", "1 missing", "2.5 reports/s", "1,250 samples/s", "web-1", "95 %", "1 min 0 s ago"]
    {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let text = shown(agents, 120, 30);
    for expected in ["250 found, page 1 of 3, all, by id", "web-1", "role=web-1", "50 %"] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let text = shown(host, 120, 30);
    for expected in ["web-1", "one every 15 s", "1,000 series", "up{x=\"web-1\"} 1"] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[test]
fn narrow_terminal_shows_first_what_matters() {
    let text = shown(&screens("web-1")[0], 20, 10);
    assert!(text.contains("3 up  1 missing"), "{text}");
    assert!(text.contains("db-9"), "{text}");
    let text = shown(&screens("web-1")[0], 80, 24);
    assert!(text.contains("Connections  3 of 100"), "{text}");
}

#[test]
fn terminals_of_every_size_are_drawn() {
    for mut app in screens("web-1") {
        for (width, height) in (1..30)
            .flat_map(|width| [(width, 1), (width, 7), (width, 50)])
            .chain([(500, 200), (1, 0)])
        {
            app.line = 99;
            shown(&app, width, height);
        }
    }
}

#[test]
fn screen_that_waits_and_screen_of_a_silent_collector_say_so() {
    let mut app = App::new("127.0.0.1:1234".to_owned(), true);
    assert!(shown(&app, 80, 24).contains("waiting for the collector"));
    app.answer(&app.request(), Err(crate::client::FetchError::TimedOut));
    let text = shown(&app, 80, 24);
    assert!(text.contains("no answer within 5 s") && !text.contains("stale"), "{text}");
}

#[test]
fn values_of_a_silent_collector_stay_with_their_age_and_the_reason() {
    for mut app in screens("web-1") {
        app.answer(&app.request(), Err(crate::client::FetchError::TimedOut));
        let text = shown(&app, 80, 24);
        // The age depends on the machine.
        assert!(text.contains("stale for ") && text.contains(" s: no answer within 5 s"), "{text}");
        assert!(text.contains("web-1"), "{text}");
    }
    assert_eq!(stale("x\u{1b}", Some(Duration::from_secs(61))), "stale for 1 min 1 s: x\\u{1b}");
}

#[test]
fn terminal_that_is_resized_is_drawn_in_its_new_size() {
    for app in screens("web-1") {
        let mut terminal = Terminal::new(TestBackend::new(200, 60)).unwrap();
        for (width, height) in [(200, 60), (20, 10), (1, 1), (80, 24)] {
            terminal.backend_mut().resize(width, height);
            terminal.draw(|frame| draw(&app, frame)).unwrap();
            let area = terminal.backend().buffer().area;
            assert_eq!((area.width, area.height), (width, height));
        }
        assert!(terminal.backend().to_string().contains("web-1"));
    }
}

#[test]
fn report_interval_below_a_second_is_shown() {
    let profile = json!({ "interval_ms": 500 });
    let profile = serde_json::from_value(profile).unwrap();
    let mut app = App::new(String::new(), true);
    app.screen = Screen::Host("a".to_owned());
    app.answer(&app.request(), Ok(Answer::Host(Host { profile, series: Vec::new() })));
    assert!(shown(&app, 80, 24).contains("one every 0.5 s"));
}

/// Texts that would clear the screen, set the title, ring, or change the direction of others.
#[test]
fn control_sequences_in_texts_of_peers_do_not_reach_the_terminal() {
    let text = "a\u{202e}\u{1b}[2J\u{1b}]0;owned\u{7}\r\n\u{9b}31mb\u{200b}";
    for app in screens(text) {
        for (width, height) in [(20, 10), (80, 24), (200, 60)] {
            let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
            terminal.draw(|frame| draw(&app, frame)).unwrap();
            for cell in &terminal.backend().buffer().content {
                let hidden = |c: char| c.is_control() || "\u{202e}\u{200b}".contains(c);
                assert!(!cell.symbol().contains(hidden), "{:?}", cell.symbol());
            }
        }
    }
    // ratatui drops what it cannot show: the escaped form proves that it did not have to.
    let starts = [r"a\u{202e}", r#""a\u{202e}\u{1b}[2J"#, r#"up{x="a\u{202e}\u{1b}[2J"#];
    for (app, start) in screens(text).iter().zip(starts) {
        let contents = shown(app, 200, 60);
        assert!(contents.contains(start), "{start}: {contents}");
    }
    // Nothing but the program itself stands between this text and the terminal.
    let plain = plain(&screens(text)[0]);
    let hidden = |c: char| c != '\n' && (c.is_control() || "\u{202e}\u{200b}".contains(c));
    assert!(!plain.contains(hidden), "{plain:?}");
}

/// A collector with another version, or none at all.
#[test]
fn figures_out_of_range_are_drawn() {
    let odd = json!({
        "headlines": [{
            "name": "x".repeat(5_000), "mean": 1e308, "bars": vec![u64::MAX; 10_000],
            "worst": [{ "id": "x".repeat(5_000), "value": -1e308 }, { "id": "", "value": 1e308 }],
        }],
        "missing": [{ "id": "東京".repeat(500), "at": u64::MAX, "reason": "x" }],
        "collector": { "memory": -1e308, "engines": [{ "lag": 1e308 }] },
    });
    let mut app = App::new(String::new(), true);
    app.answer(&app.request(), Ok(Answer::Overview(serde_json::from_value(odd).unwrap())));
    for (width, height) in [(20, 10), (80, 24), (200, 60)] {
        shown(&app, width, height);
    }
}

#[test]
fn there_are_no_colors_without_colors() {
    for mut app in screens("web-1") {
        app.has_colors = false;
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        terminal.draw(|frame| draw(&app, frame)).unwrap();
        let cells = &terminal.backend().buffer().content;
        assert!(cells.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
    }
}
