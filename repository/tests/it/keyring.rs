//! Keys wrap, unwrap and are refused as documented.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use repository::{KeyError, Keyring};

use crate::{keyring, open, sealer, version};

#[test]
fn a_wrapped_key_unwraps_to_the_same_key() {
    let (wrapped, made) = keyring().make("Patient/ada");
    let at = version("Patient/ada/_history/1");
    let envelope = sealer(&at.key, &[&made]).seal(at.version, b"content").expect("seals");

    let unwrapped = keyring().unwrap(&wrapped).expect("unwraps");

    assert_eq!(unwrapped.salt_key().as_bytes(), made.salt_key().as_bytes());
    assert_eq!(open(&envelope, &at, &[&unwrapped]), Ok(b"content".to_vec()));
}

#[test]
fn an_altered_or_moved_wrapped_key_is_refused() {
    let ring = keyring();
    let (wrapped, _) = ring.make("Patient/ada");
    for place in 0..wrapped.wrapped.len() {
        let mut altered = wrapped.clone();
        altered.wrapped[place] ^= 1;
        assert!(ring.unwrap(&altered).is_err(), "byte {place}");
        altered.wrapped.truncate(place);
        assert!(ring.unwrap(&altered).is_err(), "length {place}");
    }
    let mut moved = wrapped.clone();
    moved.compartment = "Patient/eve".into();
    assert!(matches!(ring.unwrap(&moved), Err(KeyError::Refused { .. })));
    let mut moved = wrapped;
    moved.key_id ^= 1;
    assert!(matches!(ring.unwrap(&moved), Err(KeyError::Refused { .. })));
}

#[test]
fn a_cached_key_is_not_handed_out_for_another_compartment() {
    let ring = keyring();
    let (mut wrapped, made) = ring.make("Patient/ada");
    ring.keep(&made);

    wrapped.compartment = "Patient/eve".into();

    assert!(ring.unwrap(&wrapped).is_err());
}

#[test]
fn another_key_encryption_key_is_told_from_tampering() {
    let (wrapped, _) = keyring().make("Patient/ada");

    let refused = Keyring::with_key(&[43; 32]).unwrap(&wrapped);

    assert!(matches!(refused, Err(KeyError::OtherKey { .. })));
}

#[test]
fn a_made_key_is_found_only_once_it_is_kept_and_until_it_is_forgotten() {
    let ring = keyring();
    let (_, made) = ring.make("Patient/ada");
    assert!(ring.key(made.id()).is_none());
    assert!(ring.key_of("Patient/ada").is_none());

    ring.keep(&made);
    assert!(ring.key_of("Patient/ada").is_some_and(|key| Arc::ptr_eq(&key, &made)));

    ring.forget(made.id());
    assert!(ring.key(made.id()).is_none());
}

#[test]
fn a_first_start_makes_a_key_file_that_only_the_owner_reads() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sealway.key");

    let (wrapped, _) = Keyring::open(&path).expect("makes the file").make("Patient/ada");

    let mode = std::fs::metadata(&path).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1, "no draft is left");
    assert!(Keyring::open(&path).expect("reads the file").unwrap(&wrapped).is_ok());
}

#[test]
fn a_key_file_that_others_may_read_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sealway.key");
    Keyring::open(&path).expect("makes the file");
    for mode in [0o640, 0o604, 0o610, 0o666, 0o644] {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&path, permissions).expect("changes the mode");

        assert!(matches!(Keyring::open(&path), Err(KeyError::TooOpen { mode: m }) if m == mode));
    }
}

#[test]
fn a_malformed_key_file_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sealway.key");
    let digits = "ab".repeat(32);
    for text in [
        String::new(),
        digits.clone(),
        format!("sealway-key-1 {}", &digits[2..]),
        format!("sealway-key-1 {digits}ab"),
        format!("sealway-key-1 {}", digits.replace('a', "g")),
        format!("sealway-key-2 {digits}"),
        format!("sealway-key-1 +{}", &digits[1..]),
        format!("sealway-key-1 {digits}\n{}", "x".repeat(500)),
    ] {
        std::fs::write(&path, &text).expect("writes");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("mode");

        assert!(matches!(Keyring::open(&path), Err(KeyError::Malformed)), "{text}");
        assert_eq!(std::fs::read_to_string(&path).expect("reads"), text);
    }
}

#[test]
fn two_first_starts_at_once_agree_on_one_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sealway.key");
    let rings: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..8).map(|_| scope.spawn(|| Keyring::open(&path).expect("opens"))).collect();
        threads.into_iter().map(|thread| thread.join().expect("ends")).collect()
    });

    let (wrapped, _) = rings[0].make("Patient/ada");

    assert!(rings.iter().all(|ring| ring.unwrap(&wrapped).is_ok()));
}

#[test]
fn no_key_shows_in_debug_output() {
    let (_, made) = keyring().make("Patient/ada");

    let text = format!("{:?} {:?} {:?}", keyring(), made, made.salt_key());

    assert!(!text.contains("ada") && !text.contains("42, 42"));
    assert_eq!(text, format!("Keyring(..) DataKey({:016x}) SaltKey(..)", made.id()));
}
