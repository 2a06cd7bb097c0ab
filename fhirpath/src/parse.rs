//! Tokens to the tree of an expression, by precedence climbing.
//!
//! Spec: FHIRPath N1, grammar appendix and §6.8. Depth is limited by [`DEPTH_MAX`], so recursion is bounded.

use crate::ast::{Expr, Op, TYPE_BINDS};
use crate::error::CompileError;
use crate::functions::Function;
use crate::item::{Item, Quantity};
use crate::lex::{Token, What, tokens};
use crate::moment::Moment;
use crate::types::TypeName;

/// The tree of a text.
pub(crate) fn parse(text: &str) -> Result<Expr, CompileError> {
    let mut parser = Parser { tokens: tokens(text)?, next: 0, depth: 0 };
    let expr = parser.expression(0)?;
    match parser.peek() {
        What::End if height_within(&expr, HEIGHT_MAX) => Ok(expr),
        What::End => Err(CompileError::TooLarge),
        _ => Err(parser.fault("something after the end")),
    }
}

struct Parser {
    tokens: Vec<Token>,
    next: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> &What {
        &self.tokens[self.next].what
    }

    fn take(&mut self) -> What {
        let what = self.tokens[self.next].what.clone();
        if what != What::End {
            self.next += 1;
        }
        what
    }

    fn fault(&self, what: &str) -> CompileError {
        CompileError::Syntax { what: what.to_owned(), at: self.tokens[self.next].at + 1 }
    }

    fn eat(&mut self, symbol: &str) -> bool {
        let is_it = matches!(self.peek(), What::Symbol(found) if *found == symbol);
        if is_it {
            self.next += 1;
        }
        is_it
    }

    fn expect(&mut self, symbol: &str) -> Result<(), CompileError> {
        if self.eat(symbol) { Ok(()) } else { Err(self.fault(&format!("no {symbol}"))) }
    }

