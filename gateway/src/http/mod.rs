//! HTTP: every route on one screen.
//!
//! FHIR R4 under `/fhir` and `/fhir/R4`; health, metrics and the log's public files beside it. One file an interaction.
//! Not here: what an interaction does to data (`ingest`, `registry`), sockets (`server`).

mod allow;
pub mod binary;
pub mod body;
pub mod budget;
pub mod bundle;
pub mod call;
pub mod capability;
pub mod create;
pub mod delete;
mod deletions;
pub mod entry_read;
pub mod etag;
pub mod explain;
pub mod guard;
pub mod health;
pub mod history;
pub mod hosts;
pub mod ledger_files;
mod left_out;
pub mod line;
pub mod message;
mod message_tasks;
pub mod negotiate;
pub mod operation;
pub(crate) mod parameters;
pub mod part;
pub mod patch;
pub mod prefer;
pub mod read;
pub mod receipt;
pub mod reply;
pub mod search;
pub mod search_compartment;
pub mod search_system;
pub mod server;
pub mod shape;
mod sorted;
pub mod terminology;
pub mod transaction;
pub mod update;
pub mod vread;
pub mod well_known;

use actix_web::http::Method;
use actix_web::web::{self, ServiceConfig, scope, to};
use actix_web::{HttpResponse, Resource, Route, guard as when};

use self::allow::Offered;

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const PUT: Method = Method::PUT;
const PATCH: Method = Method::PATCH;
const DELETE: Method = Method::DELETE;

/// All routes.
pub fn routes(config: &mut ServiceConfig) {
    config
        .service(scope("/fhir/R4").configure(fhir))
        .service(scope("/fhir").configure(fhir))
        .service(place("/livez", [(GET, to(health::livez))]))
        .service(place("/readyz", [(GET, to(health::readyz))]))
        .service(place("/health", [(GET, to(health::health))]))
        .service(place("/metrics", [(GET, to(health::metrics))]))
        .service(place(SMART, [(GET, to(well_known::smart_configuration))]))
        .service(place("/hl7v2", [(POST, to(message::post))]))
        .service(place("/ledger/checkpoint", [(GET, to(ledger_files::checkpoint))]))
        .service(place("/ledger/trust", [(GET, to(ledger_files::trust))]))
        .service(place("/ledger/tile/{path:.*}", [(GET, to(ledger_files::tile))]))
        .default_service(web::to(nothing_here));
}

/// The FHIR interactions. A type is letters only, so that `_history` and `metadata` are no types. Paths are tried one by
/// one, so that what is asked most stands first.
fn fhir(config: &mut ServiceConfig) {
    let of_type = "/{type:[A-Z][A-Za-z]*}";
    let of_id = format!("{of_type}/{{id}}");
    config
        .service(the_type(of_type))
        .service(the_resource(&format!("{of_type}/{{id:[^_$/][^/]*}}")));
    let of_members = format!("{of_id}/{{member:[A-Z][A-Za-z]*|\\*}}");
    let of_version = format!("{of_id}/_history/{{version}}");
    for base in ["", "/"] {
        config.service(place(
            base,
            [(GET, to(search_system::search)), (POST, to(transaction::post))],
        ));
    }
    config
        .service(place("/metadata", [(GET, to(capability::capability))]))
        .service(place(SMART, [(GET, to(well_known::smart_configuration))]))
        .service(place("/_history", [(GET, to(history::of_system))]))
        .configure(operation::routes)
        .service(place("/_search", [(POST, to(search_system::search_by_post))]))
        .service(place(&format!("{of_type}/_search"), [(POST, to(search::search_by_post))]))
        .service(place(
            &format!("{of_id}/_search"),
            [(POST, to(search_compartment::search_all_by_post))],
        ))
        .service(place(
            &format!("{of_members}/_search"),
            [(POST, to(search_compartment::search_by_post))],
        ))
        .service(place(&of_members, [(GET, to(search_compartment::search))]))
        .service(place(&format!("{of_type}/$explain"), [(GET, to(explain::explain))]))
        .service(place(&format!("{of_version}/$receipt"), [(GET, to(receipt::receipt))]))
        // After all that are offered.
        .service(web::resource(OPERATIONS).to(operation::not_offered))
        .service(place(&format!("{of_type}/_history"), [(GET, to(history::of_type))]))
        .service(place(&of_version, [(GET, to(vread::vread))]))
        .service(place(&format!("{of_id}/_history"), [(GET, to(history::instance))]))
        // What is no id is told so.
        .service(the_resource(&of_id));
}

fn the_type(path: &str) -> Resource {
    place(
        path,
        [
            (GET, to(search::search)),
            (POST, to(create::create)),
            (PUT, to(update::update_where)),
            (PATCH, to(patch::patch_where)),
            (DELETE, to(delete::delete_where)),
        ],
    )
}

fn the_resource(path: &str) -> Resource {
    place(
        path,
        [
            (GET, to(read::read)),
            (PUT, to(update::update)),
            (PATCH, to(patch::patch)),
            (DELETE, to(delete::delete)),
        ],
    )
}

/// A path with its methods; any other is answered with 405 and `Allow` ([`allow`]). HEAD is answered wherever GET is, by
/// the same handler; the framework leaves the body out.
fn place<const N: usize>(path: &str, offered: [(Method, Route); N]) -> Resource {
    let methods = offered.iter().flat_map(|(method, _)| match *method {
        GET => vec![GET, Method::HEAD],
        _ => vec![method.clone()],
    });
    let methods = Offered(methods.collect());
    let refuse = || std::future::ready(HttpResponse::MethodNotAllowed().finish());
    let place = web::resource(path).app_data(methods).default_service(web::to(refuse));
    offered.into_iter().fold(place, |place, (method, route)| {
        place.route(match method {
            GET => route.guard(when::Any(when::Get()).or(when::Head())),
            method => route.method(method),
        })
    })
}

async fn nothing_here() -> HttpResponse {
    HttpResponse::NotFound().finish()
}

/// Operations at any level, by their dollar sign.
const OPERATIONS: [&str; 4] = [
    "/{operation:\\$[^/]*}",
    "/{type:[A-Z][A-Za-z]*}/{operation:\\$[^/]*}",
    "/{type:[A-Z][A-Za-z]*}/{id}/{operation:\\$[^/]*}",
    "/{type:[A-Z][A-Za-z]*}/{id}/_history/{version}/{operation:\\$[^/]*}",
];
const SMART: &str = "/.well-known/smart-configuration";
