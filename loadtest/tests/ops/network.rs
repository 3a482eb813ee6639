//! Network namespaces of a test, and the links between them.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::NamedTempFile;

use super::programs::{cannot_run, repository};

fn ip(arguments: &str) -> Output {
    let mut ip = Command::new("ip");
    ip.args(arguments.split(' ')).output().unwrap_or_else(|error| panic!("{ip:?}: {error}"))
}

/// Network namespaces that are removed when the test ends.
pub(crate) struct Network {
    prefix: String,
    namespaces: Vec<&'static str>,
}

impl Network {
    /// Creates namespaces with these names; `None` if that is not possible.
    pub(crate) fn create(namespaces: &[&'static str]) -> Option<Self> {
        static LAID: AtomicUsize = AtomicUsize::new(0);
        let number = LAID.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("fleetgauge-{}-{number}", std::process::id());
        let mut network = Self { prefix, namespaces: Vec::new() };
        for name in namespaces {
            let made = ip(&format!("netns add {}", network.name(name)));
            if !made.status.success() {
                cannot_run("make network namespaces", &made.stderr);
                return None;
            }
            network.namespaces.push(name);
            network.link(name, "set lo up");
        }
        Some(network)
    }

    fn name(&self, short: &str) -> String {
        format!("{}-{short}", self.prefix)
    }

    /// Returns the file of a namespace.
    pub(crate) fn path(&self, namespace: &str) -> PathBuf {
        Path::new("/run/netns").join(self.name(namespace))
    }

    pub(crate) fn link(&self, namespace: &str, arguments: &str) {
        let done = ip(&format!("-n {} link {arguments}", self.name(namespace)));
        assert!(done.status.success(), "{arguments}: {done:?}");
    }

    /// Runs commands of `ip` in a namespace, one a line.
    pub(crate) fn batch(&self, namespace: &str, commands: &str) {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(commands.as_bytes()).unwrap();
        let done = ip(&format!("-n {} -batch {}", self.name(namespace), file.path().display()));
        assert!(done.status.success(), "{done:?}");
    }

    /// Connects the namespaces `hub` and `host` by a veth pair. The hub's end has the host's name
    /// and the address `near`, the host's end is called `wire` and has the address `far`.
    pub(crate) fn connect(&self, hub: &str, host: &str, near: &str, far: &str) {
        let spoke = self.name(host);
        self.link(hub, &format!("add {host} type veth peer name wire netns {spoke}"));
        for (namespace, device, address) in [(self.name(hub), host, near), (spoke, "wire", far)] {
            let given = ip(&format!("-n {namespace} address add {address} dev {device}"));
            assert!(given.status.success(), "{given:?}");
        }
        self.link(hub, &format!("set {host} up"));
        self.link(host, "set wire up");
    }

    /// Creates a link between these namespaces and addresses. The link can be impaired.
    pub(crate) fn bad_link(&self, ends: &[(&str, &str)]) -> BadLink {
        let place = |(name, address): &(&str, &str)| format!("{}:{address}", self.name(name));
        BadLink::create(&ends.iter().map(place).collect::<Vec<_>>())
    }

    /// A command that runs in a namespace.
    pub(crate) fn command(&self, namespace: &str, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(namespace)]).arg(program.as_ref());
        command
    }

    /// Fetches a page of the collector in this namespace; `None` unless the status is 200.
    pub(crate) fn page(&self, namespace: &str, path: &str) -> Option<String> {
        let mut curl = self.command(namespace, "curl");
        let url = format!("http://127.0.0.1:1234{path}");
        let page = curl.args(["-sSf", "--max-time", "5", &url]).output().unwrap();
        page.status.success().then(|| String::from_utf8(page.stdout).unwrap())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in &self.namespaces {
            ip(&format!("netns del {}", self.name(name)));
        }
    }
}

/// A link whose packets pass through `link.py`, which documents the commands for the link.
pub(crate) struct BadLink {
    program: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl BadLink {
    fn create(ends: &[String]) -> Self {
        let mut python = Command::new("python3");
        python.arg(repository("loadtest/tests/ops/faults/link.py")).args(ends);
        let mut program = python.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let orders = program.stdin.take().unwrap();
        let answers = BufReader::new(program.stdout.take().unwrap());
        let mut link = Self { program, orders, answers };
        link.obeyed();
        link
    }

    /// Runs a command of `link.py` and waits until it is in effect.
    pub(crate) fn order(&mut self, order: &str) {
        writeln!(self.orders, "{order}").unwrap();
        self.obeyed();
    }

    fn obeyed(&mut self) {
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        assert_eq!(answer, "ok\n");
    }
}

impl Drop for BadLink {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}
