//! The set of parameters that a resource has something for, as one number: `resource_terms.present_set`.
//!
//! Resources of a type share few such sets, so what lacks a parameter is a union of few ranges of an index: `:missing`
//! alone finds its matches without a look at those that have it. Shape: type + 1 in the bits from 48 up, below them a
//! keyed hash of the sorted set; 0 for what is deleted. Not here: the set itself (`IndexRows::present`).

use std::ops::Range;

use fhir::ResourceType;

use super::rows::IndexRows;
use crate::hash::{Domain, IndexKey};

/// Number of the set that rows, which are sorted, list.
pub(super) fn present_set(of: ResourceType, rows: &IndexRows, key: &IndexKey) -> i64 {
    let hash = key.hash(Domain::PresentSet, &rows.present_text());
    sets_of(of).start | (hash & ((1 << TYPE_SHIFT) - 1))
}

/// The numbers that sets of a type may have.
pub(crate) fn sets_of(of: ResourceType) -> Range<i64> {
    let start = (i64::from(of.code()) + 1) << TYPE_SHIFT;
    start..start + (1 << TYPE_SHIFT)
}

/// Where the type begins.
const TYPE_SHIFT: u32 = 48;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_sets_of_a_type_have_one_number_and_others_another() {
        let key = IndexKey::from_bytes([7; 16]);
        let of = |of, present: &[u16]| {
            let rows = IndexRows { present: present.to_vec(), ..IndexRows::default() };
            present_set(of, &rows, &key)
        };
        let patient = of(ResourceType::PATIENT, &[1, 2]);

        assert_eq!(patient, of(ResourceType::PATIENT, &[1, 2]));
        assert_ne!(patient, of(ResourceType::PATIENT, &[12]));
        assert_ne!(patient, of(ResourceType::OBSERVATION, &[1, 2]));
        assert!(sets_of(ResourceType::PATIENT).contains(&patient));
        assert!(!sets_of(ResourceType::OBSERVATION).contains(&patient));
        assert!(of(ResourceType::PATIENT, &[]) > 0);
    }
}
