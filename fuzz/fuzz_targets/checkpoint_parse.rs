//! A note, checkpoint, tile name or bundle that is read is written back as the same bytes.
#![no_main]

use ledger::{Checkpoint, Note, TilePath, tile};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(note) = Note::parse(bytes) {
        assert_eq!(note.to_string().as_bytes(), bytes);
        if let Ok(checkpoint) = Checkpoint::parse(note.text()) {
            assert_eq!(checkpoint.to_string(), note.text());
        }
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(path) = TilePath::parse(text)
    {
        assert_eq!(path.to_string(), text);
    }
    let width = bytes.len() as u64 / tile::RECORD_BYTES as u64;
    if let Some(path) = TilePath::entries(0, width)
        && let Ok(entries) = tile::parse_bundle(&path, bytes)
    {
        let mut written = Vec::new();
        entries.iter().for_each(|entry| tile::push_entry(&mut written, entry));
        assert_eq!(written, bytes);
    }
});
