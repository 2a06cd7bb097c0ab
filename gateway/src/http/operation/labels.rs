//! `$meta` of a type and of everything: all profiles, security labels and tags in use (FHIR R4 resource-operation-meta.html).
//!
//! A page looks at a bounded number of resources that have a label; where there are more, the parameter `next` is the URL that
//! goes on, and the labels are those of this page. Only what the caller may search counts.
//! Not here: labels of one resource (`meta`).

use std::collections::BTreeMap;

use actix_web::web::Payload;
use fhir::{Node, ResourceType, Tree, write_json_string};
use policy::Permit;
use registry::page::{Cursor, StoredVersion};
use registry::search::{CURSOR, ParseOptions, SearchTarget, Total, parse_at};

use super::input::Input;
use crate::access::{self, Access};
use crate::clock;
use crate::error::{Answered, Fault, FaultKind};
use crate::http::call::{Call, resource_type};
use crate::http::reply::{self, Reply};
use crate::http::search::requested;
use crate::telemetry::metrics::Interaction;

/// Labels in use on resources of a type.
///
/// # Errors
/// 400, 401, 403, 503.
pub(super) async fn of_type(call: Call, payload: Payload) -> Reply {
    let of = resource_type(call.type_name())?;
    labels(call, payload, SearchTarget::Type(of)).await
}

/// Labels in use anywhere.
///
/// # Errors
/// As [`of_type`].
pub(super) async fn of_system(call: Call, payload: Payload) -> Reply {
    labels(call, payload, SearchTarget::System).await
}

async fn labels(call: Call, payload: Payload, target: SearchTarget) -> Reply {
    let call = call.as_interaction(Interaction::Operation)?;
    let principal = call.principal().await?;
    if target == SearchTarget::Type(ResourceType::AUDIT_EVENT) {
        let text = "AuditEvents have no labels";
        return Err(Fault::new(FaultKind::Unsupported, text));
    }
    let request = requested(&principal, &target, "")?;
    let permit = call.permit_of(&principal, &request).await?;
    let input = Input::read(&call, payload).await?;
    input.expect_only(&["_count", CURSOR])?;
    let limits = &call.app.config.search;
    let count = input.parsed("_count", |text| text.parse::<u32>().ok())?;
    let count = count.unwrap_or(limits.count_max).clamp(1, limits.count_max);
    let place = match input.parsed(CURSOR, Cursor::decode)? {
        None => Place::default(),
        Some(cursor) => Place::read(&cursor).ok_or_else(|| {
            Fault::new(FaultKind::Invalid, "_cursor does not belong to this request")
        })?,
    };
    let mut access =
        Access::of(&principal, Interaction::Operation, &call.request_id).query(call.query());
    if let Some(of) = target.one_type() {
        access = access.of_type(of);
    }
    let mut found = Found::default();
    let next = look(&call, &permit, &target, (place, count), &mut found, &mut access).await?;
    let next = next.map(|place| {
        let own = call.url();
        let pairs =
            [("_count".to_owned(), count.to_string()), (CURSOR.to_owned(), place.write().encode())];
        format!("{own}?{}", registry::search::render(&pairs))
    });
    access::record(&call.app, access).await?;
    Ok(reply::json(&call, 200, found.parameters(next.as_deref())))
}

/// Looks at so many resources from a place on; gives where it goes on.
async fn look(
    call: &Call,
    permit: &Permit,
    target: &SearchTarget,
    (mut place, count): (Place, u32),
    found: &mut Found,
    access: &mut Access,
) -> Answered<Option<Place>> {
    let base = call.bases();
    let options =
        ParseOptions { base_url: &base, lenient: false, now_us: clock::now_us(), codes: None };
    let mut left = count;
    while let Some(name) = SEARCHES.get(usize::from(place.search)) {
        let pairs = vec![((*name).to_owned(), "false".to_owned())];
        let mut query = parse_at(target, pairs, &options)?;
        (query.count, query.total, query.cursor) = (left, Total::None, place.cursor.take());
        let page = call.app.store.search(permit, &query).await?;
        let versions: Vec<StoredVersion> = page.hits.into_iter().map(|hit| hit.version).collect();
        call.app.payloads.fetch(&versions).await?;
        for version in &versions {
            found.add(&call.app.payloads.open_listed(version).await?)?;
            access.saw(&call.app.payloads, version);
        }
        left = left.saturating_sub(u32::try_from(versions.len()).unwrap_or(u32::MAX));
        match page.next {
            Some(next) => return Ok(Some(Place { cursor: Some(next), ..place })),
            None => place.search += 1,
        }
        if left == 0 {
            break;
        }
    }
    Ok((usize::from(place.search) < SEARCHES.len()).then_some(place))
}

