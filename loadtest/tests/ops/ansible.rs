//! The Ansible role of `deploy/ansible`, run by the playbook there on two hosts: one that gets the
//! Debian package from a web server, and one that gets the rpm package from the controller.
//!
//! The hosts are containers that systemd boots, each in a network namespace of its own. Ansible and
//! a collector run in a third one. `.ci/run package` runs this test.

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::boot::{Booted, Root};
use super::certificates;
use super::network::Network;
use super::packages::{debian, put_steps, run, with_extension};
use super::programs::{Program, built, repository, wait_for};
use super::trust::credential;

/// Debian packages of the hosts: what boots, what Ansible needs, and the package managers.
const TOOLS: &str = "systemd-sysv,dbus,openssh-server,python3,python3-apt,dnf,python3-dnf";
const CONTROLLER: &str = "controller";
const TOKEN: &str = "7b1c8f0e5d3a49268c0f6e1d2b4a5978";
/// Name, group in `deploy/ansible/group_vars`, and first three bytes of the network of each host.
/// In it, the controller has the address 1, and the host the address 2.
const HOSTS: [(&str, &str, &str); 2] =
    [("web-01", "debian", "10.99.1"), ("db-01", "redhat", "10.99.2")];

/// The package of the agent with this file name extension.
fn package(extension: &str) -> PathBuf {
    let agents = |path: &PathBuf| path.to_str().unwrap().contains("fleetgauge-agent");
    with_extension(extension).into_iter().find(agents).unwrap()
}

/// Two booted hosts, and a controller with a collector.
struct Fleet {
    // In the order in which they stop.
    _hosts: Vec<Booted>,
    _programs: Vec<Program>,
    network: Network,
    work: TempDir,
}

