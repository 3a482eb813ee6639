//! Who may be whom: agents that claim what is not theirs, rules that change, secrets that stay where they are.

mod agents;
mod labels;
mod readers;
mod reload;
mod shown;
