//! Signed notes: a text, a blank line, and one line for each signature.
//!
//! Spec: C2SP signed-note; Ed25519 as in RFC 8032, verified strictly. Signature types `0x01` (plain) and `0x04`
//! (timestamped, see [`cosignature`]). At most [`NOTE_BYTES_MAX`] and [`SIGNATURES_MAX`].
//! Not here: what the text says (`checkpoint`), which keys to trust (`trust`), where secret keys are kept.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

use crate::{cosignature, error::NoteError};

/// A note whose form is right and whose signatures have not been looked at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Note {
    text: String,
    signatures: Vec<SignatureLine>,
}

/// One line of signature.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignatureLine {
    name: String,
    key_id: u32,
    signature: Vec<u8>,
}

/// A public key under a name: what a reader of notes must be given out of band.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verifier {
    name: String,
    algorithm: Algorithm,
    key: VerifyingKey,
}

/// How a key signs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Algorithm {
    /// Ed25519 over the text.
    Ed25519,
    /// Ed25519 over the text and a time.
    Cosignature,
}

/// A secret key under a name. It signs plainly and, with a time, as a cosigner.
pub struct Signer {
    name: String,
    key: SigningKey,
}

/// A signature that was verified.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VerifiedSignature {
    /// Position in the list of keys given.
    pub verifier: usize,
    /// Seconds since 1970 that a timestamped signature covers.
    pub time: Option<u64>,
}

/// Longest note that is read.
pub const NOTE_BYTES_MAX: usize = 64 * 1024;
/// Most signature lines that are read.
pub const SIGNATURES_MAX: usize = 64;

impl Note {
    /// Reads a note, strictly.
    ///
    /// # Errors
    /// For anything that the specification does not allow, and for a note over the limits.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > NOTE_BYTES_MAX {
            return Err(NoteError::TooLong);
        }
        let note = std::str::from_utf8(bytes).map_err(|_| NoteError::Form)?;
        if note.bytes().any(|byte| byte < b' ' && byte != b'\n') {
            return Err(NoteError::Form);
        }
        let (text, lines) = note.rsplit_once("\n\n").ok_or(NoteError::Form)?;
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Form)?;
        if text.is_empty() {
            return Err(NoteError::Form);
        }
        let signatures =
            lines.split('\n').map(SignatureLine::parse).collect::<Result<Vec<_>, _>>()?;
        if signatures.len() > SIGNATURES_MAX {
            return Err(NoteError::TooLong);
        }
        Ok(Self { text: format!("{text}\n"), signatures })
    }

    /// Makes a note of a text that ends in a newline.
    pub fn new(text: String, signatures: Vec<SignatureLine>) -> Self {
        Self { text, signatures }
    }

    /// The text, with its final newline. Ignore it unless [`Note::verify`] succeeded.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Verifies the signature of every key that is known here; others are ignored.
    ///
    /// # Errors
    /// When no key is known, or a known key's signature is wrong.
    pub fn verify(&self, verifiers: &[Verifier]) -> Result<Vec<VerifiedSignature>, NoteError> {
        let mut verified = Vec::new();
        for line in &self.signatures {
            let matches = |known: &Verifier| known.name == line.name && known.id() == line.key_id;
            let Some(verifier) = verifiers.iter().position(matches) else { continue };
            let time = verifiers[verifier].verify(&self.text, &line.signature)?;
            verified.push(VerifiedSignature { verifier, time });
        }
        if verified.is_empty() { Err(NoteError::UnknownKey) } else { Ok(verified) }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl SignatureLine {
    fn parse(line: &str) -> Result<Self, NoteError> {
        let rest = line.strip_prefix("— ").ok_or(NoteError::Form)?;
        let (name, encoded) = rest.split_once(' ').ok_or(NoteError::Form)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| NoteError::Form)?;
        let (key_id, signature) = bytes.split_first_chunk().ok_or(NoteError::Form)?;
        if !name_is_valid(name) || signature.is_empty() {
            return Err(NoteError::Form);
        }
        let key_id = u32::from_be_bytes(*key_id);
        Ok(Self { name: name.to_owned(), key_id, signature: signature.to_vec() })
    }
}

impl fmt::Display for SignatureLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&self.key_id.to_be_bytes(), self.signature.as_slice()].concat();
        write!(f, "— {} {}", self.name, STANDARD.encode(bytes))
    }
}

