//! The `Authorization` header and the outer form of a token.

use super::*;

#[test]
fn a_missing_header_is_told_from_a_bad_one() {
    let gate = Gate::new();

    let answer = wait(gate.authenticator.authenticate(None, at(NOW)));

    assert_eq!(answer, Err(AuthError::Missing));
    assert_eq!(AuthError::Missing.challenge().as_deref(), Some("Bearer realm=\"sealway\""));
}

/// B02.
#[test]
fn a_header_that_is_not_bearer_and_one_token_is_refused() {
    let gate = Gate::new();
    let good = gate.signer.sign(&header(), &claims());
    for header in [
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        "Bearer a b".to_owned(),
        format!("bearer\t{good}"),
        format!("Bearer  {good}"),
        format!("Bearer {good} "),
        format!("Bearer {good},{good}"),
        format!(" Bearer {good}"),
        format!("Basic {good}"),
        good.clone(),
        String::new(),
        "Bearer \u{e9}".to_owned(),
    ] {
        let answer = wait(gate.authenticator.authenticate(Some(&header), at(NOW)));
        assert_eq!(answer, Err(AuthError::Header), "{header}");
    }
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let header = format!("{scheme} {good}");
        assert!(wait(gate.authenticator.authenticate(Some(&header), at(NOW))).is_ok());
    }
}

/// B16.
#[test]
fn a_token_of_other_than_three_parts_is_refused() {
    let gate = Gate::new();
    let good = gate.signer.sign(&header(), &claims());
    let parts: Vec<_> = good.split('.').collect();
    for token in [
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}", parts[0], parts[1]),
        format!("{good}.{}", parts[2]),
        format!("{good}.{}.{}", parts[1], parts[2]),
        format!("..{}", parts[2]),
        format!("{}..{}", parts[0], parts[2]),
        ".".to_owned(),
        "opaque".to_owned(),
    ] {
        assert_eq!(gate.fault(&token), TokenFault::Malformed, "{token}");
    }
}

/// B17.
#[test]
fn a_part_that_is_not_canonical_base64url_is_refused() {
    let gate = Gate::new();
    let good = gate.signer.sign(&header(), &claims());
    assert_eq!(gate.fault(&format!("{good}=")), TokenFault::Malformed);
    assert_eq!(gate.fault(&format!("{good}==")), TokenFault::Malformed);
    // 64 bytes end in a letter of which only the upper two bits count.
    let last = good.chars().last().expect("a letter");
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let place = alphabet.find(last).expect("base64url");
    assert_eq!(place % 16, 0, "canonical");
    for other in [place + 1, place + 15] {
        let other = alphabet.as_bytes()[other] as char;
        let token = format!("{}{other}", &good[..good.len() - 1]);
        assert_eq!(gate.fault(&token), TokenFault::Malformed);
    }
    let standard = good.replace('-', "+").replace('_', "/");
    if standard != good {
        assert_eq!(gate.fault(&standard), TokenFault::Malformed);
    }
}

#[test]
fn a_token_over_the_limit_is_not_looked_at() {
    let gate = Gate::new();
    let long = gate.fault_of_claims(|claims| claims["note"] = "x".repeat(8192).into());
    assert_eq!(long, TokenFault::TooLong);
}

#[test]
fn header_and_claims_must_be_json_objects_and_nothing_more() {
    let gate = Gate::new();
    let (header, claims) = (header().to_string(), claims().to_string());
    for (header, claims) in [
        ("[]", claims.as_str()),
        ("null", &claims),
        ("", &claims),
        (&header, "[]"),
        (&header, "\"text\""),
        (&header, ""),
        (&header, &format!("{claims} ,")),
        (&header, &format!("{claims}{claims}")),
        (&header, &claims.replace("dr-a", "\\u0000")),
        (&header, &claims.replace("dr-a", "\\ud800")),
    ] {
        let token = gate.signer.sign_text(header, claims);
        assert_eq!(gate.fault(&token), TokenFault::Malformed, "{header} {claims}");
    }
}

/// B30.
#[test]
fn a_duplicate_member_is_refused_however_it_is_spelled() {
    let gate = Gate::new();
    let claims = claims().to_string();
    for second in ["\"scope\"", "\"sc\\u006fpe\"", "\"note\":1,\"note\""] {
        let twice = claims.replacen('{', &format!("{{{second}:\"system/*.cruds\","), 1);
        let token = gate.signer.sign_text(&header().to_string(), &twice);
        assert_eq!(gate.fault(&token), TokenFault::Malformed, "{second}");
    }
    let twice = header().to_string().replacen('{', "{\"alg\":\"none\",", 1);
    assert_eq!(gate.fault(&gate.signer.sign_text(&twice, &claims)), TokenFault::Malformed);
}

#[test]
fn no_answer_carries_a_part_of_the_token() {
    let gate = Gate::new();
    let token = gate.signer.sign(&header(), &json!({ "iss": "https://canary.example" }));

    let error = gate.answer(&token, NOW).expect_err("a bad token");

    let text = format!("{error} {error:?} {:?}", error.challenge());
    assert!(!text.contains("canary") && !text.contains(&token[..20]), "{text}");
}
