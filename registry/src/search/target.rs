//! Where a search looks: one type, all types, or the compartment of a resource.
//!
//! Spec: FHIR R4 http.html § 3.1.0.11 (search) and § 3.1.0.11.1 (variant searches), compartmentdefinition.html: a resource
//! is in a compartment if one of the parameters of the definition refers to the owner; the owner is in its own where the definition
//! says so. A search over several types takes the parameters that all of them have; `_type` narrows it.
//! AuditEvents are rendered from the access journal: a search over several types does not see them.

use fhir::{
    ResourceKey, ResourceType, compartment_members, compartment_params, is_in_own_compartment,
};

use super::clause::{Filter, Leg, ReferenceTest, Tests};
use crate::error::ReadError;
use crate::index::param::index_params;

/// Where a search looks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SearchTarget {
    /// `[base]/[type]`
    Type(ResourceType),
    /// `[base]`
    System,
    /// `[base]/[compartment]/[id]/[type]`, or all its types: `[base]/[compartment]/[id]/*`.
    Compartment {
        /// Whose.
        owner: ResourceKey,
        /// The one type that is searched.
        member: Option<ResourceType>,
    },
}

impl SearchTarget {
    /// Path below the base URL.
    pub fn path(&self) -> String {
        match self {
            Self::Type(of) => of.name().to_owned(),
            Self::System => String::new(),
            Self::Compartment { owner, member } => {
                format!("{owner}/{}", member.map_or("*", ResourceType::name))
            }
        }
    }

    /// The one type that is searched, if there is one whatever the query says.
    pub fn one_type(&self) -> Option<ResourceType> {
        match self {
            Self::Type(of) => Some(*of),
            Self::System => None,
            Self::Compartment { member, .. } => *member,
        }
    }

    /// Whether `_type` narrows it.
    pub(super) fn takes_types(&self) -> bool {
        !self.is_one_type()
    }

    pub(super) fn is_one_type(&self) -> bool {
        self.one_type().is_some()
    }

    /// Types that `_type` names; `None` if it is not given, or not taken here.
    ///
    /// # Errors
    /// [`ReadError::Invalid`] for a name that is no type here, and for a repeated `_type`.
    pub fn named_types(
        &self,
        pairs: &[(String, String)],
    ) -> Result<Option<Vec<ResourceType>>, ReadError> {
        if let Some(of) = self.one_type() {
            return Ok(Some(vec![of]));
        }
        let mut given = pairs.iter().filter(|(name, _)| name == "_type");
        let Some((_, names)) = given.next() else { return Ok(None) };
        if given.next().is_some() {
            return Err(ReadError::Invalid("_type may be given once: _type=A,B".into()));
        }
        let mut types = Vec::new();
        for name in names.split(',') {
            let of = ResourceType::parse_stored(name)
                .map_err(|why| ReadError::Invalid(format!("_type: {why}")))?;
            if !types.contains(&of) {
                types.push(of);
            }
        }
        Ok(Some(types))
    }

    /// Types that a search looks into whose query names none, as far as the caller may.
    pub fn implied_types(&self) -> Vec<ResourceType> {
        let all: Vec<_> = match self {
            Self::Compartment { owner, .. } => compartment_members(owner.resource_type).collect(),
            _ => ResourceType::stored().collect(),
        };
        all.into_iter().filter(|of| *of != ResourceType::AUDIT_EVENT).collect()
    }

    /// The legs of the search, and whether nobody named their types.
    pub(super) fn legs(&self, pairs: &[(String, String)]) -> Result<(Vec<Leg>, bool), ReadError> {
        let named = self.named_types(pairs)?;
        let implied = named.is_none();
        let types = match named {
            Some(types) => types,
            None => self.implied_types(),
        };
        let leg = |of: ResourceType| {
            if of == ResourceType::AUDIT_EVENT && !matches!(self, Self::Type(_)) {
                let text =
                    "AuditEvent is rendered from the access journal: search it by its own type";
                return Err(ReadError::Unsupported(text.into()));
            }
            let filters = self.membership(of)?.into_iter().collect();
            Ok(Leg { resource_type: of, filters, sort: Vec::new() })
        };
        Ok((types.into_iter().map(leg).collect::<Result<_, _>>()?, implied))
    }

    /// What makes a resource of the type a member.
    fn membership(&self, of: ResourceType) -> Result<Option<Filter>, ReadError> {
        let Self::Compartment { owner, .. } = self else { return Ok(None) };
        let compartment = owner.resource_type;
        let mut ways = Vec::new();
        if compartment == of && is_in_own_compartment(of) {
            ways.push(Filter::Id(vec![owner.id.as_str().to_owned()]));
        }
        let params = compartment_params(compartment, of).iter();
        let mut params: Vec<_> = params.flat_map(|param| index_params(of, param)).collect();
        params.sort_unstable();
        params.dedup();
        if !params.is_empty() {
            let test = ReferenceTest::Key(compartment, owner.id.as_str().to_owned());
            ways.push(Filter::Value { params, tests: Tests::Reference(vec![test]), not: false });
        }
        match ways.len() {
            0 => {
                Err(ReadError::Invalid(format!("{of} is not in the compartment of {compartment}")))
            }
            1 => Ok(ways.pop()),
            _ => Ok(Some(Filter::Any(ways))),
        }
    }
}
