//! Explanations in the report: the scenarios and the terms.

/// Describes a scenario in a few sentences.
pub(super) fn about(scenario: &str) -> &'static str {
    match scenario {
        "run" => {
            "Simulated agents connect to a collector, report at a steady rate and disconnect. \
             Every page must show exactly the connected agents, with their latest values."
        }
        "churn" => {
            "Simulated agents report while some of them keep disconnecting and reconnecting. \
             Every page must show exactly the connected agents, and every agent must be able to \
             return."
        }
        "storm" => {
            "All collectors are killed at once and restarted. Measures how fast the fleet is back; \
             no agent may be lost."
        }
        "deaths" => "Agents die in six ways. Measures how long a page still shows each of them.",
        "clones" => {
            "Other hosts claim ids that are in use, and hosts reboot. Clones must be rejected and \
             rebooted hosts accepted."
        }
        "scrape" => "Pages are requested back to back. Measures whether that delays reports.",
        "watch" => {
            "Pages for people are fetched, then kept open. Measures the time until their first \
             byte, and the CPU and delays that open pages cause."
        }
        "soak" => {
            "A fleet reports for a long time while agents disconnect and return. Memory and open \
             files must not grow."
        }
        "hostile" => {
            "A collector is attacked beside an honest fleet. The fleet must not suffer, and every \
             attack must be rejected."
        }
        "forward" => {
            "A fleet's samples are forwarded to an engine while engine, collectors and network \
             fail. The engine must have every sample exactly, and the end of every series."
        }
        _ => "A load test of a collector.",
    }
}

/// Terms of the report with their meanings.
pub(super) const TERMS: [(&str, &str); 25] = [
    (
        "agent, collector",
        "An agent reports a host's values over one TCP connection to a collector, \
      which shows the latest values of every connected agent on a page for Prometheus.",
    ),
    ("generator", "The processes of this test that simulate the agents."),
    (
        "lag",
        "From when a report was due until the collector had processed it. Some reports are \
      followed by a Ping in the same write; its Pong confirms that the report was processed. A \
      Ping without a Pong counts with its age.",
    ),
    (
        "answer, answered",
        "Lag without own lag. How late the generator handled the Pong is still included.",
    ),
    (
        "written, written after",
        "From when a report was due until it was written into the kernel's \
      buffer. It grows with the collector's delay only once that buffer is full.",
    ),
    (
        "own lag",
        "Delay of a report that the generator itself caused, because it was busy or its timer \
      fired late.",
    ),
    (
        "late",
        "Reports that were processed more than --max-lag (1 s by default) after they were due, \
      without own lag. They are a finding while the fleet is steady, but not while agents connect, \
      return after a storm or all disconnect.",
    ),
    (
        "unanswered",
        "Reports whose Ping had no Pong by the end of the session, or 1 s after the end of the \
      phase (--max-lag if that is longer, up to 10 s).",
    ),
    (
        "judged",
        "Pages compared with what the agents had done: every connected agent is shown, all its \
      values are from one report and none is stale, and no disconnected agent is shown.",
    ),
    ("shown, on the pages", "Agents with values on the last page of each collector."),
    (
        "p50, p90, p99, p999, max",
        "Percentiles: 50, 90 and 99 percent of the values (99.9 for p999) are at most this. Max is \
      the largest value. Count is the number of values.",
    ),
    ("resident", "Memory of a process that is in RAM."),
    (
        "rise",
        "Rise of a straight line fitted through the resident memory of the second half of the \
      test.",
    ),
    ("counted", "Peak memory that the collector charged to agents. It must not exceed the limit."),
    (
        "bound",
        "Limit of resident memory: the sum of that before the first agent, 2.2 times the memory \
      limit, and memory for decoding messages.",
    ),
    (
        "back, p99 over half",
        "From the restart of the collectors until they have half, 99 percent and all of the \
      agents, by their own metrics. P99 over half is the second time divided by the first.",
    ),
    (
        "exposed",
        "From the restart of the collectors to the last byte of the first pages with all agents.",
    ),
    ("per success", "Attempts to connect, divided by those that were welcomed."),
    ("away", "From the end of an agent's session to its next Welcome."),
    (
        "readmitted",
        "How long the Welcome of rebooted hosts took: from the end of their former connection, or \
      from their first attempt if that connection stayed open.",
    ),
    ("resumed", "TLS sessions resumed with a session ticket."),
    ("returns", "Agents that disconnected for a while and were welcomed again in time."),
    (
        "answers",
        "Last answers of the collector to attackers: the code of a Reject, welcomed, or nothing.",
    ),
    (
        "few ticks",
        "The kernel reports CPU time in ticks of 10 ms. A figure with this mark is based on \
         fewer than 50 ticks per measured process and is imprecise.",
    ),
    ("finding", "A failed check. A test with a finding fails."),
];
