//! What criteria mean within a transaction: what is stored and still there, and what its operations have made so far.
//!
//! Criteria of conditional interactions are asked before updates, conditional references once everything is written, patches
//! applied (FHIR R4 http.html section 3.1.0.11.2). What cannot be told is refused, never guessed.
//! Not here: whether criteria hold on a resource's bytes (`condition`), what the registry matched (`snapshot`), what an
//! operation does with the answer (`decide`).

use fhir::{ResourceKey, ResourceType};
use registry::search::pairs;
use registry::write_set::Action;

use super::{Decided, Decision};
use crate::condition::Candidates;
use crate::error::{Answered, Fault, FaultKind};

/// At which point of the transaction criteria are asked.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum View {
    /// Before updates: what one will change still is what it was.
    BeforeUpdates,
    /// Once everything is written.
    After,
}

/// What criteria mean.
pub(super) enum Found {
    Nothing,
    /// A resource that the transaction has not touched.
    Stored(ResourceKey),
    /// What this operation makes.
    Made(usize),
    Several,
}

impl Decided<'_> {
    /// The one resource that a conditional reference means once everything is written.
    ///
    /// # Errors
    /// 412 when there is none or several, 422 when that cannot be told.
    pub(crate) fn referred(&mut self, ask: usize) -> Answered<ResourceKey> {
        let (of, query) = self.snapshot.query(ask).expect("a conditional reference has criteria");
        let by = pairs(query).unwrap_or_default().into_iter().map(|(name, _)| name);
        let by = by.collect::<Vec<_>>().join(", ");
        let refused = |how: &str| {
            let text = format!("a conditional reference to {} by {by} matches {how}", of.name());
            Fault::new(FaultKind::PreconditionFailed, text)
        };
        match self.find(ask, View::After)? {
            Found::Stored(key) => Ok(key),
            Found::Made(at) => Ok(self.target(at).expect("what was made has a key").0),
            Found::Nothing => Err(refused("nothing; store that resource first")),
            Found::Several => Err(refused("several; narrow it to one")),
        }
    }

    /// What criteria find at this point: stored and still there, or made so far.
    pub(super) fn find(&mut self, ask: usize, view: View) -> Answered<Found> {
        let (of, query) = self.snapshot.query(ask).expect("criteria were asked");
        let known = self.snapshot.matches(ask);
        let mut left: Vec<ResourceKey> =
            known.iter().map(|id| ResourceKey::new(of, id.clone())).collect();
        left.retain(|key| match self.writers.get(key) {
            Some(writer) => view == View::BeforeUpdates && !self.deletes(*writer),
            None => true,
        });
        if left.len() < 2 && left.len() < known.len() && self.snapshot.is_cut(ask) {
            let text = "the transaction changes so much of what these criteria match that what is left \
                        cannot be told; send it in parts";
            return Err(Fault::new(FaultKind::Unprocessable, text));
        }
        let mut made = self.made_matching(of, query)?;
        if view == View::After {
            made.extend(self.patched_matching(of, query)?);
        }
        made.retain(|at| self.target(*at).is_none_or(|(key, _)| !left.contains(&key)));
        Ok(match (left.pop(), left.is_empty(), &made[..]) {
            (None, _, []) => Found::Nothing,
            (Some(key), true, []) => Found::Stored(key),
            (None, _, [only]) => Found::Made(*only),
            _ => Found::Several,
        })
    }

    fn deletes(&self, at: usize) -> bool {
        matches!(self.list[at], Some(Decision::Write { action: Action::Delete, .. }))
    }

    /// Operations that have made a resource which meets the criteria.
    fn made_matching(&mut self, of: ResourceType, query: &str) -> Answered<Vec<usize>> {
        let (list, nodes) = (&self.list, &self.nodes);
        let id_of = |at: usize| match &list[at] {
            Some(Decision::Write { key, action, .. }) if *action != Action::Delete => Some(&key.id),
            _ => None,
        };
        if self.writers.is_empty() {
            return Ok(Vec::new());
        }
        let (operations, base) = (&self.submission.operations, &self.submission.base);
        let reading = self.snapshot.reading();
        let candidates = self.made.entry(of).or_insert_with(|| {
            let makes = |at: &usize| operations[*at].verb.makes() == Some(of);
            let those = (0..operations.len()).filter(makes);
            Candidates::of(of, those.filter_map(|at| Some((at, nodes[at]?))), base, reading)
        });
        let matched = candidates.matching(query, id_of, reading).ok_or_else(too_many)?;
        if !matched.unknown.is_empty() {
            return self.same_criteria(&matched.unknown, of, query);
        }
        Ok(matched.holds)
    }

    /// Where the bytes do not tell: the same criteria have led to one of these before, or it cannot be said.
    fn same_criteria(
        &self,
        among: &[usize],
        of: ResourceType,
        query: &str,
    ) -> Answered<Vec<usize>> {
        let asked =
            |at: usize| self.plan.steps[at].condition.and_then(|ask| self.snapshot.query(ask));
        match among.iter().find(|at| asked(**at) == Some((of, query))) {
            Some(first) => Ok(vec![*first]),
            None => Err(Fault::new(
                FaultKind::Unprocessable,
                "whether a resource of the same transaction meets these criteria cannot be told; \
                 use its identifier, or refer to its entry by the fullUrl",
            )),
        }
    }

    /// Patches whose results meet criteria, once all of them are applied.
    fn patched_matching(&mut self, of: ResourceType, query: &str) -> Answered<Vec<usize>> {
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

fn too_many() -> Fault {
    let text = "too many criteria about resources of the same transaction; \
                refer to entries by their fullUrl";
    Fault::new(FaultKind::Unprocessable, text)
}
