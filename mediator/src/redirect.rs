//! Statements about a patient record that was merged into another one go to the record that survives.
//!
//! Spec: HL7 v2.8.2 chapter 3, A40: the prior identifier no longer names a record of its own. Keys stay those of the stated
//! identifier, so that a corrected result still finds the one it corrects.
//! Not here: which record survives (the caller's store knows).

use fhir::{Node, Tree};

use crate::conversion::{Conversion, Draft};

impl Conversion {
    /// Ids of the Patients that the message speaks of, without those that it retires itself.
    pub fn patients(&self) -> Vec<String> {
        let alive = self.drafts.iter().filter(|draft| is_patient(draft) && !retires(draft));
        alive.map(|draft| draft.id.clone()).collect()
    }

    /// Moves what is said of Patient `from` to Patient `to`; false, and nothing moved, when the message itself retires
    /// `to`, which would close a circle.
    #[must_use]
    pub fn redirect(&mut self, from: &str, to: &str) -> bool {
        if self.drafts.iter().any(|draft| is_patient(draft) && draft.id == to && retires(draft)) {
            return false;
        }
        let link = |id: &str| format!(r#""reference":"Patient/{id}""#);
        let id = |id: &str| format!(r#""id":"{id}""#);
        for draft in &mut self.drafts {
            if is_patient(draft) && draft.id == from && !retires(draft) {
                replace(&mut draft.body, &id(from), &id(to));
                to.clone_into(&mut draft.id);
            }
            replace(&mut draft.body, &link(from), &link(to));
        }
        true
    }
}

/// The Patient that a stored one was merged into: the last `replaced-by` link of one that is not active.
pub fn replaced_by(patient: &Tree) -> Option<String> {
    let root = patient.root();
    let links = root.get("link").filter(|_| is_inactive(root))?;
    let text =
        |node: Option<Node<'_>>| node.and_then(Node::as_str).map(std::borrow::Cow::into_owned);
    let replacing =
        links.items().filter(|link| text(link.get("type")).as_deref() == Some("replaced-by"));
    let reference = text(replacing.last()?.get("other")?.get("reference"))?;
    reference.strip_prefix("Patient/").map(str::to_owned)
}

fn is_patient(draft: &Draft) -> bool {
    draft.resource_type == "Patient"
}

/// True for the prior record of a merge.
fn retires(draft: &Draft) -> bool {
    Tree::parse(draft.body.clone()).is_ok_and(|body| is_inactive(body.root()))
}

fn is_inactive(patient: Node<'_>) -> bool {
    patient.get("active").is_some_and(|active| active.raw() == b"false")
}

fn replace(body: &mut Vec<u8>, from: &str, to: &str) {
    let found = memchr::memmem::find(body, from.as_bytes());
    if found.is_some() {
        // Quotes inside of a JSON string are escaped: what is found is a member.
        *body = String::from_utf8_lossy(body).replace(from, to).into_bytes();
    }
}
