//! Who may issue tokens: the configured issuers, and the development issuer on loopback.
//!
//! Not here: the check of a token (`auth`).

use std::path::{Path, PathBuf};

use super::OpenError;
use crate::auth::{Authenticator, DevIssuer, IssuerSettings, KeySource};
use crate::clock;
use crate::config::{Config, ConfigError};
use crate::http::hosts::Hosts;

/// `aud` that tokens must carry unless their issuer is configured otherwise.
fn audience(config: &Config) -> String {
    let server = &config.server;
    match (&config.auth.audience, &server.public_url, server.listen.port()) {
        (Some(audience), ..) => audience.clone(),
        (None, Some(url), _) => format!("{}/fhir", url.trim_end_matches('/')),
        // With a port that is not known yet there is no URL to name.
        (None, None, 0) => "urn:sealway:local".to_owned(),
        (None, None, _) => format!("http://{}/fhir", server.listen),
    }
}

/// The development issuer, with its key kept for `sealway token` and the next start; on loopback only.
pub(super) fn start_dev_issuer(config: &Config) -> Result<Option<DevIssuer>, OpenError> {
    if !config.auth.dev_issuer {
        return Ok(None);
    }
    if !config.server.listen.ip().is_loopback() {
        let text = "auth.dev_issuer is for loopback only: listen on 127.0.0.1, or configure [[auth.issuer]]";
        return Err(ConfigError(text.to_owned()).into());
    }
    let refused = |error: &dyn std::fmt::Display| OpenError::Key(format!("dev-issuer: {error}"));
    let file = dev_issuer_file(&config.data_dir);
    let issuer = DevIssuer::open(&file, "urn:sealway:dev-issuer", &audience(config));
    issuer.map(Some).map_err(|error| refused(&error))
}

/// Where the development issuer keeps its key.
pub fn dev_issuer_file(data_dir: &Path) -> PathBuf {
    data_dir.join("keys/dev-issuer.json")
}

/// The check of tokens by all issuers.
pub(super) fn open_auth(
    config: &Config,
    dev: Option<&DevIssuer>,
) -> Result<Authenticator, OpenError> {
    let mut settings: Vec<IssuerSettings> = dev.map(DevIssuer::settings).into_iter().collect();
    for one in &config.auth.issuer {
        let keys = match (&one.jwks_file, &one.jwks_url) {
            (Some(file), None) => KeySource::File(file.clone()),
            (None, Some(url)) => KeySource::Url(url.clone()),
            _ => {
                let text = format!("issuer {}: set jwks_file or jwks_url, one of them", one.issuer);
                return Err(ConfigError(text).into());
            }
        };
        let audience = one.audience.clone().unwrap_or_else(|| audience(config));
        let mut accepted = IssuerSettings::new(&one.issuer, &audience, keys);
        if let Some(claim) = &one.roles_claim {
            accepted.roles_claim.clone_from(claim);
        }
        if let Some(types) = &one.token_types {
            if types.is_empty() || types.iter().any(String::is_empty) {
                let text =
                    format!("issuer {}: token_types names no type, such as at+jwt", one.issuer);
                return Err(ConfigError(text).into());
            }
            accepted.token_types.clone_from(types);
        }
        accepted.audience_list = one.audience_list.unwrap_or(false);
        settings.push(accepted);
    }
    let listen = config.server.listen;
    let mut bases = vec![format!("http://{listen}/fhir"), format!("https://{listen}/fhir")];
    let own = Hosts::of(config)?.bases(&listen.to_string());
    bases.extend(own.split_ascii_whitespace().map(str::to_owned));
    Authenticator::new(settings, bases, clock::now())
        .map_err(|error| ConfigError(format!("auth: {error}")).into())
}
