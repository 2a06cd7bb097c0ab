//! The development issuer: a key of its own, tokens for the demo's roles.
//!
//! Starts only with `demo` or `serve --dev-issuer`, on loopback; the caller sees to that. Its tokens
//! take the same path as any other issuer's, JWKS included; production knows neither its name nor
//! its key. Key: ES256, made at the first start and kept, so that tokens outlive a restart.
//! Not here: login, launch and consent screens (`oauth`).

use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fhir::{Instant, Node, ResourceId, Tree};
use policy::Role;
use serde_json::{Value, json};

use super::issuer::{IssuerSettings, KeySource};
use crate::keyfile;

/// Longest life of a token of this issuer: a day and some slack.
pub const DEV_LIFETIME_SECONDS_MAX: i64 = 25 * 3600;

/// Why the development issuer cannot work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DevIssuerError {
    /// The key cannot be made or used.
    #[error("development key is unusable")]
    Key,
    /// The key file cannot be written or read.
    #[error("development key file: {0}")]
    File(#[from] std::io::Error),
    /// The key file is not one.
    #[error("development key file is malformed; delete it, and the next start makes another")]
    Malformed,
    /// Others may read the key file.
    #[error("development key file {0}")]
    Exposed(String),
    /// A patient's token needs a patient.
    #[error("a token of the role patient needs --patient")]
    NoPatient,
}

/// Issues tokens for tests and demonstrations.
pub struct DevIssuer {
    issuer: String,
    audience: String,
    key_id: String,
    key: EcdsaKeyPair,
}

/// What a token is asked for.
#[derive(Clone, Debug)]
pub struct TokenRequest<'r> {
    /// The caller's role; decides scopes and `fhirUser`.
    pub role: Role,
    /// The patient in context; needed for the role patient.
    pub patient: Option<&'r ResourceId>,
    /// Scopes instead of the role's own.
    pub scope: Option<&'r str>,
    /// How long the token lives, at most [`DEV_LIFETIME_SECONDS_MAX`].
    pub lifetime_seconds: i64,
}

impl DevIssuer {
    /// The issuer whose key is kept in `path`, made when there is none; tokens are for this audience.
    ///
    /// # Errors
    /// [`DevIssuerError`], when the file is there and cannot be used, or cannot be written.
    pub fn open(path: &Path, issuer: &str, audience: &str) -> Result<Self, DevIssuerError> {
        let opened = match Self::load(path) {
            Ok(kept) => Self::with_key(issuer, audience, kept.key),
            Err(DevIssuerError::File(error)) if error.kind() == std::io::ErrorKind::NotFound => {
                Self::generate(issuer, audience)?
            }
            Err(error) => return Err(error),
        };
        opened.save(path)?;
        Ok(opened)
    }

    /// A new key, under the issuer's URL and for this audience.
    ///
    /// # Errors
    /// [`DevIssuerError::Key`].
    pub fn generate(issuer: &str, audience: &str) -> Result<Self, DevIssuerError> {
        let key = EcdsaKeyPair::generate(ALGORITHM).map_err(|_| DevIssuerError::Key)?;
        Ok(Self::with_key(issuer, audience, key))
    }

    fn with_key(issuer: &str, audience: &str, key: EcdsaKeyPair) -> Self {
        let hash = digest(&SHA256, key.public_key().as_ref());
        let key_id = format!("dev-{}", URL_SAFE_NO_PAD.encode(&hash.as_ref()[..12]));
        Self { issuer: issuer.to_owned(), audience: audience.to_owned(), key_id, key }
    }

    /// Keeps the key for the next start and for `sealway token`, readable by the owner only.
    fn save(&self, path: &Path) -> Result<(), DevIssuerError> {
        let pkcs8 = self.key.to_pkcs8v1().map_err(|_| DevIssuerError::Key)?;
        let text = json!({
            "issuer": self.issuer,
            "audience": self.audience,
            "pkcs8": URL_SAFE_NO_PAD.encode(pkcs8.as_ref()),
        });
        Ok(keyfile::write_private(path, text.to_string().as_bytes())?)
    }

