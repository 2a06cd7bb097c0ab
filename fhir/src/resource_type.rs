//! The concrete resource types of FHIR R4 (4.0.1), a closed set.
//!
//! Spec: FHIR R4 resourcelist.html; `Resource` and `DomainResource` are abstract and not here. Which of them are stored
//! ([`ResourceType::is_stored`]) is decided here and nowhere else.

use std::fmt;

/// One of R4's concrete resource types; one byte, its place in the alphabetic list.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ResourceType(u8);

impl ResourceType {
    /// `Account`.
    pub const ACCOUNT: Self = named("Account");
    /// `AllergyIntolerance`.
    pub const ALLERGY_INTOLERANCE: Self = named("AllergyIntolerance");
    /// `Appointment`.
    pub const APPOINTMENT: Self = named("Appointment");
    /// `AuditEvent`.
    pub const AUDIT_EVENT: Self = named("AuditEvent");
    /// `Basic`.
    pub const BASIC: Self = named("Basic");
    /// `Binary`.
    pub const BINARY: Self = named("Binary");
    /// `Bundle`.
    pub const BUNDLE: Self = named("Bundle");
    /// `CapabilityStatement`.
    pub const CAPABILITY_STATEMENT: Self = named("CapabilityStatement");
    /// `CarePlan`.
    pub const CARE_PLAN: Self = named("CarePlan");
    /// `CareTeam`.
    pub const CARE_TEAM: Self = named("CareTeam");
    /// `Claim`.
    pub const CLAIM: Self = named("Claim");
    /// `CodeSystem`.
    pub const CODE_SYSTEM: Self = named("CodeSystem");
    /// `Communication`.
    pub const COMMUNICATION: Self = named("Communication");
    /// `CompartmentDefinition`.
    pub const COMPARTMENT_DEFINITION: Self = named("CompartmentDefinition");
    /// `Composition`.
    pub const COMPOSITION: Self = named("Composition");
    /// `ConceptMap`.
    pub const CONCEPT_MAP: Self = named("ConceptMap");
    /// `Condition`.
    pub const CONDITION: Self = named("Condition");
    /// `Consent`.
    pub const CONSENT: Self = named("Consent");
    /// `Coverage`.
    pub const COVERAGE: Self = named("Coverage");
    /// `Device`.
    pub const DEVICE: Self = named("Device");
    /// `DiagnosticReport`.
    pub const DIAGNOSTIC_REPORT: Self = named("DiagnosticReport");
    /// `DocumentReference`.
    pub const DOCUMENT_REFERENCE: Self = named("DocumentReference");
    /// `Encounter`.
    pub const ENCOUNTER: Self = named("Encounter");
    /// `Endpoint`.
    pub const ENDPOINT: Self = named("Endpoint");
    /// `EpisodeOfCare`.
    pub const EPISODE_OF_CARE: Self = named("EpisodeOfCare");
    /// `ExplanationOfBenefit`.
    pub const EXPLANATION_OF_BENEFIT: Self = named("ExplanationOfBenefit");
    /// `FamilyMemberHistory`.
    pub const FAMILY_MEMBER_HISTORY: Self = named("FamilyMemberHistory");
    /// `Flag`.
    pub const FLAG: Self = named("Flag");
    /// `Goal`.
    pub const GOAL: Self = named("Goal");
    /// `Group`.
    pub const GROUP: Self = named("Group");
    /// `HealthcareService`.
    pub const HEALTHCARE_SERVICE: Self = named("HealthcareService");
    /// `ImagingStudy`.
    pub const IMAGING_STUDY: Self = named("ImagingStudy");
    /// `Immunization`.
    pub const IMMUNIZATION: Self = named("Immunization");
    /// `List`.
    pub const LIST: Self = named("List");
    /// `Location`.
    pub const LOCATION: Self = named("Location");
    /// `MeasureReport`.
    pub const MEASURE_REPORT: Self = named("MeasureReport");
    /// `Medication`.
    pub const MEDICATION: Self = named("Medication");
    /// `MedicationAdministration`.
    pub const MEDICATION_ADMINISTRATION: Self = named("MedicationAdministration");
    /// `MedicationDispense`.
    pub const MEDICATION_DISPENSE: Self = named("MedicationDispense");
    /// `MedicationRequest`.
    pub const MEDICATION_REQUEST: Self = named("MedicationRequest");
    /// `MedicationStatement`.
    pub const MEDICATION_STATEMENT: Self = named("MedicationStatement");
    /// `MessageHeader`.
    pub const MESSAGE_HEADER: Self = named("MessageHeader");
    /// `NamingSystem`.
    pub const NAMING_SYSTEM: Self = named("NamingSystem");
    /// `Observation`.
    pub const OBSERVATION: Self = named("Observation");
    /// `OperationDefinition`.
    pub const OPERATION_DEFINITION: Self = named("OperationDefinition");
    /// `OperationOutcome`.
    pub const OPERATION_OUTCOME: Self = named("OperationOutcome");
    /// `Organization`.
    pub const ORGANIZATION: Self = named("Organization");
    /// `Parameters`.
    pub const PARAMETERS: Self = named("Parameters");
    /// `Patient`.
    pub const PATIENT: Self = named("Patient");
    /// `Person`.
    pub const PERSON: Self = named("Person");
    /// `Practitioner`.
    pub const PRACTITIONER: Self = named("Practitioner");
    /// `PractitionerRole`.
    pub const PRACTITIONER_ROLE: Self = named("PractitionerRole");
    /// `Procedure`.
    pub const PROCEDURE: Self = named("Procedure");
    /// `Provenance`.
    pub const PROVENANCE: Self = named("Provenance");
    /// `Questionnaire`.
    pub const QUESTIONNAIRE: Self = named("Questionnaire");
    /// `QuestionnaireResponse`.
    pub const QUESTIONNAIRE_RESPONSE: Self = named("QuestionnaireResponse");
    /// `RelatedPerson`.
    pub const RELATED_PERSON: Self = named("RelatedPerson");
    /// `Schedule`.
    pub const SCHEDULE: Self = named("Schedule");
    /// `SearchParameter`.
    pub const SEARCH_PARAMETER: Self = named("SearchParameter");
    /// `ServiceRequest`.
    pub const SERVICE_REQUEST: Self = named("ServiceRequest");
    /// `Slot`.
    pub const SLOT: Self = named("Slot");
    /// `Specimen`.
    pub const SPECIMEN: Self = named("Specimen");
    /// `StructureDefinition`.
    pub const STRUCTURE_DEFINITION: Self = named("StructureDefinition");
    /// `Subscription`.
    pub const SUBSCRIPTION: Self = named("Subscription");
    /// `Task`.
    pub const TASK: Self = named("Task");
    /// `ValueSet`.
    pub const VALUE_SET: Self = named("ValueSet");

