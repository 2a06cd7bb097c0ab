//! An issuer's public keys (JWKS): only those that are fit to check a token.
//!
//! Spec: RFC 7517, 7518, 8037. Accepted: RSA of 2048 to 8192 bits, P-256, P-384, Ed25519. A key
//! decides its own algorithm: its `alg`, or for want of it RS256 / ES256 / ES384 / EdDSA. Left out:
//! symmetric and private keys, keys for encryption, keys without `kid`, and every key whose `kid`
//! stands twice. A set without a usable key is refused, so that the old one stays.
//! Not here: where the set comes from and how long it holds (`issuer`, `source`).

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fhir::{Kind, Node, Tree};
use jsonwebtoken::{Algorithm, DecodingKey};

/// Largest key set that is read.
pub const JWKS_BYTES_MAX: usize = 256 * 1024;

/// A public key with the one algorithm that it is used with.
pub(super) struct VerifyingKey {
    algorithm: Algorithm,
    name: &'static str,
    key: DecodingKey,
}

impl VerifyingKey {
    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The algorithm as a token's header must spell it.
    pub(super) fn algorithm_name(&self) -> &'static str {
        self.name
    }

    pub(super) fn decoding_key(&self) -> &DecodingKey {
        &self.key
    }

    fn parse(jwk: Node<'_>) -> Option<Self> {
        let string = |name: &str| jwk.get(name).and_then(Node::as_str);
        if jwk.get("d").is_some() || jwk.get("k").is_some() {
            return None;
        }
        if jwk.get("use").is_some() && string("use").as_deref() != Some("sig") {
            return None;
        }
        if jwk.get("key_ops").is_some_and(|uses| !may_verify(uses)) {
            return None;
        }
        let (default, algorithms, key): (_, &[_], _) =
            match (string("kty")?.as_ref(), string("crv").as_deref()) {
                ("RSA", None) => ("RS256", &RSA, rsa_key(jwk)?),
                ("EC", Some("P-256")) => ("ES256", &P256, curve_key(jwk, 32)?),
                ("EC", Some("P-384")) => ("ES384", &P384, curve_key(jwk, 48)?),
                ("OKP", Some("Ed25519")) => ("EdDSA", &ED25519, edwards_key(jwk)?),
                _ => return None,
            };
        let named = if jwk.get("alg").is_some() { string("alg")? } else { default.into() };
        let (name, algorithm) = algorithms.iter().find(|(name, _)| *name == named)?;
        Some(Self { algorithm: *algorithm, name, key })
    }
}

/// Usable keys by `kid`.
#[derive(Default)]
pub(super) struct KeySet(HashMap<Box<str>, Arc<VerifyingKey>>);

impl KeySet {
    /// `None` when it is no key set, or holds no usable key.
    pub(super) fn parse(json: Vec<u8>) -> Option<Self> {
        if json.len() > JWKS_BYTES_MAX {
            return None;
        }
        let tree = Tree::parse(json).ok()?;
        let list = tree.root().get("keys").filter(|list| list.kind() == Kind::Array)?;
        let mut named: HashMap<Box<str>, Vec<Node<'_>>> = HashMap::new();
        for jwk in list.children() {
            if let Some(kid) = jwk.get("kid").and_then(Node::as_str) {
                named.entry(kid.into()).or_default().push(jwk);
            }
        }
        let usable = named.into_iter().filter_map(|(kid, keys)| match keys[..] {
            [only] => VerifyingKey::parse(only).map(|key| (kid, Arc::new(key))),
            _ => None,
        });
        let keys: HashMap<_, _> = usable.collect();
        (!keys.is_empty()).then_some(Self(keys))
    }

    pub(super) fn get(&self, kid: &str) -> Option<&Arc<VerifyingKey>> {
        self.0.get(kid)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

fn may_verify(uses: Node<'_>) -> bool {
    uses.kind() == Kind::Array
        && uses.children().any(|one| one.as_str().as_deref() == Some("verify"))
}

fn rsa_key(jwk: Node<'_>) -> Option<DecodingKey> {
    let (modulus, exponent) = (bytes(jwk, "n")?, bytes(jwk, "e")?);
    let first = *modulus.first().filter(|first| **first != 0)?;
    let bits = modulus.len() * 8 - first.leading_zeros() as usize;
    let is_odd = |number: &[u8]| number.last().is_some_and(|last| last & 1 == 1);
    let small = exponent == [1] || exponent.first() == Some(&0) || exponent.len() > 8;
    if !(2048..=8192).contains(&bits) || small || !is_odd(&exponent) || !is_odd(&modulus) {
        return None;
    }
    Some(DecodingKey::from_rsa_raw_components(&modulus, &exponent))
}

fn curve_key(jwk: Node<'_>, length: usize) -> Option<DecodingKey> {
    let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
    if x.len() != length || y.len() != length {
        return None;
    }
    Some(DecodingKey::from_ec_der(&[&[4], x.as_slice(), &y].concat()))
}

fn edwards_key(jwk: Node<'_>) -> Option<DecodingKey> {
    let x = bytes(jwk, "x").filter(|x| x.len() == 32)?;
    Some(DecodingKey::from_ed_der(&x))
}

fn bytes(jwk: Node<'_>, name: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(jwk.get(name)?.as_str()?.as_bytes()).ok()
}

const RSA: [(&str, Algorithm); 6] = [
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
];
const P256: [(&str, Algorithm); 1] = [("ES256", Algorithm::ES256)];
const P384: [(&str, Algorithm); 1] = [("ES384", Algorithm::ES384)];
const ED25519: [(&str, Algorithm); 1] = [("EdDSA", Algorithm::EdDSA)];
