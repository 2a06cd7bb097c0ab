//! Where in an XML document the strict reader's issues lie, which it found in the JSON made of it.
//!
//! Only done when there are issues: the document is read a second time, and the element whose location agrees with
//! an issue's for the longest is taken. Not here: issues of the XML itself, which know their place (`reader`).

use super::reader::XmlReader;
use super::text::{position, prepare};
use crate::Issue;

/// Adds line and column to issues whose location is in the document. A long document is left alone.
pub fn place_in_xml(xml: &[u8], issues: &mut [Issue]) {
    if xml.len() > SEARCHED_BYTES_MAX {
        return;
    }
    let Ok(text) = prepare(xml) else { return };
    let wanted = issues.iter().map(|issue| issue.expression.clone().unwrap_or_default()).collect();
    let mut reader = XmlReader::new(&text, Some(Watch::new(wanted)));
    reader.run();
    let Some(watch) = reader.watch else { return };
    for (issue, (_, best)) in issues.iter_mut().zip(watch.wanted) {
        if let Some((_, at)) = best {
            let (line, column) = position(text.as_bytes(), at);
            issue.text.push_str(&format!(" (line {line}, column {column})"));
        }
    }
}

/// Locations that are looked for, with what was found: how much of one agrees, and where.
pub(super) struct Watch {
    wanted: Vec<(String, Option<(usize, usize)>)>,
}

impl Watch {
    fn new(wanted: Vec<String>) -> Self {
        Self { wanted: wanted.into_iter().map(|each| (each, None)).collect() }
    }

    /// An element of this location stands here.
    pub(super) fn see(&mut self, path: &str, at: usize) {
        for (wanted, best) in &mut self.wanted {
            let agrees = agreement(wanted, path);
            if agrees > best.map_or(0, |(length, _)| length) {
                *best = Some((agrees, at));
            }
        }
    }
}

/// Length of the location when the element is it or stands above it; of the wanted one when that is the list around it.
fn agreement(wanted: &str, path: &str) -> usize {
    let goes_on = |rest: &str| rest.is_empty() || rest.starts_with(['.', '[']);
    match (wanted.strip_prefix(path), path.strip_prefix(wanted)) {
        (Some(rest), _) if goes_on(rest) => path.len(),
        (_, Some(rest)) if rest.starts_with('[') && !rest.contains('.') => wanted.len(),
        _ => 0,
    }
}

/// Longest document that is read again for the places.
const SEARCHED_BYTES_MAX: usize = 256 * 1024;
