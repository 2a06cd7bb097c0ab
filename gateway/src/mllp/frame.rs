//! MLLP framing: bytes on a socket to HL7 v2 messages and back.
//!
//! Spec: HL7 v2 Implementation Guide, appendix C (release 1): `0x0B` message `0x1C 0x0D`, at most [`FRAME_BYTES_MAX`].
//! A partial frame is not an error. Tolerated with a counted warning: a missing start byte, a missing CR or an LF after
//! `0x1C`, blanks between frames. `0x1C` followed by anything else is data. A start byte inside a frame means that
//! the rest of the first message was lost: the remnant is given as [`Frame::Broken`], never as a message.
//! Not here: sockets and time limits (`mllp::connection`), message parsing (`mediator::hl7v2`).

/// What the decoder finds, in order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Frame {
    /// The bytes of one message.
    Message(Vec<u8>),
    /// A frame without content.
    Empty,
    /// Bytes of a message that another frame cut off; to be answered negatively and kept in quarantine.
    Broken(Vec<u8>),
    /// A commit block of MLLP release 2: ACK (`0x06`) or NAK (`0x15`).
    CommitBlock {
        /// True for ACK.
        accepted: bool,
    },
}

/// Departures from the specification that were tolerated; counters since the connection began.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Warnings {
    /// Messages that did not start with `0x0B`.
    pub start_missing: u64,
    /// Frames that ended without CR.
    pub end_missing: u64,
    /// Frames that ended with LF in place of CR.
    pub line_feed_end: u64,
    /// Frames cut off by a new start byte.
    pub cut_off: u64,
}

/// Why a connection must be closed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The peer speaks something else, such as HTTP or TLS.
    #[error("the peer does not speak MLLP")]
    NotMllp,
    /// A frame grew past the limit.
    #[error("a frame is larger than the limit")]
    TooLarge,
}

/// Finds frames in bytes that arrive in pieces of any size.
#[derive(Debug)]
pub struct FrameDecoder {
    buffer: Vec<u8>,
    /// How far `buffer` was searched for an end.
    searched: usize,
    frame_bytes_max: usize,
    warnings: Warnings,
    frames: u64,
    is_closed: bool,
}

impl Default for FrameDecoder {
    fn default() -> Self {
        Self::new(FRAME_BYTES_MAX)
    }
}

impl FrameDecoder {
    /// A decoder that refuses frames of more than `frame_bytes_max` bytes.
    pub fn new(frame_bytes_max: usize) -> Self {
        Self {
            buffer: Vec::new(),
            searched: 0,
            frame_bytes_max,
            warnings: Warnings::default(),
            frames: 0,
            is_closed: false,
        }
    }

    /// Adds bytes as they came from the socket.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Tells that no more bytes will come, so that a frame without its CR can be given out.
    pub fn close(&mut self) {
        self.is_closed = true;
    }

    /// What was tolerated so far.
    pub fn warnings(&self) -> Warnings {
        self.warnings
    }

    /// True while a frame has begun and not ended: the time limit for slow senders runs.
    pub fn is_inside(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Bytes that wait for the end of their frame.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// Bytes of a frame that never ended, for quarantine; empties the decoder.
    pub fn take_rest(&mut self) -> Vec<u8> {
        self.searched = 0;
        let rest = std::mem::take(&mut self.buffer);
        rest.strip_prefix(&[START]).map(<[u8]>::to_vec).unwrap_or(rest)
    }

    /// The next whole frame, or `None` until more bytes come.
    ///
    /// # Errors
    /// [`FrameError`] when the connection must be closed.
    #[expect(clippy::should_implement_trait, reason = "a decoder is not an iterator: it resumes")]
    pub fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        self.drop_blanks();
        let Some(first) = self.buffer.first().copied() else { return Ok(None) };
        if let [START, block @ (ACK | NAK), END, rest @ ..] = self.buffer.as_slice() {
            let accepted = *block == ACK;
            if rest.is_empty() && !self.is_closed {
                return Ok(None);
            }
            self.consume(3);
            return Ok(Some(Frame::CommitBlock { accepted }));
        }
        if self.frames == 0 && first != START && looks_foreign(&self.buffer) {
            return Err(FrameError::NotMllp);
        }
        let Some((end, length)) = self.find_end() else {
            return match self.buffer.len() > self.frame_bytes_max {
                true => Err(FrameError::TooLarge),
                false => Ok(None),
            };
        };
        if end > self.frame_bytes_max {
            return Err(FrameError::TooLarge);
        }
        Ok(Some(self.cut(end, length)))
    }

