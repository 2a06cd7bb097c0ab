//! `/ledger/…`: checkpoint, tiles and trust file, public, as any static web server could serve them.
//!
//! Spec: C2SP tlog-tiles. Full tiles never change and may be cached for ever. They hold nothing personal.
//! Not here: receipts, which do (`receipt`).

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::Path;
use ledger::TilePath;
use ledger::source::TileSource;

use super::call::Call;
use super::reply::Reply;
use crate::error::{Fault, FaultKind};
use crate::work;

/// The newest signed checkpoint.
///
/// # Errors
/// 404 before the first.
pub async fn checkpoint(call: Call) -> Reply {
    let Some(checkpoint) = call.app.ledger.checkpoint() else {
        return Err(Fault::new(FaultKind::NotFound, "no checkpoint has been published yet"));
    };
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/plain; charset=utf-8"))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .body(checkpoint.note().to_owned()))
}

/// A tile of hashes or a bundle of entries.
///
/// # Errors
/// 404 for what is no tile's name or not there.
pub async fn tile(call: Call, path: Path<String>) -> Reply {
    let absent = || Fault::new(FaultKind::NotFound, "no such tile");
    let path = TilePath::parse(&format!("tile/{path}")).map_err(|_| absent())?;
    let ledger = std::sync::Arc::clone(&call.app.ledger);
    let read = work::run(true, move || ledger.tiles().read(&path)).await?;
    let bytes = read.map_err(|error| {
        tracing::error!(cause = %error, "a tile cannot be read");
        Fault::new(FaultKind::Unavailable, "the tile cannot be read now")
    })?;
    let cache = if path.is_partial() { "no-cache" } else { "public, max-age=31536000, immutable" };
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "application/octet-stream"))
        .insert_header((header::CACHE_CONTROL, cache))
        .body(bytes.ok_or_else(absent)?))
}

/// The trust file of this log alone: what `sealway verify --trust` takes.
///
/// # Errors
/// None.
pub async fn trust(call: Call) -> Reply {
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "application/json"))
        .body(call.app.ledger.trust().to_json()))
}
