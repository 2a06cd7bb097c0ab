//! What a check found: the first problems of each kind in full, the rest counted; and how far it is.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// What a problem is about. Each kind is listed up to [`LISTED_MAX`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum About {
    /// The file of the registry.
    Registry,
    /// Checkpoint, tiles, bundles.
    Log,
    /// An entry of the log, or what the registry has recorded of its place.
    Entry,
    /// A stored version.
    Version,
    /// A stored content.
    Content,
    /// A data key.
    Key,
    /// The current row of a resource.
    Current,
    /// The search index and the compartments.
    Index,
    /// The access journal.
    Access,
    /// Erasures of patients.
    Erasure,
}

/// Problems in the order of discovery.
#[derive(Debug, Default)]
pub(super) struct Report {
    kinds: Vec<(About, u64, Vec<String>)>,
    /// Nothing is taken while it is so: what is looked at was looked at before.
    pub(super) is_muted: bool,
}

impl Report {
    /// Takes a problem.
    pub(super) fn add(&mut self, about: About, place: impl Display, what: impl Display) {
        if self.is_muted {
            return;
        }
        let at = self.kinds.iter().position(|(kind, ..)| *kind == about).unwrap_or_else(|| {
            self.kinds.push((about, 0, Vec::new()));
            self.kinds.len() - 1
        });
        let (_, count, listed) = &mut self.kinds[at];
        *count += 1;
        if listed.len() < LISTED_MAX {
            listed.push(format!("{place}: {what}"));
        }
    }

    /// True if something of this kind was found.
    pub(super) fn holds(&self, about: About) -> bool {
        self.kinds.iter().any(|(kind, ..)| *kind == about)
    }

    /// All problems, and the lines that tell of them.
    pub(super) fn into_lines(self) -> (u64, Vec<String>) {
        let total = self.kinds.iter().map(|(_, count, _)| count).sum();
        let mut lines = Vec::new();
        for (about, count, listed) in self.kinds {
            let more = count - listed.len() as u64;
            lines.extend(listed);
            if more > 0 {
                lines.push(format!("and {more} more about {}", about.name()));
            }
        }
        (total, lines)
    }
}

impl About {
    fn name(self) -> &'static str {
        match self {
            Self::Registry => "the registry's file",
            Self::Log => "the files of the log",
            Self::Entry => "entries of the log",
            Self::Version => "stored versions",
            Self::Content => "stored contents",
            Self::Key => "data keys",
            Self::Current => "current rows",
            Self::Index => "the search index",
            Self::Access => "access records",
            Self::Erasure => "erasures",
        }
    }
}

/// A word every few seconds.
#[derive(Debug)]
pub(super) struct Progress {
    tell: Option<Tell>,
    last: Instant,
}

/// Told how much of what is done.
pub type Tell = fn(u64, &str);

impl Progress {
    /// Tells nobody when there is nobody to tell.
    pub(super) fn new(tell: Option<Tell>) -> Self {
        Self { tell, last: Instant::now() }
    }

    /// Something was done.
    pub(super) fn tick(&mut self, done: u64, what: &str) {
        if let Some(tell) = self.tell
            && self.last.elapsed() >= PROGRESS_PAUSE
        {
            tell(done, what);
            self.last = Instant::now();
        }
    }
}

/// Problems of one kind that are told in full.
const LISTED_MAX: usize = 20;
const PROGRESS_PAUSE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_listed_up_to_twenty_and_then_counted() {
        let mut report = Report::default();
        for at in 0..1_000 {
            report.add(About::Version, at, "is wrong");
        }
        report.add(About::Key, "k", "is gone");

        let (total, lines) = report.into_lines();

        assert_eq!(total, 1_001);
        assert_eq!(lines.len(), 22);
        assert_eq!(lines[20], "and 980 more about stored versions");
        assert_eq!(lines[21], "k: is gone");
    }
}
