//! Claims: who, for whom, when, and with what rights.

use policy::{AccessRequest, decide};

use super::*;

/// B21.
#[test]
fn an_expired_token_is_refused_after_five_seconds_at_most() {
    let gate = Gate::new();
    for ago in [5, 30, 61, 100_000] {
        let fault = gate.fault_of_claims(|claims| {
            claims["exp"] = (NOW - ago).into();
            claims["iat"] = (NOW - ago - 100).into();
        });
        assert_eq!(fault, TokenFault::Expired, "{ago} s ago");
    }
    gate.principal(|claims| claims["exp"] = (NOW - 4).into());
}

/// B23.
#[test]
fn a_token_from_the_future_is_refused() {
    let gate = Gate::new();
    for (name, value) in [("nbf", NOW + 6), ("nbf", 4_070_908_800), ("iat", NOW + 600)] {
        let fault = gate.fault_of_claims(|claims| claims[name] = value.into());
        assert_eq!(fault, TokenFault::NotYetValid, "{name}");
    }
    gate.principal(|claims| claims["nbf"] = (NOW + 5).into());
}

/// B24.
#[test]
fn a_token_that_lives_too_long_is_refused() {
    let gate = Gate::new();
    for (iat, exp) in [(NOW, NOW + 3601), (NOW - 3000, NOW + 601), (NOW, NOW)] {
        let fault = gate.fault_of_claims(|claims| {
            claims["iat"] = iat.into();
            claims["exp"] = exp.into();
        });
        assert_eq!(fault, TokenFault::Lifetime(3600));
        assert!(fault.to_string().ends_with("by 3600 seconds at most"));
    }
    gate.principal(|claims| {
        claims["iat"] = NOW.into();
        claims["exp"] = (NOW + 3600).into();
    });
}

#[test]
fn times_are_whole_numbers_and_required() {
    let gate = Gate::new();
    for name in ["exp", "iat"] {
        let fault = gate.fault_of_claims(|claims| remove(claims, name));
        assert_eq!(fault, TokenFault::Claim(name));
    }
    let soon = NOW + 100;
    for name in ["exp", "iat", "nbf"] {
        for value in [format!("\"{soon}\""), format!("{soon}.5"), "1e10".into(), "-1".into()] {
            let text = claims().to_string();
            let old = format!("\"{name}\":{}", claims()[name]);
            let text = if name == "nbf" {
                text.replacen('{', &format!("{{\"nbf\":{value},"), 1)
            } else {
                text.replace(&old, &format!("\"{name}\":{value}"))
            };
            let token = gate.signer.sign_text(&header().to_string(), &text);
            assert_eq!(gate.fault(&token), TokenFault::Claim(name), "{name} = {value}");
        }
    }
}

/// B25, B26.
#[test]
fn the_issuer_is_a_string_and_matches_exactly() {
    let gate = Gate::new();
    assert_eq!(gate.fault_of_claims(|claims| remove(claims, "iss")), TokenFault::Claim("iss"));
    for value in [json!(5), json!(["https://evil.example", ISSUER]), json!([ISSUER]), json!({})] {
        let fault = gate.fault_of_claims(|claims| claims["iss"] = value.clone());
        assert_eq!(fault, TokenFault::Claim("iss"), "{value}");
    }
    for name in [
        format!("{ISSUER}/"),
        ISSUER.to_uppercase(),
        ISSUER.replace("idp.example", "IDP.example"),
        ISSUER.replace("idp.example", "idp.example.evil.tld"),
        format!(" {ISSUER}"),
        String::new(),
    ] {
        let fault = gate.fault_of_claims(|claims| claims["iss"] = name.clone().into());
        assert_eq!(fault, TokenFault::UnknownIssuer, "{name}");
    }
}

/// B27, B40.
#[test]
fn the_audience_is_ours_alone() {
    let gate = Gate::new();
    assert_eq!(gate.fault_of_claims(|claims| remove(claims, "aud")), TokenFault::Claim("aud"));
    for value in [json!({ "aud": AUDIENCE }), json!(1), json!([AUDIENCE]), json!(null)] {
        let fault = gate.fault_of_claims(|claims| claims["aud"] = value.clone());
        assert_eq!(fault, TokenFault::Claim("aud"), "{value}");
    }
    for value in ["https://h2.example/fhir", "https://h1.example/fhir/", "account", ""] {
        let fault = gate.fault_of_claims(|claims| claims["aud"] = value.into());
        assert_eq!(fault, TokenFault::Audience, "{value}");
    }
}

#[test]
fn an_audience_list_needs_the_flag_and_our_name_in_it() {
    let gate = Gate::with(|settings| settings.audience_list = true);
    for value in [json!(["other"]), json!([]), json!([AUDIENCE, 1])] {
        let fault = gate.fault_of_claims(|claims| claims["aud"] = value.clone());
        assert_eq!(fault, TokenFault::Audience, "{value}");
    }
    gate.principal(|claims| claims["aud"] = json!(["other", AUDIENCE]));
}

#[test]
fn claims_that_are_missing_are_told_together() {
    let gate = Gate::new();

    let fault = gate.fault_of_claims(|claims| {
        remove(claims, "jti");
        remove(claims, "aud");
        remove(claims, "iat");
    });

    assert_eq!(fault.to_string(), "the token lacks the claims aud, iat, jti");
}

