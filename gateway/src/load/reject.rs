//! The reject file: one JSON line for each thing that was refused, with its place in its file and every reason.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Item, ItemKind, Refused, Trouble};

/// One refused thing.
#[derive(Clone, Debug, Serialize)]
pub struct Rejection {
    /// File it came from.
    pub file: PathBuf,
    /// Line in the file, from 1.
    pub line: usize,
    /// Index of the entry in the file's Bundle, from 0, where it was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<usize>,
    /// HTTP status, acknowledgement code, or `unreadable`.
    pub status: String,
    /// The first thing that is wrong: `path` and `reason`.
    #[serde(flatten)]
    pub first: Trouble,
    /// What else is wrong with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub more: Vec<Trouble>,
}

impl Rejection {
    /// What the gateway refused of an item, with the places of the file instead of the request's.
    pub fn of(file: &Path, item: &Item, refused: Refused) -> Self {
        let mut issues = refused.issues;
        let named = |trouble: &Trouble| entry_of(trouble.path.as_deref()?).map(|(at, _)| at);
        let at = refused.entry.or_else(|| issues.first().and_then(named));
        let part = at.and_then(|at| item.parts.get(at));
        // In a batch that was made here the file knows nothing of entries: places begin with the type.
        if item.kind == ItemKind::Resources {
            issues.iter_mut().for_each(|trouble| {
                let inner = trouble.path.as_deref().and_then(entry_of);
                let part = inner.and_then(|(at, rest)| Some((item.parts.get(at)?, rest)));
                if let Some((part, rest)) = part {
                    // The URL of the request was made of the resource's id.
                    let rest = if rest == ".request.url" { ".id" } else { rest };
                    trouble.path = Some(format!("{}{rest}", part.name));
                }
            });
        }
        let first = if issues.is_empty() { Trouble::default() } else { issues.remove(0) };
        Self {
            file: file.to_path_buf(),
            line: part.map_or(item.line, |part| part.line),
            entry: part.and_then(|part| part.entry),
            status: refused.status,
            first,
            more: issues,
        }
    }

    /// A file, or a line of it, that could not be read.
    pub fn unreadable(file: &Path, line: usize, reason: String) -> Self {
        let first = Trouble { path: None, reason };
        let file = file.to_path_buf();
        Self { file, line, entry: None, status: "unreadable".into(), first, more: Vec::new() }
    }
}

/// `Bundle.entry[3].resource.gender` → 3 and `.gender`.
fn entry_of(path: &str) -> Option<(usize, &str)> {
    let (index, rest) = path.strip_prefix("Bundle.entry[")?.split_once(']')?;
    Some((index.parse().ok()?, rest.strip_prefix(".resource").unwrap_or(rest)))
}

/// Takes this run's rejections; made only when there is a first one.
pub struct RejectFile {
    path: PathBuf,
    file: Option<File>,
    count: usize,
}

impl RejectFile {
    /// Nothing is created yet. A file of an earlier run is moved aside; its new name is given back.
    ///
    /// # Errors
    /// When it cannot be moved.
    pub fn fresh(path: &Path) -> io::Result<(Self, Option<PathBuf>)> {
        let fresh = Self { path: path.to_path_buf(), file: None, count: 0 };
        if !path.exists() {
            return Ok((fresh, None));
        }
        let numbered = |n: u32| PathBuf::from(format!("{}.{n}", path.display()));
        let aside = (1..).map(numbered).find(|name| !name.exists()).unwrap_or_else(|| numbered(0));
        std::fs::rename(path, &aside)?;
        Ok((fresh, Some(aside)))
    }

    /// Appends one line.
    ///
    /// # Errors
    /// When the file cannot be made or written: the load must stop, or rejections would be lost.
    pub fn write(&mut self, rejection: &Rejection) -> io::Result<()> {
        if self.file.is_none() {
            self.file = Some(File::options().create(true).append(true).open(&self.path)?);
        }
        let mut line = serde_json::to_vec(rejection)?;
        line.push(b'\n');
        self.count += 1;
        match self.file.as_mut() {
            Some(file) => file.write_all(&line),
            None => Ok(()),
        }
    }

    /// Rejections written by this run.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Where they are.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Part;

    fn part(line: usize, name: &str) -> Part {
        Part { line, entry: None, name: name.into() }
    }

    fn trouble(path: &str) -> Trouble {
        Trouble { path: Some(path.into()), reason: "no".into() }
    }

    #[test]
    fn a_refused_line_is_named_by_its_line_and_type_with_all_that_is_wrong() {
        let parts = vec![part(1, "Patient"), part(7, "Observation")];
        let item = Item { kind: ItemKind::Resources, body: Vec::new(), line: 1, parts };
        let issues = vec![
            trouble("Bundle.entry[1].resource.status"),
            trouble("Bundle.entry[1].resource.code.text"),
        ];
        let refused = Refused { entry: Some(1), status: "400".into(), issues };

        let rejection = Rejection::of(Path::new("o.ndjson"), &item, refused);

        let line = serde_json::to_string(&rejection).unwrap();
        assert_eq!(
            line,
            r#"{"file":"o.ndjson","line":7,"status":"400","path":"Observation.status","reason":"no","more":[{"path":"Observation.code.text","reason":"no"}]}"#
        );
    }

    #[test]
    fn a_transaction_refused_whole_is_named_by_the_entry_at_fault() {
        let in_bundle = |line, entry| Part { entry: Some(entry), ..part(line, "Patient") };
        let parts = vec![in_bundle(3, 0), in_bundle(40, 1)];
        let item = Item { kind: ItemKind::Bundle, body: Vec::new(), line: 1, parts };
        let issues = vec![trouble("Bundle.entry[1].resource.gender")];
        let refused = Refused { entry: None, status: "400".into(), issues };

        let rejection = Rejection::of(Path::new("b.json"), &item, refused);

        assert_eq!((rejection.line, rejection.entry), (40, Some(1)));
        assert_eq!(rejection.first.path.as_deref(), Some("Bundle.entry[1].resource.gender"));
    }

    #[test]
    fn rejections_of_an_earlier_run_are_moved_aside_and_never_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rejected.ndjson");
        for (run, aside) in
            [(1, None), (2, Some("rejected.ndjson.1")), (3, Some("rejected.ndjson.2"))]
        {
            let (mut file, moved) = RejectFile::fresh(&path).unwrap();
            assert_eq!(moved, aside.map(|name| folder.path().join(name)));

            file.write(&Rejection::unreadable(Path::new("f"), run, "no".into())).unwrap();
        }

        let line = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert!(line("rejected.ndjson").contains(r#""line":3"#));
        assert!(line("rejected.ndjson.1").contains(r#""line":1"#));
    }
}
