//! The example file: every key with its help, its variable and its default, all commented out.
//!
//! Made from the same table as the keys, so that it cannot drift from them.
//! Not here: the table (`keys`).

use super::keys::{ISSUER_KEYS, KEYS, Key, Kind};

/// A complete TOML file that changes nothing until a `#` is removed.
pub fn example() -> String {
    let mut out = HEAD.to_owned();
    let mut section = "";
    for key in KEYS {
        let (of, name) = key.name.rsplit_once('.').unwrap_or(("", key.name));
        if of != section {
            section = of;
            out.push_str(&format!("\n[{section}]\n"));
        }
        if key.kind == Kind::Tables {
            out.push_str(&format!("# {}\n#[[{}]]\n", key.help, key.name));
            ISSUER_KEYS.iter().for_each(|inner| {
                out.push_str(&format!("# {}\n#{} = {}\n", inner.help, inner.name, value(inner)));
            });
            continue;
        }
        let state = if key.default.is_empty() { ", unset" } else { "" };
        let variable = key.variable();
        out.push_str(&format!("# {} ({variable}{state})\n#{name} = {}\n", key.help, value(key)));
    }
    out
}

/// The default as TOML writes it, or the example where there is none.
fn value(key: &Key) -> String {
    let text = if key.default.is_empty() { key.example } else { key.default };
    match key.kind {
        Kind::Number | Kind::Flag => text.to_owned(),
        Kind::Text | Kind::Tables => format!("{text:?}"),
        Kind::List => format!("{:?}", text.split(',').collect::<Vec<_>>()),
    }
}

const HEAD: &str = "\
# Sealway: every setting with its default, or an example where there is none. Remove the # before a key to set it.
# A flag beats a variable, a variable this file, this file the default; `sealway config show --origin` tells which won.
# Each key also as a variable: SEALWAY_SERVER__LISTEN=0.0.0.0:8443 is listen in [server].
# Each key also from a file, for secrets: url_file = \"/run/secrets/url\", or SEALWAY_DATABASE__URL_FILE.
# `sealway config check FILE` says what is wrong with this file.

";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Loaded, Origin, Sources, load};

    fn loaded(text: &str) -> Loaded {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sealway.toml");
        std::fs::write(&file, text).unwrap();
        load(&Sources { file: Some(file), ..Sources::default() }).unwrap()
    }

    /// Removes the `#` before every key and table; comments have a space after theirs.
    fn uncommented() -> String {
        let plain = |line: &str| match line.strip_prefix('#') {
            Some(rest) if !rest.starts_with(' ') => rest.to_owned(),
            _ => line.to_owned(),
        };
        example().lines().map(|line| plain(line) + "\n").collect()
    }

    #[test]
    fn as_printed_the_example_changes_nothing() {
        let settings = loaded(&example()).settings;

        assert!(settings.iter().all(|setting| setting.origin == Origin::Default));
    }

    #[test]
    fn uncommented_the_example_sets_every_key_to_its_default_or_example() {
        let example = loaded(&uncommented());

        let defaults = load(&Sources::default()).unwrap();
        for (set, default) in example.settings.iter().zip(&defaults.settings) {
            assert!(matches!(set.origin, Origin::File(_, 1..)), "{}", set.name);
            let key = super::super::keys::key(set.name).unwrap();
            if !key.default.is_empty() {
                assert_eq!(set.shown, default.shown, "{}", set.name);
            }
        }
        assert_eq!(example.config.auth.issuer.len(), 1);
        assert_eq!(example.config.server.hosts.len(), 2);
    }

    #[test]
    fn every_key_of_an_issuer_is_in_the_example() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sealway.toml");
        std::fs::write(&file, "[[auth.issuer]]\nnonsense = 1\n").unwrap();

        let error = load(&Sources { file: Some(file), ..Sources::default() }).unwrap_err();

        // The parser lists what it would have taken: unknown field `nonsense`, expected one of `issuer`, …
        let error = error.to_string();
        let known: Vec<&str> = error.split('`').skip(3).step_by(2).collect();
        assert!(known.len() >= 5, "{error}");
        for name in known {
            assert!(ISSUER_KEYS.iter().any(|key| key.name == name), "{name} is not documented");
        }
    }
}