impl Verifier {
    /// Reads `name+key id+base64(type ‖ public key)`, strictly.
    ///
    /// # Errors
    /// For another form, an unknown type, an id that is not the key's, or bytes that are no Ed25519 key.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let mut parts = text.splitn(3, '+');
        let mut part = || parts.next().ok_or(NoteError::Key);
        let (name, id, encoded) = (part()?, part()?, part()?);
        let bytes = STANDARD.decode(encoded).map_err(|_| NoteError::Key)?;
        let [code, key @ ..] = bytes.as_slice() else { return Err(NoteError::Key) };
        let key = key.try_into().map_err(|_| NoteError::Key)?;
        let algorithm = Algorithm::from_code(*code).ok_or(NoteError::Key)?;
        let key = VerifyingKey::from_bytes(key).map_err(|_| NoteError::Key)?;
        let verifier = Self { name: name.to_owned(), algorithm, key };
        let id_fits = id == format!("{:08x}", verifier.id());
        if name_is_valid(name) && id_fits && !key.is_weak() {
            Ok(verifier)
        } else {
            Err(NoteError::Key)
        }
    }

    /// Name of the key.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How the key signs.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The short id that goes before each signature: an aid to find the key, not a fingerprint.
    pub fn id(&self) -> u32 {
        let digest = Sha256::new_with_prefix(self.name.as_bytes())
            .chain_update([b'\n', self.algorithm.code()])
            .chain_update(self.key.as_bytes())
            .finalize();
        u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
    }

    /// Verifies one signature; gives the time that it covers, if any.
    pub(crate) fn verify(&self, text: &str, signature: &[u8]) -> Result<Option<u64>, NoteError> {
        let bad = || NoteError::Signature { name: self.name.clone() };
        let (time, signature) = match self.algorithm {
            Algorithm::Ed25519 => (None, signature),
            Algorithm::Cosignature => {
                let (time, signature) = signature.split_first_chunk().ok_or_else(bad)?;
                (Some(u64::from_be_bytes(*time)), signature)
            }
        };
        let message = time.map(|time| cosignature::message(text, time));
        let message = message.as_deref().unwrap_or(text);
        let signature = Signature::from_slice(signature).map_err(|_| bad())?;
        self.key.verify_strict(message.as_bytes(), &signature).map_err(|_| bad())?;
        Ok(time)
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&[self.algorithm.code()], self.key.as_bytes().as_slice()].concat();
        write!(f, "{}+{:08x}+{}", self.name, self.id(), STANDARD.encode(bytes))
    }
}

impl Algorithm {
    fn from_code(code: u8) -> Option<Self> {
        [Self::Ed25519, Self::Cosignature].into_iter().find(|algorithm| algorithm.code() == code)
    }

    fn code(self) -> u8 {
        match self {
            Self::Ed25519 => 0x01,
            Self::Cosignature => 0x04,
        }
    }
}

impl Signer {
    /// The key made from 32 secret random bytes, under `name`.
    ///
    /// # Errors
    /// When the name is empty or holds a space, a control character or a plus sign.
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, NoteError> {
        if !name_is_valid(name) {
            return Err(NoteError::Key);
        }
        Ok(Self { name: name.to_owned(), key: SigningKey::from_bytes(seed) })
    }

    /// Name of the key.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The public key for signatures of this type.
    pub fn verifier(&self, algorithm: Algorithm) -> Verifier {
        Verifier { name: self.name.clone(), algorithm, key: self.key.verifying_key() }
    }

    /// The public keys for both types of signature: what a trust file lists for a log.
    pub fn verifiers(&self) -> Vec<Verifier> {
        vec![self.verifier(Algorithm::Ed25519), self.verifier(Algorithm::Cosignature)]
    }

    /// Signs a text that ends in a newline.
    pub fn sign(&self, text: &str) -> SignatureLine {
        let signature = self.key.sign(text.as_bytes()).to_bytes().to_vec();
        self.line(Algorithm::Ed25519, signature)
    }

    /// Signs a text with the time at which it was seen, in seconds since 1970.
    pub fn cosign(&self, text: &str, time: u64) -> SignatureLine {
        let signature = self.key.sign(cosignature::message(text, time).as_bytes());
        let signature = [time.to_be_bytes().as_slice(), &signature.to_bytes()].concat();
        self.line(Algorithm::Cosignature, signature)
    }

    fn line(&self, algorithm: Algorithm, signature: Vec<u8>) -> SignatureLine {
        let key_id = self.verifier(algorithm).id();
        SignatureLine { name: self.name.clone(), key_id, signature }
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.name)
    }
}

