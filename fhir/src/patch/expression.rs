//! Paths of a FHIRPath Patch, read: the part of FHIRPath (N1) that can say where something stands.
//!
//! Members, indexes, choices, filters and what filters need; no arithmetic, no variables but `%resource` and `%context`,
//! and nothing that leaves the resource. What is not done is refused by name. Not here: finding elements (`evaluate`).

use crate::patch::tokens::{Token, tokens};

/// A path or criterion.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression {
    /// `$this`, and where a relative path starts.
    This,
    /// `%resource`.
    Root,
    /// `{}`.
    Nothing,
    /// A literal.
    Literal(Literal),
    /// `from.name`.
    Member(Box<Expression>, String),
    /// `from[3]`.
    Index(Box<Expression>, usize),
    /// `from.function(arguments)`.
    Call(Box<Expression>, Function, Vec<Expression>),
    /// `from.ofType(T)`, `from as T`.
    OfType(Box<Expression>, String),
    /// `from is T`.
    Is(Box<Expression>, String),
    /// `one operator two`.
    Binary(Box<Expression>, Operator, Box<Expression>),
}

/// A value in an expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    Text(String),
    Number(String),
    Bool(bool),
}

/// Why an expression is not done.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Refused(pub(super) String);

impl Refused {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

macro_rules! words {
    ($(#[$doc:meta])* $kind:ident { $($name:ident = $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub(super) enum $kind { $($name),* }

        impl $kind {
            fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$name),)* _ => None }
            }
        }
    };
}

words! {
    /// Functions of FHIRPath that are done.
    Function {
        Where = "where", Exists = "exists", All = "all", Empty = "empty", Not = "not",
        First = "first", Last = "last", Tail = "tail", Skip = "skip", Take = "take",
        Single = "single", Count = "count", Extension = "extension", HasValue = "hasValue",
        StartsWith = "startsWith", EndsWith = "endsWith", Contains = "contains", Lower = "lower",
        Upper = "upper", Length = "length", Children = "children",
    }
}

words! {
    /// Operators of two sides that are done.
    Operator {
        Implies = "implies", Or = "or", Xor = "xor", And = "and", In = "in", Contains = "contains",
        Equal = "=", NotEqual = "!=", Like = "~", NotLike = "!~",
        Greater = ">", Less = "<", AtLeast = ">=", AtMost = "<=", Union = "|",
    }
}

impl Operator {
    /// FHIRPath N1 §7 "Operator Precedence", the loosest first.
    fn rank(self) -> u8 {
        match self {
            Self::Implies => 1,
            Self::Or | Self::Xor => 2,
            Self::And => 3,
            Self::In | Self::Contains => 4,
            Self::Equal | Self::NotEqual | Self::Like | Self::NotLike => 5,
            Self::Greater | Self::Less | Self::AtLeast | Self::AtMost => 6,
            Self::Union => 7,
        }
    }
}

