//! `Patient/$everything`: everything of all patients that the caller sees (FHIR R4 patient-operation-everything.html).
//!
//! Patient by patient, each with all that is in the compartment, in pages by `_cursor`. A resource of several patients comes
//! with each of them, once a page. Not here: the parameters and one patient alone (`everything`).

use std::collections::{BTreeSet, HashSet};

use actix_web::web::Payload;
use fhir::{ResourceKey, ResourceType};
use policy::{AccessRequest, Operation, OperationTarget, Permit};
use registry::page::{Cursor, HitMode, Page, StoredVersion};
use registry::search::{ParseOptions, Total, parse_pairs};

use super::everything::{
    Asked, Gathered, LOOKS_MAX, PAGE_BYTES_MAX, REFERRED_MAX, answer, include, left_out,
    note_references, parse,
};
use super::input::Input;
use super::members::{Member, Members};
use crate::access::Access;
use crate::clock;
use crate::error::{Answered, Fault, FaultKind};
use crate::http::call::Call;
use crate::http::reply::Reply;
use crate::telemetry::metrics::Interaction;

/// Everything of all patients.
///
/// # Errors
/// 400, 401, 403, 503.
pub(super) async fn of_patients(call: Call, payload: Payload) -> Reply {
    let call = call.as_interaction(Interaction::Operation)?;
    let target = OperationTarget::Type(ResourceType::PATIENT);
    let request = AccessRequest::Operation { operation: Operation::Everything, target };
    let (principal, permit) = call.permit(&request).await?;
    let input = Input::read(&call, payload).await?;
    let asked = Asked::of(&input, &call)?;
    let access = Access::of(&principal, Interaction::Operation, &call.request_id)
        .of_type(ResourceType::PATIENT)
        .query(call.query());
    let gathering = Gathering {
        call: &call,
        permit: &permit,
        asked: &asked,
        page: Gathered::begin(&asked),
        referred: BTreeSet::new(),
        taken: HashSet::new(),
        bytes: 0,
        looked: 0,
    };
    let mut gathered = gathering.all().await?;
    gathered.is_whole &= gathered.next.is_none();
    let left_out = left_out(ResourceType::PATIENT, &asked, &gathered, &permit);
    answer(&call, &input, gathered, left_out, access).await
}

/// A page in the making.
struct Gathering<'g> {
    call: &'g Call,
    permit: &'g Permit,
    asked: &'g Asked,
    page: Gathered,
    referred: BTreeSet<ResourceKey>,
    taken: HashSet<ResourceKey>,
    bytes: usize,
    looked: usize,
}

impl Gathering<'_> {
    async fn all(mut self) -> Answered<Gathered> {
        let mut place = match &self.asked.cursor {
            None => Place::default(),
            Some(cursor) => Place::read(cursor).ok_or_else(|| {
                Fault::new(FaultKind::Invalid, "_cursor does not belong to this request")
            })?,
        };
        loop {
            let found = self.patient(place.patient.as_ref()).await?;
            let Some(hit) = found.hits.first() else { break };
            if !self.one(&hit.version, &mut place).await? {
                self.page.next = Some(place.write());
                break;
            }
            let Some(next) = found.next else { break };
            place = Place { patient: Some(next), ..Place::default() };
        }
        include(self.call, self.permit, self.asked, None, self.referred, &mut self.page).await?;
        Ok(self.page)
    }

    /// The patient at a place of the search for all of them.
    async fn patient(&self, place: Option<&Cursor>) -> Answered<Page> {
        let base = self.call.bases();
        let options =
            ParseOptions { base_url: &base, lenient: false, now_us: clock::now_us(), codes: None };
        let mut query = parse_pairs(ResourceType::PATIENT, Vec::new(), &options)?;
        (query.count, query.total, query.cursor) = (1, Total::None, place.cloned());
        Ok(self.call.app.store.search(self.permit, &query).await?)
    }

    /// One patient with the members from a place on; false when the page is full before the last of them.
    async fn one(&mut self, own: &StoredVersion, place: &mut Place) -> Answered<bool> {
        if self.is_full() {
            return Ok(false);
        }
        if !place.is_begun {
            place.is_begun = true;
            self.take(own.clone()).await?;
        }
        let (types, since) = (self.asked.types, self.asked.since);
        let (call, permit) = (self.call, self.permit);
        let members = Members { call, permit, of: &own.key, types, since };
        loop {
            let (found, more) = members.after(place.member.as_ref(), self.asked.count).await?;
            let versions: Vec<StoredVersion> =
                found.iter().map(|one| one.version.clone()).collect();
            self.call.app.payloads.fetch(&versions).await?;
            for Member { version, place: after } in found {
                if self.is_full() {
                    return Ok(false);
                }
                self.take(version).await?;
                place.member = Some(after);
            }
            if !more {
                return Ok(true);
            }
        }
    }

    fn is_full(&self) -> bool {
        self.page.hits.len() >= self.asked.count
            || self.bytes > PAGE_BYTES_MAX
            || self.looked >= LOOKS_MAX
            || self.referred.len() > REFERRED_MAX
    }

    /// Adds a resource, if it is asked for and not there yet.
    async fn take(&mut self, version: StoredVersion) -> Answered<()> {
        self.looked += 1;
        if !self.asked.wants(&version) || self.taken.contains(&version.key) {
            return Ok(());
        }
        let body = self.call.app.payloads.open_listed(&version).await?;
        let tree = parse(&body)?;
        let of = version.key.resource_type;
        if of == ResourceType::PATIENT || self.asked.is_in_time(&tree, of) {
            note_references(&tree, &self.call.bases(), &mut self.referred);
            self.bytes += body.len();
            self.taken.insert(version.key.clone());
            self.page.hits.push((version, body, HitMode::Match));
        }
        Ok(())
    }
}

/// Where a page goes on: which patient, whether the patient himself was taken, and after which member.
#[derive(Default)]
struct Place {
    patient: Option<Cursor>,
    is_begun: bool,
    member: Option<Cursor>,
}

impl Place {
    fn write(&self) -> Cursor {
        let patient = self.patient.as_ref().map_or(&[][..], |cursor| &cursor.0);
        let member = self.member.as_ref().map_or(&[][..], |cursor| &cursor.0);
        let length = u16::try_from(patient.len()).expect("a cursor is shorter than 64 KiB");
        let head = [u8::from(self.is_begun)];
        Cursor([KIND, &head, &length.to_be_bytes(), patient, member].concat())
    }

    fn read(cursor: &Cursor) -> Option<Self> {
        let (&[is_begun, high, low], rest) = cursor.0.strip_prefix(KIND)?.split_first_chunk()?;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let (patient, member) = rest.split_at_checked(length)?;
        let some = |bytes: &[u8]| (!bytes.is_empty()).then(|| Cursor(bytes.to_vec()));
        Some(Self { patient: some(patient), is_begun: is_begun == 1, member: some(member) })
    }
}

/// What a cursor of these pages begins with.
const KIND: &[u8] = b"everything-of-all/";
