//! Attacks on tokens, one behaviour a test; cases of group B of the published list are named (B06 …).

use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fhir::Instant;
use policy::Principal;
use serde_json::{Value, json};

use super::{AuthError, Authenticator, IssuerSettings, KeySource, TokenFault};

mod claim;
mod development;
mod form;
mod key;
mod signature;

/// 2026-11-21T10:00:00Z.
const NOW: i64 = 1_795_255_200;
const ISSUER: &str = "https://idp.example/realms/h1";
const AUDIENCE: &str = "https://h1.example/fhir";

/// An issuer's private side.
struct Signer {
    key: EcdsaKeyPair,
}

impl Signer {
    fn new() -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        Self { key }
    }

    fn jwk(&self, kid: &str) -> Value {
        let (x, y) = self.key.public_key().as_ref()[1..].split_at(32);
        json!({ "kty": "EC", "crv": "P-256", "kid": kid, "x": encode(x), "y": encode(y) })
    }

    /// Signs two texts as they are, valid JSON or not.
    fn sign_text(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).expect("signs");
        format!("{signed}.{}", encode(signature))
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&header.to_string(), &claims.to_string())
    }
}

/// A gateway that trusts one signer under the kid `k1`.
struct Gate {
    signer: Signer,
    authenticator: Authenticator,
}

impl Gate {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(adjust: impl FnOnce(&mut IssuerSettings)) -> Self {
        let signer = Signer::new();
        let keys = KeySource::Inline(json!({ "keys": [signer.jwk("k1")] }).to_string());
        let mut settings = IssuerSettings::new(ISSUER, AUDIENCE, keys);
        adjust(&mut settings);
        Self { signer, authenticator: authenticator(settings) }
    }

    fn answer(&self, token: &str, now: i64) -> Result<Arc<Principal>, AuthError> {
        let header = format!("Bearer {token}");
        wait(self.authenticator.authenticate(Some(&header), at(now)))
    }

    fn fault(&self, token: &str) -> TokenFault {
        match self.answer(token, NOW) {
            Err(AuthError::Token(fault)) => fault,
            other => panic!("{other:?}"),
        }
    }

    /// The fault of a token whose header differs from a good one.
    fn fault_of_header(&self, change: impl FnOnce(&mut Value)) -> TokenFault {
        let mut header = header();
        change(&mut header);
        self.fault(&self.signer.sign(&header, &claims()))
    }

    /// The fault of a token whose claims differ from good ones.
    fn fault_of_claims(&self, change: impl FnOnce(&mut Value)) -> TokenFault {
        let mut claims = claims();
        change(&mut claims);
        self.fault(&self.signer.sign(&header(), &claims))
    }

    /// The principal of a token whose claims differ from good ones.
    fn principal(&self, change: impl FnOnce(&mut Value)) -> Arc<Principal> {
        let mut claims = claims();
        change(&mut claims);
        self.answer(&self.signer.sign(&header(), &claims), NOW).expect("a good token")
    }
}

fn authenticator(settings: IssuerSettings) -> Authenticator {
    let bases = vec![
        AUDIENCE.to_owned(),
        format!("{AUDIENCE}/R4"),
        "http://127.0.0.1:8080/fhir/".to_owned(),
    ];
    Authenticator::new(vec![settings], bases, at(NOW)).expect("good settings")
}

fn header() -> Value {
    json!({ "typ": "at+jwt", "alg": "ES256", "kid": "k1" })
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "dr-a", "client_id": "app", "jti": "t-1",
        "iat": NOW - 10, "exp": NOW + 600, "scope": "user/*.rs", "roles": ["clinician"],
        "fhirUser": "Practitioner/a",
    })
}

fn remove(object: &mut Value, name: &str) {
    object.as_object_mut().expect("an object").remove(name);
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn at(seconds: i64) -> Instant {
    Instant::from_micros(seconds * 1_000_000)
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(future)
}

#[test]
fn a_good_token_becomes_its_principal() {
    let gate = Gate::new();

    let principal = gate.principal(|_| {});

    assert_eq!(principal.subject(), "dr-a");
    assert_eq!(principal.issuer(), Some(ISSUER));
    assert_eq!(principal.client_id(), Some("app"));
    assert_eq!(principal.token_id(), Some("t-1"));
    assert_eq!(principal.roles(), [policy::Role::Clinician]);
    assert_eq!(principal.fhir_user().map(ToString::to_string).as_deref(), Some("Practitioner/a"));
    assert_eq!(principal.scopes().grants().len(), 1);
}