    /// How many types there are; codes are below it.
    pub const COUNT: usize = NAMES.len();

    /// The type of that name, spelled exactly.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let place = NAMES.binary_search(&name).ok()?;
        u8::try_from(place).ok().map(Self)
    }

    /// The name as the standard spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        NAMES[usize::from(self.0)]
    }

    /// Stable one-byte code: the place in the alphabetic list of R4.
    #[must_use]
    pub fn code(self) -> u8 {
        self.0
    }

    /// The type of a code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        (usize::from(code) < NAMES.len()).then_some(Self(code))
    }

    /// Whether resources of the type have a place on a server: all but `Parameters`, which has "no RESTful end-point"
    /// (FHIR R4 parameters.html) and is only handed to operations and answered by them.
    #[must_use]
    pub fn is_stored(self) -> bool {
        self != Self::PARAMETERS
    }

    /// The type of that name, if its resources are stored.
    ///
    /// # Errors
    /// [`NotStored`]: the name is wrong, or the type has no place on a server.
    pub fn parse_stored(name: &str) -> Result<Self, NotStored> {
        match Self::parse(name) {
            Some(of) if of.is_stored() => Ok(of),
            Some(of) => Err(NotStored::NoEndpoint(of)),
            None => {
                let plain = name.chars().filter(char::is_ascii_graphic);
                Err(NotStored::Unknown(plain.take(NAME_SHOWN_MAX).collect()))
            }
        }
    }

    /// All types whose resources are stored, in alphabetic order.
    pub fn stored() -> impl DoubleEndedIterator<Item = Self> {
        Self::all().filter(|of| of.is_stored())
    }

    /// All types in alphabetic order, those too that are not stored.
    pub fn all() -> impl DoubleEndedIterator<Item = Self> + ExactSizeIterator {
        (0..NAMES.len()).map(|place| Self(place as u8))
    }
}

/// Why a name is not that of a type whose resources are stored. The client asks elsewhere.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotStored {
    /// There is no such type; what is safe to repeat of the name.
    #[error("{0:?} is no resource type of FHIR R4")]
    Unknown(String),
    /// R4 gives the type no end-point.
    #[error(
        "{0} is not stored: in FHIR R4 it has no end-point and is only what operations take and answer"
    )]
    NoEndpoint(ResourceType),
}

impl fmt::Display for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// For the constants above: a misspelt name does not compile.
const fn named(name: &str) -> ResourceType {
    let mut place = 0;
    while place < NAMES.len() {
        if equal(NAMES[place].as_bytes(), name.as_bytes()) {
            return ResourceType(place as u8);
        }
        place += 1;
    }
    panic!("no such resource type")
}

const fn equal(a: &[u8], b: &[u8]) -> bool {
    let mut place = 0;
    while place < a.len() && place < b.len() && a[place] == b[place] {
        place += 1;
    }
    place == a.len() && place == b.len()
}

