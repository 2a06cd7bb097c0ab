//! What became of a submission: from what was decided, the versions that the commit made, and what was there before.
//!
//! Bytes of a made version are filled in when they are asked for; those of a resource that a conditional create found
//! are read before the commit, which checks that they still hold: after it there is nothing but success.
//! Not here: the decisions (`decide`), the form of an answer (`http::reply`, `http::transaction`).

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use fhir::{Instant, ResourceKey, Template, VersionId, VersionKey};
use registry::reading::Reply;
use registry::write_set::{Committed, CommittedVersion};

use crate::app::App;
use crate::decide::Decision;
use crate::error::Answered;
use crate::limits::ANSWER_BYTES_MAX;
use crate::plan::Plan;
use crate::prepare::Contents;
use crate::snapshot::{Unchanged, at_version};

/// What became of a submission.
pub struct Outcome {
    /// One for each operation, in the submission's order.
    pub entries: Vec<Written>,
    /// Proof of the commit; `None` when there was nothing to write.
    pub committed: Option<Committed>,
    /// What a transaction read, one for each of its reads.
    pub replies: Vec<Reply>,
    /// The first answer to the same (sender, control id), when this is a repetition; nothing else was done.
    pub repeated: Option<Vec<u8>>,
}

impl Outcome {
    /// A message that was answered before.
    pub(super) fn repeated(answer: Vec<u8>) -> Self {
        Self { entries: Vec::new(), committed: None, replies: Vec::new(), repeated: Some(answer) }
    }
}

/// What became of one operation.
#[derive(Clone)]
pub struct Written {
    /// Whose resource; for a deletion that found nothing, `None`.
    pub key: Option<ResourceKey>,
    /// Current version after it.
    pub version: Option<VersionId>,
    /// When that version was made.
    pub updated: Option<Instant>,
    /// HTTP status.
    pub status: u16,
    content: Content,
}

/// Bytes of the version, made when asked for.
#[derive(Clone)]
enum Content {
    None,
    Template(Arc<Template>),
    Stored(Bytes),
}

impl Written {
    /// The version's bytes as stored; `None` after a deletion, for a read, and where they were left out of a large answer.
    pub fn body(&self) -> Option<Bytes> {
        match (&self.content, self.version, self.updated) {
            (Content::Template(template), Some(version), Some(updated)) => {
                Some(template.fill(version, updated).into())
            }
            (Content::Stored(bytes), ..) => Some(bytes.clone()),
            _ => None,
        }
    }

    /// The resource as it is stored.
    fn stored(unchanged: Unchanged) -> Self {
        let content = match unchanged.body.is_empty() {
            true => Content::None,
            false => Content::Stored(unchanged.body),
        };
        Self {
            key: Some(unchanged.key),
            version: Some(unchanged.version),
            updated: Some(unchanged.updated),
            status: 200,
            content,
        }
    }

    pub(super) fn nothing(status: u16) -> Self {
        Self { key: None, version: None, updated: None, status, content: Content::None }
    }
}

/// What became of each operation, in their order.
pub(super) fn entries(
    decisions: Vec<Decision>,
    mut existing: Existing,
    contents: &Contents,
    versions: &[CommittedVersion],
) -> Vec<Written> {
    let mut entries: Vec<Written> = Vec::with_capacity(decisions.len());
    for (at, decision) in decisions.into_iter().enumerate() {
        let written = match decision {
            Decision::Write { status, .. } => {
                let (place, template) = &contents[&at];
                let made = &versions[*place];
                let content = match status {
                    204 => Content::None,
                    _ => Content::Template(Arc::clone(template)),
                };
                Written {
                    key: Some(made.key.clone()),
                    version: Some(made.version),
                    updated: Some(made.updated),
                    status,
                    content,
                }
            }
            Decision::Exists(..) => {
                Written::stored(existing.remove(&at).expect("it was read before the commit"))
            }
            Decision::Unchanged(unchanged) => Written::stored(*unchanged),
            Decision::SameAs(first) => Written { status: 200, ..entries[first].clone() },
            Decision::Nothing => Written::nothing(204),
            Decision::Read => Written::nothing(200),
        };
        entries.push(written);
    }
    entries
}

/// Resources that stay as they are, by operation.
pub(super) type Existing = HashMap<usize, Unchanged>;

/// Reads what conditional creates found, at the versions that the commit checks: each once, and beyond
/// [`ANSWER_BYTES_MAX`] without the content, which no answer has room for.
pub(super) async fn existing(app: &App, plan: &Plan, decisions: &[Decision]) -> Answered<Existing> {
    let mut found: Existing = HashMap::new();
    let (mut read, mut left) = (HashMap::new(), ANSWER_BYTES_MAX);
    for (at, decision) in decisions.iter().enumerate() {
        let Decision::Exists(key, version) = decision else { continue };
        let version = VersionKey { key: key.clone(), version: *version };
        if let Some(first) = read.get(&version) {
            let same = found[first].clone();
            found.insert(at, same);
            continue;
        }
        let asked = plan.steps[at].condition.expect("only a conditional create finds a resource");
        let stored = at_version(app, &plan.asks[asked].permit, &version).await?;
        let mut body = app.payloads.open(&stored).await?;
        match left.checked_sub(body.len()) {
            Some(rest) => left = rest,
            None => body = Bytes::new(),
        }
        found.insert(at, Unchanged::of(app, stored, body));
        read.insert(version, at);
    }
    Ok(found)
}
