//! The XHTML of a narrative, kept as written.
//!
//! Spec: FHIR R4 narrative.html, xml.html#narrative: in JSON it is the text of one `div` in the XHTML namespace, in
//! XML that element itself. Prefixes are undone, since the text must stand alone; CDATA becomes escaped text.
//! Not here: which elements and attributes a narrative should have.

use super::events::{Events, Tag, Token};
use super::namespace::{Space, Spaces};
use super::text::{
    Attribute, Broken, NO_REFERENCE, attributes, is_space, prepare, resolve, unescape,
};
use super::{NARRATIVE_DEEP_MAX, XHTML};

/// What is done with HTML's named characters, which XML does not know.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Named {
    Refused,
    Resolved,
}

/// Reads from the start tag of a `div`, which has been read and entered, to its end; gives its text.
pub(super) fn div(
    events: &mut Events<'_>,
    spaces: &mut Spaces,
    start: (Tag<'_>, &[Attribute<'_>], &str, usize),
    named: Named,
) -> Result<String, Broken> {
    let (tag, found, raw, at) = start;
    let mut out = String::with_capacity(256);
    open(tag, found, raw, true, &mut out).map_err(Broken::at(at))?;
    let mut depth = usize::from(!tag.is_empty);
    while depth > 0 {
        let piece = events.next()?;
        let broken = Broken::at(piece.at);
        match piece.token {
            Token::Start(tag) => {
                let found = attributes(tag.rest).map_err(&broken)?;
                spaces.enter(&found).map_err(&broken)?;
                if spaces.of(tag.name).map_err(&broken)?.0 != Space::Xhtml {
                    return Err(broken("has an element in a narrative that is not XHTML"));
                }
                open(tag, &found, piece.raw, false, &mut out).map_err(&broken)?;
                if tag.is_empty {
                    spaces.leave();
                } else {
                    depth += 1;
                }
                if depth > NARRATIVE_DEEP_MAX {
                    return Err(broken("has a narrative nested deeper than 128 levels"));
                }
            }
            Token::End => {
                let name = piece.raw.trim_start_matches("</");
                match name.split_once(':') {
                    Some((_, local)) => out.extend(["</", local]),
                    None => out.push_str(piece.raw),
                }
                spaces.leave();
                depth -= 1;
            }
            Token::Text | Token::Comment => out.push_str(piece.raw),
            Token::Literal(text) => literal(text, &mut out),
            Token::Reference(name) => match html_character(name) {
                Some(code) if named == Named::Resolved => out.push_str(&format!("&#{code};")),
                _ if resolve(name).is_some() => out.push_str(piece.raw),
                _ => return Err(broken(NO_REFERENCE)),
            },
            Token::Instruction => {}
            Token::Stop => return Err(broken("ends too early")),
        }
    }
    if tag.is_empty {
        spaces.leave();
    }
    Ok(out)
}

/// The narrative of a JSON document as an XML element; what is no well-formed XHTML is shown as text.
pub(super) fn to_xml(div: &str) -> String {
    alone(div).unwrap_or_else(|| {
        let mut out = format!("<div xmlns=\"{XHTML}\">");
        literal(&div.replace(|c: char| c < ' ' && !is_space(c), "\u{fffd}"), &mut out);
        out.push_str("</div>");
        out.replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
    })
}

/// A `div` that is a whole document.
fn alone(text: &str) -> Option<String> {
    let text = prepare(text.as_bytes()).ok()?;
    let mut events = Events::new(&text);
    let mut spaces = Spaces::of_narrative();
    let mut found = None;
    loop {
        let piece = events.next().ok()?;
        match piece.token {
            Token::Start(tag) if found.is_none() => {
                let attributes = attributes(tag.rest).ok()?;
                spaces.enter(&attributes).ok()?;
                if spaces.of(tag.name).ok()? != (Space::Xhtml, "div") {
                    return None;
                }
                let start = (tag, &attributes[..], piece.raw, piece.at);
                found = Some(div(&mut events, &mut spaces, start, Named::Resolved).ok()?);
            }
            Token::Text if piece.raw.chars().all(is_space) => {}
            Token::Comment => {}
            Token::Stop => return found,
            _ => return None,
        }
    }
}

/// Copies a start tag, or writes it anew without its prefix.
fn open(
    tag: Tag<'_>,
    found: &[Attribute<'_>],
    raw: &str,
    is_outermost: bool,
    out: &mut String,
) -> Result<(), &'static str> {
    for attribute in found.iter().filter(|attribute| !attribute.is_declaration()) {
        unescape(attribute.raw)?;
        if attribute.name.contains(':') && !attribute.name.starts_with("xml:") {
            return Err("has an attribute of another namespace in a narrative");
        }
    }
    let prefixed = tag.name.split_once(':');
    let says = found.iter().any(|attribute| attribute.name == "xmlns");
    if prefixed.is_none() && (says || !is_outermost) {
        out.push_str(raw);
        return Ok(());
    }
    out.push('<');
    out.push_str(prefixed.map_or(tag.name, |(_, local)| local));
    if is_outermost {
        out.extend([" xmlns=\"", XHTML, "\""]);
    }
    for attribute in found.iter().filter(|attribute| !attribute.is_declaration()) {
        out.extend([" ", attribute.whole]);
    }
    out.push_str(if tag.is_empty { "/>" } else { ">" });
    Ok(())
}

/// Text in which nothing is markup.
fn literal(text: &str, out: &mut String) {
    for symbol in text.chars() {
        match symbol {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            other => out.push(other),
        }
    }
}

/// The usual ones of HTML 4.01's character entities; some systems write them although R4 wants the characters.
pub(crate) fn html_character(name: &str) -> Option<u32> {
    let place = HTML.iter().position(|(known, _)| *known == name)?;
    Some(HTML[place].1)
}

const HTML: [(&str, u32); 46] = [
    ("nbsp", 160),
    ("iexcl", 161),
    ("cent", 162),
    ("pound", 163),
    ("yen", 165),
    ("sect", 167),
    ("copy", 169),
    ("laquo", 171),
    ("shy", 173),
    ("reg", 174),
    ("deg", 176),
    ("plusmn", 177),
    ("sup2", 178),
    ("sup3", 179),
    ("micro", 181),
    ("para", 182),
    ("middot", 183),
    ("raquo", 187),
    ("frac14", 188),
    ("frac12", 189),
    ("frac34", 190),
    ("iquest", 191),
    ("Auml", 196),
    ("Ouml", 214),
    ("times", 215),
    ("Uuml", 220),
    ("szlig", 223),
    ("agrave", 224),
    ("auml", 228),
    ("ccedil", 231),
    ("egrave", 232),
    ("eacute", 233),
    ("ouml", 246),
    ("divide", 247),
    ("uuml", 252),
    ("ndash", 8211),
    ("mdash", 8212),
    ("lsquo", 8216),
    ("rsquo", 8217),
    ("ldquo", 8220),
    ("rdquo", 8221),
    ("bull", 8226),
    ("hellip", 8230),
    ("euro", 8364),
    ("trade", 8482),
    ("rarr", 8594),
];
