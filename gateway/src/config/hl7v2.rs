//! `[hl7v2]`: what a site knows about its HL7 v2 senders that their messages do not say.
//!
//! A zone is a name of the tz database (`Europe/Berlin`), a fixed offset (`+01:00`) or a POSIX TZ rule.
//! Not here: what a zone does to a time (`mediator`), who uses these settings (`message`).

use mediator::{RuleSet, Zone};
use serde::{Deserialize, Deserializer, de::Error};

/// `[hl7v2]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hl7v2 {
    /// Zone of times without an offset; unset leaves their time of day out.
    #[serde(default, deserialize_with = "zone")]
    pub zone: Option<Zone>,
    /// Zones of single senders; the first that fits counts, before `zone`.
    #[serde(deserialize_with = "sender_zones")]
    pub sender_zones: Vec<SenderZone>,
}

/// One entry of `hl7v2.sender_zones`: `application|facility=zone`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SenderZone {
    /// First component of MSH-3; empty means any.
    pub application: String,
    /// First component of MSH-4; empty means any.
    pub facility: String,
    /// Where its clock stands.
    pub zone: Zone,
}

impl Hl7v2 {
    /// The zone of a sender, by the first components of MSH-3 and MSH-4.
    pub fn zone_of(&self, application: &str, facility: &str) -> Option<&Zone> {
        let fits = |wanted: &str, given: &str| wanted.is_empty() || wanted == given.trim();
        let own = self
            .sender_zones
            .iter()
            .find(|of| fits(&of.application, application) && fits(&of.facility, facility));
        own.map(|of| &of.zone).or(self.zone.as_ref())
    }
}

fn zone<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Zone>, D::Error> {
    let text = String::deserialize(value)?;
    known(&RuleSet::base(), &text)
        .map(Some)
        .map_err(|e| D::Error::custom(format!("hl7v2.zone: {e}")))
}

fn sender_zones<'de, D: Deserializer<'de>>(value: D) -> Result<Vec<SenderZone>, D::Error> {
    let texts = Vec::<String>::deserialize(value)?;
    if texts.is_empty() {
        return Ok(Vec::new());
    }
    let rules = RuleSet::base();
    let all = texts.iter().map(|text| sender_zone(&rules, text));
    all.collect::<Result<_, _>>().map_err(|e| D::Error::custom(format!("hl7v2.sender_zones: {e}")))
}

fn sender_zone(rules: &RuleSet, text: &str) -> Result<SenderZone, String> {
    let wrong = || format!("{text:?} is not application|facility=zone (MSH-3|MSH-4)");
    let (sender, zone) = text.split_once('=').ok_or_else(wrong)?;
    let (application, facility) = sender.split_once('|').ok_or_else(wrong)?;
    let (application, facility) = (application.trim().to_owned(), facility.trim().to_owned());
    if application.is_empty() && facility.is_empty() {
        return Err(format!("{text:?} names no sender; hl7v2.zone is for all of them"));
    }
    Ok(SenderZone { application, facility, zone: known(rules, zone)? })
}

fn known(rules: &RuleSet, text: &str) -> Result<Zone, String> {
    rules.zone(text.trim()).ok_or_else(|| {
        format!(
            "{text:?} is no time zone: give a name such as Europe/Berlin, an offset such as +01:00, or a POSIX TZ rule \
             such as CET-1CEST,M3.5.0,M10.5.0/3"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Loaded, Sources, load};

    fn loaded(text: &str) -> Result<Loaded, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sealway.toml");
        std::fs::write(&file, text).unwrap();
        load(&Sources { file: Some(file), ..Sources::default() }).map_err(|e| e.to_string())
    }

    #[test]
    fn a_sender_has_its_own_zone_or_that_of_all() {
        let text = "[hl7v2]\nzone = \"Europe/Berlin\"\nsender_zones = [\"LAB|NORTH=+05:30\", \"|SOUTH=UTC\"]\n";

        let config = loaded(text).unwrap().config.hl7v2;

        let zone = |text: &str| Zone::parse(text);
        assert_eq!(config.zone_of("LAB", "NORTH"), zone("+05:30").as_ref());
        assert_eq!(config.zone_of("ADT", "SOUTH"), zone("UTC0").as_ref());
        let berlin = zone("CET-1CEST,M3.5.0,M10.5.0/3");
        assert_eq!(config.zone_of("ADT", "NORTH"), berlin.as_ref());
        assert_eq!(Hl7v2::default().zone_of("ADT", "NORTH"), None);
    }

    #[test]
    fn what_is_no_zone_or_no_sender_is_refused_by_its_key() {
        for (line, key, words) in [
            ("zone = \"Berlin\"", "hl7v2.zone", "\"Berlin\" is no time zone"),
            (
                "sender_zones = [\"LAB=UTC\"]",
                "hl7v2.sender_zones",
                "is not application|facility=zone",
            ),
            ("sender_zones = [\"|=UTC\"]", "hl7v2.sender_zones", "names no sender"),
            ("sender_zones = [\"A|B=Mars/Olympus\"]", "hl7v2.sender_zones", "is no time zone"),
        ] {
            let error = loaded(&format!("[hl7v2]\n{line}\n")).unwrap_err();

            assert!(error.contains(words) && error.contains(key), "{line}: {error}");
        }
    }
}
