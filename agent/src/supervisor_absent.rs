//! Where there is no service manager that could be told anything.

use std::fmt::Display;

pub(crate) fn ready() {}

pub(crate) fn stopping() {}

pub(crate) fn status(_: impl Display) {}

pub(crate) async fn pulse() {
    std::future::pending().await
}
