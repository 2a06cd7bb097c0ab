//! What is wrong with a JSON text, and where: as FHIRPath of what has been read so far.
//!
//! Not here: the parser (`super`), places in a whole document (`location`).

use super::{Builder, ISSUES_MAX};
use crate::issue::{Issue, IssueType};
use crate::location::push_name;
use crate::tree::{HAS_KEY, Kind};

impl Builder<'_> {
    pub(super) fn report_duplicates(&mut self, place: u32) {
        if self.tree.slots[place as usize].kind != Kind::Object {
            return;
        }
        let mut keys = Vec::new();
        let mut child = place + 1;
        while child < self.tree.slots.len() as u32 {
            keys.push(self.key_of(child));
            child = self.tree.slots[child as usize].skip;
        }
        keys.sort_unstable();
        let mut twice: Vec<String> =
            keys.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0].into()).collect();
        twice.dedup();
        for key in twice {
            if self.issues.len() < ISSUES_MAX {
                let text = "the property occurs more than once";
                let mut path = self.path(self.depth + 1);
                push_name(&mut path, &key);
                self.issues.push(Issue::error(IssueType::Structure, text).at(path));
            }
        }
    }

    pub(super) fn broken(&self, what: &str) -> Issue {
        let read = &self.text.as_bytes()[..self.at.min(self.text.len())];
        let line = read.iter().filter(|b| **b == b'\n').count() + 1;
        let column = read.iter().rev().take_while(|b| **b != b'\n').count() + 1;
        let text = format!("the JSON text {what} (line {line}, column {column})");
        self.here(IssueType::Structure, &text)
    }

    pub(super) fn here(&self, code: IssueType, text: &str) -> Issue {
        let mut path = self.path(self.depth);
        if self.depth > 0 {
            let frame = self.frames[self.depth - 1];
            if self.tree.slots[frame.place as usize].kind == Kind::Array {
                path.push_str(&format!("[{}]", frame.children));
            } else if self.key.flags & HAS_KEY != 0 {
                let start = self.key.start as usize;
                push_name(&mut path, &self.text[start..start + self.key.len as usize]);
            }
        }
        let issue = Issue::error(code, text);
        if path.is_empty() { issue } else { issue.at(path) }
    }

    /// Location of the container in the last of the first `frames` frames.
    fn path(&self, frames: usize) -> String {
        let mut path = self.root_name();
        for above in 1..frames {
            let parent = &self.frames[above - 1];
            if self.tree.slots[parent.place as usize].kind == Kind::Array {
                path.push_str(&format!("[{}]", parent.children - 1));
            } else {
                push_name(&mut path, self.key_of(self.frames[above].place));
            }
        }
        path
    }

    /// The root's `resourceType` where it has been read.
    fn root_name(&self) -> String {
        let mut child = 1;
        while let Some(slot) = self.tree.slots.get(child as usize) {
            if slot.kind == Kind::String && self.key_of(child) == "resourceType" {
                let name = &self.text[slot.start as usize + 1..slot.end as usize - 1];
                if crate::ResourceType::parse(name).is_some() {
                    return name.to_owned();
                }
            }
            if slot.skip <= child || slot.end <= slot.start {
                break;
            }
            child = slot.skip;
        }
        if self.tree.slots.is_empty() { String::new() } else { "Resource".to_owned() }
    }
}
