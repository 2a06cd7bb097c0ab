//! Secret key files of the gateway itself: 32 random bytes in hexadecimal, readable by the owner only.
//!
//! Made at the first start; a file that others may read is refused. [`write_private`] replaces a file whole.
//! Not here: the key-encryption key, which has a form of its own (`repository::Keyring`).

use std::io::Write;
use std::path::Path;

use crate::app::OpenError;

/// The secret in `path`, made when there is none.
///
/// # Errors
/// [`OpenError::Key`] when it cannot be read, made, or is open to others.
pub(crate) fn load_or_make(path: &Path) -> Result<[u8; 32], OpenError> {
    let refused = |text: String| OpenError::Key(format!("{}: {text}", path.display()));
    match std::fs::read_to_string(path) {
        Ok(text) => {
            refuse_open_mode(path).map_err(&refused)?;
            let mut seed = [0; 32];
            hex::decode_to_slice(text.trim(), &mut seed)
                .map_err(|_| refused("does not hold 64 hexadecimal digits".to_owned()))?;
            Ok(seed)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            make(path).map_err(|error| refused(error.to_string()))
        }
        Err(error) => Err(refused(error.to_string())),
    }
}

fn make(path: &Path) -> std::io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    aws_lc_rs::rand::fill(&mut seed).expect("the system gives randomness");
    let mut file = private_options().open(path)?;
    file.write_all(hex::encode(seed).as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    if let Some(folder) = path.parent() {
        std::fs::File::open(folder)?.sync_all()?;
    }
    Ok(seed)
}

/// For a new file of the owner's alone.
fn private_options() -> std::fs::OpenOptions {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Writes a file that only its owner may read, whole or not at all, in the place of an older one.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let made = path.with_extension("new");
    match std::fs::remove_file(&made) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = private_options().open(&made)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&made, path)
}

/// Refuses a secret that others than its owner may read; says how to mend it.
#[cfg(unix)]
pub(crate) fn refuse_open_mode(path: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;

    let mode = std::fs::metadata(path).map_err(|error| error.to_string())?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(format!("may be read by others (mode {:03o}); chmod 600 it", mode & 0o777))
}

#[cfg(not(unix))]
pub(crate) fn refuse_open_mode(_path: &Path) -> Result<(), String> {
    Ok(())
}
