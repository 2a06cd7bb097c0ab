//! Which form of answer the client takes, and which form a body is in: JSON or XML.
//!
//! Spec: FHIR R4 http.html, "Content Types and encodings" and "General parameters"; RFC 9110 §12.5.1. `_format` in the
//! query overrides `Accept`. Of two that are equally welcome the one that is named wins over a wildcard, then JSON over
//! XML. `fhirVersion` must be R4's where it is given.
//! Not here: other languages, gzip of bodies (`body`).

use actix_web::HttpRequest;
use actix_web::http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap};

use crate::error::{Answered, Fault, FaultKind};

/// A form of FHIR resources.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Format {
    /// FHIR JSON, what is stored and sealed.
    #[default]
    Json,
    /// FHIR XML, a rendering of it.
    Xml,
}

impl Format {
    /// Media type of answers.
    pub fn media(self) -> &'static str {
        match self {
            Self::Json => super::reply::FHIR_JSON,
            Self::Xml => "application/fhir+xml; charset=utf-8",
        }
    }

    /// The form that a media type names, lower case, without parameters.
    fn of_media(media: &str) -> Option<Self> {
        match media {
            "application/fhir+json"
            | "application/json"
            | "application/json+fhir"
            | "text/json" => Some(Self::Json),
            "application/fhir+xml" | "application/xml" | "application/xml+fhir" | "text/xml" => {
                Some(Self::Xml)
            }
            _ => None,
        }
    }
}

/// The form of the answer.
///
/// # Errors
/// 406 when the client takes neither.
pub fn answer_format(headers: &HeaderMap, query: &str) -> Answered<Format> {
    if let Some(asked) = param(query, "_format") {
        let (media, good) = media_of(&asked.replace(' ', "+"));
        let named = match &*media {
            "json" => Some(Format::Json),
            "xml" => Some(Format::Xml),
            other => Format::of_media(other),
        };
        return named.filter(|_| good).ok_or_else(|| not_offered("_format"));
    }
    match headers.get(ACCEPT).map(|value| value.as_bytes()) {
        // What nearly every client sends, in no time.
        None => return Ok(Format::Json),
        Some(b"*/*" | b"application/json" | b"application/fhir+json")
            if headers.get_all(ACCEPT).count() == 1 =>
        {
            return Ok(Format::Json);
        }
        Some(_) => {}
    }
    let (mut json, mut xml) = (Wish::default(), Wish::default());
    let mut named = false;
    for value in headers.get_all(ACCEPT) {
        for range in value.to_str().unwrap_or_default().split(',').filter(|r| !r.trim().is_empty())
        {
            named = true;
            json.hear(range, Format::Json);
            xml.hear(range, Format::Xml);
        }
    }
    match (json.quality, xml.quality) {
        _ if !named => Ok(Format::Json),
        (0, 0) => Err(not_offered("Accept")),
        (json_quality, xml_quality) => {
            let prefers_xml = (xml_quality, xml.exactness) > (json_quality, json.exactness);
            Ok(if prefers_xml { Format::Xml } else { Format::Json })
        }
    }
}

/// How welcome one form is, by the range that names it most exactly.
#[derive(Default)]
struct Wish {
    /// Thousandths.
    quality: u16,
    /// 1 for `*/*`, 2 for a wildcard of the type, 3 for the media type.
    exactness: u8,
}

impl Wish {
    fn hear(&mut self, range: &str, format: Format) {
        let mut parts = range.split(';').map(|part| part.trim().to_ascii_lowercase());
        let media = parts.next().unwrap_or_default();
        let exactness = match &*media {
            "*/*" | "*" => 1,
            "application/*" | "text/*" => 2,
            other if Format::of_media(other) == Some(format) => 3,
            _ => return,
        };
        let mut quality = 1000;
        for part in parts {
            match part.split_once('=') {
                Some(("q", value)) => quality = thousandths(value),
                Some(("fhirversion", version)) if !is_r4(version) => return,
                _ => {}
            }
        }
        if exactness > self.exactness || exactness == self.exactness && quality > self.quality {
            *self = Self { quality, exactness };
        }
    }
}

/// The form of a body by its own header. No header is taken as JSON.
///
/// # Errors
/// 415 for any other, for another version of FHIR, and for text that is not UTF-8.
pub fn body_format(request: &HttpRequest) -> Answered<Format> {
    let Some(value) = request.headers().get(CONTENT_TYPE) else { return Ok(Format::Json) };
    let (media, good) = media_of(value.to_str().unwrap_or("?"));
    let format = if media.is_empty() { Some(Format::Json) } else { Format::of_media(&media) };
    format.filter(|_| good).ok_or_else(|| {
        Fault::new(
            FaultKind::UnsupportedMediaType,
            "send application/fhir+json or application/fhir+xml of FHIR 4.0, in UTF-8; other forms are not understood",
        )
    })
}