const NAMES: [&str; 146] = [
    "Account",
    "ActivityDefinition",
    "AdverseEvent",
    "AllergyIntolerance",
    "Appointment",
    "AppointmentResponse",
    "AuditEvent",
    "Basic",
    "Binary",
    "BiologicallyDerivedProduct",
    "BodyStructure",
    "Bundle",
    "CapabilityStatement",
    "CarePlan",
    "CareTeam",
    "CatalogEntry",
    "ChargeItem",
    "ChargeItemDefinition",
    "Claim",
    "ClaimResponse",
    "ClinicalImpression",
    "CodeSystem",
    "Communication",
    "CommunicationRequest",
    "CompartmentDefinition",
    "Composition",
    "ConceptMap",
    "Condition",
    "Consent",
    "Contract",
    "Coverage",
    "CoverageEligibilityRequest",
    "CoverageEligibilityResponse",
    "DetectedIssue",
    "Device",
    "DeviceDefinition",
    "DeviceMetric",
    "DeviceRequest",
    "DeviceUseStatement",
    "DiagnosticReport",
    "DocumentManifest",
    "DocumentReference",
    "EffectEvidenceSynthesis",
    "Encounter",
    "Endpoint",
    "EnrollmentRequest",
    "EnrollmentResponse",
    "EpisodeOfCare",
    "EventDefinition",
    "Evidence",
    "EvidenceVariable",
    "ExampleScenario",
    "ExplanationOfBenefit",
    "FamilyMemberHistory",
    "Flag",
    "Goal",
    "GraphDefinition",
    "Group",
    "GuidanceResponse",
    "HealthcareService",
    "ImagingStudy",
    "Immunization",
    "ImmunizationEvaluation",
    "ImmunizationRecommendation",
    "ImplementationGuide",
    "InsurancePlan",
    "Invoice",
    "Library",
    "Linkage",
    "List",
    "Location",
    "Measure",
    "MeasureReport",
    "Media",
    "Medication",
    "MedicationAdministration",
    "MedicationDispense",
    "MedicationKnowledge",
    "MedicationRequest",
    "MedicationStatement",
    "MedicinalProduct",
    "MedicinalProductAuthorization",
    "MedicinalProductContraindication",
    "MedicinalProductIndication",
    "MedicinalProductIngredient",
    "MedicinalProductInteraction",
    "MedicinalProductManufactured",
    "MedicinalProductPackaged",
    "MedicinalProductPharmaceutical",
    "MedicinalProductUndesirableEffect",
    "MessageDefinition",
    "MessageHeader",
    "MolecularSequence",
    "NamingSystem",
    "NutritionOrder",
    "Observation",
    "ObservationDefinition",
    "OperationDefinition",
    "OperationOutcome",
    "Organization",
    "OrganizationAffiliation",
    "Parameters",
    "Patient",
    "PaymentNotice",
    "PaymentReconciliation",
    "Person",
    "PlanDefinition",
    "Practitioner",
    "PractitionerRole",
    "Procedure",
    "Provenance",
    "Questionnaire",
    "QuestionnaireResponse",
    "RelatedPerson",
    "RequestGroup",
    "ResearchDefinition",
    "ResearchElementDefinition",
    "ResearchStudy",
    "ResearchSubject",
    "RiskAssessment",
    "RiskEvidenceSynthesis",
    "Schedule",
    "SearchParameter",
    "ServiceRequest",
    "Slot",
    "Specimen",
    "SpecimenDefinition",
    "StructureDefinition",
    "StructureMap",
    "Subscription",
    "Substance",
    "SubstanceNucleicAcid",
    "SubstancePolymer",
    "SubstanceProtein",
    "SubstanceReferenceInformation",
    "SubstanceSourceMaterial",
    "SubstanceSpecification",
    "SupplyDelivery",
    "SupplyRequest",
    "Task",
    "TerminologyCapabilities",
    "TestReport",
    "TestScript",
    "ValueSet",
    "VerificationResult",
    "VisionPrescription",
];

/// Characters of an unknown name that a refusal repeats.
const NAME_SHOWN_MAX: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_found_by_its_name_and_by_its_code() {
        assert!(NAMES.is_sorted());
        for each in ResourceType::all() {
            assert_eq!(ResourceType::parse(each.name()), Some(each));
            assert_eq!(ResourceType::from_code(each.code()), Some(each));
        }
        assert_eq!(ResourceType::PATIENT.name(), "Patient");
    }

    #[test]
    fn all_types_but_parameters_are_stored() {
        let left_out: Vec<_> = ResourceType::all().filter(|of| !of.is_stored()).collect();

        assert_eq!(left_out, [ResourceType::PARAMETERS]);
        assert_eq!(ResourceType::stored().count(), ResourceType::COUNT - 1);
        assert_eq!(ResourceType::parse_stored("Patient"), Ok(ResourceType::PATIENT));
        let refused = ResourceType::parse_stored("Parameters");
        assert_eq!(refused, Err(NotStored::NoEndpoint(ResourceType::PARAMETERS)));
        let unknown = ResourceType::parse_stored(&"Pa\u{7}tients".repeat(20)).unwrap_err();
        assert_eq!(unknown, NotStored::Unknown("Patients".repeat(5)));
    }

    #[test]
    fn abstract_and_unknown_types_are_refused() {
        for bad in ["Resource", "DomainResource", "patient", "", "Patients"] {
            assert_eq!(ResourceType::parse(bad), None, "{bad}");
        }
        assert_eq!(ResourceType::from_code(u8::MAX), None);
    }
}
