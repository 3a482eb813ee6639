//! What a reader who sees a report for the first time has to know: the scenarios and the terms.

/// What a test does and asks, in a sentence.
pub(super) fn about(scenario: &str) -> &'static str {
    match scenario {
        "run" => {
            "Simulated agents connect to a collector, report at a steady rate and leave. Does \
             every page show exactly who is there, with the newest values?"
        }
        "churn" => {
            "Simulated agents report while some of them leave all the time and come back. \
             Does every page show exactly who is there, and is everybody let in again?"
        }
        "storm" => {
            "All collectors are killed at once and started again. How fast is the fleet back, and \
             is anybody lost?"
        }
        "deaths" => {
            "Agents end in every way there is. How long does a page still show each of them?"
        }
        "clones" => {
            "Other hosts claim ids that are in use, and hosts are started again. Are clones \
             refused and rebooted hosts let in?"
        }
        "scrape" => "Pages are requested back to back. Does that delay reports?",
        "soak" => {
            "A fleet reports for long while agents come and go. Do memory or open files grow?"
        }
        "hostile" => {
            "A collector is attacked beside an honest fleet. Does the fleet lose anything, and is \
             every attack refused?"
        }
        _ => "A load test of a collector.",
    }
}

/// Terms of the page and what they mean.
pub(super) const TERMS: [(&str, &str); 24] = [
    (
        "agent, collector",
        "An agent reports a host's values over one TCP connection to a collector, \
      which shows the newest values of every connected agent on a page for Prometheus.",
    ),
    ("generator", "The processes of this test that simulate the agents."),
    (
        "lag",
        "From when a report was due until the collector had taken it in. Some reports are \
      followed by a Ping in the same write; the Pong says that the report was read. A Ping without \
      a Pong counts with its age.",
    ),
    (
        "answer, answered",
        "Lag without own lag. How late the generator turned to the Pong is still part of it.",
    ),
    (
        "written, written after",
        "From when a report was due until it was written into the kernel's \
      buffer. A collector that stands still does not change it.",
    ),
    (
        "own lag",
        "How late the generator itself turned to a report, because it was busy or its timer \
      woke late.",
    ),
    (
        "late",
        "Reports that were taken in more than --late after they were due (1 s unless the command \
      above says otherwise), only own lag taken off. Where the fleet is steady they are a finding; \
      while agents come, while a storm returns and while all leave they are not.",
    ),
    (
        "unanswered",
        "Reports whose Ping had no Pong by the end of the session, or a second (--late if that is \
      longer, up to 10 s) after the end of that part of the test.",
    ),
    (
        "judged",
        "A page was compared with what the agents had done: every connected agent is there, \
      all its values are of one report and none is stale, and nothing is left of an agent that \
      left.",
    ),
    ("shown, on the pages", "Agents with values on the last page of each collector."),
    (
        "p50, p90, p99, p999, max",
        "So many of 100 (of 1,000 for p999) were at most this; max is the \
      largest. Count says of how many.",
    ),
    ("resident", "Memory of a process that is in RAM."),
    (
        "rise",
        "By how much a straight line through the resident memory of the second half of the test \
      rises.",
    ),
    (
        "counted",
        "Most memory that the collector had given to agents, by its own count. It may not give \
      more than the limit.",
    ),
    (
        "bound",
        "Most that may be resident: what was before the first agent, twice the limit and a tenth, \
      and what messages take while they are decoded.",
    ),
    (
        "back, p99 over half",
        "From the restart of the collectors to the first page with half, 99 in 100 and all of the \
      agents. P99 over half is the second time divided by the first.",
    ),
    ("per success", "Attempts to connect, divided by those that were welcomed."),
    ("away", "From the end of an agent's session to the Welcome of its next."),
    (
        "readmitted",
        "How long hosts that were started again took to be welcomed: from the end of their former \
      connection, or from their first attempt if that connection stayed open.",
    ),
    ("resumed", "TLS connections that used the ticket of an earlier one."),
    ("returns", "Times an agent left for a while and was welcomed again in time."),
    (
        "told",
        "Last answers of the collector to attackers: the code of a Reject, welcomed, or nothing.",
    ),
    (
        "few ticks",
        "The kernel tells CPU time in ticks of 10 ms. A figure marked so rests on fewer than 50 of \
      them for each process that was read, and is a hint only.",
    ),
    ("finding", "Something that should not have happened. One is enough for the test to fail."),
];
