//! What becomes of a PATCH: a further version of what is there, never a new resource (FHIR R4 http.html#patch).

use fhir::{ResourceKey, ResourceType};
use registry::write_set::Action;

use super::{Decided, Decision, Found, View, several, too_many};
use crate::condition::Candidates;
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

    /// Patches whose results meet criteria, once all of them are applied.
    pub(super) fn patched_matching(
        &mut self,
        of: ResourceType,
        query: &str,
    ) -> Answered<Vec<usize>> {
        let (list, patched) = (&self.list, self.patched);
        let written = |at: usize| match &list[at] {
            Some(Decision::Write { key, .. }) => Some(key),
            _ => None,
        };
        let is_open = |at: usize| {
            written(at).is_some_and(|key| key.resource_type == of) && !patched.knows(at)
        };
        if self.patches.iter().any(|at| is_open(*at)) {
            let text = "what a PATCH of the same type makes is not known before references are resolved; \
                        refer to the resource by its id";
            return Err(Fault::new(FaultKind::Unprocessable, text));
        }
        if patched.is_empty() {
            return Ok(Vec::new());
        }
        let (reading, base) = (self.snapshot.reading(), &self.submission.base);
        let candidates = self.patched_as.entry(of).or_insert_with(|| {
            let those =
                patched.of_type(|at| written(at).is_some_and(|key| key.resource_type == of));
            Candidates::of(of, those, base, reading)
        });
        let id_of = |at: usize| written(at).map(|key| &key.id);
        let matched = candidates.matching(query, id_of, reading).ok_or_else(too_many)?;
        if !matched.unknown.is_empty() {
            let text = "whether what a PATCH of the same transaction makes meets these criteria cannot be told; \
                        use its identifier, or refer to it by its id";
            return Err(Fault::new(FaultKind::Unprocessable, text));
        }
        Ok(matched.holds)
    }
}
