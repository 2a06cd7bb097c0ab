//! The programs of each type, compiled when first used, and what they are run for.

use std::sync::OnceLock;

use crate::{Node, ResourceType};

use super::build::compile;
use super::context::{Context, type_of};
use super::extract::Reader;
use super::param::{Held, ParamKind, SearchParam, search_param, search_param_by_id, search_params};
use super::program::Program;
use super::value::{Extracted, Target, Value};

/// Appends every value that the type's search parameters select, in document order.
///
/// Parameters whose values are held elsewhere ([`Held`]) yield nothing, nor do fragments and
/// conditional references. `bases` are this server's own: absolute references
/// below one of them count as local (see [`below_base`](crate::below_base)).
pub fn extract<'t>(node: Node<'t>, of: ResourceType, bases: &str, out: &mut Vec<Extracted<'t>>) {
    static PROGRAMS: [OnceLock<Program>; 256] = [const { OnceLock::new() }; 256];
    let program = PROGRAMS[usize::from(of.code())].get_or_init(|| {
        let held = search_params(of).iter().filter(|param| param.held == Held::InIndex);
        compile(of, held.copied()).expect("a test compiles every expression of the table")
    });
    program.run(RESOURCE, node, &Context::new(node, bases), out);
}

/// Those of the extracted values that are this parameter's, also where another parameter holds
/// them: what an index search by the parameter would find.
pub fn values_of<'a, 't>(
    param: &SearchParam,
    extracted: &'a [Extracted<'t>],
) -> impl Iterator<Item = &'a Value<'t>> {
    let (holders, only) = match param.held {
        Held::InParam { param, only } => (vec![param], only),
        Held::InParams(params) => (params.to_vec(), None),
        Held::InIndex | Held::InResource | Held::InText | Held::Nowhere => (vec![param.id], None),
    };
    let own = extracted.iter().filter(move |one| holders.contains(&one.param));
    own.map(|one| &one.value)
        .filter(move |value| only.is_none_or(|only| is_reference_to(only, value)))
}

/// What elements of a token parameter carry beside code and system.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct TokenParts {
    /// A text for `:text`: of a coding, a concept or an identifier's type.
    pub text: bool,
    /// An identifier's type, for `:of-type`.
    pub of_type: bool,
    /// Nothing but a truth value: the codes are `true` and `false`.
    pub boolean: bool,
}

/// What the elements that the parameter selects carry; nothing for other kinds.
#[must_use]
pub fn token_parts(of: ResourceType, param: &SearchParam) -> TokenParts {
    // Not by its id: a parameter of the installation is in no table.
    let holders = match param.held {
        Held::InParam { param, .. } => vec![search_param_by_id(param)],
        Held::InParams(params) => params.iter().copied().map(search_param_by_id).collect(),
        _ => vec![param],
    };
    let Ok(program) = compile(of, holders) else { return TokenParts::default() };
    let readers = program.places.iter().flat_map(|place| &place.emits).map(|emit| emit.reader);
    let boolean = param.kind == ParamKind::Token
        && program.yields()
        && readers.clone().all(|reader| reader == Reader::TokenBoolean);
    readers.fold(TokenParts { boolean, ..TokenParts::default() }, |found, reader| match reader {
        Reader::TokenCoding | Reader::TokenConcept => TokenParts { text: true, ..found },
        Reader::TokenIdentifier | Reader::Extension(ParamKind::Token) => {
            TokenParts { text: true, of_type: true, ..found }
        }
        _ => found,
    })
}

/// Whether the parameter selects truth values only, as [`TokenParts::boolean`]; cheap for those of R4, which are asked of
/// every search for a token.
#[must_use]
pub fn is_boolean(of: ResourceType, param: &SearchParam) -> bool {
    static OF_TYPES: [OnceLock<Vec<&'static str>>; 256] = [const { OnceLock::new() }; 256];
    if param.kind != ParamKind::Token {
        return false;
    }
    if !search_param(of, param.code).is_some_and(|own| std::ptr::eq(own, param)) {
        return token_parts(of, param).boolean;
    }
    let codes = OF_TYPES[usize::from(of.code())].get_or_init(|| {
        let all = search_params(of).iter().filter(|param| token_parts(of, param).boolean);
        all.map(|param| param.code).collect()
    });
    codes.contains(&param.code)
}

fn is_reference_to(only: ResourceType, value: &Value<'_>) -> bool {
    match value {
        Value::Reference(Target::Local { resource_type, .. }) => *resource_type == only,
        Value::Reference(Target::Absolute { url, .. }) => type_of(url) == Some(only.name()),
        _ => false,
    }
}

/// Where a program starts.
pub(super) const RESOURCE: usize = 0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tree;

    fn count(code: &str, resource: &str) -> usize {
        let tree = Tree::parse(resource.as_bytes().to_vec()).unwrap();
        let mut out = Vec::new();
        extract(tree.root(), ResourceType::OBSERVATION, "http://here.example", &mut out);
        values_of(search_param(ResourceType::OBSERVATION, code).unwrap(), &out).count()
    }

    #[test]
    fn an_alias_has_the_values_of_its_holder_that_are_its_type() {
        let subject = |text: &str| {
            format!(r#"{{"resourceType":"Observation","subject":{{"reference":"{text}"}}}}"#)
        };
        for (text, expected) in
            [("Patient/1", 1), ("Group/1", 0), ("http://there.example/Patient/1", 1)]
        {
            assert_eq!(count("patient", &subject(text)), expected, "{text}");
            assert_eq!(count("subject", &subject(text)), 1, "{text}");
        }
    }

    #[test]
    fn a_token_parameter_tells_what_its_elements_carry() {
        let parts = |name: &str, code| {
            let of = ResourceType::parse(name).unwrap();
            let found = token_parts(of, search_param(of, code).unwrap());
            (found.text, found.of_type)
        };
        for (name, code, expected) in [
            ("Observation", "code", (true, false)),
            ("Observation", "combo-code", (true, false)),
            ("Observation", "status", (false, false)),
            ("Patient", "identifier", (true, true)),
            ("Patient", "gender", (false, false)),
            ("Patient", "telecom", (false, false)),
            ("Patient", "_tag", (true, false)),
            ("DocumentManifest", "related-id", (true, true)),
        ] {
            assert_eq!(parts(name, code), expected, "{name} {code}");
        }
    }

    #[test]
    fn a_parameter_is_boolean_where_each_of_its_elements_is() {
        let own = |name: &str, code| {
            let of = ResourceType::parse(name).unwrap();
            is_boolean(of, search_param(of, code).unwrap())
        };
        for (name, code, expected) in [
            ("Patient", "active", true),
            ("Patient", "deceased", true),
            ("Group", "actual", true),
            ("Patient", "gender", false),
            ("Patient", "birthdate", false),
            // A CodeableConcept or a boolean.
            ("Group", "value", false),
            ("Patient", "_id", false),
        ] {
            assert_eq!(own(name, code), expected, "{name} {code}");
        }
    }

    #[test]
    fn a_union_has_the_values_of_all_its_holders() {
        let observation = r#"{"resourceType":"Observation","code":{"coding":[{"code":"a"}]},
            "component":[{"code":{"coding":[{"code":"b"},{"code":"c"}]}}]}"#;
        assert_eq!(count("combo-code", observation), 3);
        assert_eq!(count("code", observation), 1);
    }
}
