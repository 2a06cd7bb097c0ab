//! Verification of a receipt: every step named, one verdict, no network, no clock.
//!
//! Spec: `docs/formats.md`. All steps are taken even when an early one fails, so that the report says everything.
//! The same inputs always give the same report. Not here: reading files, printing (`gateway`'s command line).

use std::fmt;

use serde::Serialize;

use crate::{
    checkpoint::{Checkpoint, SignedCheckpoint},
    commitment::{ContentHash, commit},
    entry::Kind,
    error::{CheckpointError, NoteError, ReceiptError},
    merkle::InclusionProof,
    note::Note,
    receipt::{Receipt, Sealed},
    trust::Trust,
};

/// What became of a receipt.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verdict {
    /// Everything holds.
    Verified,
    /// The commitment holds, but the entry is not yet in a published checkpoint.
    Pending,
    /// The content is not what was sealed.
    Mismatch,
    /// The receipt does not prove what it claims.
    InvalidProof,
    /// Not signed as the trust file wants it.
    PolicyNotMet,
    /// The log or its key is not in the trust file.
    UntrustedKey,
}

/// One step of a verification.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Step {
    /// Name of the step: content, resource, commitment, inclusion, checkpoint, key or policy.
    pub name: &'static str,
    /// What became of it.
    pub outcome: Outcome,
    /// The same in words.
    pub detail: String,
}

/// What became of one step.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It holds.
    Passed,
    /// It does not hold; the receipt gets at least this verdict.
    Failed(Verdict),
    /// It could not be taken.
    NotChecked,
}

/// Everything that a verification found.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Report {
    /// `sealway.verify/v1`.
    pub schema: &'static str,
    /// What it comes to.
    pub verdict: Verdict,
    /// The resource version that the receipt names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// Index of the entry in its log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<u64>,
    /// Seconds since 1970 at which the log says that it signed. Only present when that signature holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<u64>,
    /// The steps in order.
    pub steps: Vec<Step>,
}

/// Verifies that `content` is what the receipt's log sealed, given as the bytes of a receipt file.
pub fn verify_receipt_bytes(content: &[u8], receipt: &[u8], trust: &Trust) -> Report {
    match Receipt::parse(receipt) {
        Ok(receipt) => verify_receipt(content, &receipt, trust),
        Err(error) => Report::of_unreadable(&error),
    }
}

/// Verifies that `content` is what the receipt's log sealed.
pub fn verify_receipt(content: &[u8], receipt: &Receipt, trust: &Trust) -> Report {
    let mut steps = vec![
        check_content(content, receipt),
        check_resource(content, receipt),
        check_commitment(receipt),
    ];
    let mut time = None;
    if let Some(sealed) = &receipt.sealed {
        let opened = open_checkpoint(receipt, sealed, trust);
        time = opened.as_ref().ok().and_then(SignedCheckpoint::time);
        steps.push(check_inclusion(receipt, sealed));
        steps.extend(check_signature(receipt, &opened));
        steps.push(check_policy(receipt, sealed, &opened, trust));
    } else {
        let detail = "the entry is not in a published checkpoint yet".to_owned();
        let outcome = Outcome::Failed(Verdict::Pending);
        steps.push(Step { name: "inclusion", outcome, detail });
    }
    Report {
        schema: REPORT_SCHEMA,
        verdict: verdict_of(&steps),
        resource: receipt.resource.as_ref().map(ToString::to_string),
        index: receipt.sealed.as_ref().map(|sealed| sealed.index),
        time,
        steps,
    }
}

fn check_content(content: &[u8], receipt: &Receipt) -> Step {
    if ContentHash::of(content) == receipt.content {
        let hash = hex::encode(receipt.content.as_bytes());
        passed("content", format!("{} bytes match fingerprint sha256:{hash}", content.len()))
    } else {
        failed("content", Verdict::Mismatch, "not the bytes that were sealed")
    }
}

fn check_resource(content: &[u8], receipt: &Receipt) -> Step {
    match &receipt.resource {
        Some(resource) if resource.names(content) => {
            passed("resource", format!("the content is {resource}"))
        }
        Some(resource) => {
            let detail = format!("the content does not say that it is {resource}");
            failed("resource", Verdict::Mismatch, &detail)
        }
        None if receipt.body.kind == Kind::ResourceVersion => {
            failed("resource", Verdict::InvalidProof, "the receipt names no resource")
        }
        None => passed("resource", "the content is no resource".to_owned()),
    }
}

fn check_commitment(receipt: &Receipt) -> Step {
    let body = &receipt.body;
    if commit(body.kind, body.canon, &receipt.salt, &receipt.content) == body.commitment {
        passed("commitment", "the salt opens the entry on the fingerprint".to_owned())
    } else {
        failed("commitment", Verdict::InvalidProof, "the salt does not open the entry")
    }
}

fn check_inclusion(receipt: &Receipt, sealed: &Sealed) -> Step {
    let claimed = Checkpoint::claimed(sealed.checkpoint.as_bytes());
    let (Ok(checkpoint), Some(entry)) = (claimed, receipt.entry()) else {
        return failed("inclusion", Verdict::InvalidProof, "the checkpoint is malformed");
    };
    let (index, size) = (sealed.index, checkpoint.size);
    let proof = InclusionProof { index, size, path: sealed.path.clone() };
    match proof.verify(entry.leaf_hash(), checkpoint.root) {
        Ok(()) => passed("inclusion", format!("entry {index} is in the checkpoint of size {size}")),
        Err(error) => failed("inclusion", Verdict::InvalidProof, &error.to_string()),
    }
}

