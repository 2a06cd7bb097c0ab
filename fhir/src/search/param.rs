//! The table of R4's search parameters and the look-ups by type and code.
//!
//! Source: `fhir-profiles/r4/search-parameters.txt`, one line per base type and code; its header
//! and `fhir-profiles/tools/build_search_table.py` describe the fields. Ids are stable for ever.
//! Not here: what an expression selects (`expression`, `program`).

use std::sync::OnceLock;

use crate::ResourceType;
use crate::ucum::UNITS;

use super::compartment::COMPARTMENTS;
use super::elements::ELEMENTS;

/// Stable number of a search parameter of one base type; stored in index rows.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ParamId(u16);

impl ParamId {
    /// The number as stored.
    #[must_use]
    pub fn number(self) -> u16 {
        self.0
    }

    /// The id of a custom parameter; its number was assigned by the installation.
    ///
    /// `None` outside [`CUSTOM_FROM`] to [`CUSTOM_TO`].
    #[must_use]
    pub fn custom(number: u16) -> Option<Self> {
        (CUSTOM_FROM..CUSTOM_TO).contains(&number).then_some(Self(number))
    }

    /// The parameter of R4 with this stored number, if there is one.
    #[must_use]
    pub fn from_number(number: u16) -> Option<Self> {
        let id = Self(number);
        table().find(id).map(|param| param.id)
    }
}

/// Type of a search parameter (FHIR R4, value set `search-param-type`).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(missing_docs, reason = "the standard's own words")]
pub enum ParamKind {
    Composite,
    Date,
    Number,
    Quantity,
    Reference,
    Special,
    String,
    Token,
    Uri,
}

impl ParamKind {
    /// The kind with this code.
    #[must_use]
    pub fn parse(code: &str) -> Option<Self> {
        kind(code)
    }

    /// The code as in `SearchParameter.type`.
    #[must_use]
    pub fn code(self) -> &'static str {
        KINDS.iter().find(|(_, kind)| *kind == self).map_or("", |(code, _)| code)
    }
}

/// Where the values of a parameter are found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Held {
    /// In index rows, made from what [`extract`](crate::extract) returns.
    InIndex,
    /// In the resource's own row: `_id` and `_lastUpdated`. Nothing is extracted.
    InResource,
    /// In the rows of another parameter on the same base type, which selects the same elements.
    /// With `only`, this parameter means just the references to that type.
    InParam {
        /// The parameter that has the rows.
        param: ParamId,
        /// The one type this parameter's references point to.
        only: Option<ResourceType>,
    },
    /// In the rows of several parameters together, such as `combo-code`.
    InParams(&'static [ParamId]),
    /// In the words of the resource: `_text` and `_content`.
    InText,
    /// Nowhere.
    Nowhere,
}

/// One part of a composite parameter, relative to the composite's elements.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Component {
    /// Code of the parameter that describes the part.
    pub code: &'static str,
    /// Its type.
    pub kind: ParamKind,
    /// FHIRPath from the composite's element to the values.
    pub expression: &'static str,
}

/// A search parameter of one base type.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SearchParam {
    /// Stable number.
    pub id: ParamId,
    /// The type it searches; `None` for the parameters that every type has (`_id`, `_tag`, …).
    pub base: Option<ResourceType>,
    /// Its name in a query.
    pub code: &'static str,
    /// How its values compare.
    pub kind: ParamKind,
    /// Types a reference may point to, alphabetic; empty for other kinds. A bare id in a query
    /// is of the one type if there is only one.
    pub targets: &'static [ResourceType],
    /// The parts of a composite, in query order; empty for other kinds.
    pub components: &'static [Component],
    /// Where its values are.
    pub held: Held,
    /// FHIRPath from the resource to the values, the branches of this base type only.
    pub expression: &'static str,
    /// Canonical URL; of R4's own only what follows [`URL_PREFIX`].
    pub(super) url: &'static str,
}

impl SearchParam {
    /// Canonical URL of the `SearchParameter`; parameters of several types share one.
    #[must_use]
    pub fn url(&self) -> String {
        match self.is_custom() {
            true => self.url.to_string(),
            false => format!("{URL_PREFIX}{}", self.url),
        }
    }

    /// True for a parameter that the installation defines.
    #[must_use]
    pub fn is_custom(&self) -> bool {
        (CUSTOM_FROM..CUSTOM_TO).contains(&self.id.0)
    }

