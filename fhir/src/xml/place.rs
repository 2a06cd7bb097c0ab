//! Where in an XML document the strict reader's issues lie, which it found in the JSON made of it.
//!
//! Only done when there are issues: the document is read a second time, and the element whose location agrees with
//! an issue's for the longest is taken. Each element looks for the issues at and below it in a sorted list, so the time is
//! that of the document, whatever the number of issues. Not here: issues of the XML itself, which know their place
//! (`reader`).

use super::reader::XmlReader;
use super::text::prepare;
use crate::Issue;
use crate::lines::Lines;

/// Adds line and column to issues whose location is in the document, to the first `PLACED_MAX` of them.
pub fn place_in_xml<'i>(xml: &[u8], issues: impl IntoIterator<Item = &'i mut Issue>) {
    let mut issues: Vec<&mut Issue> = issues.into_iter().collect();
    let wanted = issues.iter().map(|issue| issue.expression.clone().unwrap_or_default());
    let lines = lines_in_xml(xml, wanted.collect());
    for (issue, place) in issues.iter_mut().zip(lines) {
        forget_line(&mut issue.text);
        if let Some((line, column)) = place {
            issue.text.push_str(&format!(" (line {line}, column {column})"));
        }
    }
}

/// Line and column of each location in the document, both from 1; `None` for what is not in it, and beyond the first
/// `PLACED_MAX`.
pub fn lines_in_xml(xml: &[u8], mut locations: Vec<String>) -> Vec<Option<(usize, usize)>> {
    let mut places = vec![None; locations.len()];
    locations.truncate(PLACED_MAX);
    let Ok(text) = prepare(xml) else { return places };
    let mut reader = XmlReader::new(&text, Some(Watch::new(locations)));
    reader.run();
    let Some(watch) = reader.watch else { return places };
    let mut found: Vec<(usize, usize)> =
        watch.wanted.iter().filter_map(|one| Some((one.best?.1, one.issue))).collect();
    found.sort_unstable();
    let mut lines = Lines::new(text.as_bytes());
    for (at, location) in found {
        places[location] = Some(lines.of(at));
    }
    places
}

/// Takes away the line in the JSON that was made of the document, which nobody has sent.
fn forget_line(text: &mut String) {
    if let Some(at) = text.rfind(" (line ").filter(|_| text.ends_with(')')) {
        text.truncate(at);
    }
}

/// Locations that are looked for, sorted.
pub(super) struct Watch {
    wanted: Vec<Wanted>,
}

/// One of them, with what was found: how much of it agrees, and where.
struct Wanted {
    location: String,
    issue: usize,
    best: Option<(usize, usize)>,
}

impl Watch {
    fn new(wanted: Vec<String>) -> Self {
        let wanted = wanted.into_iter().enumerate();
        let wanted = wanted.map(|(issue, location)| Wanted { location, issue, best: None });
        let mut wanted: Vec<Wanted> = wanted.collect();
        wanted.sort_by(|a, b| a.location.cmp(&b.location));
        Self { wanted }
    }

    /// An element of this location stands here.
    pub(super) fn see(&mut self, path: &str, at: usize) {
        for one in self.from(path).take_while(|one| one.location.starts_with(path)) {
            // It is the element, or stands below it.
            if matches!(one.location.as_bytes().get(path.len()), None | Some(b'.' | b'[')) {
                one.note(path.len(), at);
            }
        }
        let list = path.strip_suffix(']').and_then(|path| path.rsplit_once('['));
        if let Some((list, _)) = list {
            // It is the list round the element.
            for one in self.from(list).take_while(|one| one.location == list) {
                one.note(list.len(), at);
            }
        }
    }

    fn from(&mut self, location: &str) -> impl Iterator<Item = &mut Wanted> {
        let first = self.wanted.partition_point(|one| one.location.as_str() < location);
        self.wanted[first..].iter_mut()
    }
}

impl Wanted {
    fn note(&mut self, agrees: usize, at: usize) {
        if agrees > self.best.map_or(0, |(length, _)| length) {
            self.best = Some((agrees, at));
        }
    }
}

/// Issues of one document that are given their line.
pub(super) const PLACED_MAX: usize = 10_000;
