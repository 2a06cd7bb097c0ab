//! SMART scopes: the grammar of versions 1 and 2, closed.
//!
//! Spec: SMART App Launch 2.2.0, scopes and launch context. `context/Type.suffix`; the suffix is
//! `read`, `write`, `*` (version 1) or a subset of `cruds` in that order (version 2).
//! A resource scope that cannot be enforced word for word grants nothing and is kept with its
//! reason: a filter is never ignored. Words of other grammars (`openid`, `launch/patient`) are
//! passed over.
//! Not here: which contexts a role may use (`decide`).

use fhir::ResourceType;

use crate::predicate::TypeSet;

/// Longest scope text that is read, in bytes; of a longer one nothing is granted.
pub const SCOPE_TEXT_BYTES_MAX: usize = 8192;

/// What the scopes of a token grant, and what they ask for in vain.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Scopes {
    grants: Vec<Grant>,
    refused: Vec<RefusedScope>,
    purge: bool,
}

/// The scope that lets its holder erase patients (`Patient/[id]/$purge`). No `*` includes it.
pub const PURGE_SCOPE: &str = "sealway/purge";

impl Scopes {
    /// Reads the `scope` claim: words separated by spaces.
    pub fn parse(text: &str) -> Self {
        let mut scopes = Self::default();
        if text.len() > SCOPE_TEXT_BYTES_MAX {
            scopes.refuse("", ScopeRefusal::TooLong);
            return scopes;
        }
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            scopes.purge |= word == PURGE_SCOPE;
            match Grant::parse(word) {
                None => {}
                Some(Ok(grant)) if scopes.grants.contains(&grant) => {}
                Some(Ok(grant)) => scopes.grants.push(grant),
                Some(Err(reason)) => scopes.refuse(word, reason),
            }
        }
        scopes
    }

    /// What is granted, each once.
    pub fn grants(&self) -> &[Grant] {
        &self.grants
    }

    /// True if [`PURGE_SCOPE`] is among them.
    pub fn may_purge(&self) -> bool {
        self.purge
    }

    /// Resource scopes that grant nothing, with the reason.
    pub fn refused(&self) -> &[RefusedScope] {
        &self.refused
    }

    /// True if a resource scope of this context is present, granted or refused.
    pub(crate) fn names(&self, context: ScopeContext) -> bool {
        self.grants.iter().any(|grant| grant.context == context)
            || self.refused.iter().any(|refused| refused.context == Some(context))
    }

    fn refuse(&mut self, word: &str, reason: ScopeRefusal) {
        let context = ScopeContext::of(word).map(|(context, _)| context);
        self.refused.push(RefusedScope { text: word.into(), context, reason });
    }
}

/// One resource scope: these rights on these types, in this context.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Grant {
    context: ScopeContext,
    resource_type: Option<ResourceType>,
    rights: Rights,
}

impl Grant {
    /// `None` if the word is no resource scope at all.
    fn parse(word: &str) -> Option<Result<Self, ScopeRefusal>> {
        let (context, rest) = ScopeContext::of(word)?;
        Some(Self::parse_in(context, rest))
    }

    fn parse_in(context: ScopeContext, rest: &str) -> Result<Self, ScopeRefusal> {
        if rest.contains('?') {
            return Err(ScopeRefusal::SearchConstraint);
        }
        let (type_name, suffix) = rest.split_once('.').ok_or(ScopeRefusal::NoSuffix)?;
        let resource_type = match type_name {
            "*" => None,
            name => Some(ResourceType::parse(name).ok_or(ScopeRefusal::UnknownType)?),
        };
        Ok(Self { context, resource_type, rights: Rights::parse(suffix)? })
    }

    /// Whose rights the scope borrows.
    pub fn context(self) -> ScopeContext {
        self.context
    }

    /// The type; `None` for `*`.
    pub fn resource_type(self) -> Option<ResourceType> {
        self.resource_type
    }

    /// What may be done.
    pub fn rights(self) -> Rights {
        self.rights
    }

    /// The type, or all of them.
    pub(crate) fn types(self) -> TypeSet {
        self.resource_type.map_or_else(TypeSet::all, TypeSet::one)
    }
}

/// The part before the slash.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ScopeContext {
    /// `patient/`: the one patient in context.
    Patient,
    /// `user/`: what the user may see.
    User,
    /// `system/`: a client that acts for itself.
    System,
}

impl ScopeContext {
    fn of(word: &str) -> Option<(Self, &str)> {
        let (context, rest) = word.split_once('/')?;
        let context = match context {
            "patient" => Self::Patient,
            "user" => Self::User,
            "system" => Self::System,
            _ => return None,
        };
        Some((context, rest))
    }
}

/// One letter of `cruds`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Right {
    /// `c`: create.
    Create,
    /// `r`: read, vread, history of an instance.
    Read,
    /// `u`: update and patch.
    Update,
    /// `d`: delete.
    Delete,
    /// `s`: search, history of a type and of the system.
    Search,
}

impl Right {
    /// All of them, in the order of `cruds`.
    pub const ALL: [Self; 5] = [Self::Create, Self::Read, Self::Update, Self::Delete, Self::Search];

