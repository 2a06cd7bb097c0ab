//! A bundle that was posted: read strictly, and its entries taken apart, each with its own refusal.
//!
//! In a transaction the first malformed entry refuses the whole; in a batch each stands for itself.
//! Not here: the grammar of one entry (`entry`), what becomes of what it asks (`submission`, `http::transaction`).

use std::sync::Arc;

use fhir::{BatchRead, Bundle, BundleKind, Issue, Node, ReadLimits, Tree};

use crate::entry::PostedEntry;
use crate::error::{Answered, Fault};
use crate::invocation::judges_its_resource;
use crate::limits::{BUNDLE_ENTRIES_MAX, PREPARE_INLINE_BYTES_MAX};
use crate::work;

/// A bundle that was posted to the base.
pub struct PostedBundle {
    /// The document.
    pub document: Arc<Tree>,
    /// Batch or transaction.
    pub kind: BundleKind,
    /// Its entries in document order; a malformed one is its refusal.
    pub entries: Vec<Answered<PostedEntry>>,
}

impl PostedBundle {
    /// Reads a bundle strictly and takes its entries apart; `lenient` is about parameters of their URLs.
    ///
    /// # Errors
    /// 400 with every issue of the reader; 413 for too many entries.
    pub async fn read(bytes: Vec<u8>, base: &str, lenient: bool) -> Answered<Self> {
        let long = bytes.len() > PREPARE_INLINE_BYTES_MAX;
        let base = base.to_owned();
        work::run(long, move || Self::parse(bytes, &base, lenient)).await?
    }

    fn parse(bytes: Vec<u8>, base: &str, lenient: bool) -> Answered<Self> {
        let limits = ReadLimits { bytes_max: usize::MAX, entries_max: BUNDLE_ENTRIES_MAX };
        let read = fhir::read_batch(bytes, &limits);
        let BatchRead { tree, refused } = read.map_err(Fault::invalid)?;
        let document = Arc::new(tree);
        let bundle = Bundle::read(&document).map_err(Fault::invalid)?;
        let kind = bundle.kind;
        if kind == BundleKind::Transaction && !refused.is_empty() {
            let issues = refused.into_iter().flat_map(|(at, issues)| placed(at, issues));
            return Err(Fault::invalid(issues.take(ISSUES_MAX).collect()));
        }
        let mut entries: Vec<Answered<PostedEntry>> =
            bundle.entries.iter().map(|entry| PostedEntry::of(entry, base, lenient)).collect();
        let nodes: Vec<Node<'_>> =
            document.root().get("entry").into_iter().flat_map(Node::children).collect();
        for (at, issues) in refused {
            if !judges_its_resource(nodes[at]) {
                entries[at] = Err(Fault::invalid(placed(at, issues).collect()));
            }
        }
        drop(bundle);
        Ok(Self { document, kind, entries })
    }
}

/// Issues of an entry's resource, placed in the bundle: `Patient.name` → `Bundle.entry[3].resource.name`.
fn placed(at: usize, issues: Vec<Issue>) -> impl Iterator<Item = Issue> {
    let place = format!("Bundle.entry[{at}]");
    Fault::invalid(issues).at(&place).issues.into_iter()
}

/// Issues that one answer lists.
const ISSUES_MAX: usize = 50;
