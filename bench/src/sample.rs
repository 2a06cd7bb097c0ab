//! Resources to create: the nine types of HealthSamurai's CRUD benchmark, with all elements that R4 requires.
//!
//! Sizes are near that benchmark's (0.5 to 5 KB). Everything is invented. Not here: sending them (`workload`).

/// The types in the order in which they are created: each refers only to earlier ones.
pub const TYPES: [&str; 9] = [
    "Patient",
    "Location",
    "Organization",
    "Practitioner",
    "Encounter",
    "Observation",
    "MedicationRequest",
    "Claim",
    "ExplanationOfBenefit",
];

/// References of one client's latest resources, such as `Patient/1`; empty before the first.
pub type Latest = [String; 9];

/// A resource of type number `kind`, the `turn`th of its client. With an id it is an update, one field changed.
pub fn resource(
    kind: usize,
    client: usize,
    turn: usize,
    id: Option<&str>,
    latest: &Latest,
) -> String {
    let head = match id {
        Some(id) => format!(r#"{{"resourceType":"{}","id":"{id}","#, TYPES[kind]),
        None => format!(r#"{{"resourceType":"{}","#, TYPES[kind]),
    };
    let number = client * 1_000_000 + turn;
    let changed = id.is_some();
    let body = match kind {
        0 => patient(number, changed),
        1 => location(number, changed),
        2 => organization(number, changed),
        3 => practitioner(number, changed),
        4 => encounter(number, changed, latest),
        5 => observation(number, changed, latest),
        6 => medication_request(changed, latest),
        7 => claim(number, changed, latest),
        _ => explanation_of_benefit(number, changed, latest),
    };
    head + &body
}

/// Blaze's transaction: one patient and one blood pressure of theirs.
pub fn transaction(client: usize, turn: usize) -> String {
    let number = client * 1_000_003 + turn * 7919;
    let (year, month, day) = (1940 + number % 80, 1 + number % 12, 1 + number % 28);
    let value = 90 + number % 91;
    let uuid = format!("00000000-0000-4000-8000-{:012x}", number % (1 << 40));
    format!(
        r#"{{"resourceType":"Bundle","type":"transaction","entry":[{{"fullUrl":"urn:uuid:{uuid}","resource":{{"resourceType":"Patient","birthDate":"{year}-{month:02}-{day:02}"}},"request":{{"method":"POST","url":"Patient"}}}},{{"resource":{{"resourceType":"Observation","status":"final","code":{{"coding":[{{"system":"http://loinc.org","code":"8480-6"}}]}},"subject":{{"reference":"urn:uuid:{uuid}"}},"valueQuantity":{{"value":{value},"unit":"mm[Hg]","system":"http://unitsofmeasure.org","code":"mm[Hg]"}}}},"request":{{"method":"POST","url":"Observation"}}}}]}}"#
    )
}

fn reference(latest: &Latest, kind: usize) -> String {
    match latest[kind].as_str() {
        "" => format!(r#"{{"display":"{}"}}"#, TYPES[kind]),
        reference => format!(r#"{{"reference":"{reference}"}}"#),
    }
}

fn patient(number: usize, changed: bool) -> String {
    let gender = if changed { "other" } else { ["female", "male"][number % 2] };
    let family = format!("{}{}", FAMILIES[number % FAMILIES.len()], number % 1000);
    let given = GIVEN[number / 7 % GIVEN.len()];
    let (month, day) = (1 + number % 12, 1 + number % 28);
    let year = 1930 + number % 90;
    format!(
        r#""text":{{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>{given} {family}, born {year}-{month:02}-{day:02}</p></div>"}},"extension":[{{"url":"http://example.org/fhir/birthPlace","valueAddress":{{"city":"Springfield","state":"Massachusetts","country":"US"}}}},{{"url":"http://example.org/fhir/adjusted-years","valueDecimal":{number}.25}}],"identifier":[{{"system":"http://example.org/mrn","value":"M{number}"}},{{"type":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"SS","display":"Social Security Number"}}],"text":"Social Security Number"}},"system":"http://example.org/ssn","value":"999-{number}"}},{{"type":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"DL"}}]}},"system":"http://example.org/licence","value":"S{number}"}}],"active":true,"name":[{{"use":"official","family":"{family}","given":["{given}"],"prefix":["Mx."]}},{{"use":"nickname","given":["{given}y"]}}],"telecom":[{{"system":"phone","value":"555-{number}","use":"home"}},{{"system":"email","value":"p{number}@example.org"}}],"gender":"{gender}","birthDate":"{year}-{month:02}-{day:02}","deceasedBoolean":false,"address":[{{"use":"home","line":["{number} Main Street"],"city":"Springfield","state":"Massachusetts","postalCode":"01{:03}","country":"US"}}],"maritalStatus":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/v3-MaritalStatus","code":"M","display":"Married"}}],"text":"Married"}},"multipleBirthBoolean":false,"communication":[{{"language":{{"coding":[{{"system":"urn:ietf:bcp:47","code":"en-US","display":"English"}}],"text":"English"}},"preferred":true}}],"contact":[{{"relationship":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/v2-0131","code":"N"}}]}}],"name":{{"family":"{family}","given":["Robin"]}},"telecom":[{{"system":"phone","value":"556-{number}"}}]}}]}}"#,
        number % 1000
    )
}

fn location(number: usize, changed: bool) -> String {
    let status = if changed { "suspended" } else { "active" };
    format!(
        r#""identifier":[{{"system":"http://example.org/location","value":"L{number}"}}],"status":"{status}","name":"Ward {number}","description":"A ward of the general hospital, second floor","mode":"instance","telecom":[{{"system":"phone","value":"557-{number}"}}],"address":{{"line":["1 Hospital Way"],"city":"Springfield","state":"Massachusetts","postalCode":"01101","country":"US"}},"position":{{"longitude":-72.5,"latitude":42.1}}}}"#
    )
}

fn organization(number: usize, changed: bool) -> String {
    let name = if changed { "General Hospital (renamed)" } else { "General Hospital" };
    format!(
        r#""identifier":[{{"system":"http://example.org/organization","value":"O{number}"}}],"active":true,"type":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/organization-type","code":"prov","display":"Healthcare Provider"}}]}}],"name":"{name} {number}","telecom":[{{"system":"phone","value":"558-{number}"}}],"address":[{{"line":["1 Hospital Way"],"city":"Springfield","country":"US"}}]}}"#
    )
}

fn practitioner(number: usize, changed: bool) -> String {
    let gender = if changed { "unknown" } else { "female" };
    format!(
        r#""identifier":[{{"system":"http://hl7.org/fhir/sid/us-npi","value":"{number}"}}],"active":true,"name":[{{"family":"{}{number}","given":["Sam"],"prefix":["Dr."]}}],"telecom":[{{"system":"email","value":"d{number}@example.org","use":"work"}}],"address":[{{"line":["1 Hospital Way"],"city":"Springfield","state":"Massachusetts","postalCode":"01101","country":"US"}}],"gender":"{gender}"}}"#,
        FAMILIES[number % FAMILIES.len()]
    )
}

fn encounter(number: usize, changed: bool, latest: &Latest) -> String {
    let status = if changed { "finished" } else { "in-progress" };
    let day = 1 + number % 28;
    format!(
        r#""identifier":[{{"system":"http://example.org/encounter","value":"E{number}"}}],"status":"{status}","class":{{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"AMB"}},"type":[{{"coding":[{{"system":"http://snomed.info/sct","code":"162673000","display":"General examination of patient (procedure)"}}],"text":"General examination"}}],"subject":{},"participant":[{{"type":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/v3-ParticipationType","code":"PPRF","display":"primary performer"}}]}}],"period":{{"start":"2024-03-{day:02}T08:00:00Z","end":"2024-03-{day:02}T08:30:00Z"}},"individual":{}}}],"period":{{"start":"2024-03-{day:02}T08:00:00Z","end":"2024-03-{day:02}T08:30:00Z"}},"location":[{{"location":{}}}],"serviceProvider":{}}}"#,
        reference(latest, 0),
        reference(latest, 3),
        reference(latest, 1),
        reference(latest, 2)
    )
}

fn observation(number: usize, changed: bool, latest: &Latest) -> String {
    let status = if changed { "amended" } else { "final" };
    let (day, value) = (1 + number % 28, 150 + number % 50);
    format!(
        r#""status":"{status}","category":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs","display":"vital-signs"}}]}}],"code":{{"coding":[{{"system":"http://loinc.org","code":"8302-2","display":"Body Height"}}],"text":"Body Height"}},"subject":{},"encounter":{},"effectiveDateTime":"2024-03-{day:02}T08:10:00Z","issued":"2024-03-{day:02}T08:10:00.000Z","performer":[{}],"valueQuantity":{{"value":{value}.5,"unit":"cm","system":"http://unitsofmeasure.org","code":"cm"}}}}"#,
        reference(latest, 0),
        reference(latest, 4),
        reference(latest, 3)
    )
}

fn medication_request(changed: bool, latest: &Latest) -> String {
    let status = if changed { "completed" } else { "active" };
    format!(
        r#""status":"{status}","intent":"order","medicationCodeableConcept":{{"coding":[{{"system":"http://www.nlm.nih.gov/research/umls/rxnorm","code":"313782","display":"Acetaminophen 325 MG Oral Tablet"}}],"text":"Acetaminophen 325 MG Oral Tablet"}},"subject":{},"encounter":{},"authoredOn":"2024-03-01T08:15:00Z","requester":{},"dosageInstruction":[{{"sequence":1,"text":"as needed","asNeededBoolean":true}}]}}"#,
        reference(latest, 0),
        reference(latest, 4),
        reference(latest, 3)
    )
}

fn claim(number: usize, changed: bool, latest: &Latest) -> String {
    let created = if changed { "2024-03-02" } else { "2024-03-01" };
    format!(
        r#""status":"active","type":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/claim-type","code":"professional"}}]}},"use":"claim","patient":{},"billablePeriod":{{"start":"2024-03-01T08:00:00Z","end":"2024-03-01T08:30:00Z"}},"created":"{created}","provider":{},"priority":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/processpriority","code":"normal"}}]}},"insurance":[{{"sequence":1,"focal":true,"coverage":{{"display":"General Insurance"}}}}],"item":[{{"sequence":1,"productOrService":{{"coding":[{{"system":"http://snomed.info/sct","code":"162673000","display":"General examination of patient (procedure)"}}],"text":"General examination"}},"encounter":[{}]}}],"total":{{"value":{number}.15,"currency":"USD"}}}}"#,
        reference(latest, 0),
        reference(latest, 2),
        reference(latest, 4)
    )
}

fn explanation_of_benefit(number: usize, changed: bool, latest: &Latest) -> String {
    let created = if changed { "2024-03-03" } else { "2024-03-02" };
    let item = |sequence: usize| {
        format!(
            r#"{{"sequence":{sequence},"category":{{"coding":[{{"system":"https://bluebutton.cms.gov/resources/variables/line_cms_type_srvc_cd","code":"1","display":"Medical care"}}]}},"productOrService":{{"coding":[{{"system":"http://snomed.info/sct","code":"162673000","display":"General examination of patient (procedure)"}}],"text":"General examination"}},"servicedPeriod":{{"start":"2024-03-01T08:00:00Z","end":"2024-03-01T08:30:00Z"}},"locationCodeableConcept":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/ex-serviceplace","code":"19","display":"Off Campus-Outpatient Hospital"}}]}},"net":{{"value":129.16,"currency":"USD"}},"adjudication":[{{"category":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/adjudication","code":"submitted","display":"Submitted Amount"}}]}},"amount":{{"value":129.16,"currency":"USD"}}}},{{"category":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/adjudication","code":"benefit","display":"Benefit Amount"}}]}},"amount":{{"value":103.33,"currency":"USD"}}}}]}}"#
        )
    };
    let items = (1..=4).map(item).collect::<Vec<_>>().join(",");
    let (patient, provider, encounter) =
        (reference(latest, 0), reference(latest, 3), reference(latest, 4));
    format!(
        r##""contained":[{{"resourceType":"ServiceRequest","id":"referral","status":"completed","intent":"order","subject":{patient},"requester":{provider},"performer":[{provider}]}},{{"resourceType":"Coverage","id":"coverage","status":"active","type":{{"text":"General Insurance"}},"beneficiary":{patient},"payor":[{{"display":"General Insurance"}}]}}],"identifier":[{{"system":"http://example.org/claim","value":"C{number}"}}],"status":"active","type":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/claim-type","code":"professional"}}]}},"use":"claim","patient":{patient},"billablePeriod":{{"start":"2024-03-01T08:00:00Z","end":"2025-03-01T08:30:00Z"}},"created":"{created}","insurer":{{"display":"General Insurance"}},"provider":{provider},"referral":{{"reference":"#referral"}},"outcome":"complete","careTeam":[{{"sequence":1,"provider":{provider},"role":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/claimcareteamrole","code":"primary","display":"Primary Care Practitioner"}}]}}}}],"insurance":[{{"focal":true,"coverage":{{"reference":"#coverage"}}}}],"item":[{items}],"total":[{{"category":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/adjudication","code":"submitted"}}],"text":"Submitted Amount"}},"amount":{{"value":516.64,"currency":"USD"}}}}],"payment":{{"amount":{{"value":413.32,"currency":"USD"}}}},"supportingInfo":[{{"sequence":1,"category":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/claiminformationcategory","code":"info"}}]}},"valueReference":{encounter}}}]}}"##
    )
}

const FAMILIES: [&str; 8] =
    ["Hollow", "Marsh", "Okafor", "Lindqvist", "Tanaka", "Moreau", "Petrov", "Kim"];
const GIVEN: [&str; 8] = ["Ada", "Bo", "Chi", "Dana", "Eli", "Fay", "Gil", "Hana"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_is_json_of_its_type_and_size() {
        let none = Latest::default();
        let some = TYPES.map(|name| format!("{name}/1"));
        let mut bytes = 0;
        for (kind, name) in TYPES.iter().enumerate() {
            for (id, latest) in [(None, &none), (Some("abc"), &some)] {
                let text = resource(kind, 3, 7, id, latest);
                let value: serde_json::Value = serde_json::from_str(&text).unwrap();
                assert_eq!(value["resourceType"], *name);
                assert_eq!(value["id"].as_str(), id);
            }
            bytes += resource(kind, 3, 7, None, &some).len();
        }
        assert!((10_000..16_000).contains(&bytes), "{bytes} bytes a round");
        let bundle: serde_json::Value = serde_json::from_str(&transaction(1, 2)).unwrap();
        assert_eq!(bundle["entry"].as_array().map(Vec::len), Some(2));
    }
}
