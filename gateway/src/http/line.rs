//! Line and column of what is wrong in a body that came as XML.
//!
//! The strict reader judges the JSON that the XML means, so the places are looked up in the XML afterwards, off the I/O
//! threads when it is long. Not here: what is wrong with the XML itself, which knows its place (`fhir`).

use actix_web::{HttpMessage, HttpRequest};
use bytes::Bytes;

use crate::error::{Answered, Fault};
use crate::limits::PREPARE_INLINE_BYTES_MAX;
use crate::work;

/// A body as it came, kept to tell the places of what is wrong with it.
pub struct XmlBody(pub Bytes);

/// A refusal with the lines of its issues, where the body was XML.
pub async fn told(request: &HttpRequest, fault: Fault) -> Fault {
    let refused: Answered<()> = Err(fault.clone());
    let told = told_each(request, vec![refused]).await;
    told.into_iter().find_map(Result::err).unwrap_or(fault)
}

/// The refusals among some answers with the lines of their issues: the XML is read once for all of them.
pub async fn told_each<T>(
    request: &HttpRequest,
    mut answers: Vec<Answered<T>>,
) -> Vec<Answered<T>> {
    let xml = request.extensions().get::<XmlBody>().map(|body| body.0.clone());
    let Some(xml) = xml else { return answers };
    let mut faults: Vec<Fault> =
        answers.iter().filter_map(|answer| answer.as_ref().err().cloned()).collect();
    if faults.is_empty() {
        return answers;
    }
    let told = work::run(xml.len() > PREPARE_INLINE_BYTES_MAX, move || {
        let issues = faults.iter_mut().flat_map(|fault| &mut fault.issues);
        fhir::place_in_xml(&xml, issues);
        faults
    });
    // Without the lines a refusal is one all the same.
    let Ok(faults) = told.await else { return answers };
    let refused = answers.iter_mut().filter_map(|answer| answer.as_mut().err());
    refused.zip(faults).for_each(|(refused, fault)| *refused = fault);
    answers
}
