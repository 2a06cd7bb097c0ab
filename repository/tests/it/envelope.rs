//! An envelope opens as sealed, where it was sealed, under its keys, and in no other way.

use std::sync::Arc;

use proptest::prelude::*;
use repository::{OpenError, Opened, SealError, Sealer, key_ids};

use crate::{keyring, number, open, sealer, version};

const CONTENT: &[u8] = br#"{"resourceType":"Observation","id":"o1","meta":{"versionId":"1",
    "lastUpdated":"2026-11-21T10:00:00.123456Z"},"status":"final","valueQuantity":{"value":1.10}}"#;

#[test]
fn every_flipped_bit_is_refused() {
    let ring = keyring();
    let (_, ada) = ring.make("Patient/ada");
    let (_, bob) = ring.make("Patient/bob");
    let at = version("Observation/o1/_history/1");
    for keys in [vec![&ada], vec![&ada, &bob]] {
        let envelope = sealer(&at.key, &keys).seal(at.version, CONTENT).expect("seals");
        assert_eq!(open(&envelope, &at, &keys), Ok(CONTENT.to_vec()));
        for place in 0..envelope.len() {
            for bit in 0..8 {
                let mut altered = envelope.clone();
                altered[place] ^= 1 << bit;
                assert!(open(&altered, &at, &keys).is_err(), "byte {place}, bit {bit}");
            }
        }
    }
}

#[test]
fn an_envelope_cut_or_lengthened_anywhere_is_refused() {
    let (_, ada) = keyring().make("Patient/ada");
    let (_, bob) = keyring().make("Patient/bob");
    let at = version("Observation/o1/_history/1");
    for keys in [vec![&ada], vec![&ada, &bob]] {
        let envelope = sealer(&at.key, &keys).seal(at.version, CONTENT).expect("seals");
        for length in 0..envelope.len() {
            assert!(open(&envelope[..length], &at, &keys).is_err(), "length {length}");
        }
        assert!(open(&[&envelope[..], &[0]].concat(), &at, &keys).is_err());
    }
}

#[test]
fn a_row_moved_to_another_place_does_not_open() {
    let (_, ada) = keyring().make("Patient/ada");
    let (_, bob) = keyring().make("Patient/bob");
    let at = version("Observation/o1/_history/2");
    for keys in [vec![&ada], vec![&ada, &bob]] {
        let envelope = sealer(&at.key, &keys).seal(at.version, CONTENT).expect("seals");
        for other in [
            "Observation/o1/_history/1",
            "Observation/o1/_history/3",
            "Observation/o2/_history/2",
            "Condition/o1/_history/2",
            "Observation/o12/_history/2",
        ] {
            assert_eq!(open(&envelope, &version(other), &keys), Err(OpenError::Refused), "{other}");
        }
    }
}

#[test]
fn another_key_under_the_same_id_does_not_open() {
    let ring = keyring();
    let (_, ada) = ring.make("Patient/ada");
    let (_, bob) = ring.make("Patient/bob");
    let at = version("Observation/o1/_history/1");
    let envelope = sealer(&at.key, &[&ada]).seal(at.version, CONTENT).expect("seals");

    let opened = repository::open(&envelope, &at, |_| Some(Arc::clone(&bob)));

    assert!(matches!(opened, Err(OpenError::Refused)));
    assert_eq!(open(&envelope, &at, &[&bob]), Err(OpenError::KeyMissing));
}

#[test]
fn a_resource_in_several_compartments_opens_with_any_of_their_keys() {
    let ring = keyring();
    let keys: Vec<_> = (0..5).map(|i| ring.make(&format!("Patient/{i}")).1).collect();
    let at = version("Group/g/_history/1");
    let sealer = Sealer::prepare(&at.key, &keys).expect("prepares");
    let envelope = sealer.seal(at.version, CONTENT).expect("seals");

    for key in &keys {
        assert_eq!(open(&envelope, &at, &[key]), Ok(CONTENT.to_vec()));
    }
    assert_eq!(key_ids(&envelope).expect("parses").len(), 5);
    assert_eq!(open(&envelope, &at, &[&ring.make("Patient/9").1]), Err(OpenError::KeyMissing));
}

#[test]
fn a_slot_of_another_resource_cannot_be_transplanted() {
    let (_, ada) = keyring().make("Patient/ada");
    let (_, bob) = keyring().make("Patient/bob");
    let (at, other) = (version("Group/g/_history/1"), version("Group/h/_history/1"));
    let mine = sealer(&at.key, &[&ada, &bob]).seal(at.version, CONTENT).expect("seals");
    let mut theirs = sealer(&other.key, &[&ada, &bob]).seal(at.version, CONTENT).expect("seals");
    let slots = 6..6 + 2 * 68;

    theirs[slots.clone()].copy_from_slice(&mine[slots]);

    assert_eq!(open(&theirs, &other, &[&ada, &bob]), Err(OpenError::Refused));
}

