//! What becomes of a PATCH: a further version of what is there, never a new resource (FHIR R4 http.html#patch).

use fhir::ResourceKey;
use registry::write_set::Action;

use super::criteria::{Found, View};
use super::{Decided, Decision, several};
use crate::error::{Answered, Fault, FaultKind};
use crate::precondition::Preconditions;

impl Decided<'_> {
    pub(super) fn patch(
        &self,
        key: &ResourceKey,
        preconditions: &Preconditions,
    ) -> Answered<Decision> {
        // An absent resource is told before a precondition (RFC 9110 §13.2.1).
        let (version, deleted) = self.snapshot.version(key).ok_or_else(Fault::not_found)?;
        if deleted {
            return Err(Fault::new(FaultKind::Deleted, "the resource has been deleted"));
        }
        preconditions.check(self.newest(key))?;
        Ok(Decision::Write {
            key: key.clone(),
            previous: Some(version),
            action: Action::Update,
            status: 200,
        })
    }

    pub(super) fn patch_where(
        &mut self,
        at: usize,
        condition: usize,
        preconditions: &Preconditions,
    ) -> Answered<Decision> {
        match self.find(condition, View::BeforeUpdates)? {
            Found::Nothing => {
                Err(Fault::new(FaultKind::NotFound, "no resource matches the criteria"))
            }
            Found::Stored(key) => self.patch(&key, preconditions),
            Found::Made(other) => Err(self.twice(other, at)),
            Found::Several => Err(several()),
        }
    }
}
