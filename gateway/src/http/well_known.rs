//! `/.well-known/smart-configuration` (SMART App Launch 2.x, section 2.1).
//!
//! Says what the gateway honours in tokens. Its own authorisation endpoints come with a later change; until
//! then clients bring tokens of a configured issuer.
//! Not here: token checks (`auth`).

use super::call::Call;
use super::reply::{self, Reply};

/// The discovery document.
///
/// # Errors
/// None.
pub async fn smart_configuration(call: Call) -> Reply {
    let issuers: Vec<&str> =
        call.app.config.auth.issuer.iter().map(|issuer| issuer.issuer.as_str()).collect();
    let body = serde_json::json!({
        "issuer": issuers.first(),
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "grant_types_supported": ["client_credentials", "authorization_code"],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": ["patient/*.rs", "user/*.cruds", "system/*.cruds"],
        "capabilities": ["permission-patient", "permission-user", "permission-v1", "permission-v2"],
    });
    Ok(reply::plain(&call, "application/json", body.to_string()))
}
