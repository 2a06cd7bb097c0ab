//! The FHIRPath of R4's search expressions, evaluated over plain JSON.
//!
//! Grammar (all that the 1,378 expressions need): paths, `|`, `as`, `.as()`, `.ofType()`, `.where()` with
//! a member's text, `resolve() is T` or `hasExtension(url)`, `.extension(url)`, `[n]`, `.exists()`, `and`,
//! `!=` with a truth value, `%resource`. An element is its JSON with the name of its type.

use serde_json::Value as Json;

use super::schema::{choice_name, schema};

/// An element and its type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node<'a> {
    pub(crate) json: &'a Json,
    pub(crate) of: &'a str,
    /// Value set that the element is bound to.
    pub(crate) set: Option<&'static str>,
}

/// A parsed expression.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expression {
    /// The resource.
    Resource,
    /// The element that the expression starts at.
    Here,
    Member(Box<Expression>, String),
    Index(Box<Expression>, usize),
    OfType(Box<Expression>, String),
    Extension(Box<Expression>, String),
    Where(Box<Expression>, Test),
    Union(Vec<Expression>),
    Exists(Box<Expression>),
    And(Box<Expression>, Box<Expression>),
    Differs(Box<Expression>, bool),
}

/// Condition of a `where`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Test {
    Member(String, String),
    ResolvesTo(String),
    HasExtension(String),
}

/// The resource as a node.
pub(crate) fn root(json: &Json) -> Node<'_> {
    Node { json, of: json["resourceType"].as_str().unwrap_or(""), set: None }
}

/// All elements that the expression selects, from `here` on, within `resource`.
pub(crate) fn select<'a>(
    expression: &Expression,
    resource: Node<'a>,
    here: Node<'a>,
) -> Vec<Node<'a>> {
    let inner = |expression: &Expression| select(expression, resource, here);
    match expression {
        Expression::Resource => vec![resource],
        Expression::Here => vec![here],
        Expression::Member(from, name) => {
            inner(from).into_iter().flat_map(|node| member(node, name)).collect()
        }
        Expression::Index(from, at) => inner(from).into_iter().skip(*at).take(1).collect(),
        Expression::OfType(from, of) => {
            inner(from).into_iter().filter(|node| node.of.eq_ignore_ascii_case(of)).collect()
        }
        Expression::Extension(from, url) => {
            let all = inner(from).into_iter().flat_map(|node| member(node, "extension"));
            all.filter(|node| node.json["url"] == url.as_str()).collect()
        }
        Expression::Where(from, test) => {
            inner(from).into_iter().filter(|node| holds(node, test)).collect()
        }
        Expression::Union(all) => all.iter().flat_map(inner).collect(),
        Expression::Exists(from) => truth(!inner(from).is_empty()),
        Expression::And(a, b) => {
            let all = |expression| inner(expression).iter().all(|node| *node.json == TRUE);
            let some = !inner(a).is_empty() && !inner(b).is_empty();
            truth(some && all(a) && all(b))
        }
        Expression::Differs(from, value) => match &inner(from)[..] {
            [] => Vec::new(),
            [one] => truth(*one.json != Json::Bool(*value)),
            _ => truth(true),
        },
    }
}

/// Types of the elements that the expression may select on a type.
pub(crate) fn types(expression: &Expression, of: &'static str) -> Vec<&'static str> {
    match expression {
        Expression::Resource | Expression::Here => vec![of],
        Expression::Member(from, name) => {
            let elements = types(from, of).into_iter().filter_map(|of| schema().element(of, name));
            elements.flat_map(|element| element.types.clone()).collect()
        }
        Expression::Index(from, _) | Expression::Where(from, _) => types(from, of),
        Expression::OfType(from, wanted) => {
            types(from, of).into_iter().filter(|of| of.eq_ignore_ascii_case(wanted)).collect()
        }
        Expression::Extension(..) => vec!["Extension"],
        Expression::Union(all) => all.iter().flat_map(|one| types(one, of)).collect(),
        Expression::Exists(_) | Expression::And(..) | Expression::Differs(..) => vec!["boolean"],
    }
}

fn truth<'a>(value: bool) -> Vec<Node<'a>> {
    vec![Node { json: if value { &TRUE } else { &FALSE }, of: "boolean", set: None }]
}

/// Children of this name, lists flattened, nulls left out.
fn member<'a>(node: Node<'a>, name: &str) -> Vec<Node<'a>> {
    let Some(element) = schema().element(node.of, name) else { return Vec::new() };
    let mut found = Vec::new();
    for of in &element.types {
        let key =
            if element.is_choice { choice_name(element.name, of) } else { element.name.to_owned() };
        let items = match node.json.get(&key) {
            None | Some(Json::Null) => continue,
            Some(Json::Array(items)) => items.iter().collect(),
            Some(one) => vec![one],
        };
        for json in items.into_iter().filter(|json| !json.is_null()) {
            let of = json["resourceType"].as_str().unwrap_or(of);
            found.push(Node { json, of, set: element.set });
        }
    }
    found
}

