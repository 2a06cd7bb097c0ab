//! A bearer token's form: parts, header and claims, strictly.
//!
//! Spec: RFC 7515, 7519, 8725, 9068. `jsonwebtoken` checks the signature and nothing else, for left
//! alone it accepts tokens without `iss` or `aud`, with unknown `crit`, wrong `typ` or future `nbf`.
//! Parts are canonical base64url without padding; JSON with a duplicate member is malformed.
//! Pure; the time is an argument. Not here: keys (`jwks`), which issuer (`issuer`), roles (`claims`).

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fhir::{Kind, Node, Tree};

use super::issuer::IssuerSettings;
use super::jwks::VerifyingKey;

/// Longest token that is looked at.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// How far the issuer's clock may differ from ours.
pub const LEEWAY_SECONDS: i64 = 5;

/// Why a token is not accepted. Never carries a part of the token.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenFault {
    /// The token is longer than [`TOKEN_BYTES_MAX`].
    #[error("the token is too long")]
    TooLong,
    /// It is not three parts of canonical base64url with JSON objects in the first two.
    #[error("the token is malformed")]
    Malformed,
    /// A member of the header is missing, mistyped or not understood.
    #[error("the token's header is not accepted: {0}")]
    Header(&'static str),
    /// The algorithm is not that of the key.
    #[error("the token's algorithm is not that of its key")]
    Algorithm,
    /// No accepted issuer has exactly this name.
    #[error("the token's issuer is not accepted: iss must be exactly that of one [[auth.issuer]]")]
    UnknownIssuer,
    /// The issuer has no usable key of this `kid`.
    #[error("the token's key is not known: its issuer's key set has no such kid")]
    UnknownKey,
    /// The signature does not verify.
    #[error("the token's signature does not verify")]
    Signature,
    /// The token was made for something else than access.
    #[error(
        "the token is not an access token: typ in its header must be at+jwt, or one of the issuer's token_types"
    )]
    Type,
    /// The token is for somebody else.
    #[error(
        "the token is for another audience: aud must be auth.audience, or the URL of /fhir where that is unset"
    )]
    Audience,
    /// The token has expired.
    #[error("the token has expired")]
    Expired,
    /// The token is not valid yet, or claims to come from the future.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// The token lives longer than its issuer may let it, or ends before it begins.
    #[error("the token's lifetime is not accepted: exp must be after iat, by {0} seconds at most")]
    Lifetime(i64),
    /// A claim is missing or mistyped.
    #[error("the token's claim {0} is missing or malformed")]
    Claim(&'static str),
    /// Several claims that every token has are missing.
    #[error("the token lacks the claims {0}")]
    Missing(Absent),
    /// The token carries a restriction that is not enforced here, so it cannot be honoured.
    #[error("the token carries a restriction that is not enforced here: {0}")]
    Restriction(&'static str),
}

/// Which of the claims that every token has are missing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Absent(u8);

impl Absent {
    fn of(claims: Node<'_>) -> Self {
        let absent = |(at, name): (usize, &&str)| u8::from(claims.get(name).is_none()) << at;
        Self(REQUIRED.iter().enumerate().map(absent).sum())
    }
}

impl std::fmt::Display for Absent {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let absent = REQUIRED.iter().enumerate().filter(|(at, _)| self.0 & (1 << at) != 0);
        let names: Vec<&str> = absent.map(|(_, name)| *name).collect();
        out.write_str(&names.join(", "))
    }
}

/// A token in its parts. Nothing about it is verified.
pub(super) struct Token<'t> {
    header: Tree,
    claims: Tree,
    signed: &'t str,
    signature: &'t str,
}

impl<'t> Token<'t> {
    pub(super) fn parse(text: &'t str) -> Result<Self, TokenFault> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(TokenFault::TooLong);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(TokenFault::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenFault::Malformed)?;
        if signature.is_empty() || URL_SAFE_NO_PAD.decode(signature).is_err() {
            return Err(TokenFault::Malformed);
        }
        Ok(Self { header: object(header)?, claims: object(claims)?, signed, signature })
    }

