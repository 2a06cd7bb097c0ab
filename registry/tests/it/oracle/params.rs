//! R4's search parameters as data: code, kind, targets, parts, expression.
//!
//! Source: `fhir-profiles/r4/search-parameters.txt`, read here anew, and `compartments.txt` for the patient
//! compartment.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::path::{Expression, Test, parse, types};
use super::schema::schema;

/// Type of a parameter.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Kind {
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

/// A parameter of one type.
#[derive(Debug)]
pub(crate) struct Param {
    pub(crate) code: &'static str,
    pub(crate) kind: Kind,
    /// Types that a reference may have; `*` in the table is all of them.
    pub(crate) targets: Vec<&'static str>,
    /// Kind and values of the parts of a composite, from its element on.
    pub(crate) parts: Vec<(Kind, Expression)>,
    pub(crate) expression: Option<Expression>,
    /// As in the table.
    pub(crate) text: &'static str,
}

/// Parameters of a type with those of all types.
pub(crate) fn params(of: &str) -> impl Iterator<Item = &'static Param> {
    OF_TYPE.get(of).into_iter().flatten().copied()
}

/// The parameter of this code.
pub(crate) fn param(of: &str, code: &str) -> Option<&'static Param> {
    params(of).find(|param| param.code == code)
}

/// Whether all that a token parameter may select on the type is boolean.
pub(crate) fn is_boolean(of: &'static str, param: &Param) -> bool {
    let found = param.expression.iter().flat_map(|one| types(one, of)).collect::<Vec<_>>();
    param.kind == Kind::Token && !found.is_empty() && found.iter().all(|of| *of == "boolean")
}

/// Codes of the parameters that place a resource of a type in the compartment of a patient, encounter, …;
/// `{def}` for the owner itself.
pub(crate) fn compartment_codes(owner: &str, of: &str) -> Vec<&'static str> {
    let lines = COMPARTMENTS.lines().filter_map(|line| {
        let mut fields = line.split('\t');
        (fields.next() == Some(owner) && fields.next() == Some(of)).then(|| fields.next())?
    });
    lines.flat_map(|codes| codes.split(',')).collect()
}

static OF_TYPE: LazyLock<HashMap<&'static str, Vec<&'static Param>>> = LazyLock::new(|| {
    let of_type = |of: &'static str| {
        let bases = TABLE.iter().filter(|(base, _)| schema().is_a(of, base));
        (of, bases.flat_map(|(_, params)| params).collect())
    };
    schema().resources().into_iter().map(of_type).collect()
});

static TABLE: LazyLock<HashMap<&'static str, Vec<Param>>> = LazyLock::new(|| {
    let mut table: HashMap<_, Vec<_>> = HashMap::new();
    for line in PARAMS.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&'static str> = line.split('\t').collect();
        let [_, base, code, kind, _, targets, _, parts, text] = fields[..] else {
            panic!("{line}");
        };
        let param = Param {
            code,
            kind: self::kind(kind),
            targets: self::targets(targets),
            parts: if parts == "-" { Vec::new() } else { parts.split(" ; ").map(part).collect() },
            expression: (text != "-").then(|| parse(text)),
            text,
        };
        table.entry(base).or_default().push(param);
    }
    table.values_mut().for_each(narrow);
    table
});

/// A parameter for one type of what another parameter selects for more, such as `patient` beside `subject`,
/// is read as if its expression said so; most do.
fn narrow(params: &mut Vec<Param>) {
    let broad: Vec<_> =
        params.iter().filter(|one| one.targets.len() > 1).map(|one| one.text).collect();
    for param in params {
        if let (&[only], Some(from)) = (&param.targets[..], &param.expression)
            && broad.contains(&param.text)
        {
            let test = Test::ResolvesTo(only.to_owned());
            param.expression = Some(Expression::Where(Box::new(from.clone()), test));
        }
    }
}

fn kind(code: &str) -> Kind {
    match code {
        "composite" => Kind::Composite,
        "date" => Kind::Date,
        "number" => Kind::Number,
        "quantity" => Kind::Quantity,
        "reference" => Kind::Reference,
        "special" => Kind::Special,
        "string" => Kind::String,
        "token" => Kind::Token,
        "uri" => Kind::Uri,
        other => panic!("kind {other}"),
    }
}

fn targets(text: &'static str) -> Vec<&'static str> {
    match text {
        "-" => Vec::new(),
        "*" => schema().resources(),
        names => names.split(',').collect(),
    }
}

fn part(text: &'static str) -> (Kind, Expression) {
    let mut fields = text.splitn(3, ':').skip(1);
    let kind = kind(fields.next().expect("a kind"));
    (kind, parse(fields.next().expect("an expression")))
}

const PARAMS: &str = include_str!("../../../../fhir-profiles/r4/search-parameters.txt");
const COMPARTMENTS: &str = include_str!("../../../../fhir-profiles/r4/compartments.txt");
