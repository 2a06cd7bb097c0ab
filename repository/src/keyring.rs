//! Data keys: made, wrapped, unwrapped, and kept in memory for minutes.
//!
//! A key-encryption key in a file (mode 0600, made at first start) wraps one data key for each
//! patient compartment and one for the tenant. The wrapped keys are rows of the registry; this
//! module never sees SQL. Erasing the row and calling [`Keyring::forget`] erases the compartment.
//! Layout of a wrapped key and of the file: `docs/formats.md`.
//! Not here: what a data key does (`data_key`, `envelope`).

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use aws_lc_rs::digest::{SHA256, digest};
use zeroize::{Zeroize, Zeroizing};

use crate::data_key::{Aead, DataKey, KEY_BYTES, NONCE_BYTES};
use crate::error::KeyError;
use cache::Cache;

mod cache;

/// A data key under the key-encryption key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WrappedKey {
    /// Random id of the key, written in every envelope that it opens.
    pub key_id: u64,
    /// `Patient/id`; empty for the tenant's own key.
    pub compartment: String,
    /// The key under the key-encryption key.
    pub wrapped: Vec<u8>,
}

/// The key-encryption key and the data keys in use. Share one; all methods may be called concurrently.
pub struct Keyring {
    kek: Aead,
    kek_id: [u8; KEK_ID_BYTES],
    cache: Mutex<Cache>,
}

