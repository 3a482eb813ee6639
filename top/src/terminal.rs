//! The loop of the program: keys, signals, answers of the collector and the clock.

use std::io::{self, Write};
use std::time::Duration;

use ratatui::crossterm::event::{self, Event, KeyEvent, KeyEventKind};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use crate::app::{Answer, App, Request};
use crate::client::{Client, FetchError};
use crate::view;

/// Interval between two requests for the same screen.
const EVERY: Duration = Duration::from_secs(1);
/// Keys that wait to be handled. The terminal keeps further ones.
const MAX_KEYS: usize = 16;

/// Prints the overview as text.
///
/// # Errors
/// The collector does not answer.
pub(crate) async fn print(mut client: Client) -> anyhow::Result<()> {
    let mut app = App::new(client.authority.clone(), false);
    let request = app.request();
    let answer = request.send(&mut client).await?;
    app.answer(&request, Ok(answer));
    // The reader may have closed its end.
    let _ = io::stdout().write_all(view::plain(&app).as_bytes());
    Ok(())
}

/// Shows the fleet until the user quits.
///
/// # Errors
/// The terminal cannot be used.
pub(crate) async fn show(client: Client) -> anyhow::Result<()> {
    let has_colors = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let app = App::new(client.authority.clone(), has_colors);
    let stop = stop()?;
    // Restores the terminal also if the program panics.
    let terminal = ratatui::try_init()?;
    let shown = run(app, client, terminal, stop).await;
    ratatui::restore();
    shown
}

async fn run(
    mut app: App,
    client: Client,
    mut terminal: ratatui::DefaultTerminal,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let (mut keys, (asks, mut answers)) = (keys(), requests(client));
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut asked = app.request();
    let (mut is_due, mut is_waiting) = (false, false);
    let mut stop = std::pin::pin!(stop);
    while !app.is_over {
        terminal.draw(|frame| view::draw(&app, frame))?;
        tokio::select! {
            () = &mut stop => return Ok(()),
            input = keys.recv() => match input {
                Some(Input::Key(key)) => app.press(key),
                Some(Input::Resized) => {}
                // There is no terminal any more.
                None => return Ok(()),
            },
            Some((request, answer)) = answers.recv() => {
                is_waiting = false;
                app.answer(&request, answer);
            }
            _ = ticks.tick() => is_due = true,
        }
        let request = app.request();
        is_due |= request != asked;
        if is_due && !is_waiting {
            asked = request.clone();
            // There is room, because the last one has been answered.
            let _ = asks.try_send(request);
            (is_due, is_waiting) = (false, true);
        }
    }
    Ok(())
}

type Arrived = (Request, Result<Answer, FetchError>);

/// Starts the task that asks the collector. Returns where requests go, and where answers come from.
fn requests(mut client: Client) -> (mpsc::Sender<Request>, mpsc::Receiver<Arrived>) {
    let (asks, mut asked) = mpsc::channel::<Request>(1);
    let (answers, arrived) = mpsc::channel(1);
    tokio::spawn(async move {
        while let Some(request) = asked.recv().await {
            let answer = request.send(&mut client).await;
            if answers.send((request, answer)).await.is_err() {
                return;
            }
        }
    });
    (asks, arrived)
}

/// What comes from the terminal.
enum Input {
    Key(KeyEvent),
    Resized,
}

/// Starts the thread that reads the terminal.
fn keys() -> mpsc::Receiver<Input> {
    let (inputs, received) = mpsc::channel(MAX_KEYS);
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            let input = match event {
                Event::Key(key) if key.kind == KeyEventKind::Press => Input::Key(key),
                Event::Resize(..) => Input::Resized,
                _ => continue,
            };
            if inputs.blocking_send(input).is_err() {
                return;
            }
        }
    });
    received
}

/// Returns a future that completes at the first signal to stop.
#[cfg(unix)]
fn stop() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut term, mut hangup) = (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! { _ = term.recv() => {} _ = hangup.recv() => {} _ = interrupt.recv() => {} }
    })
}

/// Returns a future that completes at the first Ctrl-C.
#[cfg(not(unix))]
fn stop() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        // Ctrl-C is a key while the terminal is in use.
        let _ = tokio::signal::ctrl_c().await;
    })
}
