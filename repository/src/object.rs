//! Large payloads as objects: in a local folder, or behind the S3 API.
//!
//! An object is written and durable before the commit that names it; a crash in between leaves an
//! orphan, which [`sweep`] removes. Names are random: nothing is shared between patients, nothing
//! can be guessed. What only the writer knows (version, time) is kept as a difference in the row.
//! Not here: contents up to [`crate::INLINE_BYTES_MAX`] (`envelope`), the store for tests (`memory`).

use std::collections::HashSet;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fhir::ResourceKey;
use futures::future::BoxFuture;

use crate::data_key::DataKey;
use crate::envelope::{self, Sealer};
use crate::error::{OpenError, StoreError};
use crate::keyring::random;

pub use bucket::{Bucket, S3Config};

mod bucket;

/// Where large payloads lie. All methods may be called concurrently.
pub trait PayloadStore: Send + Sync + 'static {
    /// Writes an object; durable before `Ok`. Repeating is safe.
    fn put<'a>(
        &'a self,
        name: &'a ObjectName,
        object: Bytes,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// The whole object.
    fn get<'a>(&'a self, name: &'a ObjectName) -> BoxFuture<'a, Result<Bytes, StoreError>>;

    /// Removes an object; an absent one is no error.
    fn delete<'a>(&'a self, name: &'a ObjectName) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Names of all objects that were written longer ago than `age`.
    fn older_than(&self, age: Duration) -> BoxFuture<'_, Result<Vec<ObjectName>, StoreError>>;
}

/// Random name of an object, 16 bytes.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ObjectName(pub(crate) [u8; 16]);

impl ObjectName {
    fn random() -> Self {
        Self(*random())
    }

    /// Takes the 32 hexadecimal digits that `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        let lower = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() != 32 || !text.bytes().all(lower) {
            return None;
        }
        u128::from_str_radix(text, 16).ok().map(|number| Self(number.to_be_bytes()))
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// An object that is durable and waits for the commit that names it.
#[derive(Clone, Debug)]
pub struct StagedObject {
    name: ObjectName,
    content: Bytes,
}

impl StagedObject {
    /// Seals `content`, a version's bytes with any version and time, and writes it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the store failed; the object may exist all the same.
    pub async fn write(
        sealer: &Sealer,
        content: Bytes,
        store: &dyn PayloadStore,
    ) -> Result<Self, StoreError> {
        let name = ObjectName::random();
        let object = sealer.seal_object(&name, &content)?;
        store.put(&name, object.into()).await?;
        Ok(Self { name, content })
    }

    /// Its name.
    pub fn name(&self) -> &ObjectName {
        &self.name
    }

    /// What turns the object into `content`: `u64 prefix | u64 suffix | bytes between`.
    pub(crate) fn difference(&self, content: &[u8]) -> Vec<u8> {
        let shorter = self.content.len().min(content.len());
        let prefix = self.content.iter().zip(content).take_while(|(a, b)| a == b).count();
        let ends = self.content.iter().rev().zip(content.iter().rev());
        let suffix = ends.take(shorter - prefix).take_while(|(a, b)| a == b).count();
        let mut difference = (prefix as u64).to_be_bytes().to_vec();
        difference.extend_from_slice(&(suffix as u64).to_be_bytes());
        difference.extend_from_slice(&content[prefix..content.len() - suffix]);
        difference
    }
}

/// A content in the object store, as an envelope names it.
#[derive(Debug, Eq, PartialEq)]
pub struct ObjectRef {
    name: ObjectName,
    prefix: u64,
    suffix: u64,
    between: Vec<u8>,
}

impl ObjectRef {
    pub(crate) fn parse(name: ObjectName, difference: Vec<u8>) -> Result<Self, OpenError> {
        let mut rest = difference.as_slice();
        let mut number = || {
            let bytes = rest.split_off(..8).and_then(|bytes| bytes.first_chunk());
            bytes.map(|bytes| u64::from_be_bytes(*bytes)).ok_or(OpenError::Malformed("too short"))
        };
        let (prefix, suffix) = (number()?, number()?);
        Ok(Self { name, prefix, suffix, between: rest.to_vec() })
    }

    /// Its name.
    pub fn name(&self) -> &ObjectName {
        &self.name
    }

    /// Fetches the object and puts the version's content together.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::Open`] when it was altered, [`StoreError::Unavailable`].
    pub async fn fetch(
        &self,
        key: &ResourceKey,
        store: &dyn PayloadStore,
        key_of: impl FnMut(u64) -> Option<Arc<DataKey>>,
    ) -> Result<Vec<u8>, StoreError> {
        let object = store.get(&self.name).await?;
        let content = envelope::open_object(&object, key, &self.name, key_of)?;
        Ok(self.apply(&content)?)
    }

    fn apply(&self, content: &[u8]) -> Result<Vec<u8>, OpenError> {
        let length = content.len() as u64;
        let fits = self.prefix.checked_add(self.suffix).is_some_and(|both| both <= length);
        if !fits {
            return Err(OpenError::Malformed("difference exceeds the object"));
        }
        let prefix = usize::try_from(self.prefix).expect("at most the length of a slice");
        let suffix = usize::try_from(self.suffix).expect("at most the length of a slice");
        Ok([&content[..prefix], &self.between, &content[content.len() - suffix..]].concat())
    }
}

/// Removes those of `old` that no row names, and tells how many. `old` must have been listed by
/// [`PayloadStore::older_than`] **before** the rows were read, with an age beyond any commit's.
///
/// # Errors
/// [`StoreError::Unavailable`]; what was removed until then stays removed.
pub async fn sweep(
    old: &[ObjectName],
    named: &HashSet<ObjectName>,
    store: &dyn PayloadStore,
) -> Result<usize, StoreError> {
    let mut removed = 0;
    for name in old.iter().filter(|name| !named.contains(name)) {
        store.delete(name).await?;
        removed += 1;
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(object: &[u8], content: &[u8]) -> usize {
        let name = ObjectName::random();
        let staged = StagedObject { name, content: Bytes::copy_from_slice(object) };
        let difference = staged.difference(content);
        let length = difference.len();
        let reference = ObjectRef::parse(name, difference).expect("parses");
        assert_eq!(reference.apply(object).expect("applies"), content);
        length - 16
    }

    #[test]
    fn only_what_differs_is_kept() {
        assert_eq!(round_trip(b"{version:1,time:0,data}", b"{version:12,time:9,data}"), 8);
        assert_eq!(round_trip(b"same", b"same"), 0);
        assert_eq!(round_trip(b"aaaa", b"aaaaaa"), 2);
        assert_eq!(round_trip(b"aaaaaa", b"aaaa"), 0);
        assert_eq!(round_trip(b"", b"new"), 3);
        assert_eq!(round_trip(b"old", b""), 0);
    }

    #[test]
    fn a_difference_beyond_the_object_is_refused() {
        let reference = |prefix, suffix| ObjectRef {
            name: ObjectName([0; 16]),
            prefix,
            suffix,
            between: Vec::new(),
        };

        assert!(reference(2, 2).apply(b"four").is_ok());
        assert!(reference(3, 2).apply(b"four").is_err());
        assert!(reference(u64::MAX, 2).apply(b"four").is_err());
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        let name = ObjectName::random();

        assert_eq!(ObjectName::parse(&name.to_string()), Some(name));
        assert_eq!(ObjectName::parse("../../etc/passwd"), None);
        assert_eq!(ObjectName::parse(&name.to_string().to_uppercase().replace('0', "A")), None);
        assert_eq!(ObjectName::parse("+123456789012345678901234567890a"), None);
    }
}
