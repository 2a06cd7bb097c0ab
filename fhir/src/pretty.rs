//! JSON re-indented for people (`_pretty=true`).
//!
//! Bytes to bytes: nothing is parsed into values, so numbers, escapes and the order of members stay as they are.
//! Two spaces a level, `[]` and `{}` on one line. The text must be well formed.
//! Not here: when it is asked for (`gateway::http`).

/// `json` with line breaks and indentation; `None` when that would exceed `bytes_max`, since deep nesting can
/// multiply the size.
pub fn pretty(json: &[u8], bytes_max: usize) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity((json.len() * 2).min(bytes_max));
    let mut depth = 0;
    let mut bytes = json.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => {
                out.push(byte);
                string(&mut bytes, &mut out);
            }
            b'{' | b'[' => {
                out.push(byte);
                while bytes.next_if(u8::is_ascii_whitespace).is_some() {}
                // `]` and `}` stand two places after `[` and `{`.
                match bytes.next_if_eq(&(byte + 2)) {
                    Some(end) => out.push(end),
                    None => {
                        depth += 1;
                        line(depth, &mut out);
                    }
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                line(depth, &mut out);
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                line(depth, &mut out);
            }
            b':' => out.extend_from_slice(b": "),
            byte if byte.is_ascii_whitespace() => {}
            byte => out.push(byte),
        }
        if out.len() > bytes_max {
            return None;
        }
    }
    Some(out)
}

/// Copies a string after its opening quote, with its closing one.
fn string(bytes: &mut impl Iterator<Item = u8>, out: &mut Vec<u8>) {
    while let Some(byte) = bytes.next() {
        out.push(byte);
        match byte {
            b'"' => return,
            b'\\' => out.extend(bytes.next()),
            _ => {}
        }
    }
}

fn line(depth: usize, out: &mut Vec<u8>) {
    out.push(b'\n');
    out.resize(out.len() + 2 * depth, b' ');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(json: &str) -> String {
        String::from_utf8(pretty(json.as_bytes(), 10_000).expect("small")).expect("UTF-8")
    }

    #[test]
    fn members_and_items_stand_on_lines_of_their_own() {
        let json = r#"{"a":[1, 2.50],"b" : {"c":"x"}, "d":[ ],"e":{}}"#;

        let expected = "{\n  \"a\": [\n    1,\n    2.50\n  ],\n  \"b\": {\n    \"c\": \"x\"\n  },\n  \"d\": [],\n  \"e\": {}\n}";
        assert_eq!(shown(json), expected);
    }

    #[test]
    fn what_looks_like_structure_inside_a_string_is_left_alone() {
        let json = r#"["{\"a\": [1,2]}","\\",  "ü : , \\\""]"#;

        assert_eq!(
            shown(json),
            "[\n  \"{\\\"a\\\": [1,2]}\",\n  \"\\\\\",\n  \"ü : , \\\\\\\"\"\n]"
        );
    }

    #[test]
    fn it_is_printed_as_others_print_it_and_printing_it_again_changes_nothing() {
        let json = r#"{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Patient","name":[{"given":["A"]}]}}]}"#;

        let value: serde_json::Value = serde_json::from_str(json).expect("JSON");
        assert_eq!(shown(json), serde_json::to_string_pretty(&value).expect("printed"));
        assert_eq!(shown(&shown(json)), shown(json));
    }

    #[test]
    fn deep_nesting_is_not_blown_up_past_the_limit() {
        let deep = [vec![b'['; 60], b"1,".repeat(1000), b"1".to_vec(), vec![b']'; 60]].concat();

        assert_eq!(pretty(&deep, 100_000), None);
        assert!(pretty(&deep, 200_000).is_some());
    }
}
