//! `soak TARGET EXECUTIONS [SEED]`: damages samples at random, runs the target on each, and tells what it took.
//!
//! Needs no nightly compiler and no coverage: it finds less than libFuzzer an execution, and runs anywhere. A panic ends
//! it after it has written the input to `crash-TARGET`.

use std::env;
use std::panic;
use std::time::{Duration, Instant};

fn main() {
    let args: Vec<String> = env::args().collect();
    let name = args.get(1).map_or("xml_reader", String::as_str);
    let (target, samples): (fn(&[u8]), &[&str]) = match name {
        "json_reader" => (sealway_fuzz::json_reader, &JSON),
        "xml_reader" => (sealway_fuzz::xml_reader, &XML),
        "patch" => (sealway_fuzz::patch, &PATCH),
        other => panic!("no target {other}: json_reader, xml_reader, patch"),
    };
    let executions: u64 = args.get(2).map_or(100_000, |n| n.parse().expect("a number"));
    let mut dice = Dice(args.get(3).map_or(1, |n| n.parse().expect("a number")));
    let started = Instant::now();
    let mut longest = Duration::ZERO;
    for at in 0..executions {
        let input = damaged(samples, &mut dice);
        let began = Instant::now();
        if panic::catch_unwind(|| target(&input)).is_err() {
            std::fs::write(format!("crash-{name}"), &input).expect("the input is written");
            panic!("execution {at} failed; its input is in crash-{name}");
        }
        let took = began.elapsed();
        if took > longest {
            longest = longest.max(again(target, &input).min(took));
        }
    }
    println!(
        "{name}: {executions} executions in {:.1} s, longest {:.3} ms",
        started.elapsed().as_secs_f64(),
        longest.as_secs_f64() * 1000.0
    );
}

/// The shortest of some more runs: the machine has other work too.
fn again(target: fn(&[u8]), input: &[u8]) -> Duration {
    let run = |_| {
        let began = Instant::now();
        target(input);
        began.elapsed()
    };
    (0..5).map(run).min().unwrap_or_default()
}

/// A sample with one to eight random changes.
fn damaged(samples: &[&str], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = samples[dice.below(samples.len())].as_bytes().to_vec();
    for _ in 0..=dice.below(8) {
        if bytes.is_empty() {
            break;
        }
        let at = dice.below(bytes.len());
        match dice.below(8) {
            0 => bytes[at] = dice.next() as u8,
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, dice.next() as u8),
            3 => bytes[at] = MARKS[dice.below(MARKS.len())],
            4 => bytes.insert(at, MARKS[dice.below(MARKS.len())]),
            5 => {
                let piece = piece_of(&bytes, dice);
                bytes.splice(at..at, piece);
            }
            6 => {
                let other = samples[dice.below(samples.len())].as_bytes();
                let piece = piece_of(other, dice);
                bytes.splice(at..at, piece);
            }
            _ => {
                let end = (at + dice.below(40)).min(bytes.len());
                bytes.drain(at..end);
            }
        }
    }
    bytes
}

fn piece_of(bytes: &[u8], dice: &mut Dice) -> Vec<u8> {
    let from = dice.below(bytes.len());
    bytes[from..(from + dice.below(80)).min(bytes.len())].to_vec()
}

/// xorshift64*: repeatable, good enough for damage.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 8
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