    /// The parameter whose rows hold this one's values, if that is one other parameter.
    #[must_use]
    pub fn alias_of(&self) -> Option<ParamId> {
        match self.held {
            Held::InParam { param, .. } => Some(param),
            _ => None,
        }
    }
}

/// The parameters of a type, those of every type included, sorted by code.
#[must_use]
pub fn search_params(of: ResourceType) -> &'static [&'static SearchParam] {
    &table().by_type[usize::from(of.code())]
}

/// The parameter with this code on this type.
#[must_use]
pub fn search_param(of: ResourceType, code: &str) -> Option<&'static SearchParam> {
    let params = search_params(of);
    params.binary_search_by(|param| param.code.cmp(code)).ok().map(|found| params[found])
}

/// The parameter with this id.
#[must_use]
pub fn search_param_by_id(id: ParamId) -> &'static SearchParam {
    table().find(id).expect("a ParamId is only made from the table")
}

/// Changes whenever the tables or the extraction rules do, so that stored index rows can be
/// recognised as out of date.
#[must_use]
pub fn search_table_fingerprint() -> u64 {
    let texts = [EXTRACTION_REVISION, PARAMETERS, ELEMENTS, COMPARTMENTS, UNITS];
    let bytes = texts.iter().flat_map(|text| text.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

struct Table {
    params: &'static [SearchParam],
    by_type: Vec<Vec<&'static SearchParam>>,
}

impl Table {
    fn find(&self, id: ParamId) -> Option<&'static SearchParam> {
        self.params.binary_search_by_key(&id, |param| param.id).ok().map(|at| &self.params[at])
    }
}

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let lines = PARAMETERS.lines().filter(|line| !line.starts_with('#'));
        let mut params: Vec<SearchParam> = lines
            .map(|line| read_line(line).expect("the committed table is well-formed"))
            .collect();
        params.sort_by_key(|param| param.id);
        let params: &'static [SearchParam] = params.leak();
        let of_type = |each: ResourceType| {
            let is_of = |param: &&SearchParam| param.base.is_none_or(|base| base == each);
            let mut found: Vec<_> = params.iter().filter(is_of).collect();
            found.sort_by_key(|param| param.code);
            found
        };
        Table { params, by_type: ResourceType::all().map(of_type).collect() }
    })
}

fn read_line(line: &'static str) -> Option<SearchParam> {
    let mut fields = line.split('\t');
    let id = ParamId(fields.next()?.parse().ok()?);
    let base = match fields.next()? {
        "Resource" | "DomainResource" => None,
        name => Some(ResourceType::parse(name)?),
    };
    let code = fields.next()?;
    let kind = kind(fields.next()?)?;
    let url_tail = fields.next()?;
    let targets = targets(fields.next()?)?;
    let same = fields.next()?;
    let components = components(fields.next()?)?;
    let expression = fields.next()?;
    let held = match (code, expression) {
        ("_id" | "_lastUpdated", _) => Held::InResource,
        ("_text" | "_content", _) => Held::InText,
        (_, "-") => Held::Nowhere,
        _ => held(same)?,
    };
    Some(SearchParam { id, base, code, kind, targets, components, held, expression, url: url_tail })
}

pub(super) fn kind(text: &str) -> Option<ParamKind> {
    KINDS.iter().find(|(code, _)| *code == text).map(|(_, kind)| *kind)
}

fn targets(text: &str) -> Option<&'static [ResourceType]> {
    let found: Vec<ResourceType> = match text {
        "-" => Vec::new(),
        "*" => ResourceType::all().collect(),
        names => names.split(',').map(ResourceType::parse).collect::<Option<_>>()?,
    };
    Some(found.leak())
}

fn held(text: &str) -> Option<Held> {
    let mut words = text.split(' ');
    match words.next()? {
        "alias" => {
            let param = ParamId(words.next()?.parse().ok()?);
            let only = words.next().map(|name| ResourceType::parse(name).ok_or(()));
            Some(Held::InParam { param, only: only.transpose().ok()? })
        }
        "union" => {
            let ids: Option<Vec<ParamId>> =
                words.map(|word| word.parse().ok().map(ParamId)).collect();
            Some(Held::InParams(ids?.leak()))
        }
        _ => Some(Held::InIndex),
    }
}