#[test]
fn the_salt_key_is_the_subjects_and_differs_between_shared_resources() {
    let ring = keyring();
    let (_, ada) = ring.make("Patient/ada");
    let (_, bob) = ring.make("Patient/bob");
    let at = version("Observation/o1/_history/1");
    let salt_of = |envelope: &[u8]| match repository::open(envelope, &at, |id| {
        [&ada, &bob].into_iter().find(|key| key.id() == id).cloned()
    }) {
        Ok(Opened::Inline(_, salt)) => *salt.as_bytes(),
        other => panic!("{other:?}"),
    };

    let own = sealer(&at.key, &[&ada]);
    let shared = sealer(&at.key, &[&ada, &bob]);
    let again = sealer(&at.key, &[&ada, &bob]);

    assert_eq!(own.salt_key().as_bytes(), ada.salt_key().as_bytes());
    assert_ne!(ada.salt_key().as_bytes(), bob.salt_key().as_bytes());
    assert_ne!(shared.salt_key().as_bytes(), again.salt_key().as_bytes());
    let envelope = own.seal(at.version, CONTENT).expect("seals");
    assert_eq!(salt_of(&envelope), *ada.salt_key().as_bytes());
    let envelope = shared.seal(at.version, CONTENT).expect("seals");
    assert_eq!(salt_of(&envelope), *shared.salt_key().as_bytes());
}

#[test]
fn no_key_too_many_keys_and_too_much_content_are_refused() {
    let ring = keyring();
    let at = version("Group/g/_history/1");
    let (_, ada) = ring.make("Patient/ada");
    let many: Vec<_> = (0..=repository::KEY_SLOTS_MAX).map(|_| ring.make("").1).collect();

    assert_eq!(Sealer::prepare(&at.key, &[]).err(), Some(SealError::NoKey));
    assert_eq!(Sealer::prepare(&at.key, &many).err(), Some(SealError::TooManyKeys));
    let large = vec![0; repository::CONTENT_BYTES_MAX + 1];
    assert_eq!(sealer(&at.key, &[&ada]).seal(at.version, &large), Err(SealError::TooLarge));
}

#[test]
fn equal_contents_make_unequal_envelopes() {
    let (_, ada) = keyring().make("Patient/ada");
    let at = version("Observation/o1/_history/1");
    let sealer = sealer(&at.key, &[&ada]);

    let (one, other) = (sealer.seal(at.version, CONTENT), sealer.seal(at.version, CONTENT));

    assert_ne!(one, other);
}

#[test]
fn no_name_of_content_or_key_shows_in_an_envelope() {
    let (_, ada) = keyring().make("Patient/ada");
    let at = version("Observation/o1/_history/1");
    let envelope = sealer(&at.key, &[&ada]).seal(at.version, CONTENT).expect("seals");

    for clear in [b"Observ".as_slice(), b"status", b"final", b"ada", b"Patient"] {
        assert!(!envelope.windows(clear.len()).any(|window| window == clear));
    }
}

#[test]
fn ten_thousand_contents_come_back() {
    let ring = keyring();
    let (_, ada) = ring.make("Patient/ada");
    let (_, bob) = ring.make("Patient/bob");
    let at = version("Observation/o1/_history/1");
    let own = sealer(&at.key, &[&ada]);
    let shared = sealer(&at.key, &[&ada, &bob]);
    let mut random = 1_u64;
    for turn in 0..10_000_u64 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let length = usize::try_from(random >> 53).expect("11 bits");
        let start = usize::try_from(random >> 33).expect("31 bits") % CONTENT.len();
        let content: Vec<u8> = CONTENT.iter().copied().cycle().skip(start).take(length).collect();
        let sealer = if turn % 2 == 0 { &own } else { &shared };

        let envelope = sealer.seal(at.version, &content).expect("seals");

        assert_eq!(open(&envelope, &at, &[&ada, &bob]), Ok(content));
    }
}

proptest! {
    #[test]
    fn any_bytes_come_back(content: Vec<u8>, at in 1_u64..i64::MAX as u64) {
        let (_, ada) = keyring().make("Patient/ada");
        let mut place = version("Binary/b/_history/1");
        place.version = number(at);

        let envelope = sealer(&place.key, &[&ada]).seal(place.version, &content).expect("seals");

        prop_assert_eq!(open(&envelope, &place, &[&ada]), Ok(content));
    }

    #[test]
    fn any_bytes_taken_for_an_envelope_are_refused(bytes: Vec<u8>) {
        let (_, ada) = keyring().make("Patient/ada");

        let opened = repository::open(&bytes, &version("Binary/b/_history/1"), |_| {
            Some(Arc::clone(&ada))
        });

        prop_assert!(opened.is_err());
    }
}
