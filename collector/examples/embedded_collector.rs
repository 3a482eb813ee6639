//! Runs a collector inside another program.
//!
//! ```text
//! cargo run -p fleetgauge-collector --example embedded_collector
//! ```
//!
//! Agents connect to 127.0.0.1:45678, Prometheus scrapes `http://127.0.0.1:1234/metrics`.

use fleetgauge_collector::{Config, Listeners, run};
use tokio::sync::oneshot;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = Config {
        listen: vec!["127.0.0.1:45678".parse()?],
        http: "127.0.0.1:1234".parse()?,
        ..Config::default()
    };
    // Bind before anything else, so that a taken port is an error at start-up.
    let listeners = Listeners::bind(&config)?;

    // The collector runs as a task. It installs no signal handler and no logger: both belong to
    // the program.
    let (stop, stopped) = oneshot::channel::<()>();
    let collector = tokio::spawn(run(config, listeners, async {
        let _ = stopped.await;
    }));

    // The program's own work goes here.
    tokio::signal::ctrl_c().await?;

    // The collector asks its agents to leave before it returns.
    let _ = stop.send(());
    collector.await??;
    Ok(())
}