fn components(text: &'static str) -> Option<&'static [Component]> {
    if text == "-" {
        return Some(&[]);
    }
    let one = |part: &'static str| {
        let mut fields = part.splitn(3, ':');
        let code = fields.next()?;
        let kind = kind(fields.next()?)?;
        Some(Component { code, kind, expression: fields.next()? })
    };
    let found: Option<Vec<Component>> = text.split(" ; ").map(one).collect();
    Some(found?.leak())
}

const PARAMETERS: &str = include_str!("../../../fhir-profiles/r4/search-parameters.txt");
/// Numbers of custom parameters: above those of R4's own and of their rows, below the marks that rows add.
pub const CUSTOM_FROM: u16 = 0x1500;
/// The first number that is none of a custom parameter.
pub const CUSTOM_TO: u16 = 0x2000;

const URL_PREFIX: &str = "http://hl7.org/fhir/SearchParameter/";

/// Raise it when the same resource yields other values than before.
const EXTRACTION_REVISION: &str = "4";

const KINDS: [(&str, ParamKind); 9] = [
    ("composite", ParamKind::Composite),
    ("date", ParamKind::Date),
    ("number", ParamKind::Number),
    ("quantity", ParamKind::Quantity),
    ("reference", ParamKind::Reference),
    ("special", ParamKind::Special),
    ("string", ParamKind::String),
    ("token", ParamKind::Token),
    ("uri", ParamKind::Uri),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_its_own_parameters_and_those_of_every_type() {
        for each in ResourceType::all() {
            for code in ["_id", "_lastUpdated", "_tag", "_profile", "_security", "_source"] {
                assert!(search_param(each, code).is_some(), "{each} {code}");
            }
            assert!(search_params(each).is_sorted_by_key(|param| param.code));
        }
        let family = search_param(ResourceType::PATIENT, "family").unwrap();
        assert_eq!((family.kind, family.expression), (ParamKind::String, "Patient.name.family"));
        assert_eq!(family.url(), "http://hl7.org/fhir/SearchParameter/individual-family");
        assert_eq!(search_param(ResourceType::PATIENT, "nonsense"), None);
    }

    #[test]
    fn ids_are_unique_and_lead_back_to_the_parameter() {
        let params = table().params;
        assert!(params.windows(2).all(|pair| pair[0].id < pair[1].id));
        for param in params {
            assert_eq!(search_param_by_id(param.id), param);
            assert_eq!(ParamId::from_number(param.id.number()), Some(param.id));
        }
        assert_eq!(ParamId::from_number(0), None);
        assert_eq!(ParamId::from_number(u16::MAX), None);
    }

    #[test]
    fn a_patient_parameter_is_held_by_the_subject_restricted_to_patients() {
        for name in ["Observation", "Condition", "Encounter", "DiagnosticReport", "Procedure"] {
            let base = ResourceType::parse(name).unwrap();
            let subject = search_param(base, "subject").unwrap();
            let patient = search_param(base, "patient").unwrap();
            let only = Some(ResourceType::PATIENT);
            assert_eq!(patient.held, Held::InParam { param: subject.id, only }, "{name}");
            assert_eq!(patient.targets, [ResourceType::PATIENT]);
            assert_eq!(subject.held, Held::InIndex);
        }
    }

    #[test]
    fn combo_code_is_held_by_code_and_component_code() {
        let id = |code| search_param(ResourceType::OBSERVATION, code).unwrap().id;
        let held = |code| search_param(ResourceType::OBSERVATION, code).unwrap().held;
        let is_union = |combo, one, two| match held(combo) {
            Held::InParams(ids) => {
                ids.contains(&id(one)) && ids.contains(&id(two)) && ids.len() == 2
            }
            _ => false,
        };
        assert!(is_union("combo-code", "code", "component-code"));
        assert!(is_union("combo-value-quantity", "value-quantity", "component-value-quantity"));
        assert!(is_union(
            "combo-code-value-quantity",
            "code-value-quantity",
            "component-code-value-quantity"
        ));
    }

    #[test]
    fn what_holds_values_for_others_holds_its_own_in_the_index() {
        for param in table().params {
            let holders: &[ParamId] = match &param.held {
                Held::InParam { param, .. } => std::slice::from_ref(param),
                Held::InParams(ids) => ids,
                _ => &[],
            };
            for holder in holders.iter().map(|id| search_param_by_id(*id)) {
                assert_eq!(holder.held, Held::InIndex, "{param:?}");
                assert_eq!((holder.base, holder.kind), (param.base, param.kind));
            }
        }
    }
}
