//! `_text` and `_content`: the words of a resource, and queries of words, read straight through.
//!
//! Spec: R4 search page, "Text Search Parameters", with OData's `$search` for the language; `docs/search.md` for what
//! a word is. A query is decided while it is read, over all sentences of the resource.

use std::collections::HashMap;

use serde_json::Value as Json;

use super::compare::{escape, plain, split, unescape};
use super::dice::Dice;
use super::naive::Stored;
use super::value::Value;
use super::vocabulary::{NARRATIVES, TEXTS};

/// Words that follow each other, of one element each.
type Sentences = Vec<Vec<String>>;

/// Whether the resource passes one of the alternatives.
pub(crate) fn holds(json: &Json, code: &str, value: &str) -> bool {
    let sentences = sentences(json, code == "_content");
    split(value, ',').into_iter().any(|one| Query::new(&unescape(one), &sentences).decide())
}

/// `:text` on strings: whether these values together pass one of the alternatives.
pub(crate) fn values_hold(own: &[Value], value: &str) -> bool {
    let sentences = of_values(own);
    split(value, ',').into_iter().any(|one| Query::new(&unescape(one), &sentences).decide())
}

/// A query whose words the resource has, most of them.
pub(crate) fn phrase(dice: &mut Dice, stored: Option<&Stored>, code: &str) -> String {
    let own = stored.map_or_else(Vec::new, |one| match code {
        "_text" | "_content" => sentences(&one.json, code == "_content"),
        code => of_values(&one.values_of(code)),
    });
    let text = query(dice, &own, 2);
    escape(&text)
}

fn of_values(own: &[Value]) -> Sentences {
    let text = |value: &Value| match value {
        Value::Text(text) => Some(words(text)),
        _ => None,
    };
    own.iter().filter_map(text).collect()
}

fn query(dice: &mut Dice, sentences: &Sentences, depth: usize) -> String {
    if depth == 0 {
        return item(dice, sentences);
    }
    let mut next = || query(dice, sentences, depth - 1);
    let (one, other) = (next(), next());
    match dice.roll(9) {
        0 => format!("{one} {other}"),
        1 => format!("{one} AND {other}"),
        2 => format!("{one} or {other}"),
        3 => format!("{one} NOT {other}"),
        4 => format!("NOT {one}"),
        5 => format!("({one} OR {other}) and {}", item(dice, sentences)),
        6 => format!("not ({one} {other})"),
        _ => one,
    }
}

fn item(dice: &mut Dice, sentences: &Sentences) -> String {
    let filled: Vec<_> = sentences.iter().filter(|words| !words.is_empty()).collect();
    let Some(words) = dice.pick_any(&filled).filter(|_| dice.chance(85)) else {
        let text = dice.pick(TEXTS);
        return if words(text).is_empty() { "nowhere".into() } else { format!("\"{text}\"") };
    };
    let start = dice.roll(words.len());
    let some: Vec<_> = words.iter().skip(start).take(1 + dice.roll(3)).cloned().collect();
    match dice.roll(4) {
        0 => format!("\"{}\"", some.join(" ")),
        1 => some.join("-"),
        2 => format!("\"{}\"", some[0].to_uppercase()),
        _ => format!("\"{}\"", some[0]),
    }
}

/// Whether all words of a resource are indexed (docs/search.md has the limits).
pub(crate) fn is_indexed_whole(json: &Json) -> bool {
    let mut places: HashMap<String, usize> = HashMap::new();
    let sentences = sentences(json, true);
    let all: usize = sentences.iter().map(|words| words.len() + 1).sum();
    sentences.into_iter().flatten().for_each(|word| *places.entry(word).or_default() += 1);
    all <= WORDS_MAX && places.values().all(|count| *count <= PLACES_MAX)
}

/// Words of a resource's narrative, and of the rest; places of one word.
const WORDS_MAX: usize = 7_500;
const PLACES_MAX: usize = 250;

/// The narrative alone, or everything.
fn sentences(json: &Json, all: bool) -> Sentences {
    let mut found = Vec::new();
    if let Some(div) = json["text"]["div"].as_str() {
        found.push(words(&shown(div)));
    }
    if all {
        for (name, json) in json.as_object().into_iter().flatten() {
            match &**name {
                "resourceType" | "id" | "text" => {}
                "meta" => {
                    let mut meta = json.clone();
                    let members = meta.as_object_mut().expect("an object");
                    members.retain(|name, _| name != "versionId" && name != "lastUpdated");
                    gather(name, &meta, &mut found);
                }
                _ => gather(name, json, &mut found),
            }
        }
    }
    found
}

fn gather(name: &str, json: &Json, found: &mut Sentences) {
    match json {
        Json::Object(members) => {
            members.iter().for_each(|(name, json)| gather(name, json, found));
        }
        Json::Array(items) => items.iter().for_each(|json| gather("", json, found)),
        Json::Number(number) => found.push(words(&number.to_string())),
        Json::String(_) if ["data", "hash", "carrierAIDC"].contains(&name) => {}
        Json::String(_) if name.ends_with("Base64Binary") => {}
        Json::String(div) if name == "div" => found.push(words(&shown(div))),
        Json::String(text) => found.push(words(text)),
        Json::Bool(_) | Json::Null => {}
    }
}

/// What a reader sees of a narrative; those of the vocabulary say it themselves.
fn shown(div: &str) -> String {
    if let Some((_, text)) = NARRATIVES.iter().find(|(known, _)| *known == div) {
        return (*text).to_owned();
    }
    let parts = div.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text));
    parts.collect::<Vec<_>>().join(" ").replace("&amp;", "&").replace("&lt;", "<")
}

fn words(text: &str) -> Vec<String> {
    let folded = plain(text);
    let parts = folded.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty());
    parts.map(|part| part.chars().take(64).collect()).collect()
}

/// A query as far as it is read.
struct Query<'a> {
    parts: Vec<String>,
    at: usize,
    sentences: &'a Sentences,
}

impl<'a> Query<'a> {
    fn new(text: &str, sentences: &'a Sentences) -> Self {
        let (mut parts, mut quoted) = (Vec::new(), false);
        for piece in text.split('"') {
            if quoted {
                parts.push(format!("\"{piece}"));
            } else {
                let spaced = piece.replace('(', " ( ").replace(')', " ) ");
                parts.extend(spaced.split_whitespace().map(str::to_owned));
            }
            quoted = !quoted;
        }
        Self { parts, at: 0, sentences }
    }

    fn decide(mut self) -> bool {
        let decided = self.either();
        assert_eq!(self.at, self.parts.len(), "{:?}", self.parts);
        decided
    }

    fn is(&self, word: &str) -> bool {
        self.parts.get(self.at).is_some_and(|part| part.eq_ignore_ascii_case(word))
    }

    fn either(&mut self) -> bool {
        let mut holds = self.both();
        while self.is("or") {
            self.at += 1;
            holds |= self.both();
        }
        holds
    }

    fn both(&mut self) -> bool {
        let mut holds = self.one();
        while self.at < self.parts.len() && !self.is("or") && !self.is(")") {
            self.at += usize::from(self.is("and"));
            holds &= self.one();
        }
        holds
    }

    fn one(&mut self) -> bool {
        self.at += 1;
        let part = self.parts[self.at - 1].clone();
        match part.to_lowercase().as_str() {
            "not" => !self.one(),
            "(" => {
                let holds = self.either();
                self.at += 1;
                holds
            }
            _ => {
                let asked = words(&part);
                self.sentences.iter().any(|own| own.windows(asked.len()).any(|own| own == asked))
            }
        }
    }
}
