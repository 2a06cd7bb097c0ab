//! The body of a call: as it came, as FHIR JSON whatever form it came in, or as the content of a Binary.
//!
//! Spec: FHIR R4 http.html, "Content Types and encodings"; binary.html#rest. What comes as XML is converted once, and from
//! there on the JSON is the body.
//! Not here: how bytes are read and bounded (`http::body`), which form a header names (`negotiate`), what the resource
//! says (`submission`).

use actix_web::{HttpMessage, web};
use bytes::Bytes;
use fhir::{ReadLimits, ResourceId, ResourceType};

use super::Call;
use crate::error::{Answered, Fault};
use crate::http::budget::Claim;
use crate::http::line::XmlBody;
use crate::http::negotiate::{self, Format};
use crate::http::{binary, body};
use crate::limits::PREPARE_INLINE_BYTES_MAX;
use crate::work;

impl Call {
    /// The body of a write to a type as FHIR JSON; for a Binary it may be the content alone.
    ///
    /// # Errors
    /// As [`Call::json_body`].
    pub async fn resource_body(
        &self,
        payload: web::Payload,
        of: ResourceType,
        id: Option<&ResourceId>,
    ) -> Answered<Vec<u8>> {
        let bytes_max = self.app.config.server.body_bytes_max;
        if !binary::is_content(&self.http, of) {
            return self.json_body(payload, bytes_max).await;
        }
        let context = binary::named_context(&self.http, &self.bases())?.unwrap_or_default();
        let content = self.content(payload).await?;
        binary::wrapped(&self.http, id, &context, &content)
    }

    /// The body of a write of content alone.
    ///
    /// # Errors
    /// As [`Call::body`].
    pub async fn content(&self, payload: web::Payload) -> Answered<Vec<u8>> {
        let bytes_max = self.app.config.server.body_bytes_max;
        self.body(payload, binary::content_bytes_max(bytes_max)).await
    }

    /// The body as FHIR JSON bytes, bounded; what comes as XML is converted, and from there on the JSON is the body.
    ///
    /// # Errors
    /// 400 for what is no FHIR XML, 408, 413, 415, 429.
    pub async fn json_body(&self, payload: web::Payload, bytes_max: usize) -> Answered<Vec<u8>> {
        if let Some(entry) = &self.entry {
            return Ok(entry.body.to_vec());
        }
        let format = negotiate::body_format(&self.http)?;
        let body = self.body(payload, bytes_max).await?;
        if format == Format::Json || body.is_empty() {
            return Ok(body);
        }
        let xml = Bytes::from(body);
        let limits = ReadLimits { bytes_max, ..ReadLimits::default() };
        let source = xml.clone();
        let long = xml.len() > PREPARE_INLINE_BYTES_MAX;
        let made = work::run(long, move || fhir::xml_to_json(&source, &limits)).await?;
        let json = made.map_err(Fault::invalid)?;
        let mut extensions = self.http.extensions_mut();
        if let Some(claim) = extensions.get_mut::<Claim>() {
            claim.cover(xml.len() + json.len())?;
        }
        extensions.insert(XmlBody(xml));
        Ok(json)
    }

    /// The body as it came, where that was XML; the entry of a bundle has none of its own.
    pub fn xml_body(&self) -> Option<Bytes> {
        let extensions = self.http.extensions();
        extensions.get::<XmlBody>().filter(|_| self.entry.is_none()).map(|body| body.0.clone())
    }

    /// The body, bounded; its share of the budget lasts as long as the request.
    ///
    /// # Errors
    /// 408, 413, 415, 429.
    pub async fn body(&self, payload: web::Payload, bytes_max: usize) -> Answered<Vec<u8>> {
        let mut claim = self.app.bodies.claim();
        let timeout_ms = self.app.config.server.body_timeout_ms;
        let read = body::read(&self.http, payload, bytes_max, timeout_ms, &mut claim).await;
        self.http.extensions_mut().insert(claim);
        read
    }
}
