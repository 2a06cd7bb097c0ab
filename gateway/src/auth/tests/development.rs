//! The development issuer takes the same path as any other, and no other gateway knows it.

use fhir::{ResourceId, ResourceKey, ResourceType};
use policy::{AccessRequest, Role, Visibility, decide};

use super::*;
use crate::auth::{DEV_LIFETIME_SECONDS_MAX, DevIssuer, DevIssuerError, TokenRequest};

const DEV: &str = "http://127.0.0.1:8080/dev";

fn request(role: Role, patient: Option<&ResourceId>) -> TokenRequest<'_> {
    TokenRequest { role, patient, scope: None, lifetime_seconds: 86_400 }
}

fn principal(issuer: &DevIssuer, request: &TokenRequest<'_>) -> Arc<Principal> {
    let token = issuer.token(request, at(NOW)).expect("issues");
    let gate = authenticator(issuer.settings());
    let header = format!("Bearer {token}");
    wait(gate.authenticate(Some(&header), at(NOW + 86_000))).expect("a day long")
}

#[test]
fn every_role_gets_what_it_needs_and_no_more() {
    let issuer = DevIssuer::generate(DEV, AUDIENCE).expect("a key");
    let ada = ResourceId::parse("ada").expect("an id");
    let read = AccessRequest::Read(ResourceKey::parse("Observation/o").expect("a key"));
    let create = AccessRequest::Create(ResourceType::OBSERVATION);
    let allowed = |role, request: &AccessRequest| {
        let patient = (role == Role::Patient).then_some(&ada);
        decide(&principal(&issuer, &self::request(role, patient)), request)
    };
    for (role, reads, creates, sends, audits, operates) in [
        (Role::Clinician, true, true, false, false, false),
        (Role::Patient, true, false, false, true, false),
        (Role::System, true, true, true, false, false),
        (Role::Auditor, false, false, false, true, false),
        (Role::Operator, false, false, false, false, true),
    ] {
        assert_eq!(allowed(role, &read).is_ok(), reads, "{role:?}");
        assert_eq!(allowed(role, &create).is_ok(), creates, "{role:?}");
        assert_eq!(allowed(role, &AccessRequest::Message).is_ok(), sends, "{role:?}");
        assert_eq!(allowed(role, &AccessRequest::AuditRead).is_ok(), audits, "{role:?}");
        assert_eq!(allowed(role, &AccessRequest::Operate).is_ok(), operates, "{role:?}");
    }
    let permit = allowed(Role::Patient, &read).expect("permitted");
    assert_eq!(*permit.visibility(), Visibility::Compartments(vec![ada.clone()]));
}

#[test]
fn a_patients_token_needs_a_patient() {
    let issuer = DevIssuer::generate(DEV, AUDIENCE).expect("a key");

    let refused = issuer.token(&request(Role::Patient, None), at(NOW));

    assert!(matches!(refused, Err(DevIssuerError::NoPatient)));
}

#[test]
fn no_token_outlives_the_limit() {
    let issuer = DevIssuer::generate(DEV, AUDIENCE).expect("a key");
    let gate = authenticator(issuer.settings());
    let mut request = request(Role::System, None);
    request.lifetime_seconds = i64::MAX;
    let header = format!("Bearer {}", issuer.token(&request, at(NOW)).expect("issues"));

    let late = at(NOW + DEV_LIFETIME_SECONDS_MAX + 5);

    assert!(wait(gate.authenticate(Some(&header), at(NOW))).is_ok());
    let refused = wait(gate.authenticate(Some(&header), late));
    assert_eq!(refused, Err(TokenFault::Expired.into()));
}

#[test]
fn scopes_can_be_narrowed() {
    let issuer = DevIssuer::generate(DEV, AUDIENCE).expect("a key");
    let mut request = request(Role::System, None);
    request.scope = Some("system/Patient.rs");

    let narrow = principal(&issuer, &request);

    assert!(decide(&narrow, &AccessRequest::Search(ResourceType::PATIENT)).is_ok());
    assert!(decide(&narrow, &AccessRequest::Search(ResourceType::OBSERVATION)).is_err());
}

/// B43.
#[test]
fn a_gateway_that_was_not_told_of_it_refuses_its_tokens() {
    let issuer = DevIssuer::generate(ISSUER, AUDIENCE).expect("a key");
    let foreign = DevIssuer::generate(DEV, AUDIENCE).expect("a key");
    let gate = Gate::new();
    let token =
        |issuer: &DevIssuer| issuer.token(&request(Role::System, None), at(NOW)).expect("issues");

    assert_eq!(gate.fault(&token(&foreign)), TokenFault::UnknownIssuer);
    assert_eq!(gate.fault(&token(&issuer)), TokenFault::UnknownKey);
}

#[test]
fn another_process_issues_for_the_same_gateway_by_the_saved_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("dev-issuer.json");
    let issuer = DevIssuer::open(&path, DEV, AUDIENCE).expect("makes a key");

    let loaded = DevIssuer::load(&path).expect("loads");

    let gate = authenticator(issuer.settings());
    let token = loaded.token(&request(Role::Auditor, None), at(NOW)).expect("issues");
    let header = format!("Bearer {token}");
    assert!(wait(gate.authenticate(Some(&header), at(NOW))).is_ok());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |mode| std::fs::Permissions::from_mode(mode);
        let found = std::fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(found & 0o777, 0o600);
        std::fs::set_permissions(&path, mode(0o644)).expect("opens it to others");
        assert!(matches!(DevIssuer::load(&path), Err(DevIssuerError::Exposed(_))));
        std::fs::set_permissions(&path, mode(0o600)).expect("closes it");
    }
    std::fs::write(&path, "{}").expect("writes");
    assert!(matches!(DevIssuer::load(&path), Err(DevIssuerError::Malformed)));
}