    /// The claims, which count only after [`Token::verify`].
    pub(super) fn claims(&self) -> Node<'_> {
        self.claims.root()
    }

    /// Checks everything in the header that needs no key, and answers the `kid`.
    pub(super) fn key_id(&self, settings: &IssuerSettings) -> Result<Cow<'_, str>, TokenFault> {
        let header = self.header.root();
        for member in NOT_UNDERSTOOD {
            if header.get(member).is_some() {
                return Err(TokenFault::Header(member));
            }
        }
        let token_type = text(header, "typ", TokenFault::Header("typ"))?;
        let token_type = token_type.ok_or(TokenFault::Type)?.to_ascii_lowercase();
        let token_type = token_type.strip_prefix("application/").unwrap_or(&token_type);
        if !settings.token_types.iter().any(|accepted| accepted.eq_ignore_ascii_case(token_type)) {
            return Err(TokenFault::Type);
        }
        let key_id = text(header, "kid", TokenFault::Header("kid"))?;
        key_id.filter(|kid| is_name(kid)).ok_or(TokenFault::Header("kid"))
    }

    /// Checks the signature by the key's own algorithm; the header may only agree.
    pub(super) fn verify(&self, key: &VerifyingKey) -> Result<(), TokenFault> {
        let named = text(self.header.root(), "alg", TokenFault::Header("alg"))?;
        if named.as_deref() != Some(key.algorithm_name()) {
            return Err(TokenFault::Algorithm);
        }
        let verified = jsonwebtoken::crypto::verify(
            self.signature,
            self.signed.as_bytes(),
            key.decoding_key(),
            key.algorithm(),
        );
        if matches!(verified, Ok(true)) { Ok(()) } else { Err(TokenFault::Signature) }
    }
}

/// Checks audience, times, `jti` and restrictions; answers when the token expires, in seconds.
pub(super) fn check_claims(
    claims: Node<'_>,
    settings: &IssuerSettings,
    now: i64,
) -> Result<i64, TokenFault> {
    let absent = Absent::of(claims);
    if absent.0.count_ones() > 1 {
        return Err(TokenFault::Missing(absent));
    }
    check_audience(claims, settings)?;
    let expires = seconds(claims, "exp")?.ok_or(TokenFault::Claim("exp"))?;
    let issued = seconds(claims, "iat")?.ok_or(TokenFault::Claim("iat"))?;
    if now >= expires.saturating_add(LEEWAY_SECONDS) {
        return Err(TokenFault::Expired);
    }
    let starts = seconds(claims, "nbf")?.unwrap_or(issued).max(issued);
    if starts > now.saturating_add(LEEWAY_SECONDS) {
        return Err(TokenFault::NotYetValid);
    }
    if expires <= issued || expires - issued > settings.lifetime_seconds_max {
        return Err(TokenFault::Lifetime(settings.lifetime_seconds_max));
    }
    let token_id = text(claims, "jti", TokenFault::Claim("jti"))?;
    token_id.filter(|jti| is_name(jti)).ok_or(TokenFault::Claim("jti"))?;
    let residual = claims.get("extensions").and_then(|all| all.get("ihe_pcf"));
    if residual.or_else(|| claims.get("ihe_pcf")).is_some() {
        return Err(TokenFault::Restriction("ihe_pcf"));
    }
    Ok(expires)
}

fn check_audience(claims: Node<'_>, settings: &IssuerSettings) -> Result<(), TokenFault> {
    let audience = claims.get("aud").ok_or(TokenFault::Claim("aud"))?;
    let is_ours = |node: Node<'_>| node.as_str().is_some_and(|one| *one == *settings.audience);
    let accepted = match audience.kind() {
        Kind::String => is_ours(audience),
        Kind::Array if settings.audience_list => {
            let strings = audience.children().all(|node| node.kind() == Kind::String);
            strings && audience.children().any(is_ours)
        }
        _ => return Err(TokenFault::Claim("aud")),
    };
    if accepted { Ok(()) } else { Err(TokenFault::Audience) }
}

/// The text of a member; `None` when absent, `fault` when it is anything but a string.
pub(super) fn text<'t>(
    object: Node<'t>,
    name: &str,
    fault: TokenFault,
) -> Result<Option<Cow<'t, str>>, TokenFault> {
    object.get(name).map(|node| node.as_str().ok_or(fault)).transpose()
}

/// A `NumericDate` in whole seconds; fractions and exponents are refused.
fn seconds(claims: Node<'_>, name: &'static str) -> Result<Option<i64>, TokenFault> {
    let Some(node) = claims.get(name) else { return Ok(None) };
    let number = node.number_text().and_then(|number| number.parse().ok());
    let number = number.filter(|number| (0..SECONDS_MAX).contains(number));
    number.map(Some).ok_or(TokenFault::Claim(name))
}

/// Ids are printable ASCII of a sane length, so that they can be logged and compared.
fn is_name(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(|b| (0x20..0x7F).contains(&b))
}

fn object(part: &str) -> Result<Tree, TokenFault> {
    let json = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenFault::Malformed)?;
    let tree = Tree::parse(json).map_err(|_| TokenFault::Malformed)?;
    if tree.root().kind() == Kind::Object { Ok(tree) } else { Err(TokenFault::Malformed) }
}

/// Header members that change what a token means or bring a key of their own.
const NOT_UNDERSTOOD: [&str; 8] = ["crit", "b64", "jwk", "jku", "x5u", "x5c", "zip", "enc"];
/// Claims of every access token (RFC 9068 §2.2); `client_id` is read where it is there.
const REQUIRED: [&str; 5] = ["sub", "aud", "exp", "iat", "jti"];
const NAME_BYTES_MAX: usize = 256;
/// The year 10000.
const SECONDS_MAX: i64 = 253_402_300_800;
