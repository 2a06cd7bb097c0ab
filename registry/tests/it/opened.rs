//! Orders by codes and identifiers, which the index holds as hashes: the contents are opened. The expected orders follow
//! from the codes below and `docs/search.md`, *Order*.

use std::sync::Arc;

use fhir::{Instant, ResourceType, VersionId};
use policy::{AccessRequest, Permit, Principal, Role};
use registry::error::ReadError;
use registry::page::{HitMode, Page};
use registry::search::{
    ContentKeys, ParseOptions, SORT_OPENED_MAX, SORT_STORED_BYTES_MAX, SearchQuery, SearchTarget,
    pairs, parse_at,
};
use registry::store::Store;
use registry::write_set::{Finish, Finished, Write};
use serde_json::{Value as Json, json};

use crate::engines::{Site, on_each_engine};
use crate::oracle::corpus;
use crate::sets::{id, set};

/// As the gateway does it, with contents by `Type/id`.
pub(crate) async fn search(
    store: &dyn Store,
    permit: &Permit,
    query: &SearchQuery,
    content: impl Fn(&str) -> Vec<u8>,
) -> Result<Page, ReadError> {
    let Some(keys) = ContentKeys::of(query) else { return store.search(permit, query).await };
    let unsorted = store.unsorted(permit, query).await?;
    let read = unsorted.versions().map(|version| {
        let key = &version.key;
        keys.read(key.resource_type, content(&key.to_string()))
    });
    let read = read.collect::<Result<Vec<_>, _>>()?;
    let matches = unsorted.sorted(query, read, store.index_key())?;
    store.page_of(permit, query, matches).await
}

#[test]
fn codes_are_ordered_by_their_text_in_either_direction_and_those_without_come_last() {
    on_each_engine(async |site| {
        let all = write(site, observations()).await;

        for (query, expected) in [
            // Of several codes the first counts, backwards the last; a text alone is no code. Capitals come first.
            ("Observation?_sort=code", "several upper b1 b2 lower text none"),
            ("Observation?_sort=-code", "lower several b1 b2 upper text none"),
            ("Observation?_sort=code,-_id", "several upper b2 b1 lower text none"),
            ("Observation?_sort=-status,code", "several upper lower text none b1 b2"),
            ("Observation?_sort=date,-code", "lower b1 several upper b2 text none"),
            ("Observation?_sort=status,-date,code", "b2 b1 none text several upper lower"),
            ("Observation?_sort=identifier&identifier:missing=false", "b2 b1"),
            ("Observation?_sort=-identifier&_count=2", "b1 b2"),
            ("Observation?_sort=code&status=amended", "b1 b2"),
            ("Observation?_sort=code&_id=none,text,b2", "b2 text none"),
        ] {
            assert_eq!(found(site, &all, query).await, expected, "{query} on {}", site.engine);
        }
    });
}

#[test]
fn pages_of_opened_codes_lead_on_and_back_with_includes_and_total() {
    on_each_engine(async |site| {
        let all = write(site, observations()).await;
        let text = "Observation?_sort=code&_count=3&_include=Observation:subject";

        let first = page(site, &all, text).await.unwrap();
        assert_eq!(ids(&first), "several upper b1 +p1");
        assert_eq!(first.total, Some(7));
        assert!(first.previous.is_none());
        let query = query(text).unwrap();
        let at = |link: &str| format!("Observation?{link}");
        let next = query.page_query(first.next.as_ref().unwrap());
        let second = page(site, &all, &at(&next)).await.unwrap();
        assert_eq!(ids(&second), "b2 lower text +p1");
        assert_eq!(second.total, Some(7));
        let last = query.page_query(second.next.as_ref().unwrap());
        let last = page(site, &all, &at(&last)).await.unwrap();
        assert_eq!(ids(&last), "none +p1");
        assert!(last.next.is_none());
        let back = query.page_query(second.previous.as_ref().unwrap());
        let back = page(site, &all, &at(&back)).await.unwrap();
        assert_eq!(ids(&back), "several upper b1 +p1");

        // A link of this search opens no other, and no key is readable in it.
        let foreign = next.replace("_sort=code", "_sort=-code");
        let refused = page(site, &all, &at(&foreign)).await;
        assert!(matches!(refused, Err(ReadError::Invalid(_))));
        let none = page(site, &all, "Observation?_sort=code&_total=none&_count=1").await.unwrap();
        assert_eq!(none.total, None);
        let count = page(site, &all, "Observation?_sort=code&_count=0").await.unwrap();
        assert_eq!((count.total, count.hits.len()), (Some(7), 0));
    });
}