    /// Its name.
    pub fn name(self) -> &'static str {
        ["create", "read", "update", "delete", "search"][self as usize]
    }

    /// Its letter.
    pub fn letter(self) -> char {
        ['c', 'r', 'u', 'd', 's'][self as usize]
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of [`Right`]s.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rights(u8);

impl Rights {
    fn parse(suffix: &str) -> Result<Self, ScopeRefusal> {
        match suffix {
            "read" => return Ok(Self(Right::Read.bit() | Right::Search.bit())),
            "write" => {
                return Ok(Self(Right::Create.bit() | Right::Update.bit() | Right::Delete.bit()));
            }
            "*" => return Ok(Self(0b1_1111)),
            _ => {}
        }
        let mut bits = 0;
        for letter in suffix.chars() {
            let right = Right::ALL.into_iter().find(|right| right.letter() == letter);
            let bit = right.ok_or(ScopeRefusal::UnknownSuffix)?.bit();
            if bits >= bit {
                return Err(ScopeRefusal::SuffixOutOfOrder);
            }
            bits |= bit;
        }
        if bits == 0 { Err(ScopeRefusal::NoSuffix) } else { Ok(Self(bits)) }
    }

    /// True if the right is among them.
    pub fn has(self, right: Right) -> bool {
        self.0 & right.bit() != 0
    }
}

/// A resource scope that grants nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RefusedScope {
    /// The word as sent; empty when the whole text was refused.
    pub text: Box<str>,
    /// Why.
    pub reason: ScopeRefusal,
    context: Option<ScopeContext>,
}

/// Why a resource scope grants nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ScopeRefusal {
    /// The scope carries a search expression, which is not enforced yet.
    #[error("a search expression in a scope is not supported")]
    SearchConstraint,
    /// The type is no concrete type of FHIR R4.
    #[error("a scope names an unknown resource type")]
    UnknownType,
    /// There is no `.suffix`.
    #[error("a scope names no interaction")]
    NoSuffix,
    /// The suffix has a letter outside of `cruds`.
    #[error("a scope names an unknown interaction")]
    UnknownSuffix,
    /// The letters are not in the order `cruds`, or one is repeated.
    #[error("the interactions of a scope are not in the order cruds")]
    SuffixOutOfOrder,
    /// The text is longer than [`SCOPE_TEXT_BYTES_MAX`].
    #[error("the scope text is too long")]
    TooLong,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights_of(word: &str) -> String {
        let scopes = Scopes::parse(word);
        let grant = scopes.grants().first().copied().expect("one grant");
        Right::ALL.into_iter().filter(|r| grant.rights().has(*r)).map(Right::letter).collect()
    }

    fn refusal_of(word: &str) -> ScopeRefusal {
        let scopes = Scopes::parse(word);
        assert!(scopes.grants().is_empty(), "{word} must grant nothing");
        scopes.refused().first().expect("one refusal").reason
    }

    #[test]
    fn version_1_suffixes_map_to_letters() {
        assert_eq!(rights_of("patient/Observation.read"), "rs");
        assert_eq!(rights_of("patient/Observation.write"), "cud");
        assert_eq!(rights_of("user/*.*"), "cruds");
    }

    #[test]
    fn every_ordered_subset_of_cruds_is_read_and_nothing_else() {
        let letters = ['c', 'r', 'u', 'd', 's'];
        for bits in 1_u8..32 {
            let chosen = |(i, _): &(usize, &char)| bits & (1 << i) != 0;
            let suffix: String =
                letters.iter().enumerate().filter(chosen).map(|(_, letter)| letter).collect();
            assert_eq!(rights_of(&format!("system/*.{suffix}")), suffix);
            let reversed: String = suffix.chars().rev().collect();
            if reversed != suffix {
                assert_eq!(
                    refusal_of(&format!("system/*.{reversed}")),
                    ScopeRefusal::SuffixOutOfOrder
                );
            }
        }
    }

    #[test]
    fn repeated_or_unknown_letters_are_refused() {
        assert_eq!(refusal_of("user/Patient.rr"), ScopeRefusal::SuffixOutOfOrder);
        assert_eq!(refusal_of("user/Patient.rx"), ScopeRefusal::UnknownSuffix);
        assert_eq!(refusal_of("user/Patient.READ"), ScopeRefusal::UnknownSuffix);
        assert_eq!(refusal_of("user/Patient.reads"), ScopeRefusal::UnknownSuffix);
        assert_eq!(refusal_of("user/Patient."), ScopeRefusal::NoSuffix);
        assert_eq!(refusal_of("user/Patient"), ScopeRefusal::NoSuffix);
        assert_eq!(refusal_of("user/Patient.rs\tuser/*.cruds"), ScopeRefusal::UnknownSuffix);
        assert_eq!(refusal_of("user/Patient.r.s"), ScopeRefusal::UnknownSuffix);
    }

    #[test]
    fn search_expressions_modifiers_and_chains_are_refused_not_ignored() {
        for query in ["category=laboratory", "code:in=x", "patient.name=x", "_filter=x", "", "%"] {
            assert_eq!(
                refusal_of(&format!("patient/Observation.rs?{query}")),
                ScopeRefusal::SearchConstraint
            );
        }
    }

    #[test]
    fn unknown_and_mistyped_resource_types_are_refused() {
        for name in ["observation", "Observations", "", "**", "Resource", "DomainResource"] {
            assert_eq!(refusal_of(&format!("patient/{name}.rs")), ScopeRefusal::UnknownType);
        }
    }

    #[test]
    fn words_of_other_grammars_grant_nothing_and_are_no_error() {
        let text = "openid fhirUser launch launch/patient offline_access patient%2FObservation.rs \
                    Patient/Observation.rs patient\\Observation.rs";

        let scopes = Scopes::parse(text);

        assert!(scopes.grants().is_empty());
        assert!(scopes.refused().is_empty());
    }

    #[test]
    fn an_endless_scope_text_grants_nothing() {
        let text = "user/Patient.rs ".repeat(1000);

        assert_eq!(refusal_of(&text), ScopeRefusal::TooLong);
    }
}
