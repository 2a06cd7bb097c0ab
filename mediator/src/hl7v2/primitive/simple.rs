//! Primitive targets: strings, codes, booleans, integers, dates.

use std::borrow::Cow;

use crate::{
    hl7v2::{message::Slice, work::Work},
    json::{Json, Object},
    warning::NO_OFFSET_INSTANT,
};

pub(crate) fn string<'m>(_: &mut Work<'m>, slice: Slice<'m>, _: &'m str) -> Option<Json<'m>> {
    slice.text().map(Json::Text)
}

/// The rule's argument, when the source is valued.
pub(crate) fn constant<'m>(
    _: &mut Work<'m>,
    slice: Slice<'m>,
    argument: &'m str,
) -> Option<Json<'m>> {
    slice.mark_all();
    Some(Json::text(argument))
}

pub(crate) fn boolean<'m>(_: &mut Work<'m>, slice: Slice<'m>, _: &'m str) -> Option<Json<'m>> {
    match slice.text()?.to_ascii_uppercase().as_str() {
        "Y" | "YES" | "TRUE" | "1" | "T" => Some(Json::boolean(true)),
        "N" | "NO" | "FALSE" | "0" | "F" => Some(Json::boolean(false)),
        _ => {
            slice.refuse("boolean-unreadable");
            None
        }
    }
}

pub(crate) fn integer<'m>(_: &mut Work<'m>, slice: Slice<'m>, _: &'m str) -> Option<Json<'m>> {
    match slice.text()?.trim_start_matches('+').parse::<i32>() {
        Ok(number) => Some(Json::Literal(Cow::Owned(number.to_string()))),
        Err(_) => {
            slice.refuse("integer-unreadable");
            None
        }
    }
}

pub(crate) fn positive_integer<'m>(
    work: &mut Work<'m>,
    slice: Slice<'m>,
    argument: &'m str,
) -> Option<Json<'m>> {
    let number = integer(work, slice, argument)?;
    match &number {
        Json::Literal(token) if !token.starts_with('-') && token != "0" => Some(number),
        _ => {
            slice.refuse("integer-unreadable");
            None
        }
    }
}

pub(crate) fn date<'m>(work: &mut Work<'m>, slice: Slice<'m>, _: &'m str) -> Option<Json<'m>> {
    let (dtm, _) = work.dtm(slice)?;
    Some(Json::text(dtm.date()))
}

pub(crate) fn date_time<'m>(work: &mut Work<'m>, slice: Slice<'m>, _: &'m str) -> Option<Json<'m>> {
    work.date_time(slice)
}

/// Only a timestamp to the second with a known offset is an instant.
pub(crate) fn instant<'m>(work: &mut Work<'m>, slice: Slice<'m>, _: &'m str) -> Option<Json<'m>> {
    let (dtm, at) = work.dtm(slice)?;
    let instant = dtm.instant(&work.offsets);
    if instant.is_none() {
        let wants_zone = dtm.lacks_offset(&work.offsets);
        at.refuse(if wants_zone { NO_OFFSET_INSTANT } else { "instant-not-precise-enough" });
    }
    instant.map(Json::text)
}

/// A code of a required binding, through a code map; an unmapped one is refused.
pub(crate) fn code<'m>(
    work: &mut Work<'m>,
    slice: Slice<'m>,
    argument: &'m str,
) -> Option<Json<'m>> {
    let slice = if slice.component(1).is_empty() { slice } else { slice.component(1) };
    let text = slice.text()?;
    let mapped = work.rules.code(argument, &text);
    if mapped.is_none() {
        slice.refuse("code-unmapped");
    }
    mapped.map(|m| Json::text(&*m.code))
}

pub(crate) fn annotation<'m>(_: &mut Work<'m>, slice: Slice<'m>, _: &'m str) -> Option<Json<'m>> {
    let text = slice.whole()?;
    Some(Json::Object(Object::new().with("text", Json::Text(text))))
}