    fn expression(&mut self, least: u8) -> Result<Expr, CompileError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(CompileError::TooLarge);
        }
        let mut left = self.unary()?;
        // A chain of operators makes the tree as deep as it is long.
        let mut links = 0;
        while let Some((word, binds)) = self.operator().filter(|(_, binds)| *binds >= least) {
            self.next += 1;
            links += 1;
            if links > LINKS_MAX {
                return Err(CompileError::TooLarge);
            }
            left = match (word.as_str(), Op::of(&word)) {
                ("is", _) => Expr::Is(Box::new(left), self.type_name()?),
                ("as", _) => Expr::As(Box::new(left), self.type_name()?),
                (_, Some((op, _))) => {
                    Expr::Binary(op, Box::new(left), Box::new(self.expression(binds + 1)?))
                }
                (_, None) => return Err(self.fault("an operator that is not known")),
            };
        }
        self.depth -= 1;
        Ok(left)
    }

    fn operator(&self) -> Option<(String, u8)> {
        let word = match self.peek() {
            What::Symbol(symbol) => (*symbol).to_owned(),
            What::Name(word, false) => word.clone(),
            _ => return None,
        };
        let binds = match word.as_str() {
            "is" | "as" => TYPE_BINDS,
            _ => Op::of(&word)?.1,
        };
        Some((word, binds))
    }

    fn unary(&mut self) -> Result<Expr, CompileError> {
        if self.eat("-") {
            self.depth += 1;
            if self.depth > DEPTH_MAX {
                return Err(CompileError::TooLarge);
            }
            let inner = self.unary()?;
            self.depth -= 1;
            return Ok(Expr::Negative(Box::new(inner)));
        }
        while self.eat("+") {}
        let mut expr = self.term()?;
        let mut links = 0;
        loop {
            links += 1;
            if links > LINKS_MAX {
                return Err(CompileError::TooLarge);
            }
            if self.eat(".") {
                expr = self.invocation(Some(Box::new(expr)))?;
            } else if self.eat("[") {
                let place = self.expression(0)?;
                self.expect("]")?;
                expr = Expr::At(Box::new(expr), Box::new(place));
            } else {
                return Ok(expr);
            }
        }
    }

    fn term(&mut self) -> Result<Expr, CompileError> {
        match self.peek().clone() {
            What::Symbol("(") => {
                self.next += 1;
                let inner = self.expression(0)?;
                self.expect(")")?;
                Ok(inner)
            }
            What::Symbol("{") => {
                self.next += 1;
                self.expect("}")?;
                Ok(Expr::Empty)
            }
            What::Text(text) => {
                self.next += 1;
                Ok(Expr::Literal(Item::String(text.into())))
            }
            What::Number(text) => self.number(&text),
            What::Moment(text) => {
                let moment = Moment::literal(&text).ok_or_else(|| self.fault("no date or time"))?;
                self.next += 1;
                Ok(Expr::Literal(Item::Moment(moment)))
            }
            What::Variable(name) => {
                self.next += 1;
                Ok(Expr::Variable(name))
            }
            What::Name(word, false) if word == "true" || word == "false" => {
                self.next += 1;
                Ok(Expr::Literal(Item::Boolean(word == "true")))
            }
            _ => self.invocation(None),
        }
    }

    fn number(&mut self, text: &str) -> Result<Expr, CompileError> {
        self.next += 1;
        let unit = match self.peek() {
            What::Text(unit) => Some(unit.clone()),
            What::Name(word, false) => calendar_unit(word).map(str::to_owned),
            _ => None,
        };
        let too_large = || CompileError::Syntax { what: "a number too large".into(), at: 1 };
        if let Some(unit) = unit {
            self.next += 1;
            let value = text.parse().map_err(|_| too_large())?;
            return Ok(Expr::Literal(Item::Quantity(Quantity::literal(value, unit))));
        }
        let item = if text.contains('.') {
            Item::Decimal(text.parse().map_err(|_| too_large())?)
        } else {
            Item::Integer(text.parse().map_err(|_| too_large())?)
        };
        Ok(Expr::Literal(item))
    }

    fn invocation(&mut self, base: Option<Box<Expr>>) -> Result<Expr, CompileError> {
        let name = match self.peek().clone() {
            What::Dollar(word) => {
                self.next += 1;
                return match word.as_str() {
                    "this" => Ok(Expr::This),
                    "index" => Ok(Expr::Index),
                    "total" => Ok(Expr::Total),
                    _ => Err(self.fault("an unknown name after $")),
                };
            }
            What::Name(name, _) => name,
            _ => return Err(self.fault("no name or value")),
        };
        self.next += 1;
        if !self.eat("(") {
            return Ok(Expr::Member(base, name));
        }
        if matches!(name.as_str(), "is" | "as" | "ofType") {
            let of = self.type_name()?;
            self.expect(")")?;
            let base = base.unwrap_or_else(|| Box::new(Expr::This));
            return Ok(match name.as_str() {
                "is" => Expr::Is(base, of),
                _ => Expr::As(base, of),
            });
        }
        let mut arguments = Vec::new();
        if !self.eat(")") {
            loop {
                arguments.push(self.expression(0)?);
                if !self.eat(",") {
                    break;
                }
            }
            self.expect(")")?;
        }
        let function = Function::find(&name, arguments.len())?;
        Ok(Expr::Call(base, function, arguments))
    }

    fn type_name(&mut self) -> Result<TypeName, CompileError> {
        let What::Name(first, _) = self.take() else {
            return Err(self.fault("no type name"));
        };
        if self.eat(".") {
            let What::Name(second, _) = self.take() else {
                return Err(self.fault("no type name"));
            };
            return Ok(TypeName { namespace: Some(first), name: second });
        }
        Ok(TypeName { namespace: None, name: first })
    }
}

/// Whether the tree is no higher than that; the evaluator's recursion is bounded by it.
fn height_within(root: &Expr, most: usize) -> bool {
    let mut open = vec![(root, 1)];
    while let Some((expr, height)) = open.pop() {
        if height > most {
            return false;
        }
        let below = height + 1;
        match expr {
            Expr::Member(base, _) => open.extend(base.iter().map(|base| (&**base, below))),
            Expr::Call(base, _, arguments) => {
                open.extend(base.iter().map(|base| (&**base, below)));
                open.extend(arguments.iter().map(|argument| (argument, below)));
            }
            Expr::At(left, right) | Expr::Binary(_, left, right) => {
                open.extend([(&**left, below), (&**right, below)]);
            }
            Expr::Negative(inner) | Expr::Is(inner, _) | Expr::As(inner, _) => {
                open.push((inner, below));
            }
            _ => {}
        }
    }
    true
}

/// The words for durations, in the singular.
pub(crate) fn calendar_unit(word: &str) -> Option<&'static str> {
    UNITS.iter().find(|unit| word.strip_suffix('s').unwrap_or(word) == **unit).copied()
}

const UNITS: &[&str] = &["year", "month", "week", "day", "hour", "minute", "second", "millisecond"];
/// Deepest nesting of an expression.
const DEPTH_MAX: usize = 64;
/// Highest tree.
const HEIGHT_MAX: usize = 120;
/// Longest chain of steps or operators.
const LINKS_MAX: usize = 200;
