//! Receipts: one self-contained file with everything from the content's hash to the signed checkpoint.
//!
//! Format: JSON on one line, schema `sealway.receipt/v1`, at most [`RECEIPT_BYTES_MAX`] (`docs/formats.md`). It has one
//! spelling: what does not serialise to the very same bytes is refused, so that no flipped byte goes unnoticed.
//! A receipt discloses the salt of its commitment: hand it out only to those who may see the content.
//! Not here: what a receipt proves (`verify`).

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use crate::{
    commitment::{ContentHash, Salt},
    entry::{BODY_BYTES, Canon, Entry, EntryBody},
    error::ReceiptError,
    hash::NodeHash,
};

/// Everything needed to check one entry of one log without network.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Receipt {
    /// Origin of the log.
    pub origin: String,
    /// The resource version that the content is; none for records that are not resources.
    pub resource: Option<ResourceReference>,
    /// SHA-256 of the content.
    pub content: ContentHash,
    /// Opens the commitment.
    pub salt: Salt,
    /// The entry without its sequence number.
    pub body: EntryBody,
    /// Where the entry is in the log; none while it is not published.
    pub sealed: Option<Sealed>,
}

/// Where an entry is in a published log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sealed {
    /// Index of the entry, which is also its sequence number.
    pub index: u64,
    /// Siblings from the entry to the root.
    pub path: Vec<NodeHash>,
    /// The signed checkpoint, byte for byte.
    pub checkpoint: String,
}

/// `Type/id/_history/version`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ResourceReference {
    resource_type: String,
    id: String,
    version: u64,
}

/// Name of the format.
pub const SCHEMA: &str = "sealway.receipt/v1";
/// Longest receipt that is read.
pub const RECEIPT_BYTES_MAX: usize = 8 * 1024;

impl Receipt {
    /// Reads a receipt, strictly.
    ///
    /// # Errors
    /// For anything that [`Receipt::to_json`] would not write.
    pub fn parse(bytes: &[u8]) -> Result<Self, ReceiptError> {
        if bytes.len() > RECEIPT_BYTES_MAX {
            return Err(ReceiptError::TooLong { max: RECEIPT_BYTES_MAX });
        }
        let file: ReceiptFile = serde_json::from_slice(bytes)
            .map_err(|error| ReceiptError::Json { line: error.line(), column: error.column() })?;
        let receipt = file.read()?;
        if receipt.to_json().as_bytes() == bytes {
            Ok(receipt)
        } else {
            Err(ReceiptError::Spelling)
        }
    }

    /// Writes the receipt: one line without a newline at its end.
    pub fn to_json(&self) -> String {
        let file = ReceiptFile::of(self);
        serde_json::to_string(&file).expect("strings and numbers always serialise")
    }

    /// The sequenced entry; none while it is not published.
    pub fn entry(&self) -> Option<Entry> {
        self.sealed.as_ref().map(|sealed| Entry { body: self.body, sequence: sealed.index })
    }
}

impl ResourceReference {
    /// Names a version of a resource.
    ///
    /// # Errors
    /// When type or id are not as FHIR R4 has them, or the version is 0.
    pub fn new(resource_type: &str, id: &str, version: u64) -> Result<Self, ReceiptError> {
        let type_fits = (1..=64).contains(&resource_type.len())
            && resource_type.bytes().all(|b| b.is_ascii_alphabetic());
        let id_fits = (1..=64).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
        if !type_fits || !id_fits || version == 0 {
            return Err(ReceiptError::Field("resource"));
        }
        Ok(Self { resource_type: resource_type.to_owned(), id: id.to_owned(), version })
    }

    /// Reads `Type/id/_history/version`, strictly.
    ///
    /// # Errors
    /// For any other form.
    pub fn parse(text: &str) -> Result<Self, ReceiptError> {
        let mut parts = text.split('/');
        let (Some(resource_type), Some(id), Some("_history"), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(ReceiptError::Field("resource"));
        };
        let version = version.parse().map_err(|_| ReceiptError::Field("resource"))?;
        let reference = Self::new(resource_type, id, version)?;
        if reference.to_string() == text {
            Ok(reference)
        } else {
            Err(ReceiptError::Field("resource"))
        }
    }