    /// The issuer whose key [`DevIssuer::open`] has kept.
    ///
    /// # Errors
    /// [`DevIssuerError::File`], [`DevIssuerError::Exposed`] or [`DevIssuerError::Malformed`].
    pub fn load(path: &Path) -> Result<Self, DevIssuerError> {
        if path.exists() {
            keyfile::refuse_open_mode(path).map_err(DevIssuerError::Exposed)?;
        }
        let tree = Tree::parse(std::fs::read(path)?).map_err(|_| DevIssuerError::Malformed)?;
        let text = |name| tree.root().get(name).and_then(Node::as_str);
        let pkcs8 = text("pkcs8").and_then(|text| URL_SAFE_NO_PAD.decode(text.as_bytes()).ok());
        let (Some(issuer), Some(audience), Some(pkcs8)) = (text("issuer"), text("audience"), pkcs8)
        else {
            return Err(DevIssuerError::Malformed);
        };
        let key = EcdsaKeyPair::from_pkcs8(ALGORITHM, &pkcs8).map_err(|_| DevIssuerError::Key)?;
        Ok(Self::with_key(&issuer, &audience, key))
    }

    /// Settings by which an `Authenticator` accepts this issuer, keys included.
    pub fn settings(&self) -> IssuerSettings {
        let keys = KeySource::Inline(self.jwks());
        let mut settings = IssuerSettings::new(&self.issuer, &self.audience, keys);
        settings.lifetime_seconds_max = DEV_LIFETIME_SECONDS_MAX;
        settings
    }

    /// The public key set, to be served as a real issuer would.
    pub fn jwks(&self) -> String {
        let point = self.key.public_key().as_ref();
        let (x, y) = point[1..].split_at(point.len() / 2);
        let key = json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.key_id,
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        });
        json!({ "keys": [key] }).to_string()
    }

    /// A signed access token.
    ///
    /// # Errors
    /// [`DevIssuerError::NoPatient`] for the role patient without one.
    pub fn token(
        &self,
        request: &TokenRequest<'_>,
        now: Instant,
    ) -> Result<String, DevIssuerError> {
        let issued = now.micros().div_euclid(1_000_000);
        let lifetime = request.lifetime_seconds.clamp(1, DEV_LIFETIME_SECONDS_MAX);
        let subject = match (request.role, request.patient) {
            (Role::Patient, None) => return Err(DevIssuerError::NoPatient),
            (Role::Patient, Some(patient)) => format!("patient-{patient}"),
            (role, _) => format!("dev-{}", role.name()),
        };
        let mut token_id = [0; 16];
        aws_lc_rs::rand::fill(&mut token_id).map_err(|_| DevIssuerError::Key)?;
        let mut claims = json!({
            "iss": self.issuer, "aud": self.audience, "sub": subject, "client_id": "sealway-dev",
            "jti": URL_SAFE_NO_PAD.encode(token_id), "iat": issued, "exp": issued + lifetime,
            "roles": [request.role.name()],
            "scope": request.scope.unwrap_or(scope_of(request.role)),
        });
        if let Some(patient) = request.patient {
            claims["patient"] = patient.as_str().into();
        }
        match (request.role, request.patient) {
            (Role::Patient, Some(patient)) => {
                claims["fhirUser"] = format!("Patient/{patient}").into();
            }
            (Role::Clinician | Role::Auditor, _) => {
                claims["fhirUser"] = format!("Practitioner/{subject}").into();
            }
            _ => {}
        }
        let header = json!({ "typ": "at+jwt", "alg": "ES256", "kid": self.key_id });
        self.sign(&header, &claims)
    }

    fn sign(&self, header: &Value, claims: &Value) -> Result<String, DevIssuerError> {
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes());
        let signature = signature.map_err(|_| DevIssuerError::Key)?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// What a caller of this role needs for its work.
fn scope_of(role: Role) -> &'static str {
    match role {
        Role::Clinician => "openid fhirUser user/*.cruds",
        Role::Patient => "openid fhirUser launch/patient patient/*.rs",
        Role::System => "system/*.cruds",
        Role::Auditor => "openid fhirUser user/AuditEvent.rs",
        Role::Operator => "openid",
    }
}

static ALGORITHM: &EcdsaSigningAlgorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
