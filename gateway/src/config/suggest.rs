//! The nearest known name, for "did you mean".
//!
//! Distance: Levenshtein over bytes; a name further than a third of its length away is no help.
//! Not here: which names are known.

/// The candidate nearest to `name`, when one is near enough.
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    candidates
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(far, candidate)| *far <= candidate.len().div_ceil(3))
        .min_by_key(|(far, _)| *far)
        .map(|(_, candidate)| candidate)
}

fn distance(left: &str, right: &str) -> usize {
    let right = right.as_bytes();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_missing_letter_is_near_and_another_word_is_not() {
        let known = ["server.listen", "mllp.listen", "search.count_max"];

        assert_eq!(nearest("server.lisen", known.into_iter()), Some("server.listen"));
        assert_eq!(nearest("colour", known.into_iter()), None);
    }
}
