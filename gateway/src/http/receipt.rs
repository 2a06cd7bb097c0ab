//! `GET [type]/[id]/_history/[version]/$receipt`: the self-contained proof of one version.
//!
//! The receipt discloses the salt of its commitment, so it is for those who may see the content. Before the
//! entry is under a checkpoint the receipt says so (it verifies as pending) and the answer has `Retry-After`;
//! `?wait=SECONDS` waits for the checkpoint, at most ten. A deletion has a receipt as well; the bytes that were sealed of
//! it, which name what was deleted and when, are answered with `?content=true`.
//! Not here: verification (`ledger::verify`), the log's public files (`ledger_files`).

use std::time::{Duration, Instant};

use actix_web::http::header::{self, HeaderValue};
use actix_web::web::Path;
use fhir::VersionKey;
use ledger::{ContentHash, EntryBody, Kind, Receipt, ResourceReference, Salt, Sealed};
use policy::AccessRequest;
use registry::page::StoredVersion;
use repository::SaltKey;

use super::call::Call;
use super::parameters;
use super::reply::{self, Reply};
use super::vread::version_key;
use crate::access::{self, Access};
use crate::app::App;
use crate::error::{Answered, Fault, FaultKind};
use crate::telemetry::metrics::Interaction;
use crate::work;

/// Answers the receipt of one version, tombstones included.
///
/// # Errors
/// 400, 401, 403, 404, 410 after erasure, 503.
pub async fn receipt(call: Call, path: Path<(String, String, String)>) -> Reply {
    let call = call.as_interaction(Interaction::Operation)?;
    let version = version_key(&path.0, &path.1, &path.2)?;
    let asked = Asked::of(call.http.query_string())?;
    let (principal, permit) = call.permit(&AccessRequest::Receipt(version.clone())).await?;
    let found = call.app.store.vread(&permit, &version).await?;
    let access = Access::of(&principal, Interaction::Operation, &call.request_id)
        .on(version.key.clone())
        .version(version.version);
    let Some(stored) = found else {
        access::record(&call.app, access.refused(404)).await?;
        return Err(Fault::not_found());
    };
    if asked.content && !stored.is_tombstone() {
        access::record(&call.app, access.refused(400)).await?;
        let text = "content is asked of deletions; of any other version it is what a read answers";
        return Err(Fault::new(FaultKind::Invalid, text).in_parameter("content"));
    }
    let (body, salt_key) = call.app.payloads.open_with_salt(&stored).await?;
    if asked.content {
        access::record(&call.app, access.seeing(&call.app.payloads, &stored)).await?;
        return Ok(reply::plain(&call, reply::FHIR_JSON, body));
    }
    seal_awaited(&call.app, &version, asked.wait).await?;
    let receipt = make(&call.app, &version, &stored, &body, &salt_key).await?;
    access::record(&call.app, access.seeing(&call.app.payloads, &stored)).await?;
    let mut answer = reply::plain(&call, "application/json", receipt.to_json());
    if receipt.sealed.is_none() {
        let seconds = call.app.config.ledger.checkpoint_ms.div_ceil(1000).max(1);
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    Ok(answer)
}

/// What is asked of a receipt.
#[derive(Default)]
struct Asked {
    /// How long the caller waits for the seal: whole seconds, bounded; none without it.
    wait: Duration,
    /// The sealed bytes of a deletion instead of the receipt: no read answers them.
    content: bool,
}

impl Asked {
    fn of(query: &str) -> Answered<Self> {
        let invalid =
            |name: &str, text: &str| Fault::new(FaultKind::Invalid, text).in_parameter(name);
        let mut asked = Self::default();
        for (name, value) in parameters::others(query)? {
            match (name.as_str(), value.as_str()) {
                ("wait", value) => {
                    let text = format!("wait is a number of seconds, at most {WAIT_SECONDS_MAX}");
                    let seconds = value.parse::<u64>().map_err(|_| invalid("wait", &text))?;
                    asked.wait = Duration::from_secs(seconds.min(WAIT_SECONDS_MAX));
                }
                ("content", "true" | "false") => asked.content = value == "true",
                ("content", _) => return Err(invalid("content", "content is true or false")),
                (name, _) => {
                    return Err(invalid(name, "$receipt takes wait and content"));
                }
            }
        }
        Ok(asked)
    }
}

/// Returns when the version is sealed, or the time is over.
async fn seal_awaited(app: &App, version: &VersionKey, wait: Duration) -> Answered<()> {
    let until = Instant::now() + wait;
    let size = || app.metrics.ledger_size.value();
    loop {
        // It grows after the registry has recorded what was sealed: until then there is nothing new to ask.
        let asked_at = size();
        if app.store.log_index(version).await?.is_some() {
            return Ok(());
        }
        while size() == asked_at {
            if Instant::now() >= until {
                return Ok(());
            }
            tokio::time::sleep(SEAL_POLL).await;
        }
    }
}

/// The receipt of a stored version whose content was opened.
///
/// # Errors
/// 500 when the stored entry or the log does not hold together, 503 when the registry is away.
pub async fn make(
    app: &App,
    version: &VersionKey,
    stored: &StoredVersion,
    body: &[u8],
    salt_key: &SaltKey,
) -> Answered<Receipt> {
    let broken = |text: &dyn std::fmt::Display| {
        tracing::error!(cause = %text, "a receipt cannot be made");
        Fault::new(FaultKind::Internal, "the receipt cannot be made; run `sealway ledger fsck`")
    };
    let key = &version.key;
    let resource =
        ResourceReference::new(key.resource_type.name(), key.id.as_str(), version.version.number())
            .map_err(|error| broken(&error))?;
    let index = app.store.log_index(version).await?;
    let sealed = match index {
        None => None,
        Some(index) => {
            let ledger = std::sync::Arc::clone(&app.ledger);
            let proof = work::run(true, move || ledger.prove(index)).await?;
            proof.map_err(|error| broken(&error))?.map(|(proof, checkpoint)| Sealed {
                index,
                path: proof.path,
                checkpoint: checkpoint.note().to_owned(),
            })
        }
    };
    Ok(Receipt {
        origin: app.ledger.origin().to_owned(),
        resource: Some(resource),
        content: ContentHash::of(body),
        salt: Salt::derive(salt_key.as_bytes(), Kind::ResourceVersion, &stored.salt_id),
        body: EntryBody::parse(&stored.entry).map_err(|error| broken(&error))?,
        sealed,
    })
}

/// Longest wait for a checkpoint.
const WAIT_SECONDS_MAX: u64 = 10;
const SEAL_POLL: Duration = Duration::from_millis(20);
