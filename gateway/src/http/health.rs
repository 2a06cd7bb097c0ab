//! `/livez`, `/readyz[?verbose]`, `/health`, `/metrics`.
//!
//! Live: the process answers. Ready: the registry writes and sealing goes on. Nothing here names a patient.
//! The short answers are open to all. Details and metrics tell how much is stored and how busy a hospital is: they are
//! for this machine, and for operators and auditors from elsewhere.
//! Not here: the checks of an installation (`cli::doctor`).

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header;
use policy::AccessRequest;

use super::call::Call;
use super::reply::Reply;
use crate::app::App;
use crate::clock;
use crate::error::Answered;

/// The process answers.
///
/// # Errors
/// None.
pub async fn livez(_call: Call) -> Reply {
    Ok(text(true, "ok\n".to_owned()))
}

/// Requests can be served; with `?verbose` one line a check.
///
/// # Errors
/// 401 and 403 for the details; else none: 503 is an answer here.
pub async fn readyz(call: Call) -> Reply {
    let verbose = call.http.query_string().starts_with("verbose");
    if verbose {
        expect_insider(&call).await?;
    }
    let checks = checks(&call.app).await;
    let ready = checks.iter().all(|check| check.passed);
    if !verbose {
        return Ok(text(ready, if ready { "ok\n" } else { "not ready\n" }.to_owned()));
    }
    let lines = checks.iter().map(|check| {
        let mark = if check.passed { "✓" } else { "✗" };
        format!("{mark} {}: {}\n", check.name, check.detail)
    });
    Ok(text(ready, lines.collect()))
}

/// The same as `application/health+json`; the details for those who may see them.
///
/// # Errors
/// 401 and 403 for a token that does not open the details.
pub async fn health(call: Call) -> Reply {
    let inside = is_local(&call) || call.http.headers().contains_key(header::AUTHORIZATION);
    if inside {
        expect_insider(&call).await?;
    }
    let checks = checks(&call.app).await;
    let status = |passed: bool| if passed { "pass" } else { "fail" };
    let ready = checks.iter().all(|check| check.passed);
    if !inside {
        let body = serde_json::json!({ "status": status(ready) });
        return Ok(answer(ready, "application/health+json", body.to_string()));
    }
    let list: serde_json::Map<String, serde_json::Value> = checks
        .iter()
        .map(|check| {
            let value =
                serde_json::json!([{"status": status(check.passed), "output": check.detail}]);
            (check.name.to_owned(), value)
        })
        .collect();
    let body = serde_json::json!({
        "status": status(ready), "version": env!("CARGO_PKG_VERSION"), "checks": list,
    });
    Ok(answer(ready, "application/health+json", body.to_string()))
}

/// Prometheus text.
///
/// # Errors
/// 401 and 403 from elsewhere than this machine.
pub async fn metrics(call: Call) -> Reply {
    expect_insider(&call).await?;
    let body = call.app.metrics.render(clock::now_us());
    Ok(answer(true, "text/plain; version=0.0.4; charset=utf-8", body))
}

/// This machine, an operator or an auditor.
async fn expect_insider(call: &Call) -> Answered<()> {
    if !is_local(call) {
        call.permit(&AccessRequest::Observe).await?;
    }
    Ok(())
}

/// True for a process of this machine that asks for itself. A proxy here asks for others: it is known by the headers
/// that proxies add, and by `server.public_url`, which is set where there is one.
fn is_local(call: &Call) -> bool {
    let headers = call.http.headers();
    let proxied = PROXY_HEADERS.iter().any(|name| headers.contains_key(*name));
    let peer = call.http.peer_addr().is_some_and(|peer| peer.ip().to_canonical().is_loopback());
    peer && !proxied && call.app.config.server.public_url.is_none()
}

struct Check {
    name: &'static str,
    passed: bool,
    detail: String,
}

async fn checks(app: &App) -> Vec<Check> {
    let ping = tokio::time::timeout(PING_TIMEOUT, app.store.ping()).await;
    let registry = match ping {
        Ok(Ok(())) => (true, "reads and writes".to_owned()),
        Ok(Err(_)) => (false, app.store.stopped().unwrap_or_else(|| "does not write".to_owned())),
        Err(_) => (false, "does not answer".to_owned()),
    };
    let sealing = match app.ledger.trouble() {
        None => (true, format!("{} entries published", app.metrics.ledger_size.value())),
        Some(next_step) => (false, next_step.to_owned()),
    };
    let journal = match app.journal.is_writable() {
        true => (true, format!("{} records", app.journal.position())),
        false => (false, "does not take records; restart".to_owned()),
    };
    let check = |name, (passed, detail)| Check { name, passed, detail };
    vec![check("registry", registry), check("access", journal), check("ledger", sealing)]
}

fn text(passed: bool, body: String) -> HttpResponse {
    answer(passed, "text/plain; charset=utf-8", body)
}

fn answer(passed: bool, media: &'static str, body: String) -> HttpResponse {
    let mut response = if passed { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    response.insert_header((header::CONTENT_TYPE, media));
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    response.body(body)
}

const PING_TIMEOUT: Duration = Duration::from_secs(2);
const PROXY_HEADERS: [&str; 4] = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];
