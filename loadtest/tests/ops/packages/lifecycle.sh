# Steps of the checks of packages, for any package format. Sourced by deb.sh, rpm.sh and plain.sh. The results are lines
# NAME=VALUE on standard output; the output of package managers goes to standard error.

both="fleetgauge-agent fleetgauge-collector"

# Waits until a command succeeds, for at most 30 s.
until_so() { for _ in $(seq 300); do "$@" && return; sleep 0.1; done; return 1; }
yes_if() { if "$@"; then echo yes; else echo no; fi; }
# Prints how a command exits: outcome NAME COMMAND...
outcome() { local name=$1; shift; "$@" >&2 </dev/null; echo "$name=$?"; }

state() { for unit in "$@"; do systemctl is-active "$unit"; systemctl is-enabled "$unit"; done 2>/dev/null | xargs; }
pid() { systemctl show -P MainPID "$1"; }
page() { curl -s http://127.0.0.1:1234/metrics/agents; }
reports() { page | grep -q '^host_.*agent='; }

# All files and users of the system, except for what package managers keep themselves.
everything() {
    find / -xdev \( -path /proc -o -path /sys -o -path /run -o -path /tmp -o -path /packages -o -path /dev \
        -o -path /var/log -o -path /var/cache -o -path /var/lib/apt -o -path /var/lib/dnf -o -path /var/lib/dpkg \
        -o -path /var/lib/rpm \
        -o -path /root -o -path '/etc/*-' -o -path /etc/.pwd.lock -o -path '/var/lib/systemd/*' \
        -o -path /var/tmp \) -prune -o -print | sort
    cut -d: -f1 /etc/passwd /etc/group | sort -u | sed 's/^/user:/'
}
# Prints what exists now and did not before.
left_behind() { everything >/packages/after; LC_ALL=C comm -13 /packages/before /packages/after | xargs; }
export LC_ALL=C

# Files that every installation has, with the directory of zsh's functions: missing_files DIRECTORY
missing_files() {
    local program missing=0 file
    for program in $both; do
        for file in "/usr/bin/$program" "/etc/fleetgauge/${program#fleetgauge-}.toml" \
            "/usr/lib/systemd/system/$program.service" "/usr/share/bash-completion/completions/$program" \
            "/usr/share/man/man1/$program.1.gz" "/usr/share/fish/vendor_completions.d/$program.fish" "$1/_$program"; do
            [ -s "$file" ] || { echo "missing: $file" >&2; missing=$((missing + 1)); }
        done
    done
    echo "$missing"
}

# Starts the collector with its defaults, and lets the agent join it.
start() {
    systemctl enable --quiet --now fleetgauge-collector
    outcome join fleetgauge-agent join 127.0.0.1:45678
    echo "after_join=$(state fleetgauge-agent)"
    echo "reports=$(yes_if until_so reports)"
    echo "users=$(ps -o user:32= -p "$(pid fleetgauge-agent)" -p "$(pid fleetgauge-collector)" | sort | xargs)"
}

# Changes settings of both, and notes which processes run.
before_upgrade() {
    # The first such line; the others are in tables.
    sed -i '0,/^#interval = .*/s//interval = "1s"/' /etc/fleetgauge/agent.toml
    sed -i 's/^#max_scrapes = .*/max_scrapes = 3/' /etc/fleetgauge/collector.toml
    sha256sum /etc/fleetgauge/*.toml >/packages/settings
    for program in $both; do pid "$program" >"/packages/$program.pid"; done
}

kept() { if sha256sum --quiet -c /packages/settings >&2; then echo kept; else echo changed; fi; }
restarted() { [ "$(pid "$1")" != 0 ] && [ "$(pid "$1")" != "$(cat "/packages/$1.pid")" ]; }
after_upgrade() {
    echo "settings_after_upgrade=$(kept)"
    echo "restarted=$(for program in $both; do yes_if until_so restarted "$program"; done | xargs)"
    echo "after_upgrade=$(state $both)"
    echo "reports_after_upgrade=$(yes_if until_so reports)"
}
