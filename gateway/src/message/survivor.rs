//! Which record a message is about after merges: the end of the `replaced-by` links of the patient that it names.
//!
//! Spec: HL7 v2.8.2 chapter 3, A40; R4, Patient.link: a record with `replaced-by` must no longer be used.
//! Not here: how a merge is written (`mediator`), what has been stored for the prior record (it stays where it is).

use fhir::ResourceKey;
use mediator::{Conversion, replaced_by};
use policy::Principal;

use super::apply::stored;
use crate::app::App;
use crate::error::{Answered, Fault, FaultKind};

/// Moves what a conversion says of retired patients to those that survive; false when that would close a circle.
///
/// # Errors
/// Any [`Fault`].
pub(super) async fn follow(
    app: &App,
    conversion: &mut Conversion,
    principal: &Principal,
) -> Answered<bool> {
    for patient in conversion.patients() {
        let survivor = survivor(app, &patient, principal).await?;
        if survivor != patient && !conversion.redirect(&patient, &survivor) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The last stored Patient along the links; the one it began with when it was not merged, or not stored.
async fn survivor(app: &App, patient: &str, principal: &Principal) -> Answered<String> {
    let mut current = patient.to_owned();
    let mut next = Some(patient.to_owned());
    for _ in 0..HOPS_MAX {
        let Some(id) = next else { break };
        let key = ResourceKey::parse(&format!("Patient/{id}"))
            .map_err(|_| Fault::new(FaultKind::Internal, "a link of a stored Patient is no id"))?;
        let Some((_, tree)) = stored(app, &key, principal).await? else { break };
        current = id;
        next = replaced_by(&tree);
    }
    Ok(current)
}

/// Merges of merged records that are followed; real chains have one or two.
const HOPS_MAX: usize = 16;
