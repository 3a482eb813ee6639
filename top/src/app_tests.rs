use super::*;
use crate::api::Listed;

pub(crate) fn app() -> App {
    App::new("127.0.0.1:1234".to_owned(), true)
}

fn press(app: &mut App, keys: &str) {
    for key in keys.chars() {
        let code = match key {
            '\n' => KeyCode::Enter,
            '\u{1b}' => KeyCode::Esc,
            '\u{8}' => KeyCode::Backspace,
            '↓' => KeyCode::Down,
            '↑' => KeyCode::Up,
            other => KeyCode::Char(other),
        };
        app.press(code.into());
    }
}

fn list(ids: &[&str], page: usize, pages: usize) -> Answer {
    let agents = ids.iter().map(|id| Listed { id: (*id).to_owned(), ..Listed::default() });
    Answer::Search(Listing { found: 3, page, pages, agents: agents.collect() })
}

fn answer(app: &mut App, answer: Answer) {
    app.answer(&app.request(), Ok(answer));
}

fn query(text: &str) -> Request {
    Request::Search(text.to_owned())
}

#[test]
fn keys_lead_from_the_overview_to_a_host_and_back() {
    let mut app = app();
    assert_eq!(app.request(), Request::Overview);
    press(&mut app, "a");
    assert_eq!(app.request(), query("q=&state=all&sort=id&page=1"));
    answer(&mut app, list(&["a", "b"], 1, 1));
    press(&mut app, "↓↓↑↓\n");
    assert_eq!(app.request(), Request::Host("b".to_owned()));
    press(&mut app, "q");
    assert_eq!(app.screen, Screen::Agents);
    press(&mut app, "q");
    assert_eq!(app.screen, Screen::Overview);
    assert!(!app.is_over);
    press(&mut app, "q");
    assert!(app.is_over);
}

#[test]
fn selection_stays_on_its_agent_when_the_order_changes() {
    let mut app = app();
    press(&mut app, "1");
    answer(&mut app, list(&["a", "b", "c"], 1, 1));
    press(&mut app, "↓");
    answer(&mut app, list(&["c", "a", "b"], 1, 1));
    assert_eq!(app.line, 2);
    press(&mut app, "\n");
    assert_eq!(app.request(), Request::Host("b".to_owned()));
    // Back at the agent that was open.
    press(&mut app, "q");
    assert_eq!(app.line, 2);
    // The selected agent has left.
    answer(&mut app, list(&["c"], 1, 1));
    assert_eq!(app.line, 0);
    // Another search begins at its first agent.
    press(&mut app, "/x");
    answer(&mut app, list(&["a", "c"], 1, 1));
    assert_eq!(app.line, 0);
}

#[test]
fn values_have_the_age_of_their_own_screen() {
    let mut app = app();
    assert_eq!(app.age(Instant::now()), None);
    answer(&mut app, Answer::Overview(Overview::default()));
    let later = Instant::now() + Duration::from_secs(60);
    assert_eq!(app.age(later).map(|age| age.as_secs() >= 60), Some(true));
    press(&mut app, "a");
    assert_eq!(app.age(later), None);
    answer(&mut app, list(&["a"], 1, 1));
    assert!(app.age(later).is_some());
    // A new list has not arrived yet.
    press(&mut app, "qa");
    assert_eq!(app.age(later), None);
}

#[test]
fn search_is_typed_and_ordered() {
    let mut app = app();
    press(&mut app, "/db&\u{8}q");
    assert_eq!(app.request(), query("q=dbq&state=all&sort=id&page=1"));
    // Now keys are commands again.
    press(&mut app, "\nst");
    assert_eq!(app.request(), query("q=dbq&state=up&sort=cpu&page=1"));
    press(&mut app, "sss");
    assert_eq!(app.search.order(), "id");
    press(&mut app, "/\u{1b}");
    assert_eq!(app.search.text, "");
    press(&mut app, "qm");
    assert_eq!(app.request(), query("q=&state=missing&sort=id&page=1"));
    press(&mut app, "q3");
    assert_eq!(app.request(), query("q=&state=all&sort=disk&page=1"));
}

#[test]
fn pages_end_at_the_last_one() {
    let mut app = app();
    press(&mut app, "a");
    answer(&mut app, list(&["a"], 1, 2));
    press(&mut app, "nnnn");
    assert_eq!(app.request(), query("q=&state=all&sort=id&page=2"));
    // Meanwhile agents have left: the collector shows the last page.
    answer(&mut app, list(&["a"], 1, 1));
    assert_eq!(app.request(), query("q=&state=all&sort=id&page=1"));
    press(&mut app, "pp");
    assert_eq!(app.request(), query("q=&state=all&sort=id&page=1"));
}

#[test]
fn answer_to_an_earlier_request_is_ignored() {
    let mut app = app();
    let before = app.request();
    press(&mut app, "a");
    app.answer(&before, Err(FetchError::TimedOut));
    assert_eq!(app.problem, None);
    app.answer(&app.request(), Err(FetchError::TimedOut));
    assert_eq!(app.problem, Some(FetchError::TimedOut));
    answer(&mut app, list(&[], 1, 1));
    assert_eq!(app.problem, None);
}

#[test]
fn search_of_a_megabyte_is_cut() {
    let mut app = app();
    press(&mut app, "/");
    press(&mut app, &"ü".repeat(1 << 19));
    assert_eq!(app.search.text.len(), MAX_INPUT);
}

/// A collector that is none.
#[test]
fn ids_that_would_change_the_path_are_not_opened() {
    for id in ["../drain", "a b", "a\r\nX: y", "", "a?b", "ü"] {
        let mut app = app();
        press(&mut app, "a");
        answer(&mut app, list(&[id], 1, 1));
        press(&mut app, "\n");
        assert_eq!(app.screen, Screen::Agents, "{id:?}");
    }
}

#[test]
fn series_have_no_agent_and_are_filtered() {
    let mut app = app();
    app.screen = Screen::Host("a".to_owned());
    let lines = ["up{agent=\"a\"} 1", "cpu{agent=\"a\",mode=\"user\"} 2", "own 3"].map(short);
    assert_eq!(lines, ["up 1", "cpu{mode=\"user\"} 2", "own 3"]);
    answer(&mut app, Answer::Host(Host { profile: Profile::default(), series: lines.into() }));
    press(&mut app, "/USER");
    assert_eq!(app.series().collect::<Vec<_>>(), ["cpu{mode=\"user\"} 2"]);
    app.answer(&app.request(), Err(FetchError::NotFound));
    assert!(app.host.is_none());
}
