//! The files that results are written to.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use super::{Results, html};

/// Files for the results, besides standard output.
#[derive(Debug, Clone, Args)]
pub struct OutputArgs {
    /// Write the results to FILE as JSON
    #[arg(long, value_name = "FILE.json")]
    pub report: Option<PathBuf>,
    /// Write the results to FILE as an HTML page with plots
    #[arg(long, value_name = "FILE.html")]
    pub html: Option<PathBuf>,
}

/// Output files, opened before the test: an invalid path must not cost the results.
#[derive(Debug)]
pub struct OutputFiles {
    json: Option<File>,
    html: Option<File>,
}

impl OutputFiles {
    /// Creates the files.
    ///
    /// # Errors
    /// The flag whose file cannot be created.
    pub fn create(output: &OutputArgs) -> anyhow::Result<Self> {
        let create = |flag: &str, path: &Option<PathBuf>| {
            let open = |path: &Path| {
                File::create(path).with_context(|| {
                    format!("cannot create the file of {flag}: {}", path.display())
                })
            };
            path.as_deref().map(open).transpose()
        };
        Ok(Self {
            json: create("--report", &output.report)?,
            html: create("--html", &output.html)?,
        })
    }

    /// Writes the results.
    ///
    /// # Errors
    /// The system's.
    pub fn write(self, results: &Results) -> anyhow::Result<()> {
        if let Some(mut file) = self.json {
            let json = serde_json::to_string_pretty(results)?;
            writeln!(file, "{json}").context("writing --report")?;
        }
        if let Some(mut file) = self.html {
            file.write_all(html::page(results)?.as_bytes()).context("writing --html")?;
        }
        Ok(())
    }
}