fn holds(node: &Node<'_>, test: &Test) -> bool {
    match test {
        Test::Member(name, text) => node.json[name] == text.as_str(),
        Test::ResolvesTo(of) => {
            node.json["reference"].as_str().and_then(type_of) == Some(of.as_str())
        }
        Test::HasExtension(url) => {
            member(*node, "extension").iter().any(|one| one.json["url"] == url.as_str())
        }
    }
}

/// Type that a literal reference names.
fn type_of(reference: &str) -> Option<&str> {
    let path = reference.split("/_history/").next()?;
    let name = path.rsplit('/').nth(1)?;
    schema().is_a(name, "Resource").then_some(name)
}

/// Reads an expression of the table.
pub(crate) fn parse(text: &str) -> Expression {
    let mut reader = Reader { rest: text };
    let expression = reader.expression();
    assert!(reader.rest.trim().is_empty(), "{text}: what is {:?}?", reader.rest);
    expression
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn take(&mut self, token: &str) -> bool {
        self.rest = self.rest.trim_start();
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, token: &str) {
        assert!(self.take(token), "{token:?} before {:?}", self.rest);
    }

    fn word(&mut self) -> &'a str {
        self.rest = self.rest.trim_start();
        let end = self.rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn quoted(&mut self) -> String {
        self.expect("'");
        let (text, rest) = self.rest.split_once('\'').expect("a closing quote");
        self.rest = rest;
        text.to_owned()
    }

    fn expression(&mut self) -> Expression {
        let first = self.comparison();
        if self.take("and ") {
            return Expression::And(Box::new(first), Box::new(self.comparison()));
        }
        let mut all = vec![first];
        while self.take("|") {
            all.push(self.comparison());
        }
        if all.len() == 1 { all.remove(0) } else { Expression::Union(all) }
    }

    fn comparison(&mut self) -> Expression {
        let path = self.path();
        if self.take("as ") {
            return Expression::OfType(Box::new(path), self.word().to_owned());
        }
        if self.take("!=") {
            return Expression::Differs(Box::new(path), self.word() == "true");
        }
        path
    }

    fn path(&mut self) -> Expression {
        let mut path = if self.take("(") {
            let inner = self.expression();
            self.expect(")");
            inner
        } else if self.take("%resource") {
            Expression::Resource
        } else {
            let name = self.word();
            if name.starts_with(|c: char| c.is_uppercase()) {
                Expression::Resource
            } else {
                Expression::Member(Box::new(Expression::Here), name.to_owned())
            }
        };
        loop {
            if self.take("[") {
                let at = self.word().parse().expect("an index");
                self.expect("]");
                path = Expression::Index(Box::new(path), at);
            } else if self.take(".") {
                path = self.step(path);
            } else {
                return path;
            }
        }
    }

    fn step(&mut self, path: Expression) -> Expression {
        let name = self.word();
        let path = Box::new(path);
        if !self.take("(") {
            return Expression::Member(path, name.to_owned());
        }
        let step = match name {
            "as" | "ofType" => Expression::OfType(path, self.word().to_owned()),
            "extension" => Expression::Extension(path, self.quoted()),
            "exists" => Expression::Exists(path),
            "where" => Expression::Where(path, self.test()),
            other => panic!("function {other} is unknown"),
        };
        self.expect(")");
        step
    }

    fn test(&mut self) -> Test {
        let name = self.word();
        match name {
            "resolve" => {
                self.expect("()");
                self.expect("is");
                Test::ResolvesTo(self.word().to_owned())
            }
            "hasExtension" => {
                self.expect("(");
                let url = self.quoted();
                self.expect(")");
                Test::HasExtension(url)
            }
            member => {
                self.expect("=");
                Test::Member(member.to_owned(), self.quoted())
            }
        }
    }
}

static TRUE: Json = Json::Bool(true);
static FALSE: Json = Json::Bool(false);
