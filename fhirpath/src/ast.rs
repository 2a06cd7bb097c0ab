//! The tree of a parsed expression.

use crate::functions::Function;
use crate::item::Item;
use crate::types::TypeName;

/// One part of an expression.
#[derive(Debug)]
pub(crate) enum Expr {
    /// `{}`
    Empty,
    /// A number, text, date, quantity or truth value.
    Literal(Item<'static>),
    This,
    Index,
    Total,
    /// `%resource`
    Variable(String),
    /// `name`, or `base.name`.
    Member(Option<Box<Expr>>, String),
    /// `f(…)`, or `base.f(…)`.
    Call(Option<Box<Expr>>, Function, Vec<Expr>),
    /// `base[place]`
    At(Box<Expr>, Box<Expr>),
    Negative(Box<Expr>),
    Binary(Op, Box<Expr>, Box<Expr>),
    Is(Box<Expr>, TypeName),
    As(Box<Expr>, TypeName),
}

/// Operators between two expressions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Op {
    Times,
    Divide,
    Div,
    Mod,
    Plus,
    Minus,
    Join,
    Union,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
    Equivalent,
    NotEquivalent,
    In,
    Contains,
    And,
    Or,
    Xor,
    Implies,
}

impl Op {
    /// The operator and how strongly it binds: a larger number binds more (N1 §6.8).
    pub(crate) fn of(text: &str) -> Option<(Self, u8)> {
        Some(match text {
            "*" => (Self::Times, 11),
            "/" => (Self::Divide, 11),
            "div" => (Self::Div, 11),
            "mod" => (Self::Mod, 11),
            "+" => (Self::Plus, 10),
            "-" => (Self::Minus, 10),
            "&" => (Self::Join, 10),
            "|" => (Self::Union, 8),
            "<" => (Self::Less, 7),
            "<=" => (Self::LessOrEqual, 7),
            ">" => (Self::Greater, 7),
            ">=" => (Self::GreaterOrEqual, 7),
            "=" => (Self::Equal, 6),
            "!=" => (Self::NotEqual, 6),
            "~" => (Self::Equivalent, 6),
            "!~" => (Self::NotEquivalent, 6),
            "in" => (Self::In, 5),
            "contains" => (Self::Contains, 5),
            "and" => (Self::And, 4),
            "or" => (Self::Or, 3),
            "xor" => (Self::Xor, 3),
            "implies" => (Self::Implies, 2),
            _ => return None,
        })
    }

    /// Name for messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Times => "*",
            Self::Divide => "/",
            Self::Div => "div",
            Self::Mod => "mod",
            Self::Plus => "+",
            Self::Minus => "-",
            Self::Join => "&",
            Self::Union => "|",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Equivalent => "~",
            Self::NotEquivalent => "!~",
            Self::In => "in",
            Self::Contains => "contains",
            Self::And => "and",
            Self::Or => "or",
            Self::Xor => "xor",
            Self::Implies => "implies",
        }
    }
}

/// How strongly `is` and `as` bind: between `+` and `|`.
pub(crate) const TYPE_BINDS: u8 = 9;
