//! Header and signature: what the key decides, and what the header may not.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::hmac;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    Ed25519KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RsaEncoding, RsaKeyPair,
};

use super::*;

/// Signs with RSA under the named algorithm.
struct RsaSigner(RsaKeyPair);

impl RsaSigner {
    fn new() -> Self {
        Self(RsaKeyPair::generate(KeySize::Rsa2048).expect("a key"))
    }

    fn jwk(&self, kid: &str, algorithm: Option<&str>) -> Value {
        let key = self.0.public_key();
        let (n, e) = (key.modulus(), key.exponent());
        let (n, e) = (n.big_endian_without_leading_zero(), e.big_endian_without_leading_zero());
        let mut jwk = json!({ "kty": "RSA", "kid": kid, "n": encode(n), "e": encode(e) });
        if let Some(algorithm) = algorithm {
            jwk["alg"] = algorithm.into();
        }
        jwk
    }

    fn sign(&self, header: &Value) -> String {
        let signed = format!("{}.{}", encode(header.to_string()), encode(claims().to_string()));
        let padding: &'static dyn RsaEncoding = match header["alg"].as_str() {
            Some("RS384") => &RSA_PKCS1_SHA384,
            _ => &RSA_PKCS1_SHA256,
        };
        let mut signature = vec![0; self.0.public_modulus_len()];
        let random = SystemRandom::new();
        self.0.sign(padding, &random, signed.as_bytes(), &mut signature).expect("signs");
        format!("{signed}.{}", encode(signature))
    }
}

fn gate_of(keys: Value) -> Authenticator {
    let keys = KeySource::Inline(json!({ "keys": keys }).to_string());
    authenticator(IssuerSettings::new(ISSUER, AUDIENCE, keys))
}

fn answer(gate: &Authenticator, token: &str) -> Result<(), AuthError> {
    let header = format!("Bearer {token}");
    wait(gate.authenticate(Some(&header), at(NOW))).map(|_| ())
}

fn refused(fault: TokenFault) -> Result<(), AuthError> {
    Err(AuthError::Token(fault))
}

#[test]
fn keys_of_every_kind_verify_by_their_own_algorithm() {
    let rsa = RsaSigner::new();
    let edwards = Ed25519KeyPair::generate().expect("a key");
    let x = encode(edwards.public_key().as_ref());
    let gate = gate_of(json!([
        rsa.jwk("plain", None),
        rsa.jwk("longer", Some("RS384")),
        { "kty": "OKP", "crv": "Ed25519", "kid": "edwards", "x": x },
    ]));
    let header = |alg: &str, kid: &str| json!({ "typ": "at+jwt", "alg": alg, "kid": kid });
    let signed = format!(
        "{}.{}",
        encode(header("EdDSA", "edwards").to_string()),
        encode(claims().to_string())
    );
    let edwards = format!("{signed}.{}", encode(edwards.sign(signed.as_bytes())));

    assert_eq!(answer(&gate, &rsa.sign(&header("RS256", "plain"))), Ok(()));
    assert_eq!(answer(&gate, &rsa.sign(&header("RS384", "longer"))), Ok(()));
    assert_eq!(answer(&gate, &edwards), Ok(()));
    for (alg, kid) in [("RS384", "plain"), ("RS256", "longer"), ("PS256", "plain")] {
        let token = rsa.sign(&header(alg, kid));
        assert_eq!(answer(&gate, &token), refused(TokenFault::Algorithm), "{alg} {kid}");
    }
}

/// B06, B09.
#[test]
fn an_algorithm_other_than_the_keys_is_refused_however_it_is_spelled() {
    let gate = Gate::new();
    for alg in ["none", "None", "NONE", "nOnE", "", "es256", "ES384", "HS256", "RS256", "EdDSA"] {
        let fault = gate.fault_of_header(|header| header["alg"] = alg.into());
        assert_eq!(fault, TokenFault::Algorithm, "{alg}");
    }
    assert_eq!(gate.fault_of_header(|header| remove(header, "alg")), TokenFault::Algorithm);
    let listed = gate.fault_of_header(|header| header["alg"] = json!(["ES256"]));
    assert_eq!(listed, TokenFault::Header("alg"));
}

/// B07.
#[test]
fn a_mac_made_with_the_public_key_is_refused() {
    let rsa = RsaSigner::new();
    let jwk = rsa.jwk("k1", None);
    let der = rsa.0.public_key().as_der().expect("encodes");
    let der: &[u8] = der.as_ref();
    let pem = base64::engine::general_purpose::STANDARD.encode(der);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{pem}\n-----END PUBLIC KEY-----\n");
    let gate = gate_of(json!([jwk]));
    for secret in [pem.as_bytes(), der, jwk.to_string().as_bytes()] {
        let header = json!({ "typ": "at+jwt", "alg": "HS256", "kid": "k1" });
        let signed = format!("{}.{}", encode(header.to_string()), encode(claims().to_string()));
        let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());

        let token = format!("{signed}.{}", encode(mac));

        assert_eq!(answer(&gate, &token), refused(TokenFault::Algorithm));
    }
}

/// B08.
#[test]
fn an_rsa_token_that_names_a_curve_key_is_refused() {
    let (rsa, curve) = (RsaSigner::new(), Signer::new());
    let gate = gate_of(json!([rsa.jwk("rsa", None), curve.jwk("ec")]));

    let token = rsa.sign(&json!({ "typ": "at+jwt", "alg": "RS256", "kid": "ec" }));

    assert_eq!(answer(&gate, &token), refused(TokenFault::Algorithm));
}

