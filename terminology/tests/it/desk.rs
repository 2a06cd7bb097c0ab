//! A shelf that is filled from a few resources, as the gateway fills it from the store.

use std::sync::Arc;

use serde_json::Value;
use terminology::{CodeSystem, ConceptMap, Definition, Refusal, Shelf, ValueSet};

/// The resources of one test.
#[derive(Default)]
pub(crate) struct Desk(pub(crate) Vec<Value>);

impl Desk {
    /// Asks until nothing is missing.
    pub(crate) fn ask<T>(
        &self,
        question: impl Fn(&Shelf) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let mut shelf = Shelf::default();
        loop {
            match question(&shelf) {
                Err(Refusal::Load(wanted)) => {
                    let kind = wanted.definition.name();
                    let found = self
                        .0
                        .iter()
                        .filter(|one| one["resourceType"] == kind && one["url"] == *wanted.url);
                    let url = &wanted.url;
                    match wanted.definition {
                        Definition::CodeSystem => shelf.put_code_systems(
                            url,
                            found.map(|one| Arc::new(CodeSystem::of(one).unwrap())).collect(),
                        ),
                        Definition::ValueSet => shelf.put_value_sets(
                            url,
                            found.map(|one| Arc::new(ValueSet::of(one).unwrap())).collect(),
                        ),
                        Definition::ConceptMap => shelf.put_concept_maps(
                            url,
                            found.map(|one| Arc::new(ConceptMap::of(one).unwrap())).collect(),
                        ),
                    }
                }
                answer => return answer,
            }
        }
    }
}

/// FNV-1a 64 of sorted lines, as `vectors/make.py` has it.
pub(crate) fn fnv(mut lines: Vec<String>) -> String {
    lines.sort_unstable();
    let mut value = 0xCBF2_9CE4_8422_2325_u64;
    for line in lines {
        for byte in line.bytes().chain([b'\n']) {
            value = (value ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3);
        }
    }
    format!("{value:016x}")
}
