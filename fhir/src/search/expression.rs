//! `SearchParameter.expression` as a list of steps.
//!
//! Grammar: the part of `FHIRPath` that R4's own search parameters use: paths, `|`,
//! `(path as T)`, `.as(T)`, `.ofType(T)`, `.where(x='y')`, `.where(resolve() is T)`,
//! `.where(hasExtension('u'))`, `.extension('u')`, `[0]`, and `p.exists() and p != literal`.
//! Anything else is an error. Not here: types and evaluation (`program`).

/// One branch of a union.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Branch<'e> {
    /// Selects elements.
    Path(Path<'e>),
    /// True where the element exists and is not the literal, else false.
    ExistsAndIsNot { path: Path<'e>, literal: &'e str },
}

/// Steps from a root.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Path<'e> {
    pub(crate) root: Root<'e>,
    pub(crate) steps: Vec<Step<'e>>,
}

/// Where a path starts.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Root<'e> {
    /// A type's name: the resource.
    Type(&'e str),
    /// `%resource`.
    Resource,
    /// The element at hand, in a component of a composite.
    Here,
}

/// One step of a path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Step<'e> {
    Field(&'e str),
    As(&'e str),
    Index(usize),
    Extension(&'e str),
    WhereField { field: &'e str, is: &'e str },
    WhereResolvesTo(&'e str),
    WhereHasExtension(&'e str),
}

/// The expression uses something outside the grammar.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct UnknownExpression<'e>(pub(crate) &'e str);

/// Reads a whole expression.
pub(crate) fn parse(text: &str) -> Result<Vec<Branch<'_>>, UnknownExpression<'_>> {
    split(text, '|').into_iter().map(|branch| parse_branch(branch.trim())).collect()
}

fn parse_branch(text: &str) -> Result<Branch<'_>, UnknownExpression<'_>> {
    let Some((exists, differs)) = text.split_once(" and ") else {
        return parse_path(text).map(Branch::Path);
    };
    let subject = exists.strip_suffix(".exists()").ok_or(UnknownExpression(text))?;
    let (same, literal) = differs.split_once(" != ").ok_or(UnknownExpression(text))?;
    if same != subject {
        return Err(UnknownExpression(text));
    }
    Ok(Branch::ExistsAndIsNot { path: parse_path(subject)?, literal })
}

fn parse_path(text: &str) -> Result<Path<'_>, UnknownExpression<'_>> {
    let Some(inner) = text.strip_prefix('(') else {
        return parse_typed(text);
    };
    let end = closing(inner).ok_or(UnknownExpression(text))?;
    let (inner, rest) = (&inner[..end], &inner[end + 1..]);
    let mut path = parse_typed(inner.trim())?;
    if !rest.is_empty() {
        let rest = rest.strip_prefix('.').ok_or(UnknownExpression(text))?;
        path.steps.extend(parse_steps(rest)?.steps);
    }
    Ok(path)
}

/// `path` or `path as T`.
fn parse_typed(text: &str) -> Result<Path<'_>, UnknownExpression<'_>> {
    let Some((subject, type_name)) = text.rsplit_once(" as ") else { return parse_steps(text) };
    let mut path = parse_steps(subject)?;
    path.steps.push(Step::As(name(type_name).ok_or(UnknownExpression(text))?));
    Ok(path)
}

/// Where the parenthesis that is open already closes.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut in_quotes) = (0_usize, false);
    for (at, c) in text.char_indices() {
        match c {
            '\'' => in_quotes = !in_quotes,
            '(' if !in_quotes => depth += 1,
            ')' if !in_quotes && depth == 0 => return Some(at),
            ')' if !in_quotes => depth -= 1,
            _ => {}
        }
    }
    None
}

fn parse_steps(text: &str) -> Result<Path<'_>, UnknownExpression<'_>> {
    let mut parts = split(text, '.').into_iter().peekable();
    let root = match parts.peek() {
        Some(first) if *first == "%resource" => Root::Resource,
        Some(first) if first.starts_with(|c: char| c.is_ascii_uppercase()) => Root::Type(first),
        _ => Root::Here,
    };
    if root != Root::Here {
        parts.next();
    }
    let mut steps = Vec::new();
    for part in parts {
        push_step(part, &mut steps).ok_or(UnknownExpression(text))?;
    }
    Ok(Path { root, steps })
}

fn push_step<'e>(part: &'e str, steps: &mut Vec<Step<'e>>) -> Option<()> {
    if let Some((field, index)) = part.split_once('[') {
        steps.push(Step::Field(name(field)?));
        steps.push(Step::Index(index.strip_suffix(']')?.parse().ok()?));
        return Some(());
    }
    let Some((function, argument)) = part.split_once('(') else {
        steps.push(Step::Field(name(part)?));
        return Some(());
    };
    let argument = argument.strip_suffix(')')?;
    steps.push(match function {
        "as" | "ofType" => Step::As(name(argument)?),
        "extension" => Step::Extension(quoted(argument)?),
        "where" => condition(argument)?,
        _ => return None,
    });
    Some(())
}

fn condition(text: &str) -> Option<Step<'_>> {
    if let Some(type_name) = text.strip_prefix("resolve() is ") {
        return Some(Step::WhereResolvesTo(name(type_name)?));
    }
    if let Some(argument) = text.strip_prefix("hasExtension(") {
        return Some(Step::WhereHasExtension(quoted(argument.strip_suffix(')')?)?));
    }
    let (field, value) = text.split_once('=')?;
    Some(Step::WhereField { field: name(field.trim())?, is: quoted(value.trim())? })
}

fn name(text: &str) -> Option<&str> {
    let good = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric());
    good.then_some(text)
}