#[test]
fn what_is_written_meanwhile_stands_where_its_code_puts_it_and_moves_nothing_else() {
    on_each_engine(async |site| {
        let mut all = write(site, observations()).await;
        let text = "Observation?_sort=code&_count=3";
        let first = page(site, &all, text).await.unwrap();
        assert_eq!(ids(&first), "several upper b1");

        let coded = |id: &str, code: &str| {
            json!({"resourceType": "Observation", "id": id, "status": "final",
                "code": {"coding": [{"code": code}]}, "effectiveDateTime": "2020-01-01"})
        };
        all.extend(write(site, vec![coded("before", "AA"), coded("behind", "c")]).await);

        let next = query(text).unwrap().page_query(first.next.as_ref().unwrap());
        let second = page(site, &all, &format!("Observation?{next}")).await.unwrap();
        assert_eq!(ids(&second), "b2 behind lower");
        assert_eq!(second.total, Some(9));
    });
}

#[test]
fn several_types_and_compartments_stand_in_one_order_of_codes() {
    on_each_engine(async |site| {
        let tag = |code: &str| json!({"tag": [{"system": "urn:t", "code": code}]});
        let all = vec![
            json!({"resourceType": "Patient", "id": "p1", "meta": tag("b")}),
            json!({"resourceType": "Patient", "id": "p2", "meta": tag("d")}),
            json!({"resourceType": "Condition", "id": "c1", "meta": tag("a"), "subject": {"reference": "Patient/p1"}}),
            json!({"resourceType": "Condition", "id": "c2", "meta": tag("c"), "subject": {"reference": "Patient/p2"}}),
            json!({"resourceType": "Condition", "id": "c3", "subject": {"reference": "Patient/p1"}}),
        ];
        let all = write(site, all).await;

        assert_eq!(
            found(site, &all, "?_type=Patient,Condition&_sort=_tag").await,
            "c1 p1 c2 p2 c3"
        );
        assert_eq!(
            found(site, &all, "?_type=Patient,Condition&_sort=-_tag").await,
            "p2 c2 p1 c1 c3"
        );
        assert_eq!(found(site, &all, "Patient/p1/*?_sort=-_tag").await, "p1 c1 c3");
        assert_eq!(found(site, &all, "Patient/p1/Condition?_sort=_tag").await, "c1 c3");
    });
}

#[test]
fn nothing_is_opened_that_the_caller_may_not_see() {
    on_each_engine(async |site| {
        let mut all = observations();
        all.push(json!({"resourceType": "Observation", "id": "hidden", "status": "final",
            "code": {"coding": [{"code": "0"}]}, "subject": {"reference": "Patient/p2"}}));
        write(site, all).await;
        let principal = Principal::builder("user").role(Role::Patient).scopes("patient/*.rs");
        let principal = principal.patient(id("p1")).build();
        let asked = AccessRequest::Search(ResourceType::parse("Observation").unwrap());
        let permit = policy::decide(&principal, &asked).unwrap();

        let query = query("Observation?_sort=code").unwrap();
        let unsorted = site.store.unsorted(&permit, &query).await.unwrap();

        let mut seen: Vec<_> = unsorted.versions().map(|one| one.key.id.to_string()).collect();
        seen.sort_unstable();
        assert_eq!(seen, ["b1", "b2", "lower", "none", "several", "text", "upper"]);
    });
}

#[test]
fn more_matches_than_may_be_opened_are_refused_with_what_to_do() {
    on_each_engine(async |site| {
        let many = |at: usize| {
            json!({"resourceType": "Basic", "id": format!("x{at}"), "code": {"coding": [{"code": format!("{}", at % 7)}]},
                "created": if at == 0 { "2021-01-01" } else { "2020-01-01" }})
        };
        let all = write(site, (0..=SORT_OPENED_MAX).map(many).collect()).await;

        let refused = page(site, &all, "Basic?_sort=code").await.unwrap_err().to_string();
        let within = page(site, &all, "Basic?_sort=-code&created=lt2021&_count=4").await.unwrap();

        assert!(refused.contains("2000") && refused.contains("narrow"), "{refused}");
        assert!(refused.contains("code"), "{refused}");
        assert_eq!(within.total, Some(2_000));
        assert_eq!(ids(&within), "x6 x13 x20 x27");
        // Whoever cannot open gets no other order instead.
        let query = query("Basic?_sort=code").unwrap();
        let unopened = site.store.search(&Permit::maintenance(), &query).await;
        assert!(matches!(unopened, Err(ReadError::Unsupported(text)) if text.contains("code")));
    });
}

