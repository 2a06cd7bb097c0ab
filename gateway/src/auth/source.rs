//! Key sets from a file or over HTTP, with bounds on size, time and trust.
//!
//! `https` only, `http` on loopback; no redirect is followed; at most [`JWKS_BYTES_MAX`] bytes are
//! read, within 5 s. Which URL is asked comes from the configuration, never from a token.
//! Not here: what is done with the answer (`issuer`).

use std::time::Duration;

use reqwest::header::{ACCEPT, CACHE_CONTROL};
use reqwest::redirect::Policy;

use super::issuer::{Issuer, KeySource};
use super::jwks::JWKS_BYTES_MAX;

/// A key set as it came.
pub(super) struct Fetched {
    pub(super) json: Vec<u8>,
    /// `max-age` of the answer; 0 for `no-store` and `no-cache`.
    pub(super) max_age_seconds: Option<i64>,
}

/// Why no key set came.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The file cannot be read.
    #[error("key file: {0}")]
    File(#[from] std::io::Error),
    /// The endpoint is away, slow, or its certificate is not trusted.
    #[error("key endpoint: {0}")]
    Http(#[from] reqwest::Error),
    /// The endpoint answered with another status than 200; redirects are not followed.
    #[error("key endpoint answered {0}")]
    Status(u16),
    /// The key set is larger than [`JWKS_BYTES_MAX`].
    #[error("key set exceeds {JWKS_BYTES_MAX} bytes")]
    TooLarge,
    /// The set holds no usable key.
    #[error("key set holds no usable key")]
    NoKey,
    /// The URL is neither `https` nor `http` on loopback.
    #[error("key endpoint must be https")]
    Plain,
}

/// A client for key endpoints.
pub(super) fn client() -> Result<reqwest::Client, FetchError> {
    let builder = reqwest::Client::builder()
        .redirect(Policy::none())
        .pool_max_idle_per_host(0)
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(FETCH_TIMEOUT);
    Ok(builder.build()?)
}

/// Refuses a URL that would send keys over an open network.
pub(crate) fn check_url(url: &str) -> Result<(), FetchError> {
    let url = reqwest::Url::parse(url).map_err(|_| FetchError::Plain)?;
    let loopback = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    match url.scheme() {
        "https" => Ok(()),
        "http" if loopback => Ok(()),
        _ => Err(FetchError::Plain),
    }
}

/// Reads what is local, and checks the address of what is not.
pub(super) fn prepare(issuer: &Issuer, now: i64) -> Result<(), FetchError> {
    let fetched = match &issuer.settings.keys {
        KeySource::Url(url) => return check_url(url),
        KeySource::File(path) => read_file(path)?,
        KeySource::Inline(json) => inline(json),
    };
    issuer.accept(fetched, now)
}

/// Reads the key set.
pub(super) async fn fetch(
    source: &KeySource,
    client: &reqwest::Client,
) -> Result<Fetched, FetchError> {
    match source {
        KeySource::Inline(json) => Ok(inline(json)),
        KeySource::File(path) => read_file(path),
        KeySource::Url(url) => get(url, client).await,
    }
}

fn inline(json: &str) -> Fetched {
    Fetched { json: json.as_bytes().to_vec(), max_age_seconds: None }
}

/// Small and local, so it may block for a moment.
fn read_file(path: &std::path::Path) -> Result<Fetched, FetchError> {
    if std::fs::metadata(path)?.len() > JWKS_BYTES_MAX as u64 {
        return Err(FetchError::TooLarge);
    }
    Ok(Fetched { json: std::fs::read(path)?, max_age_seconds: None })
}

async fn get(url: &str, client: &reqwest::Client) -> Result<Fetched, FetchError> {
    check_url(url)?;
    let mut answer = client.get(url).header(ACCEPT, "application/json").send().await?;
    if answer.status() != reqwest::StatusCode::OK {
        return Err(FetchError::Status(answer.status().as_u16()));
    }
    let cache_control = answer.headers().get(CACHE_CONTROL).and_then(|text| text.to_str().ok());
    let max_age_seconds = cache_control.and_then(max_age);
    let mut json = Vec::new();
    while let Some(bytes) = answer.chunk().await? {
        json.extend_from_slice(&bytes);
        if json.len() > JWKS_BYTES_MAX {
            return Err(FetchError::TooLarge);
        }
    }
    Ok(Fetched { json, max_age_seconds })
}

fn max_age(cache_control: &str) -> Option<i64> {
    let directives = cache_control.split(',').map(|one| one.trim().to_ascii_lowercase());
    let ages = directives.filter_map(|directive| match directive.as_str() {
        "no-store" | "no-cache" => Some(0),
        other => other.strip_prefix("max-age=")?.trim_matches('"').parse().ok(),
    });
    ages.min()
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cache_control_is_read_to_the_shortest_time() {
        assert_eq!(max_age("public, max-age=120"), Some(120));
        assert_eq!(max_age("Max-Age=\"60\", must-revalidate"), Some(60));
        assert_eq!(max_age("max-age=600, no-cache"), Some(0));
        assert_eq!(max_age("private"), None);
        assert_eq!(max_age("max-age=soon"), None);
    }

    #[test]
    fn keys_come_over_https_or_loopback_only() {
        for url in ["https://idp.example/keys", "http://127.0.0.1:80/k", "http://[::1]/k"] {
            assert!(check_url(url).is_ok(), "{url}");
        }
        for url in [
            "http://idp.example/keys",
            "http://127.0.0.1.example/k",
            "http://127.0.0.1@idp.example/k",
            "file:///etc/passwd",
            "ftp://127.0.0.1/",
            "keys.json",
        ] {
            assert!(check_url(url).is_err(), "{url}");
        }
    }
}
