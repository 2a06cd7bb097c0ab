//! Timestamped signatures of a checkpoint, by its log or by a witness.
//!
//! Spec: C2SP tlog-cosignature, Ed25519 (type `0x04`): a `u64` of seconds since 1970, then the signature of
//! `cosignature/v1`, `time <seconds>` and the note text, each on its own line.
//! Not here: who must cosign (`trust`), the check before cosigning (`consortium`).

/// The bytes that a timestamped signature of `text` covers.
pub fn message(text: &str, time: u64) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The message shown in the C2SP tlog-cosignature text.
    #[test]
    fn the_message_is_that_of_the_specification() {
        let text =
            "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

        let message = message(text, 1_679_315_147);

        assert_eq!(
            message,
            "cosignature/v1\ntime 1679315147\nexample.com/behind-the-sofa\n20852163\n\
             CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
        );
    }
}
