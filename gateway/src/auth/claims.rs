//! Verified claims to a [`Principal`].
//!
//! Read are `sub`, `client_id` (or `azp`), the roles claim, `scope`, `patient`, `fhirUser`, `jti` and
//! `purpose_of_use`; rights in any other place (`scp`, `permissions`, nested objects) do not exist.
//! A `fhirUser` of another server counts as none, so that `policy` refuses what needs one.
//! Not here: whether the claims may be trusted (`token`).

use fhir::{Kind, Node, ResourceId, ResourceKey};
use policy::{Principal, Role};

use super::issuer::IssuerSettings;
use super::token::{TokenFault, text};

/// The caller whom the claims describe. `bases` are the URLs under which our resources are known.
pub(super) fn principal(
    claims: Node<'_>,
    settings: &IssuerSettings,
    bases: &[String],
) -> Result<Principal, TokenFault> {
    let string = |name: &'static str| text(claims, name, TokenFault::Claim(name));
    let subject = string("sub")?.filter(|subject| !subject.is_empty());
    let subject = subject.filter(|subject| subject.len() <= SUBJECT_BYTES_MAX);
    let mut builder = Principal::builder(&subject.ok_or(TokenFault::Claim("sub"))?)
        .issuer(&settings.issuer)
        .scopes(&string("scope")?.unwrap_or_default());
    for role in roles(claims, &settings.roles_claim)? {
        builder = builder.role(role);
    }
    if let Some(client_id) = string("client_id")?.or(string("azp")?) {
        builder = builder.client_id(&client_id);
    }
    if let Some(token_id) = string("jti")? {
        builder = builder.token_id(&token_id);
    }
    if let Some(patient) = string("patient")? {
        let patient = ResourceId::parse(&patient).map_err(|_| TokenFault::Claim("patient"))?;
        builder = builder.patient(patient);
    }
    if let Some(key) = string("fhirUser")?.and_then(|user| own_key(&user, bases)) {
        builder = builder.fhir_user(key);
    }
    if let Some(purpose) = string("purpose_of_use")? {
        builder = builder.purpose(&purpose);
    }
    Ok(builder.build())
}

/// The known roles among the claim's strings. The claim is an array, or absent.
fn roles(claims: Node<'_>, name: &str) -> Result<Vec<Role>, TokenFault> {
    let Some(list) = claims.get(name) else { return Ok(Vec::new()) };
    if list.kind() != Kind::Array || list.children().any(|role| role.kind() != Kind::String) {
        return Err(TokenFault::Claim("roles"));
    }
    let names = list.children().filter_map(Node::as_str);
    Ok(names.filter_map(|name| Role::parse(&name)).collect())
}

/// `Practitioner/1`, relative or under one of our own bases.
fn own_key(user: &str, bases: &[String]) -> Option<ResourceKey> {
    let under = |base: &String| ResourceKey::parse(fhir::below_base(user, base)?).ok();
    ResourceKey::parse(user).ok().or_else(|| bases.iter().find_map(under))
}

const SUBJECT_BYTES_MAX: usize = 256;