/// Reads an expression.
///
/// # Errors
/// What is malformed or not done in it.
pub(super) fn parse(text: &str) -> Result<Expression, Refused> {
    if text.len() > EXPRESSION_BYTES_MAX {
        return Err(Refused(format!("a path has at most {EXPRESSION_BYTES_MAX} bytes")));
    }
    let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0 };
    let expression = parser.binary(1)?;
    match parser.peek() {
        None => Ok(expression),
        Some(_) => Err(Refused::new("the path goes on where it should end")),
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn take_sign(&mut self, sign: &str) -> bool {
        let is_it = matches!(self.peek(), Some(Token::Sign(found)) if *found == sign);
        self.at += usize::from(is_it);
        is_it
    }

    fn expect(&mut self, sign: &str) -> Result<(), Refused> {
        if self.take_sign(sign) { Ok(()) } else { Err(Refused(format!("the path lacks a {sign}"))) }
    }

    /// Operators of at least this rank, from left to right.
    fn binary(&mut self, rank: u8) -> Result<Expression, Refused> {
        self.depth += 1;
        if self.depth > NESTING_MAX {
            return Err(Refused(format!("a path nests at most {NESTING_MAX} deep")));
        }
        let mut left = self.typed()?;
        while let Some(operator) = self.operator().filter(|operator| operator.rank() >= rank) {
            self.at += 1;
            let right = self.binary(operator.rank() + 1)?;
            left = Expression::Binary(Box::new(left), operator, Box::new(right));
        }
        self.depth -= 1;
        Ok(left)
    }

    fn operator(&self) -> Option<Operator> {
        match self.peek()? {
            Token::Sign(sign) => Operator::parse(sign),
            Token::Name(name) => Operator::parse(name),
            _ => None,
        }
    }

    /// `path is T`, `path as T`.
    fn typed(&mut self) -> Result<Expression, Refused> {
        let mut from = self.path()?;
        loop {
            let is = match self.peek() {
                Some(Token::Name(name)) if name == "is" => true,
                Some(Token::Name(name)) if name == "as" => false,
                _ => return Ok(from),
            };
            self.at += 1;
            let of = self.type_name()?;
            from = if is {
                Expression::Is(Box::new(from), of)
            } else {
                Expression::OfType(Box::new(from), of)
            };
        }
    }

    fn path(&mut self) -> Result<Expression, Refused> {
        let mut from = self.term()?;
        loop {
            if self.take_sign(".") {
                from = self.invocation(from)?;
            } else if self.take_sign("[") {
                let Some(Token::Number(digits)) = self.peek().cloned() else {
                    return Err(Refused::new("an index is a number"));
                };
                self.at += 1;
                let index =
                    digits.parse().map_err(|_| Refused::new("an index is a whole number"))?;
                self.expect("]")?;
                from = Expression::Index(Box::new(from), index);
            } else {
                return Ok(from);
            }
        }
    }

    fn term(&mut self) -> Result<Expression, Refused> {
        let token = self.peek().cloned().ok_or_else(|| Refused::new("the path ends too early"))?;
        let literal = |literal| Ok(Expression::Literal(literal));
        match token {
            Token::Name(_) | Token::Quoted(_) => match token {
                Token::Name(word) if word == "true" || word == "false" => {
                    self.at += 1;
                    literal(Literal::Bool(word == "true"))
                }
                _ => self.invocation(Expression::This),
            },
            Token::Sign("(") => {
                self.at += 1;
                let inner = self.binary(1)?;
                self.expect(")")?;
                Ok(inner)
            }
            Token::Sign("{") => {
                self.at += 1;
                self.expect("}")?;
                Ok(Expression::Nothing)
            }
            Token::Sign("-") => {
                self.at += 1;
                let Some(Token::Number(digits)) = self.peek().cloned() else {
                    return Err(Refused::new("arithmetic is not done in paths"));
                };
                self.at += 1;
                literal(Literal::Number(format!("-{digits}")))
            }
            Token::Sign(_) => Err(Refused::new("the path has an operator without its left side")),
            Token::Text(text) | Token::Time(text) => {
                self.at += 1;
                literal(Literal::Text(text))
            }
            Token::Number(digits) => {
                self.at += 1;
                literal(Literal::Number(digits))
            }
            Token::Variable(name) => {
                self.at += 1;
                match name.as_str() {
                    "$this" => Ok(Expression::This),
                    "%resource" | "%context" | "%rootResource" => Ok(Expression::Root),
                    _ => Err(Refused(format!("the variable {name} is not done in paths"))),
                }
            }
        }
    }

    /// A member or function of what stands before.
    fn invocation(&mut self, from: Expression) -> Result<Expression, Refused> {
        let token = self.peek().cloned().ok_or_else(|| Refused::new("the path ends too early"))?;
        self.at += 1;
        let name = match token {
            Token::Quoted(name) => return Ok(Expression::Member(Box::new(from), name)),
            Token::Name(name) => name,
            Token::Variable(name) if name == "$this" => return Ok(from),
            _ => return Err(Refused::new("after a dot comes a name")),
        };
        if !self.take_sign("(") {
            return Ok(Expression::Member(Box::new(from), name));
        }
        if matches!(name.as_str(), "ofType" | "as" | "is") {
            let of = self.type_name()?;
            self.expect(")")?;
            return Ok(match name.as_str() {
                "is" => Expression::Is(Box::new(from), of),
                _ => Expression::OfType(Box::new(from), of),
            });
        }
        let Some(function) = Function::parse(&name) else {
            return Err(Refused(format!("the function {name}() is not done in paths")));
        };
        let mut arguments = Vec::new();
        while !self.take_sign(")") {
            if !arguments.is_empty() {
                self.expect(",")?;
            }
            arguments.push(self.binary(1)?);
        }
        Ok(Expression::Call(Box::new(from), function, arguments))
    }

    /// `Quantity` or `FHIR.Quantity`.
    fn type_name(&mut self) -> Result<String, Refused> {
        let mut name = None;
        while let Some(Token::Name(word) | Token::Quoted(word)) = self.peek().cloned() {
            self.at += 1;
            name = Some(word);
            if !self.take_sign(".") {
                break;
            }
        }
        name.ok_or_else(|| Refused::new("here stands the name of a type"))
    }
}

/// Longest path.
const EXPRESSION_BYTES_MAX: usize = 2_000;
/// Deepest nesting of parentheses and arguments.
const NESTING_MAX: usize = 32;