/// The media type in lower case, and whether its parameters are ours.
fn media_of(text: &str) -> (String, bool) {
    let mut parts = text.split(';').map(|part| part.trim().to_ascii_lowercase());
    let media = parts.next().unwrap_or_default();
    let good = parts.all(|part| match part.split_once('=') {
        Some(("fhirversion", version)) => is_r4(version),
        Some(("charset", charset)) => {
            matches!(charset.trim_matches('"'), "utf-8" | "utf8" | "us-ascii")
        }
        _ => true,
    });
    (media, good)
}

fn is_r4(version: &str) -> bool {
    matches!(version.trim_matches('"'), "4.0" | "4.0.1")
}

/// A weight such as `0.8`, in thousandths; a malformed one counts as none at all.
fn thousandths(text: &str) -> u16 {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = part.bytes().all(|b| b.is_ascii_digit()) && part.len() <= 3;
    match whole {
        "1" if digits => 1000,
        "0" if digits => format!("{part:0<3}").parse().unwrap_or(0),
        _ => 0,
    }
}

/// True when the query asks for an indented answer (`_pretty=true`).
pub fn wants_pretty(query: &str) -> bool {
    query.split('&').any(|pair| pair == "_pretty=true")
}

/// The first value of a parameter in a query string, decoded; a malformed one is as good as absent here.
pub fn param(query: &str, name: &str) -> Option<String> {
    if !query.contains(name) && !query.contains('%') {
        return None;
    }
    let pairs = registry::search::pairs(query).ok()?;
    pairs.into_iter().find_map(|(key, value)| (key == name).then_some(value))
}

/// True when the answer may be gzipped.
pub fn accepts_gzip(request: &HttpRequest) -> bool {
    request.headers().get_all(ACCEPT_ENCODING).any(|value| {
        value.to_str().unwrap_or_default().split(',').any(|coding| {
            let mut parts = coding.split(';').map(str::trim);
            matches!(parts.next(), Some("gzip" | "*")) && !parts.any(|part| part == "q=0")
        })
    })
}

fn not_offered(asked_by: &str) -> Fault {
    let text = format!(
        "{asked_by} asks for a form that is not offered; answers are application/fhir+json or application/fhir+xml, of FHIR 4.0"
    );
    Fault::new(FaultKind::NotAcceptable, text)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn chosen(accept: &str, query: &str) -> Option<Format> {
        let mut headers = HeaderMap::new();
        if !accept.is_empty() {
            headers.insert(ACCEPT, HeaderValue::from_str(accept).expect("a header"));
        }
        answer_format(&headers, query).ok()
    }

    #[test]
    fn accept_is_weighed_as_rfc_9110_says() {
        let (json, xml) = (Some(Format::Json), Some(Format::Xml));
        let cases = [
            ("", json),
            ("*/*", json),
            ("application/*", json),
            ("text/xml", xml),
            ("application/xml", xml),
            ("application/fhir+xml", xml),
            ("APPLICATION/FHIR+XML; charset=UTF-8", xml),
            ("application/fhir+xml, application/fhir+json", json),
            ("application/fhir+xml;q=1.0, application/fhir+json;q=1.0", json),
            ("application/fhir+xml, */*", xml),
            ("application/fhir+json;q=0.5, application/fhir+xml;q=0.8", xml),
            ("application/fhir+json;q=0, */*", xml),
            ("*/*;q=0.1, application/json;q=0.2", json),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", xml),
            ("application/fhir+xml;fhirVersion=4.0", xml),
            ("application/fhir+xml; fhirVersion=5.0, application/fhir+json", json),
            ("application/fhir+json; fhirVersion=5.0", None),
            ("text/html", None),
            ("application/fhir+turtle", None),
            ("application/json;q=0", None),
        ];
        for (accept, expected) in cases {
            assert_eq!(chosen(accept, ""), expected, "{accept}");
        }
    }

    #[test]
    fn the_query_overrides_the_header() {
        let (json, xml) = (Some(Format::Json), Some(Format::Xml));
        let cases = [
            ("_format=xml", xml),
            ("name=a&_format=text/xml", xml),
            ("_format=application/fhir+xml", xml),
            ("_format=application%2Ffhir%2Bxml", xml),
            ("_format=application/fhir%2Bxml;fhirVersion=4.0", xml),
            ("_format=json", json),
            ("_format=application/json", json),
            ("_format=html", None),
            ("_format=ttl", None),
            ("_format=", None),
            ("_format=application/fhir%2Bjson;fhirVersion=3.0", None),
        ];
        for (query, expected) in cases {
            assert_eq!(chosen("application/fhir+json", query), expected, "{query}");
        }
        assert_eq!(chosen("text/html", "_format=json"), json);
    }
}
