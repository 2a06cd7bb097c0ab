//! Checkpoints: what a log says of itself, signed.
//!
//! Spec: C2SP tlog-checkpoint. Three lines: origin, size in decimal, root in base64. Extension lines are refused:
//! nobody could audit them. The log signs twice with one key: plainly, and with the time (`cosignature`).
//! Not here: the form of notes (`note`), which log keys to trust (`trust`).

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{
    error::{CheckpointError, NoteError},
    hash::RootHash,
    note::{Algorithm, Note, Signer, VerifiedSignature, Verifier},
};

/// Size and root of a log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Checkpoint {
    /// Which log this is: a URL without scheme.
    pub origin: String,
    /// Number of entries.
    pub size: u64,
    /// Root of the Merkle tree over them.
    pub root: RootHash,
}

/// A checkpoint whose signature was made or verified here.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: String,
    signatures: Vec<VerifiedSignature>,
}

impl Checkpoint {
    /// Reads the text of a note, strictly.
    ///
    /// # Errors
    /// For anything but an origin, a size and a root in their one spelling.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let mut lines = text.strip_suffix('\n').ok_or(CheckpointError::Form)?.split('\n');
        let (Some(origin), Some(size), Some(root), None) =
            (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(CheckpointError::Form);
        };
        let size = size.parse().map_err(|_| CheckpointError::Form)?;
        let root = STANDARD.decode(root).map_err(|_| CheckpointError::Form)?;
        let root = root.try_into().map_err(|_| CheckpointError::Form)?;
        let root = RootHash::from_bytes(root);
        let checkpoint = Self { origin: origin.to_owned(), size, root };
        let empty_fits = size != 0 || root == RootHash::empty();
        if !origin.is_empty() && empty_fits && checkpoint.to_string() == text {
            Ok(checkpoint)
        } else {
            Err(CheckpointError::Form)
        }
    }

    /// Reads a note without verifying it, to see what it claims.
    ///
    /// # Errors
    /// When the note or the checkpoint in it is malformed.
    pub fn claimed(note: &[u8]) -> Result<Self, CheckpointError> {
        Self::parse(Note::parse(note)?.text())
    }

    /// Signs this checkpoint plainly and with the time, in seconds since 1970.
    pub fn sign(self, signer: &Signer, time: u64) -> SignedCheckpoint {
        let text = self.to_string();
        let lines = vec![signer.sign(&text), signer.cosign(&text, time)];
        let signatures = vec![
            VerifiedSignature { verifier: 0, time: None },
            VerifiedSignature { verifier: 1, time: Some(time) },
        ];
        SignedCheckpoint { checkpoint: self, note: Note::new(text, lines).to_string(), signatures }
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let root = STANDARD.encode(self.root.as_bytes());
        writeln!(f, "{}\n{}\n{root}", self.origin, self.size)
    }
}

impl SignedCheckpoint {
    /// Reads a note and verifies it: by at least one of these keys, for this log.
    ///
    /// # Errors
    /// When it is malformed, of another log, by unknown keys only, or a known key's signature is wrong.
    pub fn open(note: &[u8], origin: &str, keys: &[Verifier]) -> Result<Self, CheckpointError> {
        let parsed = Note::parse(note)?;
        let signatures = parsed.verify(keys)?;
        let checkpoint = Checkpoint::parse(parsed.text())?;
        if checkpoint.origin != origin {
            return Err(CheckpointError::Origin(checkpoint.origin));
        }
        let note = String::from_utf8(note.to_vec()).map_err(|_| NoteError::Form)?;
        Ok(Self { checkpoint, note, signatures })
    }

    /// What was signed.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The note, byte for byte as published.
    pub fn note(&self) -> &str {
        &self.note
    }

    /// Number of entries.
    pub fn size(&self) -> u64 {
        self.checkpoint.size
    }

    /// Whether the log's plain signature is among those verified.
    pub fn is_signed_plainly(&self) -> bool {
        self.signatures.iter().any(|signature| signature.time.is_none())
    }

    /// Whether a signature of this kind is among those verified.
    pub fn is_signed_as(&self, algorithm: Algorithm) -> bool {
        match algorithm {
            Algorithm::Ed25519 => self.is_signed_plainly(),
            Algorithm::Cosignature => self.time().is_some(),
        }
    }

    /// When a key of the log said that it signed, in seconds since 1970.
    pub fn time(&self) -> Option<u64> {
        self.signatures.iter().find_map(|signature| signature.time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the C2SP tlog-checkpoint text. Its key is not published, so it is read only.
    const SOFA: &str = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
        — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n";

    #[test]
    fn the_checkpoint_of_the_specification_is_read() {
        let checkpoint = Checkpoint::claimed(SOFA.as_bytes()).unwrap();

        assert_eq!(checkpoint.origin, "example.com/behind-the-sofa");
        assert_eq!(checkpoint.size, 20_852_163);
        assert!(SOFA.starts_with(&checkpoint.to_string()));
    }

    #[test]
    fn other_spellings_are_refused() {
        let root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
        for bad in [
            String::new(),
            format!("\n1\n{root}\n"),
            format!("o\n01\n{root}\n"),
            format!("o\n+1\n{root}\n"),
            format!("o\n-1\n{root}\n"),
            format!("o\n\n{root}\n"),
            format!("o\n18446744073709551616\n{root}\n"),
            format!("o\n1\n{root}"),
            format!("o\n1\n{root}\n\n"),
            format!("o\n1\n{root}\nextension\n"),
            format!("o\n0\n{root}\n"),
            "o\n1\nAAAA\n".to_owned(),
            format!("o\n1\n{}\n", root.trim_end_matches('=')),
            format!("o\n1\n{}\n", root.replace("2I=", "2J=")),
        ] {
            assert_eq!(Checkpoint::parse(&bad), Err(CheckpointError::Form), "{bad:?}");
        }
    }

    #[test]
    fn every_flipped_byte_of_a_signed_checkpoint_is_found() {
        let signer = Signer::from_seed("log.example/a", &[3; 32]).unwrap();
        let checkpoint =
            Checkpoint { origin: "log.example/a".to_owned(), size: 9, root: RootHash::of(node()) };
        let signed = checkpoint.sign(&signer, 1_700_000_000);
        let opened =
            |note: &[u8]| SignedCheckpoint::open(note, "log.example/a", &signer.verifiers());
        assert_eq!(opened(signed.note().as_bytes()), Ok(signed.clone()));

        for at in 0..signed.note().len() {
            for mask in [0x01, 0x20, 0x80] {
                let mut note = signed.note().as_bytes().to_vec();
                note[at] ^= mask;
                // A key name or id that is damaged makes that one signature unknown; the other must then be missing.
                let found = opened(&note).map_or(true, |read| read.signatures.len() < 2);
                assert!(found, "byte {at} mask {mask}");
            }
        }
        assert!(matches!(
            SignedCheckpoint::open(signed.note().as_bytes(), "other", &signer.verifiers()),
            Err(CheckpointError::Origin(_))
        ));
    }

    fn node() -> crate::NodeHash {
        crate::NodeHash::from_bytes([5; 32])
    }
}
