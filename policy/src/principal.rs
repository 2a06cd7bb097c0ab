//! Who asks: a [`Principal`] made from verified claims.
//!
//! Only `gateway::auth` builds one for a request; fields are private, so nothing adds a right later.
//! Contradictions in the claims (a patient who is also an auditor, `patient/` beside `system/`
//! scopes) do not fail here: the principal exists, is named in the audit trail, and is denied.
//! Not here: token checks (`gateway::auth`).

use fhir::{ResourceId, ResourceKey};

use crate::scope::Scopes;

/// What the caller is to the hospital.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Role {
    /// Treats patients: all patients, types by scope.
    Clinician,
    /// Sees the own record and who looked at it.
    Patient,
    /// A system of the hospital: reads, writes and sends messages by scope.
    System,
    /// Checks accesses and the ledger; sees no clinical data.
    Auditor,
    /// Runs the installation; sees no clinical data.
    Operator,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Clinician, Self::Patient, Self::System, Self::Auditor, Self::Operator];

    /// The role's name in the `roles` claim.
    pub fn name(self) -> &'static str {
        match self {
            Self::Clinician => "clinician",
            Self::Patient => "patient",
            Self::System => "system",
            Self::Auditor => "auditor",
            Self::Operator => "operator",
        }
    }

    /// The role of this exact name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// An authenticated caller.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Principal {
    subject: Box<str>,
    issuer: Option<Box<str>>,
    client_id: Option<Box<str>>,
    token_id: Option<Box<str>>,
    roles: Vec<Role>,
    scopes: Scopes,
    patient: Option<ResourceId>,
    fhir_user: Option<ResourceKey>,
    purpose: Option<Box<str>>,
}

impl Principal {
    /// Starts with a subject who has no role and no scope, and so no access.
    pub fn builder(subject: &str) -> PrincipalBuilder {
        PrincipalBuilder(Self {
            subject: subject.into(),
            issuer: None,
            client_id: None,
            token_id: None,
            roles: Vec::new(),
            scopes: Scopes::default(),
            patient: None,
            fhir_user: None,
            purpose: None,
        })
    }

    /// Stable name of the caller at its issuer (`sub`).
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Who vouches for the caller (`iss`).
    pub fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// The application (`client_id` or `azp`).
    pub fn client_id(&self) -> Option<&str> {
        self.client_id.as_deref()
    }

    /// Id of the token (`jti`), the only part of it that an audit record names.
    pub fn token_id(&self) -> Option<&str> {
        self.token_id.as_deref()
    }

    /// The caller's roles, each once.
    pub fn roles(&self) -> &[Role] {
        &self.roles
    }

    /// True if the caller has the role.
    pub fn has_role(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// What the token grants.
    pub fn scopes(&self) -> &Scopes {
        &self.scopes
    }

    /// The patient in context; for a patient, the caller.
    pub fn patient(&self) -> Option<&ResourceId> {
        self.patient.as_ref()
    }

    /// The resource that stands for the caller (`fhirUser`).
    pub fn fhir_user(&self) -> Option<&ResourceKey> {
        self.fhir_user.as_ref()
    }

    /// Purpose of use, as the issuer states it.
    pub fn purpose(&self) -> Option<&str> {
        self.purpose.as_deref()
    }
}

/// Makes a [`Principal`] from claims that were verified.
#[derive(Clone, Debug)]
pub struct PrincipalBuilder(Principal);

impl PrincipalBuilder {
    /// Sets the issuer.
    #[must_use]
    pub fn issuer(mut self, issuer: &str) -> Self {
        self.0.issuer = Some(issuer.into());
        self
    }

    /// Sets the application.
    #[must_use]
    pub fn client_id(mut self, client_id: &str) -> Self {
        self.0.client_id = Some(client_id.into());
        self
    }

    /// Sets the token's id.
    #[must_use]
    pub fn token_id(mut self, token_id: &str) -> Self {
        self.0.token_id = Some(token_id.into());
        self
    }

    /// Adds a role.
    #[must_use]
    pub fn role(mut self, role: Role) -> Self {
        if !self.0.has_role(role) {
            self.0.roles.push(role);
        }
        self
    }

    /// Sets the scopes from the text of the claim.
    #[must_use]
    pub fn scopes(mut self, text: &str) -> Self {
        self.0.scopes = Scopes::parse(text);
        self
    }

    /// Sets the patient in context.
    #[must_use]
    pub fn patient(mut self, patient: ResourceId) -> Self {
        self.0.patient = Some(patient);
        self
    }

    /// Sets the resource that stands for the caller.
    #[must_use]
    pub fn fhir_user(mut self, fhir_user: ResourceKey) -> Self {
        self.0.fhir_user = Some(fhir_user);
        self
    }

    /// Sets the purpose of use.
    #[must_use]
    pub fn purpose(mut self, purpose: &str) -> Self {
        self.0.purpose = Some(purpose.into());
        self
    }

    /// The finished principal.
    #[must_use]
    pub fn build(self) -> Principal {
        self.0
    }
}
