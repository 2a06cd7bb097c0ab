//! One HL7 v2 message from bytes to a [`Conversion`]: decode, tokenize, check the header, group, map, account.

use std::sync::Arc;

use super::{
    charset,
    grammar::Structure,
    header,
    header::Header,
    message::{Message, SegmentView},
    pass,
    primitive::dtm::{Dtm, Offsets},
    tokenizer::{MESSAGE_BYTES_MAX, tokenize},
    work::{Building, Work, local_uri},
};
use crate::{
    Context,
    conversion::{Account, Conversion, Draft, WriteMode},
    error::{ConvertError, Reason},
    event_time::EventTime,
    json::{Json, Object},
    place::Place,
    rules::RuleSet,
    site::Site,
};

/// Converts one HL7 v2 message (not a batch: see [`super::batch::split`]).
pub(crate) fn convert(
    bytes: &[u8],
    context: &Context<'_>,
    rules: &RuleSet,
) -> Result<Conversion, ConvertError> {
    let bytes = header::strip(bytes);
    check_bytes(bytes)?;
    let header = Header::read(bytes).ok_or_else(unreadable)?;
    let declared = String::from_utf8_lossy(header.field(18)).into_owned();
    let (charset, charset_warning) = charset::detect(&declared, bytes, context.site.charset)?;
    let text = charset.decode(bytes).map_err(|offset| {
        let text = format!("byte {offset} is not part of the declared character set");
        ConvertError::at(Place::field("MSH", 18), Reason::CharsetUndecodable, text)
    })?;
    let message = tokenize(&text, header.delimiters(), charset).map_err(|_| {
        ConvertError::new(Reason::TooLarge, "more segments or fields than the limits allow")
    })?;
    let msh = message.segments().next().filter(|s| s.name() == "MSH").ok_or_else(unreadable)?;
    if let Some(code) = charset_warning {
        message.warn(code, Place::field("MSH", 18));
    }
    let kind = check_header(msh, context.site, rules)?;
    let event = rules.event(&kind.code, &kind.event).ok_or_else(unreadable)?;
    let structure = rules.structure(&event.structure).ok_or_else(unreadable)?;
    let (drafts, event_time) = map(&message, structure, &kind, context, rules)?;
    ignore_rest(&message, rules, &kind.event);
    let (segments, atoms, marks, warnings) = message.into_parts();
    let marks = marks.into_iter().map(|m| m.get()).collect();
    let account = Account { segments, atoms, marks, names: Arc::clone(&rules.names) };
    Ok(Conversion {
        drafts,
        account,
        warnings,
        rule_set: Arc::clone(rules.hash()),
        event_time,
        message_type: kind.text(),
    })
}

fn unreadable() -> ConvertError {
    ConvertError::at(Place::segment("MSH"), Reason::HeaderUnreadable, "no readable MSH segment")
}

fn check_bytes(bytes: &[u8]) -> Result<(), ConvertError> {
    if bytes.is_empty() {
        return Err(ConvertError::new(Reason::Empty, "no bytes"));
    }
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(ConvertError::new(Reason::TooLarge, "the message is larger than the limit"));
    }
    if charset::looks_like_utf16(bytes) {
        let place = Place::field("MSH", 18);
        return Err(ConvertError::at(
            place,
            Reason::CharsetUnsupported,
            "UTF-16 is not safe in HL7 v2",
        ));
    }
    let batch = super::batch::split(bytes);
    if batch.messages.len() > 1 || (batch.is_enveloped && batch.messages.len() == 1) {
        return Err(ConvertError::new(
            Reason::BatchNotSplit,
            "several messages or a batch; split it first",
        ));
    }
    Ok(())
}

/// Message code and trigger event.
struct Kind {
    code: String,
    event: String,
}

impl Kind {
    fn text(&self) -> String {
        format!("{}^{}", self.code, self.event)
    }
}

