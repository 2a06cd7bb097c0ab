//! URLs under which this server is known: its own resources are told from those of others by them.
//!
//! Spec: FHIR R4 references.html#literal, http.html "Identity". A server may have several bases, such as `/fhir` and
//! `/fhir/R4`, or a public name and one within the house; a URL below any of them is the same resource. They are handed
//! on as one text, separated by blanks, which no URL has; the one that the client used stands first.
//! Not here: which ones they are (`gateway::http::hosts`).

/// What stands below one of the bases in a URL: `Patient/1` of `https://here.example/fhir/Patient/1`. Of several that
/// fit, the longest counts; `None` when none does, or when nothing is below it.
#[must_use]
pub fn below_base<'t>(url: &'t str, bases: &str) -> Option<&'t str> {
    if !url.contains("://") {
        return None;
    }
    let below = |base: &str| url.strip_prefix(base.trim_end_matches('/'))?.strip_prefix('/');
    let shortest = bases.split_ascii_whitespace().filter_map(below).min_by_key(|rest| rest.len());
    shortest.filter(|rest| !rest.is_empty())
}

/// The base that links begin with: the first.
#[must_use]
pub fn first_base(bases: &str) -> &str {
    bases.split_ascii_whitespace().next().unwrap_or_default().trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASES: &str = "http://h:1/fhir http://h:1/fhir/R4/ https://public.example/his/fhir";

    #[test]
    fn a_url_below_any_base_is_ours_and_the_longest_base_counts() {
        for (url, below) in [
            ("http://h:1/fhir/Patient/1", Some("Patient/1")),
            ("http://h:1/fhir/R4/Patient/1", Some("Patient/1")),
            ("https://public.example/his/fhir/Patient/1/_history/2", Some("Patient/1/_history/2")),
            ("http://h:1/fhir/foo/Patient/1", Some("foo/Patient/1")),
            ("http://h:1/fhirX/Patient/1", None),
            ("http://h:12/fhir/Patient/1", None),
            ("http://h:1/fhir/", None),
            ("http://h:1/fhir", None),
            ("Patient/1", None),
            ("urn:uuid:0", None),
        ] {
            assert_eq!(below_base(url, BASES), below, "{url}");
        }
        assert_eq!(below_base("http://h:1/fhir/Patient/1", ""), None);
        assert_eq!((first_base(BASES), first_base("")), ("http://h:1/fhir", ""));
    }
}
