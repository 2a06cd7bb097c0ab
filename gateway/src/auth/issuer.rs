//! An accepted issuer: what its tokens must look like, and its keys with their age.
//!
//! Keys hold for as long as `Cache-Control` says, at least 30 s and at most 5 min; then they are
//! fetched again. While the source is away old keys serve for 10 min after the last success, then
//! nobody is let in (503). An unknown `kid` causes at most one fetch in 30 s.
//! The state is pure: the time is an argument. Not here: the fetch itself (`source`).

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::jwks::{KeySet, VerifyingKey};
use super::source::{FetchError, Fetched};

/// What is configured about an issuer.
#[derive(Clone, Debug)]
pub struct IssuerSettings {
    /// The exact `iss` of its tokens.
    pub issuer: String,
    /// The exact `aud` that its tokens must carry.
    pub audience: String,
    /// Accepts an array as `aud` when it holds [`IssuerSettings::audience`].
    pub audience_list: bool,
    /// Accepted `typ` values, compared without case and without `application/`.
    pub token_types: Vec<String>,
    /// Longest time from `iat` to `exp`.
    pub lifetime_seconds_max: i64,
    /// Claim with the array of role names.
    pub roles_claim: String,
    /// Where its public keys are.
    pub keys: KeySource,
}

impl IssuerSettings {
    /// The strict settings: `at+jwt` only, one audience, an hour, roles in `roles`.
    pub fn new(issuer: &str, audience: &str, keys: KeySource) -> Self {
        Self {
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
            audience_list: false,
            token_types: vec!["at+jwt".to_owned()],
            lifetime_seconds_max: 3600,
            roles_claim: "roles".to_owned(),
            keys,
        }
    }
}

/// Where an issuer's key set is.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// The JSON itself; never fetched.
    Inline(String),
    /// A file, read again when the keys have aged.
    File(PathBuf),
    /// An `https` URL; `http` on loopback only.
    Url(String),
}

/// An issuer with its keys.
pub(super) struct Issuer {
    pub(super) settings: IssuerSettings,
    state: Mutex<KeyState>,
    /// Held while the keys are fetched, so that one fetch serves all who wait.
    pub(super) fetching: tokio::sync::Mutex<()>,
}

/// What is known of a key.
pub(super) enum KeyAnswer {
    /// This is it.
    Known(Arc<VerifyingKey>),
    /// The issuer has no such key.
    Unknown,
    /// The keys must be fetched before this can be told.
    FetchFirst,
    /// The source is away for too long.
    Unavailable,
}

#[derive(Default)]
struct KeyState {
    keys: KeySet,
    fetched: Option<i64>,
    attempted: Option<i64>,
    fresh_seconds: i64,
    is_fixed: bool,
}

impl Issuer {
    pub(super) fn new(settings: IssuerSettings) -> Self {
        Self { settings, state: Mutex::default(), fetching: tokio::sync::Mutex::default() }
    }

    /// The key named `kid`, as far as is known at `now` (seconds).
    pub(super) fn key(&self, kid: &str, now: i64) -> KeyAnswer {
        self.state().key(kid, now)
    }

    /// Notes that a fetch begins, so that its failure is not repeated at once.
    pub(super) fn attempt(&self, now: i64) {
        self.state().attempted = Some(now);
    }

    /// Takes what a fetch brought. A set without a usable key changes nothing.
    pub(super) fn accept(&self, fetched: Fetched, now: i64) -> Result<(), FetchError> {
        let keys = KeySet::parse(fetched.json).ok_or(FetchError::NoKey)?;
        tracing::debug!(issuer = %self.settings.issuer, keys = keys.len(), "key set read");
        let mut state = self.state();
        state.keys = keys;
        state.fetched = Some(now);
        let max_age = fetched.max_age_seconds.unwrap_or(FRESH_SECONDS_MAX);
        state.fresh_seconds = max_age.clamp(FETCH_SECONDS_MIN, FRESH_SECONDS_MAX);
        state.is_fixed = matches!(self.settings.keys, KeySource::Inline(_));
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, KeyState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeyState {
    fn key(&self, kid: &str, now: i64) -> KeyAnswer {
        let known = || self.keys.get(kid).cloned();
        if self.is_fixed {
            return known().map_or(KeyAnswer::Unknown, KeyAnswer::Known);
        }
        // A clock that was set back must not hold a fetch off for ever: distances count.
        let since = |then: i64| now.abs_diff(then).cast_signed();
        let may_fetch = self.attempted.is_none_or(|then| since(then) >= FETCH_SECONDS_MIN);
        let age = self.fetched.map(since);
        match (age, known()) {
            (None, _) if may_fetch => KeyAnswer::FetchFirst,
            (None, _) => KeyAnswer::Unavailable,
            (Some(age), _) if age >= self.fresh_seconds && may_fetch => KeyAnswer::FetchFirst,
            (Some(age), _) if age > STALE_SECONDS_MAX => KeyAnswer::Unavailable,
            (Some(_), Some(key)) => KeyAnswer::Known(key),
            (Some(_), None) if may_fetch => KeyAnswer::FetchFirst,
            (Some(_), None) => KeyAnswer::Unknown,
        }
    }
}

const FETCH_SECONDS_MIN: i64 = 30;
const FRESH_SECONDS_MAX: i64 = 300;
const STALE_SECONDS_MAX: i64 = 600;
