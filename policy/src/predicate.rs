//! What a permit lets storage touch: [`Visibility`] of resources, [`TypeSet`] of types.
//!
//! Storage renders the visibility at every resource reference of a statement. [`Visibility::admits`]
//! is the same rule in plain code, for the check of writes and as the oracle of tests.
//! Not here: how it is rendered (`registry`).

use std::sync::LazyLock;

use fhir::{ResourceId, ResourceType};

/// Which resources exist for the caller.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Visibility {
    /// All of them.
    Everything,
    /// Those in the compartment of at least one of these patients, and those of
    /// [`universal_types`] that are in no compartment. An empty list sees only the latter.
    /// Groups are no part of it: a permit with this visibility never names the type.
    Compartments(Vec<ResourceId>),
}

impl Visibility {
    /// True if a resource of this type in these patients' compartments is visible.
    pub fn admits(&self, resource_type: ResourceType, patients: &[ResourceId]) -> bool {
        match self {
            Self::Everything => true,
            Self::Compartments(_) if patients.is_empty() => {
                universal_types().contains(resource_type)
            }
            Self::Compartments(own) if resource_type == ResourceType::GROUP => {
                patients.iter().all(|patient| own.contains(patient))
            }
            Self::Compartments(own) => patients.iter().any(|patient| own.contains(patient)),
        }
    }

    /// True if a resource in these patients' compartments may be written: all of them are the caller's.
    pub fn admits_write(&self, patients: &[ResourceId]) -> bool {
        match self {
            Self::Everything => true,
            Self::Compartments(own) => {
                !patients.is_empty() && patients.iter().all(|patient| own.contains(patient))
            }
        }
    }
}

/// Types whose resources belong to no patient and are visible to every user with a scope for them.
pub fn universal_types() -> &'static TypeSet {
    static TYPES: LazyLock<TypeSet> =
        LazyLock::new(|| UNIVERSAL.iter().filter_map(|name| ResourceType::parse(name)).collect());
    &TYPES
}

/// A set of resource types.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct TypeSet([u64; 4]);

impl TypeSet {
    /// No type.
    pub const NONE: Self = Self([0; 4]);

    /// All types of FHIR R4.
    pub fn all() -> Self {
        static ALL: LazyLock<TypeSet> = LazyLock::new(|| ResourceType::all().collect());
        *ALL
    }

    /// This one type.
    pub fn one(resource_type: ResourceType) -> Self {
        let mut set = Self::NONE;
        set.insert(resource_type);
        set
    }

    /// Adds a type.
    pub fn insert(&mut self, resource_type: ResourceType) {
        let (word, bit) = Self::place(resource_type);
        self.0[word] |= bit;
    }

    /// True if the type is in the set.
    pub fn contains(&self, resource_type: ResourceType) -> bool {
        let (word, bit) = Self::place(resource_type);
        self.0[word] & bit != 0
    }

    /// True if every type of `other` is in the set.
    pub fn contains_all(&self, other: &Self) -> bool {
        self.0.iter().zip(other.0).all(|(own, theirs)| own & theirs == theirs)
    }

    /// True if it holds no type.
    pub fn is_empty(&self) -> bool {
        *self == Self::NONE
    }

    /// Number of types.
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Types that are in at least one of the two.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] | other.0[i]))
    }

    /// Types that are in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] & other.0[i]))
    }

    /// Types that are in this set and not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] & !other.0[i]))
    }

    /// The types in alphabetic order.
    pub fn iter(&self) -> impl Iterator<Item = ResourceType> + '_ {
        ResourceType::all().filter(|resource_type| self.contains(*resource_type))
    }

    fn place(resource_type: ResourceType) -> (usize, u64) {
        let code = usize::from(resource_type.code());
        (code / 64, 1 << (code % 64))
    }
}

impl FromIterator<ResourceType> for TypeSet {
    fn from_iter<I: IntoIterator<Item = ResourceType>>(types: I) -> Self {
        let mut set = Self::NONE;
        for resource_type in types {
            set.insert(resource_type);
        }
        set
    }
}

/// Directory, catalogue and terminology types. Not among them: `Device`, `Binary`, `Group`, `List`,
/// which may speak of a patient without being in the compartment.
const UNIVERSAL: [&str; 20] = [
    "ActivityDefinition",
    "CodeSystem",
    "ConceptMap",
    "Endpoint",
    "HealthcareService",
    "InsurancePlan",
    "Location",
    "Medication",
    "MedicationKnowledge",
    "NamingSystem",
    "Organization",
    "OrganizationAffiliation",
    "PlanDefinition",
    "Practitioner",
    "PractitionerRole",
    "Questionnaire",
    "SearchParameter",
    "StructureDefinition",
    "Substance",
    "ValueSet",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> ResourceId {
        ResourceId::parse(text).expect("a valid id")
    }

    #[test]
    fn every_universal_name_is_a_type() {
        assert_eq!(universal_types().len(), UNIVERSAL.len());
    }

    #[test]
    fn a_set_of_types_behaves_as_a_set() {
        let all = TypeSet::all();
        assert_eq!(all.len(), ResourceType::all().count());
        assert!(all.iter().eq(ResourceType::all()));
        let one = TypeSet::one(ResourceType::OBSERVATION);
        assert!(all.contains_all(&one) && !one.contains_all(&all));
        assert_eq!(all.difference(&one).union(&one), all);
        assert_eq!(all.intersection(&one), one);
        assert!(one.difference(&one).is_empty());
    }

    #[test]
    fn a_compartment_sees_its_own_and_what_belongs_to_nobody() {
        let visibility = Visibility::Compartments(vec![id("a")]);

        assert!(visibility.admits(ResourceType::OBSERVATION, &[id("b"), id("a")]));
        assert!(!visibility.admits(ResourceType::OBSERVATION, &[id("b")]));
        assert!(!visibility.admits(ResourceType::OBSERVATION, &[]));
        assert!(visibility.admits(ResourceType::ORGANIZATION, &[]));
        assert!(!visibility.admits(ResourceType::MEDICATION, &[id("b")]));
    }

    #[test]
    fn a_write_must_stay_inside_the_callers_compartments() {
        let visibility = Visibility::Compartments(vec![id("a")]);

        assert!(visibility.admits_write(&[id("a")]));
        assert!(!visibility.admits_write(&[id("a"), id("b")]));
        assert!(!visibility.admits_write(&[]));
    }
}
