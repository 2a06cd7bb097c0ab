//! Line and column of places in a document.
//!
//! Places are asked in ascending order, so that the document is read once, whatever their number.

/// Line and column of ascending places; columns count bytes, as in errors about JSON.
pub(crate) struct Lines<'x> {
    text: &'x [u8],
    read: usize,
    line: usize,
    begins: usize,
}

impl<'x> Lines<'x> {
    pub(crate) fn new(text: &'x [u8]) -> Self {
        Self { text, read: 0, line: 1, begins: 0 }
    }

    /// Of a place at or after the one that was asked before.
    pub(crate) fn of(&mut self, at: usize) -> (usize, usize) {
        let at = at.clamp(self.read, self.text.len());
        let unread = &self.text[self.read..at];
        #[cfg(test)]
        SCANNED.with(|scanned| scanned.set(scanned.get() + unread.len()));
        for feed in memchr::memchr_iter(b'\n', unread) {
            self.line += 1;
            self.begins = self.read + feed + 1;
        }
        self.read = at;
        (self.line, at - self.begins + 1)
    }
}

#[cfg(test)]
thread_local! {
    /// Bytes that were looked at for line feeds, by all documents of this thread.
    pub(crate) static SCANNED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ReadLimits, read_batch};

    #[test]
    fn a_document_is_read_once_for_the_lines_of_whatever_is_wrong_in_it() {
        let scanned = |of: &str, entries: usize| {
            let entry = r#"{"resource":{"resourceType":"Patient","a":1,"b":2,"c":3}}"#;
            let entries = vec![entry; entries].join(",\n");
            let text = format!(
                "{{\"resourceType\":\"Bundle\",\"type\":\"{of}\",\"entry\":[\n{entries}]}}"
            );
            let (length, before) = (text.len(), SCANNED.get());
            let refused = read_batch(text.into(), &ReadLimits::default()).ok().unwrap().refused;
            let scanned = SCANNED.get() - before;
            assert!(scanned <= length, "{scanned} of {length}");
            (refused, scanned)
        };

        let (few, _) = scanned("batch", 100);
        let (many, _) = scanned("batch", 400);

        assert_eq!((few.len(), many.len()), (100, 400));
        let (index, issues) = &many[399];
        assert_eq!(*index, 399);
        assert_eq!(issues[2].expression.as_deref(), Some("Bundle.entry[399].resource.c"));
        // Its entry stands alone on the 401st line; the value of `c` is its 55th byte.
        assert!(issues[2].text.ends_with(" (line 401, column 55)"), "{}", issues[2].text);

        // Fifty issues are told of a transaction, three an entry.
        let (first, short) = scanned("transaction", 400);
        assert_eq!(first.len(), 17);
        assert_eq!(scanned("transaction", 4_000).1, short);
    }
}
