//! ED (encapsulated data) → Binary, DocumentReference and an Attachment that points at the Binary.
//!
//! Size and SHA-1 hash are those of the decoded bytes, as FHIR R4 wants for `Attachment`.

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use sha1::{Digest, Sha1};

use crate::{
    hl7v2::{message::Slice, work::Work},
    json::{Json, Object},
    place::Place,
};

/// Decoded content of an ED value.
pub(crate) struct Content<'m> {
    pub(crate) content_type: String,
    pub(crate) base64: std::borrow::Cow<'m, str>,
    pub(crate) size: usize,
    pub(crate) sha1: String,
}

impl<'m> Content<'m> {
    /// Reads ED.2 to ED.5; `None` with a warning when the data cannot be decoded.
    pub(crate) fn read(slice: Slice<'m>) -> Option<Self> {
        let kind = slice.component(2).text().unwrap_or_default();
        let subtype = slice.component(3).text().unwrap_or_default();
        let encoding = slice.component(4).text().unwrap_or_default().to_ascii_uppercase();
        slice.component(1).mark_all();
        let data = slice.component(5).text()?;
        let (bytes, base64) = match encoding.as_str() {
            "BASE64" => {
                let clean: String = data.chars().filter(|c| !c.is_whitespace()).collect();
                let Ok(bytes) = LENIENT.decode(&clean) else {
                    slice.refuse("base64-unreadable");
                    return None;
                };
                let canonical = clean.len() == data.len() && clean.len().is_multiple_of(4);
                let base64 = if canonical { data } else { LENIENT.encode(&bytes).into() };
                (bytes, base64)
            }
            "HEX" => {
                let Some(bytes) = hex(&data) else {
                    slice.refuse("hex-unreadable");
                    return None;
                };
                let base64 = LENIENT.encode(&bytes).into();
                (bytes, base64)
            }
            _ => {
                let bytes = data.as_bytes().to_vec();
                let base64 = LENIENT.encode(&bytes).into();
                (bytes, base64)
            }
        };
        let sha1 = LENIENT.encode(Sha1::digest(&bytes));
        let content_type = content_type(&kind, &subtype);
        Some(Self { content_type, base64, size: bytes.len(), sha1 })
    }

    /// An Attachment that refers to the stored bytes.
    pub(crate) fn attachment(&self, url: String) -> Object<'m> {
        Object::new()
            .with("contentType", Json::text(self.content_type.clone()))
            .with("url", Json::text(url))
            .with("size", Json::Literal(self.size.to_string().into()))
            .with("hash", Json::text(self.sha1.clone()))
    }

    /// Makes the Binary, which its patient guards, and gives the Attachment that points at it.
    pub(crate) fn store(
        self,
        work: &mut Work<'m>,
        parts: &[&str],
        patient: Json<'m>,
        place: Place,
    ) -> Object<'m> {
        let mut binary = work.start("Binary", parts, place);
        let attachment = self.attachment(format!("Binary/{}", binary.id));
        binary.body.set("contentType", Json::text(self.content_type));
        binary.body.set("securityContext", patient);
        binary.body.set("data", Json::Text(self.base64));
        work.finish(binary);
        attachment
    }
}

/// A MIME type from ED.2 (table 0834) and ED.3 (table 0291).
fn content_type(kind: &str, subtype: &str) -> String {
    let subtype = subtype.to_ascii_lowercase();
    if subtype.contains('/') && !subtype.contains(char::is_whitespace) {
        return subtype;
    }
    let mime = match subtype.as_str() {
        "pdf" => "application/pdf",
        "rtf" => "application/rtf",
        "html" | "htm" => "text/html",
        "xml" => "application/xml",
        "jpeg" | "jpg" => "image/jpeg",
        "png" => "image/png",
        "gif" => "image/gif",
        "tiff" | "tif" => "image/tiff",
        "dicom" => "application/dicom",
        "plain" | "txt" | "text" => "text/plain",
        "x-hl7-cda-level-one" => "application/xml",
        _ => match kind.to_ascii_lowercase().as_str() {
            "text" | "tx" | "ft" => "text/plain",
            _ => "application/octet-stream",
        },
    };
    mime.to_owned()
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok()))
        .collect::<Option<_>>()?;
    digits
        .len()
        .is_multiple_of(2)
        .then(|| digits.chunks_exact(2).map(|p| p[0] * 16 + p[1]).collect())
}

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);