impl Keyring {
    /// Reads the key-encryption key from a file, or makes the file when there is none.
    ///
    /// # Errors
    /// [`KeyError::TooOpen`] when others may read the file.
    pub fn open(path: &Path) -> Result<Self, KeyError> {
        match OpenOptions::new().read(true).open(path) {
            Ok(file) => read_key_file(file).map(|key| Self::with_key(&key)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                make_key_file(path).map(|key| Self::with_key(&key))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Uses this key-encryption key, from a key management service or in tests.
    pub fn with_key(key: &[u8; KEY_BYTES]) -> Self {
        let labelled = Zeroizing::new([b"sealway/kek-id/1".as_slice(), key].concat());
        let hash = digest(&SHA256, &labelled);
        let mut kek_id = [0; KEK_ID_BYTES];
        kek_id.copy_from_slice(&hash.as_ref()[..KEK_ID_BYTES]);
        Self { kek: Aead::new(key), kek_id, cache: Mutex::default() }
    }

    /// Makes a data key for a compartment. It is not cached: call [`Keyring::keep`] once the
    /// wrapped key is committed, for a lost race must not leave a key that nobody stored.
    pub fn make(&self, compartment: &str) -> (WrappedKey, Arc<DataKey>) {
        let secret = random::<KEY_BYTES>();
        let key_id = u64::from_be_bytes(*random::<8>());
        let mut wrapped = vec![FORMAT];
        wrapped.extend_from_slice(&self.kek_id);
        let start = wrapped.len();
        wrapped.extend_from_slice(&[0; NONCE_BYTES]);
        wrapped.extend_from_slice(secret.as_slice());
        self.kek.seal(&wrap_aad(key_id, compartment), &mut wrapped, start);
        let key = Arc::new(DataKey::derive(key_id, compartment, &secret));
        (WrappedKey { key_id, compartment: compartment.into(), wrapped }, key)
    }

    /// Unwraps a stored key and keeps it.
    ///
    /// # Errors
    /// [`KeyError::OtherKey`] or [`KeyError::Refused`].
    pub fn unwrap(&self, wrapped: &WrappedKey) -> Result<Arc<DataKey>, KeyError> {
        let key_id = wrapped.key_id;
        if let Some(known) = self.key(key_id)
            && known.compartment() == wrapped.compartment
        {
            return Ok(known);
        }
        let refused = || KeyError::Refused { key_id };
        let (&format, rest) = wrapped.wrapped.split_first().ok_or_else(refused)?;
        let (kek_id, sealed) = rest.split_at_checked(KEK_ID_BYTES).ok_or_else(refused)?;
        if format != FORMAT {
            return Err(refused());
        }
        if kek_id != self.kek_id {
            return Err(KeyError::OtherKey { key_id });
        }
        let mut sealed = Zeroizing::new(sealed.to_vec());
        let aad = wrap_aad(key_id, &wrapped.compartment);
        let secret = self.kek.open(&aad, &mut sealed).map_err(|_| refused())?;
        let secret = secret.first_chunk().filter(|_| secret.len() == KEY_BYTES);
        let key = DataKey::derive(key_id, &wrapped.compartment, secret.ok_or_else(refused)?);
        let key = Arc::new(key);
        self.keep(&key);
        Ok(key)
    }

    /// Keeps a key in memory, after its wrapped form was committed.
    pub fn keep(&self, key: &Arc<DataKey>) {
        self.cache().insert(key, Instant::now());
    }

    /// A key in memory by id; absent does not mean erased.
    pub fn key(&self, key_id: u64) -> Option<Arc<DataKey>> {
        self.cache().by_id(key_id, Instant::now())
    }

    /// A key in memory by compartment; absent does not mean that there is none.
    pub fn key_of(&self, compartment: &str) -> Option<Arc<DataKey>> {
        self.cache().by_compartment(compartment, Instant::now())
    }

    /// Drops a key from memory at once, when its row was erased.
    pub fn forget(&self, key_id: u64) {
        self.cache().forget(key_id);
    }

    /// Drops keys that have been in memory for too long; to be called every minute or so.
    pub fn expire(&self) {
        self.cache().expire(Instant::now());
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keyring(..)")
    }
}

fn wrap_aad(key_id: u64, compartment: &str) -> Vec<u8> {
    let mut aad = b"sealway/wrap/1".to_vec();
    aad.extend_from_slice(&key_id.to_be_bytes());
    aad.extend_from_slice(compartment.as_bytes());
    aad
}

/// Random bytes, wiped after use.
pub(crate) fn random<const N: usize>() -> Zeroizing<[u8; N]> {
    let mut bytes = Zeroizing::new([0; N]);
    aws_lc_rs::rand::fill(bytes.as_mut_slice()).expect("the system gives randomness");
    bytes
}

fn read_key_file(mut file: File) -> Result<Zeroizing<[u8; KEY_BYTES]>, KeyError> {
    refuse_open_mode(&file)?;
    let mut text = Zeroizing::new(String::with_capacity(KEY_FILE_BYTES_MAX));
    let mut limited = (&mut file).take(KEY_FILE_BYTES_MAX as u64);
    limited.read_to_string(&mut text).map_err(|_| KeyError::Malformed)?;
    let digits = text.trim_end().strip_prefix(KEY_FILE_PREFIX).ok_or(KeyError::Malformed)?;
    if digits.len() != 2 * KEY_BYTES || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(KeyError::Malformed);
    }
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    for (i, byte) in key.iter_mut().enumerate() {
        *byte =
            u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).map_err(|_| KeyError::Malformed)?;
    }
    Ok(key)
}

/// Written beside, made durable, then linked: a crash leaves no half of a key, and two first
/// starts at once agree on one.
fn make_key_file(path: &Path) -> Result<Zeroizing<[u8; KEY_BYTES]>, KeyError> {
    let key = random::<KEY_BYTES>();
    let mut text = Zeroizing::new(String::with_capacity(KEY_FILE_BYTES_MAX));
    text.push_str(KEY_FILE_PREFIX);
    for byte in key.iter() {
        text.push(char::from_digit(u32::from(byte >> 4), 16).expect("below 16"));
        text.push(char::from_digit(u32::from(byte & 15), 16).expect("below 16"));
    }
    text.push('\n');
    let name = format!(".sealway-key-{:016x}", u64::from_be_bytes(*random::<8>()));
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let draft = folder.join(name);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    let linked = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::hard_link(&draft, path));
    std::fs::remove_file(&draft)?;
    text.zeroize();
    match linked {
        Ok(()) => {
            #[cfg(unix)]
            File::open(folder)?.sync_all()?;
            Ok(key)
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            read_key_file(File::open(path)?)
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(unix)]
fn refuse_open_mode(file: &File) -> Result<(), KeyError> {
    use std::os::unix::fs::PermissionsExt;

    let mode = file.metadata()?.permissions().mode() & 0o777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(KeyError::TooOpen { mode }) }
}

#[cfg(not(unix))]
fn refuse_open_mode(_file: &File) -> Result<(), KeyError> {
    Ok(())
}

const FORMAT: u8 = 1;
const KEK_ID_BYTES: usize = 8;
const KEY_FILE_PREFIX: &str = "sealway-key-1 ";
const KEY_FILE_BYTES_MAX: usize = 128;
