//! What is in the compartment of a patient or an encounter, page by page.
//!
//! A patient's by the registry's own rows; an encounter's by one search for each parameter that makes a type a member
//! (FHIR R4 compartmentdefinition-encounter.html), one after the other. Not here: time of care, includes (`everything`).

use fhir::{Instant, ResourceKey, ResourceType, compartment_params};
use policy::{Permit, TypeSet};
use registry::page::{CompartmentQuery, Cursor, Page, StoredVersion};
use registry::search::{ParseOptions, Total, parse_pairs};

use crate::clock;
use crate::error::{Answered, Fault, FaultKind};
use crate::http::call::Call;

/// The members of one resource's compartment.
pub(super) struct Members<'c> {
    pub(super) call: &'c Call,
    pub(super) permit: &'c Permit,
    pub(super) of: &'c ResourceKey,
    pub(super) types: TypeSet,
    pub(super) since: Option<Instant>,
}

/// One member, and where to go on after it.
pub(super) struct Member {
    pub(super) version: StoredVersion,
    pub(super) place: Cursor,
}

impl Members<'_> {
    /// At most so many members after a place, and whether there are more.
    ///
    /// # Errors
    /// 400 for a place of something else, 503.
    pub(super) async fn after(
        &self,
        place: Option<&Cursor>,
        count: usize,
    ) -> Answered<(Vec<Member>, bool)> {
        if self.of.resource_type == ResourceType::PATIENT {
            return self.of_patient(place, count).await;
        }
        self.by_searches(place, count).await
    }

    async fn of_patient(
        &self,
        place: Option<&Cursor>,
        count: usize,
    ) -> Answered<(Vec<Member>, bool)> {
        let query = CompartmentQuery {
            patient: self.of.id.clone(),
            types: self.types,
            since: self.since,
            count,
            cursor: place.cloned(),
        };
        let page = self.call.app.store.compartment(self.permit, &query).await?;
        let members = page.members.into_iter();
        let members = members.map(|(version, place)| Member { version, place }).collect();
        Ok((members, page.is_more))
    }

    /// The searches stand in a fixed order; a place is the number of one and the place in it, so that nothing that is
    /// written meanwhile moves what is still to come.
    async fn by_searches(
        &self,
        place: Option<&Cursor>,
        count: usize,
    ) -> Answered<(Vec<Member>, bool)> {
        let (mut at, mut from) = match place {
            None => (0, None),
            Some(place) => read_place(place).ok_or_else(|| {
                Fault::new(FaultKind::Invalid, "_cursor does not belong to this request")
            })?,
        };
        let searches = self.searches();
        let mut members = Vec::new();
        while let Some((of, code)) = searches.get(at) {
            if members.len() >= count {
                return Ok((members, true));
            }
            let wanted = u32::try_from(count - members.len()).unwrap_or(u32::MAX);
            let page = self.search(*of, code, from.take(), wanted).await?;
            for (hit, place) in page.hits.into_iter().zip(page.places) {
                let version = hit.version;
                let is_repeated = self.is_repeated(&version, &searches[..at]).await?;
                if !is_repeated && self.since.is_none_or(|since| version.updated >= since) {
                    members.push(Member { version, place: write_place(at, &place) });
                }
            }
            match page.next {
                Some(next) => from = Some(next),
                None => at += 1,
            }
        }
        Ok((members, false))
    }

    /// Type and parameter of each search.
    fn searches(&self) -> Vec<(ResourceType, &'static str)> {
        let mut searches = Vec::new();
        for of in self.types.intersection(self.permit.types()).iter() {
            let params = compartment_params(self.of.resource_type, of);
            searches.extend(params.iter().map(|param| (of, param.code)));
        }
        searches
    }

    async fn search(
        &self,
        of: ResourceType,
        code: &str,
        from: Option<Cursor>,
        count: u32,
    ) -> Answered<Page> {
        self.matching(of, vec![(code.to_owned(), self.of.to_string())], from, count).await
    }

    /// Whether an earlier search of the same type has found it already.
    async fn is_repeated(
        &self,
        version: &StoredVersion,
        earlier: &[(ResourceType, &'static str)],
    ) -> Answered<bool> {
        let of = version.key.resource_type;
        for (_, code) in earlier.iter().filter(|(one, _)| *one == of) {
            let id = ("_id".to_owned(), version.key.id.as_str().to_owned());
            let pairs = vec![((*code).to_owned(), self.of.to_string()), id];
            if !self.matching(of, pairs, None, 1).await?.hits.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn matching(
        &self,
        of: ResourceType,
        pairs: Vec<(String, String)>,
        from: Option<Cursor>,
        count: u32,
    ) -> Answered<Page> {
        let base = self.call.bases();
        let options =
            ParseOptions { base_url: &base, lenient: false, now_us: clock::now_us(), codes: None };
        let mut query = parse_pairs(of, pairs, &options)?;
        (query.count, query.cursor) = (count, from);
        query.total = Total::None;
        query.each_place = true;
        Ok(self.call.app.store.search(self.permit, &query).await?)
    }
}

fn write_place(at: usize, place: &Cursor) -> Cursor {
    let at = u8::try_from(at).expect("a compartment has less than 256 searches");
    Cursor([KIND, &[at], &place.0].concat())
}

/// Number of the search, and the place in it.
fn read_place(place: &Cursor) -> Option<(usize, Option<Cursor>)> {
    let (at, rest) = place.0.strip_prefix(KIND)?.split_first()?;
    Some((usize::from(*at), Some(Cursor(rest.to_vec()))))
}

/// What a place among the members of an encounter begins with.
const KIND: &[u8] = b"encounter-everything/2/";