const PATCH: [&str; 4] = [
    concat!(r#"[{"op":"test","path":"/status","value":"final"},{"op":"replace","path":"/code/coding/0/code","value":"a"},{"op":"add","path":"/note/-","value":{"text":"n"}},{"op":"move","from":"/note/0","path":"/note/1"},{"op":"copy","from":"/status","path":"/code/text"},{"op":"remove","path":"/subject"}]"#, "\n",
        r#"{"resourceType":"Observation","id":"o","status":"final","code":{"coding":[{"code":"x"}],"text":"t"},"note":[{"text":"a"},{"text":"b"}],"subject":{"reference":"Patient/1"},"valueQuantity":{"value":1.10}}"#),
    concat!(r#"{"active":null,"name":[{"family":"B"}],"contact":{"a":null}}"#, "\n",
        r#"{"resourceType":"Patient","id":"p","active":true,"name":[{"family":"A","given":["x","y"]}],"birthDate":"1970"}"#),
    concat!(r#"{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"replace"},{"name":"path","valueString":"Patient.name[0].given[1]"},{"name":"value","valueString":"z"}]},{"name":"operation","part":[{"name":"type","valueCode":"add"},{"name":"path","valueString":"Patient"},{"name":"name","valueString":"contact"},{"name":"value","part":[{"name":"name","valueHumanName":{"text":"c"}}]}]},{"name":"operation","part":[{"name":"type","valueCode":"delete"},{"name":"path","valueString":"Patient.birthDate"}]}]}"#, "\n",
        r#"{"resourceType":"Patient","id":"p","name":[{"family":"A","given":["x","y"]}],"birthDate":"1970"}"#),
    concat!(r#"{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"move"},{"name":"path","valueString":"Patient.identifier"},{"name":"source","valueInteger":1},{"name":"destination","valueInteger":0}]},{"name":"operation","part":[{"name":"type","valueCode":"insert"},{"name":"path","valueString":"Patient.identifier"},{"name":"index","valueInteger":0},{"name":"value","valueIdentifier":{"value":"n"}}]}]}"#, "\n",
        r#"{"resourceType":"Patient","id":"p","identifier":[{"value":"1"},{"system":"http://e.org","value":"2"}]}"#),
];

const MARKS: &[u8] = b"{}[]\",:\\u0nt1-._eE <>/=&;'#!?x\n\r\t]]>-";

const JSON: [&str; 3] = [
    r#"{"resourceType":"Observation","id":"o1","meta":{"versionId":"2","profile":["http://x.example/p"]},"text":{"status":"generated","div":"<div>\u00e9 <b>\ud83d\ude00</b>&nbsp;</div>"},"contained":[{"resourceType":"Patient","id":"p","_birthDate":{"extension":[{"url":"u","valueCode":"unknown"}]}}],"status":"final","code":{"coding":[{"system":"http://loinc.org","code":"718-7"}],"text":"Hb"},"subject":{"reference":"Patient/1"},"effectiveDateTime":"2021-03-04T05:06:07.890+01:00","valueQuantity":{"value":1.10,"unit":"g/dL"},"referenceRange":[{"low":{"value":1E1}}],"component":[{"code":{"text":"c"},"valueInteger":-3}]}"#,
    r#"{"resourceType":"Patient","name":[{"given":["a",null,"c"],"_given":[null,{"id":"x"},null]}],"active":true,"_active":{"id":"a"}}"#,
    r#"{"resourceType":"Bundle","type":"transaction","entry":[{"fullUrl":"urn:uuid:61ebe359-bfdc-4613-8bf2-c5e300945f0a","resource":{"resourceType":"Basic","code":{"text":" a\tb\n "}},"request":{"method":"POST","url":"Basic"}}]}"#,
];

const XML: [&str; 4] = [
    r#"<?xml version="1.0" encoding="UTF-8"?><Observation xmlns="http://hl7.org/fhir"><id value="o1"/><text><status value="generated"/><div xmlns="http://www.w3.org/1999/xhtml"><b>John</b> <i a='b'>Smith</i><!-- c --><br />&lt;&#160;<![CDATA[a<b]]></div></text><contained><Patient><id value="p"/><birthDate><extension url="u"><valueCode value="unknown"/></extension></birthDate></Patient></contained><status value="final"/><code><text value="a &amp; b&#10;c"/></code><valueQuantity><value value="1.10"/></valueQuantity></Observation>"#,
    r#"<f:Patient xmlns:f="http://hl7.org/fhir" xmlns:h="http://www.w3.org/1999/xhtml"><f:text><f:status value="empty"/><h:div class="x"><h:p>y</h:p></h:div></f:text><f:active value="true"/></f:Patient>"#,
    r#"<Patient xmlns="http://hl7.org/fhir"><name id="n"><given value="A"/><given id="g"><extension url="u"><valueString value="v"/></extension></given><given value='"c"'/></name></Patient>"#,
    r#"<Bundle xmlns="http://hl7.org/fhir"><type value="batch"/><entry><resource><Binary><contentType value="text/plain"/><data value="aGk="/></Binary></resource><request><method value="POST"/><url value="Binary"/></request></entry></Bundle>"#,
];