/// Labels, each once, as they were written first.
#[derive(Default)]
struct Found {
    profiles: BTreeMap<String, ()>,
    security: BTreeMap<(String, String), Vec<u8>>,
    tags: BTreeMap<(String, String), Vec<u8>>,
}

impl Found {
    fn add(&mut self, body: &[u8]) -> Answered<()> {
        let tree = Tree::parse(body.to_vec())
            .map_err(|_| Fault::new(FaultKind::Internal, "a stored resource is damaged"))?;
        let Some(meta) = tree.root().get("meta") else { return Ok(()) };
        let list = |name| meta.get(name).into_iter().flat_map(Node::children);
        for profile in list("profile").filter_map(|one| one.as_str()) {
            self.profiles.insert(profile.into_owned(), ());
        }
        for (name, into) in [("security", &mut self.security), ("tag", &mut self.tags)] {
            for one in list(name) {
                let text = |name| {
                    one.get(name)
                        .and_then(Node::as_str)
                        .map_or_else(String::new, std::borrow::Cow::into_owned)
                };
                into.entry((text("system"), text("code"))).or_insert_with(|| one.raw().to_vec());
            }
        }
        Ok(())
    }

    /// `Parameters` with the labels; a Meta without any says when it was made, since no element may be empty.
    fn parameters(&self, next: Option<&str>) -> Vec<u8> {
        let profiles = self.profiles.keys().map(|profile| {
            let mut json = Vec::new();
            write_json_string(profile, &mut json);
            json
        });
        let lists = [
            ("profile", profiles.collect::<Vec<_>>()),
            ("security", self.security.values().cloned().collect()),
            ("tag", self.tags.values().cloned().collect()),
        ];
        let mut members: Vec<Vec<u8>> = lists
            .into_iter()
            .filter(|(_, list)| !list.is_empty())
            .map(|(name, list)| {
                [format!("\"{name}\":[").as_bytes(), &list.join(&b','), b"]"].concat()
            })
            .collect();
        if members.is_empty() {
            members.push(format!("\"lastUpdated\":\"{}\"", clock::now()).into_bytes());
        }
        let mut out = HEAD.to_vec();
        out.extend_from_slice(&members.join(&b','));
        out.extend_from_slice(b"}}");
        if let Some(next) = next {
            out.extend_from_slice(b",{\"name\":\"next\",\"valueUrl\":");
            write_json_string(next, &mut out);
            out.push(b'}');
        }
        out.extend_from_slice(b"]}");
        out
    }
}

/// Where a page goes on.
#[derive(Default)]
struct Place {
    search: u8,
    cursor: Option<Cursor>,
}

impl Place {
    fn write(&self) -> Cursor {
        let cursor = self.cursor.as_ref().map_or(&[][..], |cursor| &cursor.0);
        Cursor([KIND, &[self.search], cursor].concat())
    }

    fn read(cursor: &Cursor) -> Option<Self> {
        let (search, rest) = cursor.0.strip_prefix(KIND)?.split_first()?;
        let cursor = (!rest.is_empty()).then(|| Cursor(rest.to_vec()));
        Some(Self { search: *search, cursor })
    }
}

/// One search for each kind of label: those that have one.
const SEARCHES: [&str; 3] = ["_profile:missing", "_security:missing", "_tag:missing"];
const KIND: &[u8] = b"labels-in-use/1/";
const HEAD: &[u8] =
    b"{\"resourceType\":\"Parameters\",\"parameter\":[{\"name\":\"return\",\"valueMeta\":{";
