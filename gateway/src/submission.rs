//! What comes in: one interaction or one transaction, decoded but not yet decided.
//!
//! Stages: `Submission → WriteSet → Committed` (STYLE section 4). Decoding is the strict read; it asks nothing of the registry. Large documents are read off the I/O thread.
//! Not here: bundles as they are posted (`posted`) and their entries (`entry`), permits, conditions, references (`plan`, `ingest`).

use std::sync::Arc;

use fhir::{Node, ReadLimits, ResourceId, ResourceKey, ResourceType, Tree, VersionId};
use registry::reading::Asked;
use registry::write_set::Idempotency;

use crate::entry::{PostedEntry, ReadEntry};
use crate::error::{Answered, Fault, FaultKind};
use crate::limits::PREPARE_INLINE_BYTES_MAX;
use crate::patch::Patch;
use crate::posted::PostedBundle;
use crate::precondition::{IF_NONE_EXIST, Preconditions};
use crate::work;

/// A unit that is committed whole or not at all.
pub struct Submission {
    /// The document: one resource, or the bundle whose entries the operations name.
    pub(crate) document: Option<Arc<Tree>>,
    /// Whether the document is a bundle.
    pub(crate) is_bundle: bool,
    /// Whether all its entries are here: what none of them is named is named by nothing.
    pub(crate) is_transaction: bool,
    /// What is to be done.
    pub(crate) operations: Vec<Operation>,
    /// Base URLs of this server (see [`fhir::below_base`]), first the one under which the client knows us.
    pub(crate) base: String,
    /// Id of the request or message.
    pub(crate) request_id: String,
    /// The message's identity, and the answer to repeat for it.
    pub(crate) idempotency: Option<Idempotency>,
    /// What a transaction reads once it has written: one for each [`Verb::Read`], in their order.
    pub(crate) reads: Vec<Asked>,
}

/// One interaction of a submission.
#[derive(Clone, Debug)]
pub struct Operation {
    /// What is to be done.
    pub verb: Verb,
    /// Index of its entry in the bundle; 0 for a single interaction.
    pub entry: usize,
    /// `fullUrl` of its entry.
    pub full_url: Option<String>,
}

impl Operation {
    /// The deletion of a resource at this version.
    pub(crate) fn deletion(key: ResourceKey, version: VersionId, entry: usize) -> Self {
        let preconditions = Preconditions::at(version);
        Self { verb: Verb::Delete { key, preconditions }, entry, full_url: None }
    }
}

/// Criteria of a conditional create.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unless {
    /// As a query string.
    pub query: String,
    /// Whether they are those of the URL, not of `If-None-Exist`.
    pub in_url: bool,
}

impl Unless {
    /// What is wrong with them, told where they stand; in the URL that is the parameter, if it is one.
    pub(crate) fn placed(&self, fault: Fault) -> Fault {
        if self.in_url { fault } else { fault.unplaced().in_parameter(IF_NONE_EXIST) }
    }
}

/// A write as the client asks for it.
#[derive(Clone, Debug)]
pub enum Verb {
    /// `POST`
    Create {
        /// Type of the new resource.
        resource_type: ResourceType,
        /// Criteria; nothing is created when one resource matches.
        if_none_exist: Option<Unless>,
    },
    /// `PUT` to an id.
    Update {
        /// Which resource.
        key: ResourceKey,
        /// What must hold of it before.
        preconditions: Preconditions,
    },
    /// `PUT` to criteria.
    UpdateWhere {
        /// Type of the resource.
        resource_type: ResourceType,
        /// Criteria; at most one may match.
        query: String,
        /// What must hold of it before.
        preconditions: Preconditions,
    },
    /// `PATCH` of an id.
    Patch {
        /// Which resource.
        key: ResourceKey,
        /// What to change.
        patch: Patch,
        /// What must hold of it before.
        preconditions: Preconditions,
    },
    /// `PATCH` of what matches.
    PatchWhere {
        /// Type of the resource.
        resource_type: ResourceType,
        /// Criteria; exactly one must match.
        query: String,
        /// What to change.
        patch: Patch,
        /// What must hold of it before.
        preconditions: Preconditions,
    },
    /// `DELETE` of an id.
    Delete {
        /// Which resource.
        key: ResourceKey,
        /// What must hold of it before.
        preconditions: Preconditions,
    },
    /// `DELETE` of what matches.
    DeleteWhere {
        /// Type of the resource.
        resource_type: ResourceType,
        /// Criteria; at most one may match.
        query: String,
        /// What must hold of it before.
        preconditions: Preconditions,
    },
    /// `GET` or `HEAD` inside a bundle, answered after the writes.
    Read(ReadEntry),
}

