//! What a SearchParameter allows a query to do with it: modifiers, comparators, chains, several values.
//!
//! Spec: FHIR R4 searchparameter.html (`modifier`, `comparator`, `chain`, `multipleOr`, `multipleAnd`). What is not
//! named is left to the kind of the parameter. Checked where the parameter itself is named in the query.

use fhir::{ParamKind, ParamLimits, ResourceType, SearchParam, split_unescaped};

use super::{Loaded, split_name};
use crate::error::{Answered, Fault, FaultKind};

impl Loaded {
    /// Refuses a query that does with a custom parameter what its definition does not allow.
    ///
    /// # Errors
    /// 400 naming the parameter.
    pub(crate) fn check_limits(
        &self,
        of: Option<ResourceType>,
        pairs: &[(String, String)],
    ) -> Answered<()> {
        let Some(of) = of else { return Ok(()) };
        for (at, (name, value)) in pairs.iter().enumerate() {
            let (code, rest) = split_name(name);
            let custom = self.set.custom_of(of).find(|param| param.code == code);
            let Some((param, limits)) =
                custom.and_then(|param| Some((param, self.set.limits(param)?)))
            else {
                continue;
            };
            let repeated = pairs[..at].iter().any(|(other, _)| split_name(other).0 == code);
            check(param, limits, rest, value, repeated).map_err(|why| {
                Fault::new(FaultKind::Invalid, format!("{name}: its SearchParameter allows {why}"))
            })?;
        }
        Ok(())
    }
}

fn check(
    param: &SearchParam,
    limits: &ParamLimits,
    rest: &str,
    value: &str,
    repeated: bool,
) -> Result<(), String> {
    let (modifier, chained) = match rest.split_once('.') {
        Some((modifier, chained)) => (modifier.trim_start_matches(':'), Some(chained)),
        None => (rest.trim_start_matches(':'), None),
    };
    let named = if ResourceType::parse(modifier).is_some() { "type" } else { modifier };
    allows(&limits.modifiers, named, "modifiers").or_else(|why| match named {
        "" => Ok(()),
        _ => Err(why),
    })?;
    if let Some(chained) = chained {
        allows(&limits.chain, split_name(chained).0, "chains")?;
    }
    let values = split_unescaped(value, ',');
    if values.len() > 1 && !limits.multiple_or {
        return Err("one value at a time".to_owned());
    }
    if repeated && !limits.multiple_and {
        return Err("no repetition".to_owned());
    }
    let ordered = matches!(param.kind, ParamKind::Date | ParamKind::Number | ParamKind::Quantity);
    if ordered && modifier != "missing" {
        for value in values {
            let starts = value.get(..2).filter(|prefix| PREFIXES.contains(prefix)).unwrap_or("eq");
            allows(&limits.comparators, starts, "comparators")?;
        }
    }
    Ok(())
}

fn allows(list: &Option<Vec<String>>, name: &str, what: &str) -> Result<(), String> {
    match list {
        Some(list) if !list.iter().any(|one| one == name) => {
            Err(format!("the {what} {}", list.join(", ")))
        }
        _ => Ok(()),
    }
}

const PREFIXES: [&str; 9] = ["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"];