fn name_is_valid(name: &str) -> bool {
    let allowed = |c: char| !c.is_whitespace() && !c.is_control() && c != '+';
    !name.is_empty() && name.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Go package `golang.org/x/mod/sumdb/note`, which defined the format.
    const NEUMANN_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const NEUMANN_NOTE: &str = "If you think cryptography is the answer to your problem,\n\
        then you don't know what your problem is.\n\
        \n\
        — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    /// The example of the C2SP signed-note text: an empty line inside the text.
    const QUASIMODO: &str = "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\n\
        ed è subito sera.\n\n— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n";

    #[test]
    fn the_note_of_the_go_package_verifies() {
        let verifier = Verifier::parse(NEUMANN_KEY).unwrap();
        let note = Note::parse(NEUMANN_NOTE.as_bytes()).unwrap();

        let verified = note.verify(std::slice::from_ref(&verifier));

        assert_eq!(verified, Ok(vec![VerifiedSignature { verifier: 0, time: None }]));
        assert_eq!(verifier.to_string(), NEUMANN_KEY);
        assert_eq!(note.to_string(), NEUMANN_NOTE);
    }

    #[test]
    fn the_note_of_the_specification_is_read_up_to_its_last_empty_line() {
        let note = Note::parse(QUASIMODO.as_bytes()).unwrap();

        assert!(note.text().ends_with("raggio di sole:\n\ned è subito sera.\n"));
        assert_eq!(note.to_string(), QUASIMODO);
        let other = [Verifier::parse(NEUMANN_KEY).unwrap()];
        assert_eq!(note.verify(&other), Err(NoteError::UnknownKey));
    }

    #[test]
    fn malformed_notes_are_refused() {
        let good = NEUMANN_NOTE;
        for bad in [
            String::new(),
            "\n\n".to_owned(),
            "text\n".to_owned(),
            good.trim_end().to_owned(),
            format!("{good}\n"),
            format!("{good} "),
            good.replace("\n\n", "\n"),
            good.replace("— ", "- "),
            good.replace("— ", "—"),
            good.replace("PeterNeumann", "Peter+Neumann"),
            good.replace("PeterNeumann", "Peter\u{a0}Neumann"),
            good.replace("nAM=", "nAM"),
            good.replace("nAM=", "nAN="),
            good.replace("think", "th\tnk"),
            good.replace('\n', "\r\n"),
            "text\n\n— n AAAA\n".to_owned(),
            "x".repeat(NOTE_BYTES_MAX + 1),
        ] {
            assert!(Note::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(Note::parse(b"\xff\n\n").is_err());
    }

    #[test]
    fn a_wrong_signature_of_a_known_key_spoils_the_note() {
        let (good, other) = (signer("a.example"), signer("b.example"));
        let text = "hello\n".to_owned();
        let mut wrong = good.sign(&text);
        wrong.signature[5] ^= 1;
        let note = Note::new(text.clone(), vec![other.sign(&text), wrong]);

        let both = [other.verifiers(), good.verifiers()].concat();

        assert_eq!(note.verify(&both), Err(NoteError::Signature { name: "a.example".to_owned() }));
        assert!(note.verify(&other.verifiers()).is_ok());
    }

    #[test]
    fn a_timestamped_signature_covers_its_time() {
        let signer = signer("a.example");
        let text = "hello\n".to_owned();
        let line = signer.cosign(&text, 1_700_000_000);

        let note = Note::new(text.clone(), vec![line.clone()]);
        let verified = note.verify(&signer.verifiers()).unwrap();
        assert_eq!(verified, [VerifiedSignature { verifier: 1, time: Some(1_700_000_000) }]);

        let mut later = line;
        later.signature[7] += 1;
        assert!(Note::new(text, vec![later]).verify(&signer.verifiers()).is_err());
    }

    #[test]
    fn keys_of_another_form_are_refused() {
        for bad in [
            "",
            "PeterNeumann",
            "PeterNeumann+c74f20a3",
            "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10",
            "PeterNeumann+c74f20a3+Ahpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        ] {
            assert_eq!(Verifier::parse(bad), Err(NoteError::Key), "{bad}");
        }
        assert!(Signer::from_seed("a b", &[0; 32]).is_err());
    }

    fn signer(name: &str) -> Signer {
        Signer::from_seed(name, &[name.len() as u8; 32]).unwrap()
    }
}
