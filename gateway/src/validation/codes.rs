//! Codes for the validator: R4's own table first, then what is loaded on the shelf of terminology.

use std::cell::RefCell;

use profile::{Codes, Membership, R4Codes};
use terminology::{
    Canonical, Coding, Content, Refusal, Shelf, ValidateOptions, Wanted, validate_in_value_set,
};

/// Codes of one run; notes the first definition that nobody has looked for yet.
pub(super) struct ShelfCodes<'s> {
    shelf: &'s Shelf,
    wanted: RefCell<Option<Wanted>>,
}

impl<'s> ShelfCodes<'s> {
    pub(super) fn new(shelf: &'s Shelf) -> Self {
        Self { shelf, wanted: RefCell::default() }
    }

    /// What must be put on the shelf before the findings count.
    pub(super) fn wanted(&self) -> Option<Wanted> {
        self.wanted.borrow().clone()
    }

    fn unknown(&self, refusal: Refusal) -> Membership {
        if let Refusal::Load(wanted) = refusal {
            self.wanted.borrow_mut().get_or_insert(wanted);
        }
        Membership::Unknown
    }
}

impl Codes for ShelfCodes<'_> {
    fn in_value_set(&self, value_set: &str, system: Option<&str>, code: &str) -> Membership {
        let known = R4Codes.in_value_set(value_set, system, code);
        if known != Membership::Unknown || self.wanted.borrow().is_some() {
            return known;
        }
        let coding = Coding {
            system: system.filter(|system| !system.is_empty()).map(Into::into),
            version: None,
            code: code.into(),
            display: None,
        };
        let answer = self.shelf.value_set(&Canonical::parse(value_set)).and_then(|value_set| {
            validate_in_value_set(&value_set, &[coding], &ValidateOptions::default(), self.shelf)
        });
        match answer {
            // A Coding without a system is in no value set.
            Ok(answer) if answer.result && system != Some("") => Membership::In,
            Ok(_) => Membership::NotIn,
            Err(refusal) => self.unknown(refusal),
        }
    }

    fn in_system(&self, system: &str, code: &str) -> Membership {
        let known = R4Codes.in_system(system, code);
        if known != Membership::Unknown || self.wanted.borrow().is_some() {
            return known;
        }
        match self.shelf.code_system(&Canonical::parse(system)) {
            Ok(Some(found)) if found.find(code).is_some() => Membership::In,
            Ok(Some(found)) if found.content == Content::Complete => Membership::NotIn,
            Ok(_) => Membership::Unknown,
            Err(refusal) => self.unknown(refusal),
        }
    }
}