#[test]
fn matches_that_are_too_long_to_be_opened_together_are_refused() {
    struct Long;
    impl Finish for Long {
        fn finish(&self, _version: VersionId, _updated: Instant) -> Finished {
            Finished { payload: vec![7; LONG_BYTES], entry: [7; 36], salt_id: [9; 16] }
        }
    }
    on_each_engine(async |site| {
        let count = SORT_STORED_BYTES_MAX / LONG_BYTES + 1;
        let long = |at: usize| {
            let json = json!({"resourceType": "Basic", "id": format!("x{at}"), "code": {"coding": [{"code": "a"}]},
                "created": if at == 0 { "2021-01-01" } else { "2020-01-01" }});
            Write { finish: Arc::new(Long), ..corpus::make(&json, site.store.index_key()) }
        };
        for some in (0..count).collect::<Vec<_>>().chunks(16) {
            site.store.commit(set(some.iter().map(|at| long(*at)).collect())).await.unwrap();
        }
        let unsorted = async |text: &str| {
            let query = query(text).unwrap();
            site.store
                .unsorted(&Permit::maintenance(), &query)
                .await
                .map(|all| all.versions().len())
        };

        let refused = unsorted("Basic?_sort=code").await.unwrap_err();
        let within = unsorted("Basic?_sort=code&created=lt2021").await.unwrap();

        assert!(
            matches!(&refused, ReadError::TooCostly(text) if text.contains("32 MiB")),
            "{refused}"
        );
        assert_eq!(within, count - 1);
    });
}

#[test]
fn what_has_no_order_is_refused_by_name() {
    for text in [
        "Observation?_sort=code-value-quantity",
        "Location?_sort=near",
        "Patient?_sort=_text",
        "?_type=Patient,Observation&_sort=code",
    ] {
        let refused = query(text).unwrap_err().to_string();
        let name = text.rsplit('=').next().unwrap();
        assert!(refused.contains(name), "{text}: {refused}");
    }
}

fn observations() -> Vec<Json> {
    let coded = |id: &str, codings: Json, day: u32, status: &str| {
        json!({"resourceType": "Observation", "id": id, "status": status, "code": codings,
            "effectiveDateTime": format!("2020-01-{day:02}"), "subject": {"reference": "Patient/p1"}})
    };
    let code = |code: &str, system: &str| json!({"coding": [{"code": code, "system": system}]});
    let several = json!({"coding": [{"system": "urn:x", "code": "A"}, {"code": "c"}]});
    let mut b1 = coded("b1", code("b", "urn:z"), 2, "amended");
    b1["identifier"] = json!([{"system": "urn:a", "value": "2"}]);
    let mut b2 = coded("b2", code("b", "urn:a"), 4, "amended");
    b2["identifier"] = json!([{"system": "urn:z", "value": "10"}]);
    let none = json!({"resourceType": "Observation", "id": "none", "status": "final",
        "effectiveDateTime": "2020-01-06", "subject": {"reference": "Patient/p1"}});
    vec![
        json!({"resourceType": "Patient", "id": "p1"}),
        json!({"resourceType": "Patient", "id": "p2"}),
        coded("lower", code("d", "urn:a"), 1, "final"),
        b1,
        coded("upper", code("B", "urn:a"), 3, "final"),
        coded("several", several, 3, "final"),
        b2,
        coded("text", json!({"text": "a"}), 5, "final"),
        none,
    ]
}

/// What was written.
type All = Vec<Json>;

async fn write(site: &Site, all: Vec<Json>) -> All {
    corpus::write(&*site.store, site.store.index_key(), all.clone()).await;
    all
}

fn query(text: &str) -> Result<SearchQuery, ReadError> {
    let (path, query) = text.split_once('?').unwrap();
    let target = match path.split('/').collect::<Vec<_>>()[..] {
        [""] => SearchTarget::System,
        [of] => SearchTarget::Type(ResourceType::parse(of).unwrap()),
        [of, id, member] => SearchTarget::Compartment {
            owner: crate::sets::key(&format!("{of}/{id}")),
            member: ResourceType::parse(member),
        },
        _ => panic!("{path}"),
    };
    let base_url = "http://example.org/fhir";
    let options = ParseOptions { base_url, lenient: false, now_us: 0, codes: None };
    parse_at(&target, pairs(query)?, &options)
}

async fn page(site: &Site, all: &All, text: &str) -> Result<Page, ReadError> {
    let content = |key: &str| {
        let is_it =
            |one: &&Json| format!("{}/{}", one["resourceType"], one["id"]).replace('"', "") == key;
        all.iter().find(is_it).unwrap().to_string().into_bytes()
    };
    search(&*site.store, &Permit::maintenance(), &query(text).unwrap(), content).await
}

/// Ids in their order; those of includes with a plus.
fn ids(page: &Page) -> String {
    let id = |hit: &registry::page::Hit| match hit.mode {
        HitMode::Match => hit.version.key.id.to_string(),
        HitMode::Include => format!("+{}", hit.version.key.id),
    };
    page.hits.iter().map(id).collect::<Vec<_>>().join(" ")
}

async fn found(site: &Site, all: &All, text: &str) -> String {
    ids(&page(site, all, text).await.unwrap())
}

/// As a version is stored that is nearly large enough for the object store.
const LONG_BYTES: usize = 256 * 1024;