fn check_header(msh: SegmentView<'_>, site: &Site, rules: &RuleSet) -> Result<Kind, ConvertError> {
    let fail =
        |field, reason, text: &str| Err(ConvertError::at(Place::field("MSH", field), reason, text));
    let peek = |field: u16, component: u16| {
        msh.field(field).component(component).peek().unwrap_or_default().to_uppercase()
    };
    let (code, mut event) = (peek(9, 1), peek(9, 2));
    if code.is_empty() {
        return fail(9, Reason::MessageTypeMissing, "no message type in MSH-9");
    }
    if code == "ACK" {
        return fail(9, Reason::AcknowledgementReceived, "the message is an acknowledgement");
    }
    if msh.field(10).is_empty() || peek(10, 1).is_empty() {
        return fail(10, Reason::ControlIdMissing, "no message control id in MSH-10");
    }
    let version = peek(12, 1);
    let known =
        version.starts_with("2.") && version.as_bytes().get(2).is_some_and(u8::is_ascii_digit);
    if !known && !version.is_empty() {
        return fail(12, Reason::UnsupportedVersion, "only versions 2.1 to 2.9 are supported");
    }
    let processing = peek(11, 1);
    if site.filtered_processing_ids.contains(&processing) {
        return fail(11, Reason::ProcessingIdFiltered, "the site filters this processing id");
    }
    if processing.is_empty() {
        msh.message().warn("processing-id-missing", Place::field("MSH", 11));
    } else if !site.processing_ids.contains(&processing) {
        return fail(
            11,
            Reason::UnsupportedProcessingId,
            "the site does not accept this processing id",
        );
    }
    if event.is_empty() && code == "ORU" {
        event = "R01".to_owned();
    }
    if !rules.knows_type(&code) {
        return fail(9, Reason::UnsupportedMessageType, "message type not supported");
    }
    if rules.event(&code, &event).is_none() {
        return fail(9, Reason::UnsupportedEvent, "trigger event not supported");
    }
    Ok(Kind { code, event })
}

/// Drafts, and when the event happened by which field.
type Mapped = (Vec<Draft>, Option<(EventTime, Place)>);

fn map<'m>(
    message: &'m Message<'m>,
    structure: &Structure,
    kind: &'m Kind,
    context: &Context<'m>,
    rules: &'m RuleSet,
) -> Result<Mapped, ConvertError> {
    let msh = message.segment(0);
    let offsets = offsets(msh, context.site);
    let facility = [4, 3].into_iter().find_map(|n| msh.field(n).component(1).peek());
    let mut work = Work {
        message,
        rules,
        site: context.site,
        offsets,
        event: &kind.event,
        local_system: local_uri("facility", facility.as_deref().unwrap_or("unknown")),
        drafts: Vec::new(),
        positions: std::collections::HashMap::new(),
        uses: std::collections::HashMap::new(),
    };
    let occurred = event_time(&mut work);
    match (kind.code.as_str(), kind.event.as_str()) {
        ("ORU", _) => pass::result::convert(&mut work, &structure.group(message))?,
        ("ADT", "A40") => pass::merge::convert(&mut work)?,
        _ => pass::admission::convert(&mut work)?,
    }
    let time = occurred.as_ref().map(|occurred| (occurred.time, occurred.place));
    let occurred = occurred.map(|occurred| occurred.text);
    finish_locations(&mut work, occurred.clone());
    if let Some(source) = &context.source {
        let source = pass::provenance::Source {
            raw: source.raw,
            recorded: source.recorded,
            device: source.device,
        };
        let draft = pass::provenance::draft(&work, &source, occurred.map(Json::text), &kind.text());
        work.push(draft);
    }
    Ok((drafts(work, kind, time.map(|(time, _)| time)), time))
}

/// MSH-7's offset is the default of the message, unless the site's zone agrees with it and knows more.
fn offsets(msh: SegmentView<'_>, site: &Site) -> Offsets {
    let zone = site.zone.clone();
    let stamp = msh.field(7).component(1).peek();
    let sent = stamp.as_deref().and_then(Dtm::parse);
    let Some(minutes) = sent.as_ref().and_then(Dtm::offset_minutes) else {
        return Offsets { message_minutes: None, zone };
    };
    let by_zone = Offsets { message_minutes: None, zone };
    let local = stamp.as_deref().map(|s| s.split(['+', '-']).next().unwrap_or_default().to_owned());
    let agrees = local.as_deref().and_then(Dtm::parse).zip(sent).is_some_and(|(local, sent)| {
        by_zone.zone.is_some() && local.micros(&by_zone) == sent.micros(&by_zone)
    });
    if agrees { by_zone } else { Offsets { message_minutes: Some(minutes), ..by_zone } }
}

/// When the event happened: for the order of messages, as FHIR dateTime, and where it stands.
struct Occurred {
    time: EventTime,
    text: String,
    place: Place,
}

