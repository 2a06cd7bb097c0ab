//! The functions of FHIRPath and those that FHIR adds, by name.
//!
//! Spec: FHIRPath N1 §5, FHIR R4 fhirpath.html "Additional functions". What is not listed is refused at compile time.

mod collection;
mod filter;
mod reference;
mod strings;

use crate::ast::Expr;
use crate::convert::{convert, converts};
use crate::error::CompileError;
use crate::eval::{Found, Scope};
use crate::item::Item;

macro_rules! functions {
    ($($variant:ident $name:literal $least:literal $most:literal,)*) => {
        /// A function.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub(crate) enum Function {
            $($variant,)*
        }

        impl Function {
            /// The function of a name that takes so many arguments.
            pub(crate) fn find(name: &str, arguments: usize) -> Result<Self, CompileError> {
                let (function, least, most) = match name {
                    $($name => (Self::$variant, $least, $most),)*
                    _ => return Err(CompileError::UnknownFunction(name.to_owned())),
                };
                if (least..=most).contains(&arguments) {
                    Ok(function)
                } else {
                    Err(CompileError::Arguments(name.to_owned()))
                }
            }

            /// Its name.
            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

functions! {
    Empty "empty" 0 0,
    Exists "exists" 0 1,
    All "all" 1 1,
    AllTrue "allTrue" 0 0,
    AnyTrue "anyTrue" 0 0,
    AllFalse "allFalse" 0 0,
    AnyFalse "anyFalse" 0 0,
    SubsetOf "subsetOf" 1 1,
    SupersetOf "supersetOf" 1 1,
    Count "count" 0 0,
    Distinct "distinct" 0 0,
    IsDistinct "isDistinct" 0 0,
    Where "where" 1 1,
    Select "select" 1 1,
    Repeat "repeat" 1 1,
    Aggregate "aggregate" 1 2,
    Single "single" 0 0,
    First "first" 0 0,
    Last "last" 0 0,
    Tail "tail" 0 0,
    Skip "skip" 1 1,
    Take "take" 1 1,
    Intersect "intersect" 1 1,
    Exclude "exclude" 1 1,
    Union "union" 1 1,
    Combine "combine" 1 1,
    Iif "iif" 2 3,
    Not "not" 0 0,
    Trace "trace" 1 2,
    Children "children" 0 0,
    Descendants "descendants" 0 0,
    Type "type" 0 0,
    ToBoolean "toBoolean" 0 0,
    ToInteger "toInteger" 0 0,
    ToDecimal "toDecimal" 0 0,
    ToText "toString" 0 0,
    ToDate "toDate" 0 0,
    ToDateTime "toDateTime" 0 0,
    ToTime "toTime" 0 0,
    ToQuantity "toQuantity" 0 1,
    ConvertsToBoolean "convertsToBoolean" 0 0,
    ConvertsToInteger "convertsToInteger" 0 0,
    ConvertsToDecimal "convertsToDecimal" 0 0,
    ConvertsToText "convertsToString" 0 0,
    ConvertsToDate "convertsToDate" 0 0,
    ConvertsToDateTime "convertsToDateTime" 0 0,
    ConvertsToTime "convertsToTime" 0 0,
    ConvertsToQuantity "convertsToQuantity" 0 1,
    IndexOf "indexOf" 1 1,
    Substring "substring" 1 2,
    StartsWith "startsWith" 1 1,
    EndsWith "endsWith" 1 1,
    ContainsText "contains" 1 1,
    Upper "upper" 0 0,
    Lower "lower" 0 0,
    Replace "replace" 2 2,
    Matches "matches" 1 1,
    MatchesFull "matchesFull" 1 1,
    ReplaceMatches "replaceMatches" 2 2,
    Length "length" 0 0,
    ToChars "toChars" 0 0,
    Trim "trim" 0 0,
    Split "split" 1 1,
    Join "join" 0 1,
    Abs "abs" 0 0,
    Ceiling "ceiling" 0 0,
    Floor "floor" 0 0,
    Truncate "truncate" 0 0,
    Round "round" 0 1,
    Sqrt "sqrt" 0 0,
    Exp "exp" 0 0,
    Ln "ln" 0 0,
    Log "log" 1 1,
    Power "power" 1 1,
    Now "now" 0 0,
    Today "today" 0 0,
    TimeOfDay "timeOfDay" 0 0,
    Extension "extension" 1 1,
    HasExtension "hasExtension" 1 1,
    HasValue "hasValue" 0 0,
    ValueOf "getValue" 0 0,
    Resolve "resolve" 0 0,
    MemberOf "memberOf" 1 1,
    ConformsTo "conformsTo" 1 1,
    HtmlChecks "htmlChecks" 0 0,
    CheckModifiers "checkModifiers" 0 20,
}

/// One call of a function.
#[derive(Clone, Copy)]
struct Call<'c, 't> {
    function: Function,
    /// The collection that it is called on.
    focus: &'c [Item<'t>],
    arguments: &'t [Expr],
    scope: Scope<'c, 't>,
}

/// Calls a function on a collection.
pub(crate) fn call<'c, 't>(
    function: Function,
    focus: &'c [Item<'t>],
    arguments: &'t [Expr],
    scope: Scope<'c, 't>,
) -> Found<'t> {
    use Function as F;

    scope.context.tick(1)?;
    let call = Call { function, focus, arguments, scope };
    match function {
        F::Where
        | F::Select
        | F::Repeat
        | F::Aggregate
        | F::All
        | F::Exists
        | F::Iif
        | F::Trace => filter::call(call),
        F::ToBoolean
        | F::ToInteger
        | F::ToDecimal
        | F::ToText
        | F::ToDate
        | F::ToDateTime
        | F::ToTime
        | F::ToQuantity => convert(function, focus, scope),
        F::ConvertsToBoolean
        | F::ConvertsToInteger
        | F::ConvertsToDecimal
        | F::ConvertsToText
        | F::ConvertsToDate
        | F::ConvertsToDateTime
        | F::ConvertsToTime
        | F::ConvertsToQuantity => converts(function, focus, scope),
        F::IndexOf
        | F::Substring
        | F::StartsWith
        | F::EndsWith
        | F::ContainsText
        | F::Upper
        | F::Lower
        | F::Replace
        | F::Matches
        | F::MatchesFull
        | F::ReplaceMatches
        | F::Length
        | F::ToChars
        | F::Trim
        | F::Split
        | F::Join => strings::call(call),
        F::Extension
        | F::HasExtension
        | F::HasValue
        | F::ValueOf
        | F::Resolve
        | F::MemberOf
        | F::ConformsTo
        | F::HtmlChecks
        | F::CheckModifiers => reference::call(call),
        _ => collection::call(call),
    }
}