impl Verb {
    /// Type of the resource that it stores; `None` for what stores none.
    pub(crate) fn makes(&self) -> Option<ResourceType> {
        match self {
            Self::Create { resource_type, .. } | Self::UpdateWhere { resource_type, .. } => {
                Some(*resource_type)
            }
            Self::Update { key, .. } => Some(key.resource_type),
            Self::Patch { .. } | Self::PatchWhere { .. } => None,
            Self::Delete { .. } | Self::DeleteWhere { .. } | Self::Read(_) => None,
        }
    }

    /// The patch that it applies.
    pub(crate) fn patch(&self) -> Option<&Patch> {
        match self {
            Self::Patch { patch, .. } | Self::PatchWhere { patch, .. } => Some(patch),
            _ => None,
        }
    }

    /// What must hold of the resource before it; `None` where nothing can be demanded.
    pub(crate) fn preconditions(&self) -> Option<&Preconditions> {
        match self {
            Self::Update { preconditions, .. }
            | Self::UpdateWhere { preconditions, .. }
            | Self::Patch { preconditions, .. }
            | Self::PatchWhere { preconditions, .. }
            | Self::Delete { preconditions, .. }
            | Self::DeleteWhere { preconditions, .. } => Some(preconditions),
            Self::Create { .. } | Self::Read(_) => None,
        }
    }

    /// Whether references in the resource of its entry are rewritten.
    pub(crate) fn is_linked(&self) -> bool {
        self.makes().is_some() || self.patch().is_some_and(Patch::is_of_document)
    }
}

impl Submission {
    /// One interaction with its body.
    ///
    /// # Errors
    /// 400 with every issue of the reader, or when type or id of the body differ from the URL's.
    pub async fn single(
        verb: Verb,
        body: Option<Vec<u8>>,
        base: &str,
        request_id: &str,
    ) -> Answered<Self> {
        let document = match body {
            None => None,
            Some(bytes) => Some(Arc::new(read(bytes).await?)),
        };
        if let Some(document) = &document {
            check_body(&verb, document.root())?;
        }
        let operation = Operation { verb, entry: 0, full_url: None };
        Ok(Self::of(document, vec![operation], base, request_id))
    }

    /// What is done by itself, of no bundle.
    fn of(
        document: Option<Arc<Tree>>,
        operations: Vec<Operation>,
        base: &str,
        request_id: &str,
    ) -> Self {
        Self {
            document,
            is_bundle: false,
            is_transaction: false,
            operations,
            base: base.to_owned(),
            request_id: request_id.to_owned(),
            idempotency: None,
            reads: Vec::new(),
        }
    }

    /// All entries of a transaction.
    ///
    /// # Errors
    /// The first malformed entry, or one that invokes an operation.
    pub fn transaction(posted: PostedBundle, base: &str, request_id: &str) -> Answered<Self> {
        let entries = posted.entries.into_iter();
        let operations = entries.map(|entry| entry.and_then(PostedEntry::interaction));
        let operations = operations.collect::<Answered<_>>()?;
        Ok(Self::of_entries(posted.document, operations, base, request_id))
    }

    /// What a transaction does, when that is known.
    pub(crate) fn of_entries(
        document: Arc<Tree>,
        operations: Vec<Operation>,
        base: &str,
        request_id: &str,
    ) -> Self {
        let alone = Self::of(Some(document), operations, base, request_id);
        Self { is_bundle: true, is_transaction: true, ..alone }
    }

    /// Deletions of resources at these versions, all or none.
    pub(crate) fn deletions(
        found: impl Iterator<Item = (ResourceKey, VersionId)>,
        base: &str,
        request_id: &str,
    ) -> Self {
        let delete = |(key, version)| Operation::deletion(key, version, 0);
        Self::of(None, found.map(delete).collect(), base, request_id)
    }

