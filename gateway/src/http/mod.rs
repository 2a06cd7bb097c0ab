//! HTTP: every route on one screen.
//!
//! FHIR R4 under `/fhir` and `/fhir/R4`; health, metrics and the log's public files beside it. One file an interaction.
//! Not here: what an interaction does to data (`ingest`, `registry`), sockets (`server`).

pub mod body;
pub mod budget;
pub mod bundle;
pub mod call;
pub mod capability;
pub mod create;
pub mod delete;
pub mod entry_read;
pub mod etag;
pub mod guard;
pub mod health;
pub mod history;
pub mod hosts;
pub mod ledger_files;
pub mod message;
pub mod negotiate;
pub mod prefer;
pub mod read;
pub mod receipt;
pub mod reply;
pub mod search;
pub mod server;
pub mod transaction;
pub mod update;
pub mod vread;
pub mod well_known;

use actix_web::web::{self, ServiceConfig, delete, get, head, post, put, resource, scope};

/// All routes.
pub fn routes(config: &mut ServiceConfig) {
    config
        .route("/livez", get().to(health::livez))
        .route("/readyz", get().to(health::readyz))
        .route("/health", get().to(health::health))
        .route("/metrics", get().to(health::metrics))
        .route("/.well-known/smart-configuration", get().to(well_known::smart_configuration))
        .route("/hl7v2", post().to(message::post))
        .route("/ledger/checkpoint", get().to(ledger_files::checkpoint))
        .route("/ledger/trust", get().to(ledger_files::trust))
        .route("/ledger/tile/{path:.*}", get().to(ledger_files::tile))
        .service(scope("/fhir/R4").configure(fhir))
        .service(scope("/fhir").configure(fhir))
        .default_service(web::to(nothing_here));
}

/// The FHIR interactions. A type is letters only, so that `_history` and `metadata` are no types.
fn fhir(config: &mut ServiceConfig) {
    let of_type = "/{type:[A-Z][A-Za-z]*}";
    let of_id = format!("{of_type}/{{id}}");
    let of_version = format!("{of_id}/_history/{{version}}");
    config
        .service(
            resource(["", "/"])
                .route(post().to(transaction::post))
                .route(get().to(search::search_system)),
        )
        .route("/metadata", get().to(capability::capability))
        .route("/metadata", head().to(capability::capability))
        .route("/.well-known/smart-configuration", get().to(well_known::smart_configuration))
        .route("/_history", get().to(history::of_system))
        .service(resource(format!("{of_type}/_search")).route(post().to(search::search_by_post)))
        .service(resource(format!("{of_type}/_history")).route(get().to(history::of_type)))
        .service(
            resource(of_type)
                .route(get().to(search::search))
                .route(head().to(search::search))
                .route(post().to(create::create))
                .route(put().to(update::update_where))
                .route(delete().to(delete::delete_where)),
        )
        .service(resource(format!("{of_version}/$receipt")).route(get().to(receipt::receipt)))
        .service(resource(of_version).route(get().to(vread::vread)).route(head().to(vread::vread)))
        .service(resource(format!("{of_id}/_history")).route(get().to(history::instance)))
        .service(
            resource(of_id)
                .route(get().to(read::read))
                .route(head().to(read::read))
                .route(put().to(update::update))
                .route(delete().to(self::delete::delete)),
        );
}

async fn nothing_here() -> actix_web::HttpResponse {
    actix_web::HttpResponse::NotFound().finish()
}