/// B36.
#[test]
fn a_symmetric_key_in_the_key_set_is_not_a_key() {
    let curve = Signer::new();
    let oct = json!({ "kty": "oct", "kid": "shared", "alg": "HS256", "k": encode([7; 32]) });
    let gate = gate_of(json!([curve.jwk("k1"), oct]));
    let header = json!({ "typ": "at+jwt", "alg": "HS256", "kid": "shared" });
    let signed = format!("{}.{}", encode(header.to_string()), encode(claims().to_string()));
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]), signed.as_bytes());

    let token = format!("{signed}.{}", encode(mac));

    assert_eq!(answer(&gate, &token), refused(TokenFault::UnknownKey));
}

#[test]
fn a_signature_of_another_key_or_over_other_claims_is_refused() {
    let gate = Gate::new();
    let good = gate.signer.sign(&header(), &claims());
    let other = Signer::new().sign(&header(), &claims());
    assert_eq!(gate.fault(&other), TokenFault::Signature);
    let parts: Vec<_> = good.split('.').collect();
    let mut wider = claims();
    wider["scope"] = "system/*.cruds".into();
    let wider = encode(wider.to_string());

    assert_eq!(gate.fault(&format!("{}.{wider}.{}", parts[0], parts[2])), TokenFault::Signature);
    let zero = encode([0; 64]);
    assert_eq!(gate.fault(&format!("{}.{}.{zero}", parts[0], parts[1])), TokenFault::Signature);
    let short = encode([1; 32]);
    assert_eq!(gate.fault(&format!("{}.{}.{short}", parts[0], parts[1])), TokenFault::Signature);
}

/// B10, B11, B18: whatever the signature, the header may bring no key, no address and no rule.
#[test]
fn a_header_that_brings_keys_addresses_or_rules_is_refused() {
    let gate = Gate::new();
    let attacker = Signer::new();
    let jwk = attacker.jwk("k1");
    for (name, value) in [
        ("jwk", jwk.clone()),
        ("jku", "https://attacker.example/jwks".into()),
        ("x5u", "https://attacker.example/cert".into()),
        ("x5c", json!(["MII"])),
        ("crit", json!(["x"])),
        ("crit", json!([])),
        ("b64", json!(false)),
        ("zip", "DEF".into()),
        ("enc", "A256GCM".into()),
    ] {
        let mut header = header();
        header[name] = value;
        for signer in [&gate.signer, &attacker] {
            let token = signer.sign(&header, &claims());
            assert_eq!(gate.fault(&token), TokenFault::Header(name), "{header}");
        }
    }
}

/// B13, B15.
#[test]
fn a_key_id_that_is_missing_or_strange_names_no_key() {
    let gate = Gate::new();
    for kid in ["../../../dev/null", "' OR 1=1--", "K1", "k1 "] {
        let fault = gate.fault_of_header(|header| header["kid"] = kid.into());
        assert_eq!(fault, TokenFault::UnknownKey, "{kid}");
    }
    for kid in [json!(""), json!("x".repeat(300)), json!("k1\u{e9}"), json!(1), json!(["k1"])] {
        let fault = gate.fault_of_header(|header| header["kid"] = kid.clone());
        assert_eq!(fault, TokenFault::Header("kid"), "{kid}");
    }
    let huge = gate.fault_of_header(|header| header["kid"] = "x".repeat(10_240).into());
    assert_eq!(huge, TokenFault::TooLong);
    let nul = header().to_string().replace("k1", "k\\u0000");
    let nul = gate.fault(&gate.signer.sign_text(&nul, &claims().to_string()));
    assert_eq!(nul, TokenFault::Malformed);
    assert_eq!(gate.fault_of_header(|header| remove(header, "kid")), TokenFault::Header("kid"));
}

/// B15.
#[test]
fn a_key_id_that_stands_twice_in_the_set_names_no_key() {
    let (one, other) = (Signer::new(), Signer::new());
    let gate = gate_of(json!([one.jwk("k1"), other.jwk("k1"), other.jwk("k2")]));

    for signer in [&one, &other] {
        let token = signer.sign(&header(), &claims());
        assert_eq!(answer(&gate, &token), refused(TokenFault::UnknownKey));
    }
}

/// B20.
#[test]
fn only_access_tokens_of_the_configured_type_are_taken() {
    let gate = Gate::new();
    for typ in ["dpop+jwt", "logout+jwt", "JWT", "refresh+jwt", "", "at+jwt "] {
        let fault = gate.fault_of_header(|header| header["typ"] = typ.into());
        assert_eq!(fault, TokenFault::Type, "{typ}");
    }
    assert_eq!(gate.fault_of_header(|header| remove(header, "typ")), TokenFault::Type);
    let mut media = header();
    media["typ"] = "application/AT+JWT".into();
    assert!(gate.answer(&gate.signer.sign(&media, &claims()), NOW).is_ok());

    let plain = Gate::with(|settings| settings.token_types = vec!["JWT".into()]);
    let mut header = header();
    header["typ"] = "jwt".into();
    assert!(plain.answer(&plain.signer.sign(&header, &claims()), NOW).is_ok());
    header["typ"] = "at+jwt".into();
    assert_eq!(plain.fault(&plain.signer.sign(&header, &claims())), TokenFault::Type);
}
