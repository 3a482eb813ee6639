# The developer's commands. `just` itself is optional: the checks are in .ci/run, which CI runs too.

# List the commands
default:
    @just --list

# Run every check of CI, or the named steps: just check clippy test
check *steps:
    .ci/run {{ steps }}

# Run the checks that take a few minutes; use it before each commit
quick: (check "fmt" "clippy" "test")

# Format the code
fmt:
    cargo fmt --all

# Start a collector, this host's agent and 100 simulated agents, until Ctrl-C
demo *arguments:
    cargo demo {{ arguments }}

# Run the benches; compare with `just bench --save-baseline before`, then `just bench --baseline before`
bench *arguments:
    cargo bench -- {{ arguments }}

# Run a load test: just load run --agents 15000 --interval 1s
load *arguments:
    cargo run --release -p fleetgauge-loadtest -- {{ arguments }}

# Fuzz a target until Ctrl-C or a finding: just fuzz session -- -max_total_time=600
fuzz target *arguments:
    RUSTC_BOOTSTRAP=1 cargo fuzz run --features libfuzzer -s none {{ target }} {{ arguments }}

# Minimise the fuzz corpora, or those of the named targets: just minimise-corpus frame
minimise-corpus *targets:
    fuzz/minimise {{ targets }}
