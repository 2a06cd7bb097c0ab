//! Who sends a request: a bearer token, checked strictly, becomes a `policy::Principal`.
//!
//! The only module that sees raw tokens. Order: form, issuer, type, key, signature, audience, times,
//! claims; what was verified is remembered by its hash until it expires or its key goes. Checks are
//! pure functions of token, keys and time; only [`Authenticator::authenticate`] may fetch keys.
//! Not here: HTTP extractors (`http`), what the caller may do (`policy`).

use std::sync::Arc;

use fhir::Instant;
use moka::sync::Cache;
use policy::Principal;

use issuer::{Issuer, KeyAnswer};
use jwks::VerifyingKey;
use token::Token;

pub use dev_issuer::{DEV_LIFETIME_SECONDS_MAX, DevIssuer, DevIssuerError, TokenRequest};
pub use issuer::{IssuerSettings, KeySource};
pub use jwks::JWKS_BYTES_MAX;
pub use source::FetchError;
pub(crate) use source::check_url;
pub use token::{LEEWAY_SECONDS, TOKEN_BYTES_MAX, TokenFault};

mod claims;
mod dev_issuer;
mod issuer;
mod jwks;
mod source;
mod token;

#[cfg(test)]
mod tests;

/// Why a caller is not authenticated.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AuthError {
    /// There is no `Authorization` header (401).
    #[error("a bearer token is required")]
    Missing,
    /// The header is not `Bearer` and one token (401).
    #[error("the Authorization header is not a bearer token")]
    Header,
    /// The token is not accepted (401).
    #[error(transparent)]
    Token(#[from] TokenFault),
    /// The token is bound to a key of its sender, and the proof is not checked here (401).
    #[error("the token is bound to its sender and cannot be used as a bearer token")]
    SenderConstrained,
    /// The issuer's keys cannot be fetched (503).
    #[error("the keys of the token's issuer are not available")]
    Unavailable,
}

impl AuthError {
    /// Value of `WWW-Authenticate` for a 401; `None` for a 503.
    pub fn challenge(&self) -> Option<String> {
        match self {
            Self::Missing => Some("Bearer realm=\"sealway\"".into()),
            Self::Header => Some("Bearer realm=\"sealway\", error=\"invalid_request\"".into()),
            Self::Token(fault) => Some(format!(
                "Bearer realm=\"sealway\", error=\"invalid_token\", error_description=\"{fault}\""
            )),
            Self::SenderConstrained => Some("DPoP error=\"invalid_token\"".into()),
            Self::Unavailable => None,
        }
    }
}

/// Why the authenticator cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// Two issuers have one name.
    #[error("issuer {0} is configured twice")]
    Twice(String),
    /// The name, the audience or the list of token types is empty.
    #[error("issuer {0}: issuer, audience and token types must not be empty")]
    Empty(String),
    /// The key source is unusable.
    #[error("issuer {0}: {1}")]
    Keys(String, #[source] FetchError),
}

/// Checks tokens of the configured issuers. Share one; all methods may be called concurrently.
pub struct Authenticator {
    issuers: Vec<Issuer>,
    bases: Vec<String>,
    verified: Cache<TokenHash, Arc<Verified>>,
    client: reqwest::Client,
}

impl Authenticator {
    /// `bases` are the URLs of this gateway's resources, for `fhirUser`. Key files are read now;
    /// URLs when the first token of the issuer comes.
    ///
    /// # Errors
    /// [`SetupError`] names the issuer at fault.
    pub fn new(
        settings: Vec<IssuerSettings>,
        bases: Vec<String>,
        now: Instant,
    ) -> Result<Self, SetupError> {
        let failed = |name: &str, error| SetupError::Keys(name.to_owned(), error);
        let mut issuers: Vec<Issuer> = Vec::new();
        for one in settings {
            let name = one.issuer.clone();
            if issuers.iter().any(|other| other.settings.issuer == name) {
                return Err(SetupError::Twice(name));
            }
            if name.is_empty() || one.audience.is_empty() || one.token_types.is_empty() {
                return Err(SetupError::Empty(name));
            }
            let issuer = Issuer::new(one);
            source::prepare(&issuer, seconds(now)).map_err(|error| failed(&name, error))?;
            issuers.push(issuer);
        }
        let client = source::client().map_err(|error| failed("", error))?;
        Ok(Self { issuers, bases, verified: Cache::new(VERIFIED_TOKENS_MAX), client })
    }