impl Fleet {
    fn start() -> Option<Self> {
        let network = Network::create(&[CONTROLLER, HOSTS[0].0, HOSTS[1].0])?;
        let work = tempfile::tempdir().unwrap();
        let system = debian(TOOLS);
        let key = work.path().join("ssh-key");
        run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key));
        let mut hosts = Vec::new();
        for (name, _, net) in HOSTS {
            network.connect(CONTROLLER, name, &format!("{net}.1/24"), &format!("{net}.2/24"));
            let root = Root::mount(&system)?;
            root.put(&key.with_extension("pub"), "root/.ssh/authorized_keys");
            put_steps(&root);
            root.put(&package("rpm"), "packages/agent.rpm");
            let libraries = repository("loadtest/tests/ops/ansible/libraries.sh");
            root.put(&libraries, "packages/libraries.sh");
            hosts.push(root.start(name, &network.path(name)));
        }
        certificates::run(&certificates::commands("# The authority."), work.path());
        let mut fleet = Self { _hosts: hosts, _programs: Vec::new(), network, work };
        fleet._programs = vec![fleet.collector(), fleet.mirror()];
        for (name, _, _) in HOSTS {
            wait_for("a host that accepts SSH", 60, || {
                fleet.on(name, "true").status.success().then_some(())
            });
        }
        Some(fleet)
    }

    /// Starts a collector that requires TLS and a token.
    fn collector(&self) -> Program {
        let credentials = self.work.path().join("credentials.toml");
        std::fs::copy(credential("agent = \"*\"", TOKEN).path(), &credentials).unwrap();
        let mut command = self.network.command(CONTROLLER, built("fleetgauge-collector"));
        command.args(["--listen", "0.0.0.0:45678", "--tls-certificate", "collector.pem"]);
        command.args(["--tls-key", "collector.key", "--credentials", "credentials.toml"]);
        command.current_dir(self.work.path());
        Program::start(command)
    }

    /// Starts a web server with the packages.
    fn mirror(&self) -> Program {
        let mut command = self.network.command(CONTROLLER, "python3");
        command.args(["-m", "http.server", "--directory"]).arg(package("deb").parent().unwrap());
        Program::start(command)
    }

    /// Runs a shell command on a host.
    fn on(&self, host: &str, command: &str) -> Output {
        let (_, _, net) = HOSTS.iter().find(|(name, _, _)| *name == host).unwrap();
        let mut ssh = self.network.command(CONTROLLER, "ssh");
        ssh.args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]);
        ssh.args(["-o", "ConnectTimeout=5", "-i"]).arg(self.work.path().join("ssh-key"));
        ssh.arg(format!("root@{net}.2")).arg(command).output().unwrap()
    }

    /// Returns what a shell command prints on a host.
    fn text(&self, host: &str, command: &str) -> String {
        let output = self.on(host, command);
        assert!(output.status.success(), "{command}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// The variables of a host.
    fn variables(&self, group: &str, net: &str, site: &str) -> Value {
        let package = package(if group == "debian" { "deb" } else { "rpm" });
        let digest = Sha256::digest(std::fs::read(&package).unwrap());
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let name = package.file_name().unwrap().to_str().unwrap();
        let source = match group {
            "debian" => format!("http://{net}.1:8000/{name}"),
            _ => package.display().to_string(),
        };
        let file = |name: &str| std::fs::read_to_string(self.work.path().join(name)).unwrap();
        json!({
            "ansible_host": format!("{net}.2"),
            "ansible_user": "root",
            "ansible_ssh_private_key_file": self.work.path().join("ssh-key"),
            "ansible_ssh_common_args":
                "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null",
            "ansible_python_interpreter": "/usr/bin/python3",
            "fleetgauge_agent_package": source,
            "fleetgauge_agent_package_checksum": format!("sha256:{digest}"),
            "fleetgauge_agent_collectors": [format!("{net}.1:45678")],
            "fleetgauge_agent_labels": { "site": site, "role": group },
            "fleetgauge_agent_settings":
                { "interval": "1s", "tls_server_name": "collector.example.com" },
            "fleetgauge_agent_tables": "[[textfile]]\npath = \"/srv/metrics/*.prom\"",
            "fleetgauge_agent_token": TOKEN,
            "fleetgauge_agent_ca": file("ca.pem"),
            "fleetgauge_agent_certificate": file("web-01.pem"),
            "fleetgauge_agent_key": file("web-01.key"),
        })
    }

    /// Runs the playbook with this label and these flags. Returns how many tasks changed each host.
    fn play(&self, site: &str, flags: &[&str]) -> [u32; 2] {
        let groups = HOSTS.map(|(name, group, net)| {
            (group.to_owned(), json!({ "hosts": { name: self.variables(group, net, site) } }))
        });
        let groups: serde_json::Map<_, _> = groups.into_iter().collect();
        let inventory = self.work.path().join("inventory.json");
        std::fs::write(&inventory, json!({ "all": { "children": groups } }).to_string()).unwrap();
        let mut ansible = self.network.command(CONTROLLER, "ansible-playbook");
        ansible.current_dir(repository("deploy/ansible")).env("ANSIBLE_NOCOLOR", "1");
        // A shared connection of ssh would keep the output open for a minute.
        ansible.env("ANSIBLE_SSH_ARGS", "-o ControlMaster=no");
        ansible.args(["agents.yml", "-vvv", "--diff", "-i"]).arg(&inventory).args(flags);
        let output = ansible.output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        println!("{site} {flags:?}: {}", printed.rsplit("PLAY RECAP").next().unwrap());
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{flags:?}: {printed}{errors}");
        assert!(!printed.contains(TOKEN), "the log has the token: {printed}");
        assert!(!printed.contains("PRIVATE KEY"), "the log has the key: {printed}");
        HOSTS.map(|(name, _, _)| changes(&printed, name))
    }

    /// Waits until the agents of both hosts report with this label.
    fn report(&self, site: &str) {
        for (name, group, _) in HOSTS {
            let labels = [
                format!("agent=\"{name}\""),
                format!("site=\"{site}\""),
                format!("role=\"{group}\""),
            ];
            wait_for(&format!("series of {name} at {site}"), 30, || {
                let page = self.network.page(CONTROLLER, "/metrics/agents")?;
                let all = |line: &str| labels.iter().all(|label| line.contains(label));
                page.lines().any(all).then_some(())
            });
        }
    }
}

/// Returns the number of tasks that changed a host, from the recap of `ansible-playbook`.
fn changes(printed: &str, host: &str) -> u32 {
    let recap = printed.rsplit("PLAY RECAP").next().unwrap();
    let line = recap.lines().find(|line| line.starts_with(host)).unwrap();
    let changed = line.split_once("changed=").unwrap().1.split(' ').next().unwrap();
    changed.parse().unwrap()
}

#[test]
#[ignore = "needs ansible, root, the packages, mmdebstrap, openssl, ssh and systemd-container"]
fn role_installs_changes_and_removes_agents_on_two_hosts() {
    let Some(fleet) = Fleet::start() else { return };
    fleet.text("db-01", "bash /packages/libraries.sh /packages/agent.rpm");
    let planned = fleet.play("fra", &["--check"]);
    assert!(planned.iter().all(|changed| *changed > 0), "check mode plans nothing: {planned:?}");
    for (name, _, _) in HOSTS {
        fleet.text(name, "! ls /etc/fleetgauge /var/cache/fleetgauge*");
        fleet.text(name, ". /packages/lifecycle.sh; everything >/packages/before");
    }

    fleet.play("fra", &[]);
    fleet.report("fra");
    assert_eq!(fleet.play("fra", &[]), [0, 0], "the second run changes something");
    assert_eq!(fleet.play("fra", &["--check"]), [0, 0], "check mode plans changes without need");
    let secret = fleet.text("web-01", "stat -c '%a %U %G' /etc/fleetgauge/agent.token");
    assert_eq!(secret, "640 root fleetgauge-agent");

    // One task writes the settings, and one handler reloads.
    assert_eq!(fleet.play("ams", &[]), [2, 2], "changes of a label");
    fleet.report("ams");

    let absent = ["--extra-vars", "fleetgauge_agent_state=absent"];
    fleet.play("ams", &absent);
    for (name, _, _) in HOSTS {
        let left = fleet.text(name, ". /packages/lifecycle.sh; left_behind");
        assert_eq!(left, "", "left on {name}");
        fleet.text(name, "! pgrep fleetgauge && ! ls /var/cache/fleetgauge*");
    }
    assert_eq!(fleet.play("ams", &absent), [0, 0], "removing twice changes something");
}
