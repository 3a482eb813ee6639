//! Command line.

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use fleetgauge_common::http_client::{HttpAuth, HttpUrl};
use fleetgauge_common::tls_client::TlsSettings;

use crate::client::Client;
use crate::terminal;

/// Exit code for an invalid flag (EX_USAGE).
const BAD_FLAG: u8 = 64;
const EXAMPLE: &str = "http://127.0.0.1:1234/";

/// Show the fleet of a collector in this terminal
#[derive(Debug, Parser)]
#[command(name = "fleetgauge-top", version, after_long_help = AFTER_LONG)]
struct CommandLine {
    /// HTTP address of the collector
    #[arg(long, value_name = "URL", default_value = EXAMPLE, value_parser = url)]
    url: HttpUrl,
    /// Authenticate by the token in this file
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Verify the collector by the CA certificates in this file instead of the system's
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// Print the overview and exit; the default if the output is not a terminal
    #[arg(long)]
    once: bool,
}

const AFTER_LONG: &str = "\
The last line of the screen names the keys. Without colors if NO_COLOR is set.

Examples:
  fleetgauge-top
  fleetgauge-top --url https://collector.example.com:1234 --tls-ca ca.pem --token-file scraper.token

Exit codes: 0, 1 if the collector did not answer with --once, 64 if a flag is invalid.";

/// Parses an address with or without a path.
fn url(text: &str) -> Result<HttpUrl, String> {
    let has_path = text.split_once("://").is_some_and(|(_, rest)| rest.contains('/'));
    let text = if has_path { text.to_owned() } else { format!("{text}/") };
    let parsed = HttpUrl::parse(&text, EXAMPLE);
    parsed.unwrap_or_else(|| Err("must begin with http:// or https://".to_owned()))
}

/// Returns the command line, for its help.
#[must_use]
pub fn command() -> clap::Command {
    CommandLine::command()
}

/// Runs the command with these arguments, the program's name first.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let flags = match CommandLine::try_parse_from(arguments) {
        Ok(flags) => flags,
        Err(error) => {
            // The terminal may be closed.
            let _ = error.print();
            let is_help =
                matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return if is_help { ExitCode::SUCCESS } else { ExitCode::from(BAD_FLAG) };
        }
    };
    let auth =
        flags.token_file.map_or(HttpAuth::None, |token_file| HttpAuth::Bearer { token_file });
    let tls = flags.url.is_tls().then(|| TlsSettings { ca: flags.tls_ca, ..Default::default() });
    let client = Client::new(&flags.url, tls, auth);
    let is_once = flags.once || !std::io::stdout().is_terminal();
    match run(client, is_once) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "fleetgauge-top: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(client: Client, is_once: bool) -> anyhow::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let done = match is_once {
        true => runtime.block_on(terminal::print(client)),
        false => runtime.block_on(terminal::show(client)),
    };
    // The thread that reads keys waits for one.
    runtime.shutdown_background();
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_needs_a_scheme_but_no_path() {
        let valid = ["http://127.0.0.1:1234", "https://collector.example.com/fleet/", EXAMPLE];
        for text in valid {
            url(text).unwrap();
        }
        for text in ["127.0.0.1:1234", "ftp://a/", "http://", "http://me@a/"] {
            url(text).unwrap_err();
        }
    }

    #[test]
    fn command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }
}