    /// The caller who sent this `Authorization` header. Waits only when keys must be fetched, at
    /// most some seconds, once in 30 s for an issuer.
    ///
    /// # Errors
    /// [`AuthError::Unavailable`] is a 503, everything else a 401.
    pub async fn authenticate(
        &self,
        authorization: Option<&str>,
        now: Instant,
    ) -> Result<Arc<Principal>, AuthError> {
        let token = bearer(authorization)?;
        let now = seconds(now);
        let issuer = match self.check(token, now) {
            Checked::Done(answer) => return answer,
            Checked::FetchFirst(index) => &self.issuers[index],
        };
        let turn = issuer.fetching.lock().await;
        if let Checked::Done(answer) = self.check(token, now) {
            return answer;
        }
        issuer.attempt(now);
        let fetched = source::fetch(&issuer.settings.keys, &self.client).await;
        if let Err(error) = fetched.and_then(|fetched| issuer.accept(fetched, now)) {
            tracing::warn!(issuer = %issuer.settings.issuer, "the old keys stay: {error}");
        }
        drop(turn);
        match self.check(token, now) {
            Checked::Done(answer) => answer,
            Checked::FetchFirst(_) => Err(AuthError::Unavailable),
        }
    }

    /// Decides with the keys at hand. Pure but for the memory of verified tokens.
    fn check(&self, token: &str, now: i64) -> Checked {
        let hash = hash_of(token);
        if let Some(known) = self.verified.get(&hash) {
            let key = self.issuers[known.issuer].key(&known.key_id, now);
            if let KeyAnswer::Known(key) = key
                && Arc::ptr_eq(&key, &known.key)
            {
                if now < known.expires.saturating_add(LEEWAY_SECONDS) {
                    return Checked::Done(Ok(Arc::clone(&known.principal)));
                }
                self.verified.invalidate(&hash);
                return Checked::Done(Err(TokenFault::Expired.into()));
            }
            self.verified.invalidate(&hash);
        }
        match self.verify(token, now) {
            Ok(Verification::Done(verified)) => {
                let principal = Arc::clone(&verified.principal);
                self.verified.insert(hash, Arc::new(verified));
                Checked::Done(Ok(principal))
            }
            Ok(Verification::FetchFirst(index)) => Checked::FetchFirst(index),
            Err(error) => Checked::Done(Err(error)),
        }
    }

    fn verify(&self, text: &str, now: i64) -> Result<Verification, AuthError> {
        let token = Token::parse(text)?;
        let claims = token.claims();
        let name = token::text(claims, "iss", TokenFault::Claim("iss"))?;
        let name = name.ok_or(TokenFault::Claim("iss"))?;
        let index = self.issuers.iter().position(|issuer| *issuer.settings.issuer == *name);
        let index = index.ok_or(TokenFault::UnknownIssuer)?;
        let issuer = &self.issuers[index];
        let key_id = token.key_id(&issuer.settings)?;
        let key = match issuer.key(&key_id, now) {
            KeyAnswer::Known(key) => key,
            KeyAnswer::Unknown => return Err(TokenFault::UnknownKey.into()),
            KeyAnswer::FetchFirst => return Ok(Verification::FetchFirst(index)),
            KeyAnswer::Unavailable => return Err(AuthError::Unavailable),
        };
        token.verify(&key)?;
        if claims.get("cnf").is_some() {
            return Err(AuthError::SenderConstrained);
        }
        let expires = token::check_claims(claims, &issuer.settings, now)?;
        let principal = claims::principal(claims, &issuer.settings, &self.bases)?;
        let principal = Arc::new(principal);
        Ok(Verification::Done(Verified {
            principal,
            issuer: index,
            key_id: key_id.into(),
            key,
            expires,
        }))
    }
}

/// A token that was verified, and under which key.
struct Verified {
    principal: Arc<Principal>,
    issuer: usize,
    key_id: Box<str>,
    key: Arc<VerifyingKey>,
    expires: i64,
}

enum Verification {
    Done(Verified),
    FetchFirst(usize),
}

enum Checked {
    Done(Result<Arc<Principal>, AuthError>),
    FetchFirst(usize),
}

/// The token of `Bearer TOKEN`: one space, no other character than those of a token.
fn bearer(authorization: Option<&str>) -> Result<&str, AuthError> {
    let header = authorization.ok_or(AuthError::Missing)?;
    let (scheme, token) = header.split_once(' ').ok_or(AuthError::Header)?;
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b);
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() || !token.bytes().all(allowed) {
        return Err(AuthError::Header);
    }
    Ok(token)
}

fn seconds(now: Instant) -> i64 {
    now.micros().div_euclid(1_000_000)
}

type TokenHash = [u8; 32];

fn hash_of(token: &str) -> TokenHash {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes());
    *digest.as_ref().first_chunk().expect("SHA-256 has 32 bytes")
}

const VERIFIED_TOKENS_MAX: u64 = 10_000;