fn quoted(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('\'')?.strip_suffix('\'')?;
    (!inner.contains(['\'', '\\'])).then_some(inner)
}

/// Splits where the separator stands outside parentheses and quotes.
pub(super) fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut depth, mut in_quotes, mut start) = (0_usize, false, 0);
    let mut parts = Vec::new();
    for (at, c) in text.char_indices() {
        match c {
            '\'' => in_quotes = !in_quotes,
            '(' if !in_quotes => depth += 1,
            ')' if !in_quotes => depth = depth.saturating_sub(1),
            c if c == separator && depth == 0 && !in_quotes => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(text: &str) -> Vec<Step<'_>> {
        match parse(text).unwrap().remove(0) {
            Branch::Path(path) => path.steps,
            Branch::ExistsAndIsNot { path, .. } => path.steps,
        }
    }

    #[test]
    fn each_form_of_the_grammar_is_read() {
        let field = Step::Field;
        assert_eq!(steps("Patient.name.family"), [field("name"), field("family")]);
        assert_eq!(
            steps("(Observation.value as CodeableConcept).text"),
            [field("value"), Step::As("CodeableConcept"), field("text")]
        );
        assert_eq!(
            steps("(A.b.where(url='(x)').value as string)"),
            [
                field("b"),
                Step::WhereField { field: "url", is: "(x)" },
                field("value"),
                Step::As("string")
            ]
        );
        assert_eq!(steps("A.b as Coding"), [field("b"), Step::As("Coding")]);
        assert_eq!(steps("value.as(DateTime)"), [field("value"), Step::As("DateTime")]);
        assert_eq!(
            steps("Patient.telecom.where(system='email')"),
            [field("telecom"), Step::WhereField { field: "system", is: "email" }]
        );
        assert_eq!(
            steps("Task.for.where(resolve() is Patient)"),
            [field("for"), Step::WhereResolvesTo("Patient")]
        );
        assert_eq!(
            steps("Bundle.entry[0].resource"),
            [field("entry"), Step::Index(0), field("resource")]
        );
        assert_eq!(steps("Device.extension('http://a.b/c')"), [Step::Extension("http://a.b/c")]);
        assert_eq!(
            steps("Q.item.where(hasExtension('http://a.b/c')).answer.value.ofType(Reference)"),
            [
                field("item"),
                Step::WhereHasExtension("http://a.b/c"),
                field("answer"),
                field("value"),
                Step::As("Reference")
            ]
        );
    }

    #[test]
    fn unions_roots_and_the_one_predicate_are_read() {
        let branches = parse("%resource.a.b | c | Observation").unwrap();
        let roots: Vec<_> = branches
            .iter()
            .map(|branch| match branch {
                Branch::Path(path) => (&path.root, path.steps.len()),
                Branch::ExistsAndIsNot { .. } => unreachable!(),
            })
            .collect();
        let type_name = Root::Type("Observation");
        assert_eq!(roots, [(&Root::Resource, 2), (&Root::Here, 1), (&type_name, 0)]);

        let dead = parse("Patient.deceased.exists() and Patient.deceased != false").unwrap();
        assert!(matches!(&dead[0], Branch::ExistsAndIsNot { literal: "false", .. }));
    }

    #[test]
    fn everything_else_is_refused() {
        for bad in [
            "Patient.name.first()",
            "Patient.name.where(use != 'old')",
            "A.b.exists() and A.c != false",
            "Patient..name",
            "(Patient.name",
            "Patient.name[x]",
            "",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