    /// Cuts the frame whose data ends at `end`, with `length` bytes of end marks.
    fn cut(&mut self, end: usize, length: usize) -> Frame {
        self.frames += 1;
        let has_start = self.buffer.first() == Some(&START);
        let from = usize::from(has_start);
        if !has_start {
            self.warnings.start_missing += 1;
        }
        if length == 0 {
            // A new start byte inside the frame.
            self.warnings.cut_off += 1;
            let broken = self.buffer[from..end].to_vec();
            self.consume(end);
            return Frame::Broken(broken);
        }
        let data = self.buffer[from..end].to_vec();
        match self.buffer.get(end + 1) {
            Some(&CR) => {}
            Some(&LF) => self.warnings.line_feed_end += 1,
            _ => self.warnings.end_missing += 1,
        }
        self.consume(end + length);
        if data.is_empty() { Frame::Empty } else { Frame::Message(data) }
    }

    /// Where the data ends and how many bytes of end marks follow (none for a frame that is cut off).
    fn find_end(&mut self) -> Option<(usize, usize)> {
        let mut at = self.searched.max(1);
        while at < self.buffer.len() {
            match self.buffer[at] {
                START => return Some((at, 0)),
                END => match self.buffer.get(at + 1) {
                    Some(&CR | &LF) => return Some((at, 2)),
                    Some(&START) => return Some((at, 1)),
                    Some(_) => {}
                    None if self.is_closed => return Some((at, 1)),
                    None => break,
                },
                _ => {}
            }
            at += 1;
        }
        self.searched = at;
        None
    }

    fn drop_blanks(&mut self) {
        let blanks = self.buffer.iter().take_while(|b| b.is_ascii_whitespace()).count();
        if blanks > 0 {
            self.consume(blanks);
        }
    }

    fn consume(&mut self, count: usize) {
        self.buffer.drain(..count.min(self.buffer.len()));
        self.searched = 0;
    }
}

/// Wraps a message for the wire.
pub fn encode(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 3);
    out.push(START);
    out.extend_from_slice(message);
    out.extend_from_slice(&[END, CR]);
    out
}

/// HTTP requests and TLS hellos that scanners and misconfigured clients send.
fn looks_foreign(bytes: &[u8]) -> bool {
    let methods: [&[u8]; 8] =
        [b"GET ", b"POST ", b"PUT ", b"HEAD ", b"OPTIONS ", b"DELETE ", b"CONNECT ", b"PRI * "];
    methods.iter().any(|m| bytes.starts_with(m)) || bytes.starts_with(&[0x16, 0x03])
}

/// Largest frame by default.
pub const FRAME_BYTES_MAX: usize = 32 << 20;

