//! Where the commands write: data to stdout, narration to stderr.
//!
//! A reader that goes away (`sealway config show | head -1`) is no failure: what it would not read is dropped, and
//! the command goes on to its exit code. The macros of the standard library would panic instead, so `lib.rs` denies them.
//! Not here: the log (`telemetry`), progress bars (`load`).

use std::fmt::Display;
use std::io::Write;

/// One line of data.
pub(crate) fn line(text: impl Display) {
    drop_unread(writeln!(std::io::stdout().lock(), "{text}"));
}

/// Data that ends its own lines.
pub(crate) fn text(text: impl Display) {
    let mut out = std::io::stdout().lock();
    drop_unread(write!(out, "{text}").and_then(|()| out.flush()));
}

/// One line of narration.
pub(crate) fn note(text: impl Display) {
    drop_unread(writeln!(std::io::stderr().lock(), "{text}"));
}

/// Nobody is left who could be told.
fn drop_unread(_written: std::io::Result<()>) {}