#[test]
fn subject_and_token_id_are_required() {
    let gate = Gate::new();
    for name in ["sub", "jti"] {
        let missing = gate.fault_of_claims(|claims| remove(claims, name));
        assert_eq!(missing, TokenFault::Claim(name));
        for value in [json!(""), json!(1), json!("x".repeat(300))] {
            let fault = gate.fault_of_claims(|claims| claims[name] = value.clone());
            assert_eq!(fault, TokenFault::Claim(name), "{value}");
        }
    }
}

/// B31: rights in other places do not exist.
#[test]
fn smuggled_scopes_and_roles_count_for_nothing() {
    let gate = Gate::new();
    let smuggled = gate.principal(|claims| {
        remove(claims, "scope");
        claims["scp"] = json!(["system/*.cruds"]);
        claims["permissions"] = json!(["system/*.cruds"]);
        claims["authorization"] = json!({ "scope": "system/*.cruds" });
        claims["Scope"] = "system/*.cruds".into();
        claims["roles"] = json!(["system/*.cruds", "admin", "Clinician", "clinician "]);
        claims["realm_access"] = json!({ "roles": ["clinician"] });
    });

    assert!(smuggled.scopes().grants().is_empty());
    assert!(smuggled.roles().is_empty());
    assert!(decide(&smuggled, &AccessRequest::SearchSystem).is_err());
}

#[test]
fn mistyped_claims_of_rights_are_refused_not_guessed() {
    let gate = Gate::new();
    for (name, value) in [
        ("scope", json!(["user/*.rs"])),
        ("patient", json!(["a"])),
        ("patient", json!("Patient/a")),
        ("patient", json!("a b")),
        ("patient", json!("")),
        ("roles", json!("clinician")),
        ("roles", json!([["clinician"]])),
        ("roles", json!({ "clinician": true })),
        ("fhirUser", json!({})),
        ("client_id", json!(7)),
    ] {
        let fault = gate.fault_of_claims(|claims| claims[name] = value.clone());
        assert_eq!(fault, TokenFault::Claim(name), "{value}");
    }
}

#[test]
fn a_user_of_another_server_is_no_user_of_ours() {
    let gate = Gate::new();
    let user = |text: &str| {
        let principal = gate.principal(|claims| claims["fhirUser"] = text.into());
        principal.fhir_user().map(ToString::to_string)
    };
    for own in [
        "Practitioner/a",
        "https://h1.example/fhir/Practitioner/a",
        "https://h1.example/fhir/R4/Practitioner/a",
        "http://127.0.0.1:8080/fhir/Practitioner/a",
    ] {
        assert_eq!(user(own).as_deref(), Some("Practitioner/a"), "{own}");
    }
    for foreign in [
        "https://h2.example/fhir/Practitioner/a",
        "https://h1.example/fhirPractitioner/a",
        "https://h1.example/fhir/x/Practitioner/a",
        "practitioner/a",
        "Practitioner/a/_history/1",
        "",
    ] {
        assert_eq!(user(foreign), None, "{foreign}");
    }
    let external = gate.principal(|claims| claims["fhirUser"] = "https://x.example/P/a".into());
    assert!(decide(&external, &AccessRequest::SearchSystem).is_err(), "no user, no user/ scope");
}

/// B37.
#[test]
fn a_sender_constrained_token_is_not_a_bearer_token() {
    let gate = Gate::new();
    for cnf in [json!({ "jkt": "x" }), json!({ "x5t#S256": "x" }), json!({}), json!(null)] {
        let mut claims = claims();
        claims["cnf"] = cnf;

        let answer = gate.answer(&gate.signer.sign(&header(), &claims), NOW);

        assert_eq!(answer, Err(AuthError::SenderConstrained));
    }
    let challenge = AuthError::SenderConstrained.challenge().expect("a 401");
    assert!(challenge.starts_with("DPoP"));
}

/// G28: a restriction that is not enforced refuses, it is not dropped.
#[test]
fn a_token_with_a_residual_consent_is_refused() {
    let gate = Gate::new();
    let fault = gate.fault_of_claims(|claims| {
        claims["extensions"] = json!({ "ihe_pcf": { "residual": [] } });
    });
    assert_eq!(fault, TokenFault::Restriction("ihe_pcf"));
}

#[test]
fn a_remembered_token_still_expires() {
    let gate = Gate::new();
    let token = gate.signer.sign(&header(), &claims());
    assert!(gate.answer(&token, NOW).is_ok());

    assert!(gate.answer(&token, NOW + 604).is_ok());
    assert_eq!(gate.answer(&token, NOW + 605), Err(TokenFault::Expired.into()));
    assert_eq!(gate.answer(&token, NOW + 606), Err(TokenFault::Expired.into()));
}

#[test]
fn the_same_token_is_one_principal() {
    let gate = Gate::new();
    let token = gate.signer.sign(&header(), &claims());

    let (one, other) = (gate.answer(&token, NOW), gate.answer(&token, NOW + 1));

    assert!(Arc::ptr_eq(&one.expect("good"), &other.expect("good")), "remembered");
}