/// EVN-6, EVN-2 or MSH-7.
///
/// The first with a time of day wins; a date alone would leave the whole day open.
fn event_time(work: &mut Work<'_>) -> Option<Occurred> {
    let message = work.message;
    let evn = message.first("EVN");
    let fields =
        [evn.map(|e| e.field(6)), evn.map(|e| e.field(2)), Some(message.segment(0).field(7))];
    let mut found: Option<(Occurred, Option<&'static str>)> = None;
    for field in fields.into_iter().flatten() {
        let Some(stamp) = field.component(1).peek() else { continue };
        let Some(dtm) = Dtm::parse(&stamp) else { continue };
        let (text, warning) = dtm.date_time(&work.offsets);
        let time = dtm.event_time(&work.offsets);
        let occurred = Occurred { time, text, place: field.place() };
        if dtm.has_time() {
            found = Some((occurred, warning));
            break;
        }
        found.get_or_insert((occurred, warning));
    }
    let (occurred, warning) = found?;
    if let Some(code) = warning {
        message.warn(code, occurred.place);
    }
    Some(occurred)
}

/// A transfer starts the new location and ends the old one at the time of the event; a cancelled visit ends there too.
fn finish_locations(work: &mut Work<'_>, occurred: Option<String>) {
    if work.event == "A11" {
        return leave_locations(work, occurred);
    }
    let Some(occurred) = occurred.filter(|_| work.event == "A02") else { return };
    for draft in work.drafts.iter_mut().filter(|d| d.kind == "Encounter") {
        let Some(Json::List(items)) = draft.body.get("location").cloned() else { continue };
        let dated = items.into_iter().map(|item| {
            let Json::Object(mut entry) = item else { return item };
            let active = matches!(entry.get("status"), Some(Json::Text(t)) if t == "active");
            let key = if active { "start" } else { "end" };
            let period = Object::new().with(key, Json::text(occurred.clone()));
            entry.set("period", Json::Object(period));
            Json::Object(entry)
        });
        let mut dated: Vec<_> = dated.collect();
        // The earlier location first.
        dated.reverse();
        draft.body.set("location", Json::List(dated));
    }
}

fn leave_locations(work: &mut Work<'_>, occurred: Option<String>) {
    for draft in work.drafts.iter_mut().filter(|d| d.kind == "Encounter") {
        let Some(Json::List(mut items)) = draft.body.get("location").cloned() else { continue };
        for item in &mut items {
            let Json::Object(entry) = item else { continue };
            entry.set("status", Json::text("completed"));
            if let Some(occurred) = &occurred {
                let period = Object::new().with("end", Json::text(occurred.clone()));
                entry.set("period", Json::Object(period));
            }
        }
        draft.body.set("location", Json::List(items));
    }
}

/// Marks what rules leave out on purpose.
fn ignore_rest(message: &Message<'_>, rules: &RuleSet, event: &str) {
    for segment in message.segments() {
        for ignore in rules.ignores(segment.name_bytes()) {
            if let Some(condition) = &ignore.when
                && !condition.holds(segment, event)
            {
                continue;
            }
            let before = message.set_rule(ignore.mark);
            if ignore.field == 0 {
                (1..=FIELDS_MAX).for_each(|n| segment.field(n).mark_all());
            } else if rules.is_ignored(ignore.mark) {
                segment.field(ignore.field).mark_all();
            }
            message.set_rule(before);
        }
    }
}

fn drafts(work: Work<'_>, kind: &Kind, time: Option<EventTime>) -> Vec<Draft> {
    let rules = work.rules;
    let mut modes: Vec<(&'static str, Arc<WriteMode>)> = Vec::new();
    let mut out = Vec::with_capacity(work.drafts.len());
    for building in work.drafts {
        let known = modes.iter().find(|(k, _)| *k == building.kind).map(|(_, m)| Arc::clone(m));
        let write = known.unwrap_or_else(|| {
            let mode = Arc::new(write_mode(rules, kind, &building));
            modes.push((building.kind, Arc::clone(&mode)));
            mode
        });
        out.push(finish(building, write, time));
    }
    out
}

fn write_mode(rules: &RuleSet, kind: &Kind, building: &Building<'_>) -> WriteMode {
    let mut mode = rules.write_mode(&kind.code, &kind.event, building.kind);
    if building.kind == "Encounter"
        && let Some(event) = rules.event(&kind.code, &kind.event)
    {
        let finished =
            matches!(building.body.get("status"), Some(Json::Text(t)) if t == "finished");
        let status = if finished && kind.code == "ADT" {
            crate::conversion::FieldMode::Replace
        } else {
            event.status_mode
        };
        mode.fields.retain(|(name, _)| name != "status");
        mode.fields.push(("status".to_owned(), status));
    }
    mode
}

fn finish(building: Building<'_>, write: Arc<WriteMode>, event_time: Option<EventTime>) -> Draft {
    let mut body = Vec::with_capacity(768);
    body.extend_from_slice(b"{\"resourceType\":\"");
    body.extend_from_slice(building.kind.as_bytes());
    body.extend_from_slice(b"\",\"id\":\"");
    body.extend_from_slice(building.id.as_bytes());
    body.push(b'"');
    building.body.write_members(b',', &mut body);
    body.push(b'}');
    Draft {
        resource_type: building.kind,
        id: building.id,
        body,
        write,
        deletes: building.deletes,
        event_time,
    }
}

const FIELDS_MAX: u16 = 256;