    /// One entry of a batch: a submission of its own.
    pub fn batch_entry(
        document: Arc<Tree>,
        operation: Operation,
        base: &str,
        request_id: &str,
    ) -> Self {
        let alone = Self::of_entries(document, vec![operation], base, request_id);
        Self { is_transaction: false, ..alone }
    }

    /// Gives each read of a transaction its permit.
    #[must_use]
    pub fn reading(mut self, reads: Vec<Asked>) -> Self {
        self.reads = reads;
        self
    }

    /// Makes a repetition of (sender, control id) answer the same bytes and change nothing.
    #[must_use]
    pub fn idempotent(mut self, idempotency: Idempotency) -> Self {
        self.idempotency = Some(idempotency);
        self
    }

    /// True when work on it takes long enough to leave the I/O thread.
    pub(crate) fn is_long(&self) -> bool {
        let bytes = self.document.as_ref().map_or(0, |document| document.bytes().len());
        // An entry of a batch shares its document with all others.
        let patches = self.operations.iter().any(|operation| operation.verb.patch().is_some());
        // How large a resource is that is patched, is not known before.
        patches
            || bytes > PREPARE_INLINE_BYTES_MAX && !(self.is_bundle && self.operations.len() == 1)
    }

    /// What is to be done, in the order of the document.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// Where an operation stands, for issues: `Bundle.entry[3]`, or nothing for a single interaction.
    pub(crate) fn place(&self, operation: &Operation) -> Option<String> {
        self.is_bundle.then(|| format!("Bundle.entry[{}]", operation.entry))
    }

    /// A fault of an operation, with the place of its entry.
    pub(crate) fn placed(&self, at: usize, fault: Fault) -> Fault {
        match self.place(&self.operations[at]) {
            Some(place) => fault.at(&place),
            None => fault,
        }
    }

    /// Resource of each operation, in the order of the operations.
    pub(crate) fn resources(&self) -> Vec<Option<Node<'_>>> {
        let Some(document) = &self.document else { return vec![None; self.operations.len()] };
        if !self.is_bundle {
            return vec![Some(document.root())];
        }
        let entries: Vec<Node<'_>> = match document.root().get("entry") {
            Some(list) if self.operations.len() == 1 => {
                list.children().skip(self.operations[0].entry).take(1).collect()
            }
            Some(list) => list.children().collect(),
            None => Vec::new(),
        };
        let single = self.operations.len() == 1;
        let at = |operation: &Operation| if single { 0 } else { operation.entry };
        let resource = |operation| entries.get(at(operation)).and_then(|e| e.get("resource"));
        self.operations.iter().map(resource).collect()
    }
}

/// Type and id of the body against those of the URL.
pub(crate) fn check_body(verb: &Verb, resource: Node<'_>) -> Answered<()> {
    let name = resource.get("resourceType").and_then(Node::as_str).unwrap_or_default();
    let (wanted, id) = match verb {
        Verb::Create { resource_type, .. } | Verb::UpdateWhere { resource_type, .. } => {
            (*resource_type, None)
        }
        Verb::Update { key, .. } => (key.resource_type, Some(&key.id)),
        Verb::Patch { .. } | Verb::PatchWhere { .. } => return Ok(()),
        Verb::Delete { .. } | Verb::DeleteWhere { .. } | Verb::Read(_) => return Ok(()),
    };
    if name != wanted.name() {
        let text = format!("the body is not the {} that the URL names", wanted.name());
        return Err(Fault::new(FaultKind::Invalid, text).at("resourceType"));
    }
    match (id, body_id(resource)) {
        (Some(id), Some(own)) if own == *id => Ok(()),
        (Some(_), _) => {
            let text = "the body's id must be the id in the URL";
            Err(Fault::new(FaultKind::Invalid, text).at(&format!("{name}.id")))
        }
        (None, _) => Ok(()),
    }
}

/// `id` of a resource.
pub(crate) fn body_id(resource: Node<'_>) -> Option<ResourceId> {
    ResourceId::parse(&resource.get("id")?.as_str()?).ok()
}

/// The strict read, off the I/O thread when it takes long.
pub(crate) async fn read(bytes: Vec<u8>) -> Answered<Tree> {
    let long = bytes.len() > PREPARE_INLINE_BYTES_MAX;
    work::run(long, move || fhir::read(bytes, &ReadLimits::default()).map_err(Fault::invalid))
        .await?
}