const START: u8 = 0x0B;
const END: u8 = 0x1C;
const CR: u8 = b'\r';
const LF: u8 = b'\n';
const ACK: u8 = 0x06;
const NAK: u8 = 0x15;

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Frame {
        Frame::Message(text.as_bytes().to_vec())
    }

    /// Decodes the bytes in pieces of every size up to their length; all must agree.
    fn decode(bytes: &[u8]) -> (Vec<Frame>, Option<FrameError>, Warnings) {
        let mut answers = Vec::new();
        for size in 1..=bytes.len().clamp(1, 64) {
            let mut decoder = FrameDecoder::default();
            let mut frames = Vec::new();
            let mut error = None;
            for piece in bytes.chunks(size) {
                decoder.push(piece);
                drain(&mut decoder, &mut frames, &mut error);
            }
            decoder.close();
            drain(&mut decoder, &mut frames, &mut error);
            answers.push((frames, error, decoder.warnings()));
        }
        let first = answers.swap_remove(0);
        assert!(answers.iter().all(|a| *a == first), "{answers:?}");
        first
    }

    fn drain(decoder: &mut FrameDecoder, frames: &mut Vec<Frame>, error: &mut Option<FrameError>) {
        while error.is_none() {
            match decoder.next() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => return,
                Err(e) => *error = Some(e),
            }
        }
    }

    #[test]
    fn frames_are_found_wherever_the_bytes_are_split() {
        let (frames, error, warnings) = decode(b"\x0bMSH|A\r\x1c\r\x0bMSH|B\r\x1c\r");

        assert_eq!(frames, [message("MSH|A\r"), message("MSH|B\r")]);
        assert_eq!((error, warnings), (None, Warnings::default()));
        assert_eq!(encode(b"MSH|A\r"), b"\x0bMSH|A\r\x1c\r");
    }

    #[test]
    fn sloppy_ends_and_starts_are_tolerated_and_counted() {
        let (frames, _, warnings) = decode(b"\x0bMSH|A\r\x1c\x0bMSH|B\r\x1c");
        assert_eq!(frames, [message("MSH|A\r"), message("MSH|B\r")]);
        assert_eq!(warnings.end_missing, 2);

        let (frames, _, warnings) = decode(b"\x0bMSH|A\r\x1c\n \r\n\x0bMSH|B\r\x1c\n");
        assert_eq!(frames, [message("MSH|A\r"), message("MSH|B\r")]);
        assert_eq!(warnings.line_feed_end, 2);

        let (frames, _, warnings) = decode(b"MSH|A\r\x1c\r");
        assert_eq!(frames, [message("MSH|A\r")]);
        assert_eq!(warnings.start_missing, 1);
    }

    #[test]
    fn an_end_byte_that_nothing_follows_properly_is_data() {
        assert_eq!(decode(b"\x0bMSH|a\x1cb\r\x1c\r").0, [message("MSH|a\x1cb\r")]);
    }

    #[test]
    fn a_start_byte_inside_a_frame_cuts_it_off() {
        let (frames, _, warnings) = decode(b"\x0bMSH|lost\x0bMSH|B\r\x1c\r");

        assert_eq!(frames, [Frame::Broken(b"MSH|lost".to_vec()), message("MSH|B\r")]);
        assert_eq!(warnings.cut_off, 1);
    }

    #[test]
    fn empty_frames_commit_blocks_and_strangers_are_told_apart() {
        assert_eq!(decode(b"\x0b\x1c\r").0, [Frame::Empty]);
        assert_eq!(decode(b"\x0b\x06\x1c\r").0, [Frame::CommitBlock { accepted: true }]);
        assert_eq!(decode(b"\x0b\x15\x1c\r").0, [Frame::CommitBlock { accepted: false }]);
        assert_eq!(decode(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").1, Some(FrameError::NotMllp));
        assert_eq!(decode(b"\x16\x03\x01\x02\x00").1, Some(FrameError::NotMllp));
    }

    #[test]
    fn an_unfinished_frame_waits_and_its_bytes_can_be_kept() {
        let mut decoder = FrameDecoder::default();
        decoder.push(b"\x0bMSH|half");
        assert_eq!(decoder.next(), Ok(None));
        assert!(decoder.is_inside());
        decoder.close();
        assert_eq!(decoder.next(), Ok(None));
        assert_eq!(decoder.take_rest(), b"MSH|half");
    }

    #[test]
    fn a_frame_past_the_limit_closes_the_connection() {
        let mut decoder = FrameDecoder::new(16);
        decoder.push(&[b'x'; 20]);
        assert_eq!(decoder.next(), Err(FrameError::TooLarge));
    }

    #[test]
    fn the_hand_written_streams_hold() {
        let shared = std::env::var_os("SEALWAY_SHARED").map_or_else(
            || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
            std::path::PathBuf::from,
        );
        let folder = shared.join("corpus/hl7v2/edge-authored");
        if !folder.is_dir() {
            eprintln!("SKIPPED: no corpus at {} (set SEALWAY_SHARED)", folder.display());
            return;
        }
        let count = |file: &str| {
            let bytes = std::fs::read(folder.join(file)).expect("readable");
            let (frames, error, _) = decode(&bytes);
            let is_message = |f: &&Frame| matches!(f, Frame::Message(_));
            (frames.iter().filter(is_message).count(), frames.len(), error)
        };
        for (file, wanted) in [
            ("mllp_two_in_one.mllp", (2, 2, None)),
            ("mllp_no_trailing_cr.mllp", (2, 2, None)),
            ("mllp_no_vt.mllp", (1, 1, None)),
            ("mllp_fs_in_payload.mllp", (1, 1, None)),
            ("mllp_empty.mllp", (0, 1, None)),
            ("mllp_truncated.mllp", (0, 0, None)),
            ("mllp_lf_after_fs.mllp", (2, 2, None)),
            ("mllp_v2_ack_blocks.mllp", (0, 1, None)),
            ("not_hl7_http.mllp", (0, 0, Some(FrameError::NotMllp))),
        ] {
            assert_eq!(count(file), wanted, "{file}");
        }
    }
}
