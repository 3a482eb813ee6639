//! Chromium, controlled by the WebDriver protocol.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::super::http::HTTP_TIMEOUT;
use super::super::programs::{Program, free_address, installed, wait_for};

/// A browser with one window. Closed when it is dropped.
pub(super) struct Browser {
    address: String,
    session: String,
    _driver: Program,
}

impl Browser {
    /// Starts a browser. `scripts`: whether it runs the scripts of pages.
    pub(super) fn start(scripts: bool) -> Self {
        let address = free_address();
        let (_, port) = address.rsplit_once(':').unwrap();
        let mut command = installed("CHROMEDRIVER", "chromedriver");
        command.arg(format!("--port={port}"));
        let driver = Program::start(command);
        wait_for("chromedriver", 60, || {
            request(&address, "GET", "/status", &Value::Null)
                .filter(|status| status["ready"] == true)
        });
        let setting = if scripts { 1 } else { 2 };
        let options = json!({
            "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"],
            "prefs": { "profile.managed_default_content_settings.javascript": setting },
        });
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": options,
            "goog:loggingPrefs": { "browser": "ALL" },
        }}});
        let created = request(&address, "POST", "/session", &wanted).expect("a session");
        let session = created["sessionId"].as_str().unwrap().to_owned();
        Self { address, session, _driver: driver }
    }

    /// Sends a command with a body. Returns its value.
    fn post(&self, command: &str, body: &Value) -> Value {
        let path = format!("/session/{}/{command}", self.session);
        request(&self.address, "POST", &path, body).unwrap_or_else(|| panic!("{command}: {body}"))
    }

    /// Opens a page.
    pub(super) fn open(&self, url: &str) {
        self.post("url", &json!({ "url": url }));
    }

    pub(super) fn back(&self) {
        self.post("back", &json!({}));
    }

    /// Runs a script in the page, although it may not run its own. Returns what the script does.
    pub(super) fn run(&self, script: &str) -> Value {
        self.post("execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Sends a command of the DevTools protocol.
    fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.post("goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    /// Shows pages this wide, and dark or light.
    pub(super) fn show(&self, width: u32, scheme: &str) {
        let size = json!({
            "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600,
        });
        self.devtools("Emulation.setDeviceMetricsOverride", &size);
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", &media);
    }

    /// Types a text into the element with the focus.
    pub(super) fn type_text(&self, text: &str) {
        self.devtools("Input.insertText", &json!({ "text": text }));
    }

    /// Writes what the window shows to a PNG file.
    pub(super) fn screenshot(&self, file: &Path) {
        let image = self.devtools("Page.captureScreenshot", &json!({ "format": "png" }));
        let image = BASE64_STANDARD.decode(image["data"].as_str().unwrap()).unwrap();
        std::fs::write(file, image).unwrap();
    }

    /// Returns the errors and warnings on the console since the last call.
    pub(super) fn console(&self) -> Vec<String> {
        let entries = self.post("se/log", &json!({ "type": "browser" }));
        entries.as_array().unwrap().iter().map(|entry| entry["message"].to_string()).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Chromium ends with its session, and not with chromedriver.
        let path = format!("/session/{}", self.session);
        let _ = request(&self.address, "DELETE", &path, &Value::Null);
    }
}

/// Sends a request. Returns the value of a successful response.
fn request(address: &str, method: &str, path: &str, body: &Value) -> Option<Value> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(6 * HTTP_TIMEOUT)).ok()?;
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all((head + &body).as_bytes()).ok()?;
    // Chromedriver keeps the connection open.
    let mut answer = BufReader::new(stream);
    let mut line = String::new();
    answer.read_line(&mut line).ok()?;
    let is_ok = line.split(' ').nth(1) == Some("200");
    let mut length = 0;
    while line != "\r\n" {
        line.clear();
        answer.read_line(&mut line).ok()?;
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    answer.read_exact(&mut body).ok()?;
    let mut answer: Value = serde_json::from_slice(&body).ok()?;
    if !is_ok {
        eprintln!("{method} {path}: {answer}");
        return None;
    }
    Some(answer["value"].take())
}