    /// Whether `content` is a resource that says that it is this version.
    pub fn names(&self, content: &[u8]) -> bool {
        let Ok(claim) = serde_json::from_slice::<Claim>(content) else { return false };
        claim.resource_type == self.resource_type
            && claim.id == self.id
            && claim.meta.version_id == self.version.to_string()
    }
}

impl fmt::Display for ResourceReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/_history/{}", self.resource_type, self.id, self.version)
    }
}

/// The three elements by which a resource says what it is.
#[derive(Deserialize)]
struct Claim {
    #[serde(rename = "resourceType")]
    resource_type: String,
    id: String,
    meta: ClaimMeta,
}

#[derive(Deserialize)]
struct ClaimMeta {
    #[serde(rename = "versionId")]
    version_id: String,
}

/// The fields in the order in which they are written.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ReceiptFile {
    schema: String,
    origin: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resource: Option<String>,
    canon: u8,
    salt: String,
    content_sha256: String,
    entry: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    index: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    proof: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checkpoint: Option<String>,
}

impl ReceiptFile {
    fn of(receipt: &Receipt) -> Self {
        let entry = receipt.entry();
        let entry = entry.map(|entry| hex::encode(entry.to_bytes()));
        let sealed = receipt.sealed.as_ref();
        let base64 = |hash: &NodeHash| STANDARD.encode(hash.as_bytes());
        Self {
            schema: SCHEMA.to_owned(),
            origin: receipt.origin.clone(),
            resource: receipt.resource.as_ref().map(ToString::to_string),
            canon: receipt.body.canon.code(),
            salt: hex::encode(receipt.salt.as_bytes()),
            content_sha256: hex::encode(receipt.content.as_bytes()),
            entry: entry.unwrap_or_else(|| hex::encode(receipt.body.to_bytes())),
            index: sealed.map(|sealed| sealed.index),
            proof: sealed.map(|sealed| sealed.path.iter().map(base64).collect()),
            checkpoint: sealed.map(|sealed| sealed.checkpoint.clone()),
        }
    }

    fn read(self) -> Result<Receipt, ReceiptError> {
        if self.schema != SCHEMA {
            return Err(ReceiptError::Schema);
        }
        let entry = hex::decode(&self.entry).map_err(|_| ReceiptError::Field("entry"))?;
        let (body, sealed) = match (self.index, self.proof, self.checkpoint) {
            (None, None, None) => (read_body(&entry)?, None),
            (Some(index), Some(proof), Some(checkpoint)) => {
                let entry = Entry::parse(&entry).map_err(|_| ReceiptError::Field("entry"))?;
                if entry.sequence != index {
                    return Err(ReceiptError::Field("index"));
                }
                (entry.body, Some(Sealed { index, path: read_path(&proof)?, checkpoint }))
            }
            _ => return Err(ReceiptError::Field("checkpoint")),
        };
        if Canon::from_code(self.canon) != Some(body.canon) {
            return Err(ReceiptError::Field("canon"));
        }
        Ok(Receipt {
            origin: self.origin,
            resource: self.resource.as_deref().map(ResourceReference::parse).transpose()?,
            content: ContentHash::from_bytes(read_hex(&self.content_sha256, "content_sha256")?),
            salt: Salt::from_bytes(read_hex(&self.salt, "salt")?),
            body,
            sealed,
        })
    }
}

fn read_body(entry: &[u8]) -> Result<EntryBody, ReceiptError> {
    let body = <&[u8; BODY_BYTES]>::try_from(entry).map_err(|_| ReceiptError::Field("entry"))?;
    EntryBody::parse(body).map_err(|_| ReceiptError::Field("entry"))
}

fn read_path(proof: &[String]) -> Result<Vec<NodeHash>, ReceiptError> {
    let hash = |text: &String| {
        let bytes = STANDARD.decode(text).ok()?;
        Some(NodeHash::from_bytes(bytes.try_into().ok()?))
    };
    proof.iter().map(hash).collect::<Option<_>>().ok_or(ReceiptError::Field("proof"))
}

fn read_hex(text: &str, field: &'static str) -> Result<[u8; 32], ReceiptError> {
    let bytes = hex::decode(text).map_err(|_| ReceiptError::Field(field))?;
    bytes.try_into().map_err(|_| ReceiptError::Field(field))
}