fn open_checkpoint(
    receipt: &Receipt,
    sealed: &Sealed,
    trust: &Trust,
) -> Result<SignedCheckpoint, CheckpointError> {
    let keys = trust.log(&receipt.origin).map_or(&[][..], |log| &log.keys);
    SignedCheckpoint::open(sealed.checkpoint.as_bytes(), &receipt.origin, keys)
}

/// The steps *checkpoint* (the signature holds) and *key* (it is by a trusted key).
fn check_signature(
    receipt: &Receipt,
    opened: &Result<SignedCheckpoint, CheckpointError>,
) -> [Step; 2] {
    match opened {
        Ok(_) => [
            passed("checkpoint", format!("signed by {}", receipt.origin)),
            passed("key", "the trust file lists the key".to_owned()),
        ],
        Err(CheckpointError::Note(NoteError::UnknownKey)) => {
            let detail =
                format!("the trust file lists no key of log {} that signed", receipt.origin);
            let unchecked = "no key to check the signature with".to_owned();
            [
                Step { name: "checkpoint", outcome: Outcome::NotChecked, detail: unchecked },
                failed("key", Verdict::UntrustedKey, &detail),
            ]
        }
        Err(error) => {
            let detail = "no valid signature to look up".to_owned();
            [
                failed("checkpoint", Verdict::InvalidProof, &error.to_string()),
                Step { name: "key", outcome: Outcome::NotChecked, detail },
            ]
        }
    }
}

/// The log's plain signature, its time when a time key is trusted, and as many witnesses as are required.
fn check_policy(
    receipt: &Receipt,
    sealed: &Sealed,
    opened: &Result<SignedCheckpoint, CheckpointError>,
    trust: &Trust,
) -> Step {
    let (Ok(opened), Some(log)) = (opened, trust.log(&receipt.origin)) else {
        let detail = "no trusted checkpoint to apply the policy to".to_owned();
        return Step { name: "policy", outcome: Outcome::NotChecked, detail };
    };
    if !opened.is_signed_plainly() {
        return failed("policy", Verdict::PolicyNotMet, "the log's own signature is missing");
    }
    if log.wants_time() && opened.time().is_none() {
        return failed(
            "policy",
            Verdict::PolicyNotMet,
            "the log's timestamped signature is missing",
        );
    }
    let required = trust.witnesses_required();
    let signed = match Note::parse(sealed.checkpoint.as_bytes())
        .and_then(|note| note.verify(trust.witnesses()))
    {
        Ok(signatures) => signatures.len(),
        Err(NoteError::UnknownKey) => 0,
        Err(error) => return failed("policy", Verdict::InvalidProof, &error.to_string()),
    };
    if signed < required {
        let detail = format!("{signed} witnesses signed and {required} are required");
        return failed("policy", Verdict::PolicyNotMet, &detail);
    }
    passed("policy", format!("signed by 1 of 1 logs and {signed} witnesses (needs {required})"))
}

/// The gravest verdict of any step.
fn verdict_of(steps: &[Step]) -> Verdict {
    let gravity = [
        Verdict::Mismatch,
        Verdict::InvalidProof,
        Verdict::UntrustedKey,
        Verdict::PolicyNotMet,
        Verdict::Pending,
    ];
    let found = |verdict: &Verdict| steps.iter().any(|s| s.outcome == Outcome::Failed(*verdict));
    gravity.into_iter().find(found).unwrap_or(Verdict::Verified)
}

fn passed(name: &'static str, detail: String) -> Step {
    Step { name, outcome: Outcome::Passed, detail }
}

fn failed(name: &'static str, verdict: Verdict, detail: &str) -> Step {
    Step { name, outcome: Outcome::Failed(verdict), detail: detail.to_owned() }
}

impl Verdict {
    /// Exit code of `sealway verify`: 10 is tampering, 11 to 13 are ways of not being able to tell.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Verified => 0,
            Self::Mismatch | Self::InvalidProof => 10,
            Self::Pending => 11,
            Self::PolicyNotMet => 12,
            Self::UntrustedKey => 13,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Verified => "VERIFIED",
            Self::Pending => "PENDING",
            Self::Mismatch => "MISMATCH",
            Self::InvalidProof => "INVALID_PROOF",
            Self::PolicyNotMet => "POLICY_NOT_MET",
            Self::UntrustedKey => "UNTRUSTED_KEY",
        })
    }
}

impl Report {
    /// The report on a file that is no receipt.
    fn of_unreadable(error: &ReceiptError) -> Self {
        let steps = vec![failed("receipt", Verdict::InvalidProof, &error.to_string())];
        let verdict = Verdict::InvalidProof;
        Self { schema: REPORT_SCHEMA, verdict, resource: None, index: None, time: None, steps }
    }

    /// The report as one line of JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings and numbers always serialise")
    }
}

/// One line for each step, then the verdict.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            let mark = match step.outcome {
                Outcome::Passed => '✓',
                Outcome::Failed(Verdict::Pending) | Outcome::NotChecked => '…',
                Outcome::Failed(_) => '✗',
            };
            writeln!(f, "{mark} {:<10}  {}", step.name, step.detail)?;
        }
        write!(f, "{}", self.verdict)?;
        self.resource.iter().try_for_each(|resource| write!(f, "  {resource}"))?;
        writeln!(f)
    }
}

const REPORT_SCHEMA: &str = "sealway.verify/v1";
