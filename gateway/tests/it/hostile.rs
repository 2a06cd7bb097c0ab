//! Bad input: a clear refusal, and the server goes on.

use std::io::Write;

use reqwest::Method;
use serde_json::json;

use crate::site::{Answer, JSON, Site, TYPE, patient};

async fn post_raw(site: &Site, body: impl Into<reqwest::Body>) -> Answer {
    Answer::of(site.request(Method::POST, "/Patient").header(TYPE, JSON).body(body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_reader_refuses_is_400_with_its_place() {
    let site = Site::start().await;
    let cases = [
        (r#"{"resourceType":"Patient","colour":"red"}"#, "Patient.colour"),
        (r#"{"resourceType":"Patient","active":"yes"}"#, "Patient.active"),
        (r#"{"resourceType":"Patient","name":[{"family":""}]}"#, "Patient.name[0].family"),
        (r#"{"resourceType":"Patient","name":[]}"#, "Patient.name"),
        (r#"{"resourceType":"Patient","birthDate":"2020-13-01"}"#, "Patient.birthDate"),
        (r#"{"resourceType":"Patient","gender":"purple"}"#, "Patient.gender"),
    ];

    for (body, place) in cases {
        let refused = post_raw(&site, body).await.expect(400);
        assert_eq!(refused.issue().1, place, "{body}");
        assert!(!refused.header("x-request-id").is_empty());
    }
    post_raw(&site, r#"{"resourceType":"Patient","active":true,"active":true}"#).await.expect(400);
    post_raw(&site, r#"{"resourceType":"Patient"} x"#).await.expect(400);
    post_raw(&site, "[".repeat(10_000)).await.expect(400);
    assert_eq!(site.count("Patient").await, 0);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_sixty_megabytes_is_413() {
    let site = Site::start().await;

    // The server may answer and close before it has read everything.
    let request =
        site.request(Method::POST, "/Patient").header(TYPE, JSON).body(vec![b' '; 60 << 20]);
    if let Ok(answer) = request.send().await {
        assert_eq!(answer.status().as_u16(), 413);
    }

    site.get("/Patient").await.expect(200);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gzip_bomb_is_413_and_a_gzipped_resource_is_stored() {
    let site = Site::start_with(|config| config.server.body_bytes_max = 1 << 20).await;
    let pack = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let bomb = pack(&vec![b' '; 64 << 20]);
    let send = |body: Vec<u8>| {
        let request = site.request(Method::POST, "/Patient").header(TYPE, JSON);
        Answer::of(request.header("content-encoding", "gzip").body(body))
    };

    send(bomb).await.expect(413);
    send(pack(patient("Ada").to_string().as_bytes())).await.expect(201);
    send(b"no gzip".to_vec()).await.expect(400);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_host_is_misdirected() {
    let site = Site::start().await;

    let foreign = site.request(Method::GET, "/Patient").header("host", "evil.example.org");
    let refused = Answer::of(foreign).await.expect(421);

    assert_eq!(refused.issue().0, "invalid");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_that_are_not_offered_are_406_and_415() {
    let site = Site::start().await;
    let path = format!("/{}", site.create(&patient("Ada")).await);

    let turtle = site.request(Method::GET, &path).header("accept", "application/fhir+turtle");
    Answer::of(turtle).await.expect(406);
    let both = site
        .request(Method::GET, &path)
        .header("accept", "application/fhir+xml;q=1.0, application/fhir+json;q=1.0");
    Answer::of(both).await.expect(200);
    let legacy = site.request(Method::GET, &path).header("accept", "application/json+fhir");
    Answer::of(legacy).await.expect(200);
    let body = site
        .request(Method::POST, "/Patient")
        .header(TYPE, "application/fhir+turtle")
        .body("<Patient/>");
    Answer::of(body).await.expect(415);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_places_and_methods_are_outcomes() {
    let site = Site::start().await;

    site.get("/Dragon/1").await.expect(404).issue();
    site.get("/Patient/1/2/3/4").await.expect(404).issue();
    Answer::of(site.request(Method::TRACE, "/Patient/1")).await.expect(405).issue();
    Answer::of(site.anonymous(Method::GET, "/nowhere")).await.expect(404).issue();
    let mismatched =
        json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"}});
    site.post("/Patient", &mismatched).await.expect(400);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_authorization_headers_are_refused_whichever_stands_first() {
    let site = Site::start().await;
    let token = site.token_of(policy::Role::System, None);
    let both = [format!("Bearer {token}"), "Bearer nobody".to_owned()];

    for first in [0, 1] {
        let request = site.anonymous(Method::GET, "/fhir/Patient");
        let request = request.header("authorization", &both[first]);
        let refused = Answer::of(request.header("authorization", &both[1 - first])).await;
        let text = refused.expect(400).text();
        assert!(text.contains("Authorization"), "{text}");
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_half_open_connections_do_not_stop_the_others() {
    use tokio::io::AsyncWriteExt;

    let site = Site::start_with(|config| config.server.header_timeout_ms = 1_000).await;
    let address = site.root.strip_prefix("http://").unwrap().to_owned();
    let mut half_open = Vec::new();
    for _ in 0..1_000 {
        let Ok(mut stream) = tokio::net::TcpStream::connect(&address).await else { break };
        stream.write_all(b"GET /fhir/Patient HTTP/1.1\r\nHost: loc").await.unwrap();
        half_open.push(stream);
    }

    site.get("/Patient").await.expect(200);

    assert!(half_open.len() > 200, "{} connections", half_open.len());
    drop(half_open);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_announced_and_never_sent_hold_nobody_up() {
    use tokio::io::AsyncWriteExt;

    let site = Site::start().await;
    let address = site.root.strip_prefix("http://").unwrap().to_owned();
    let token = site.token_of(policy::Role::System, None);
    let mut silent = Vec::new();
    for _ in 0..20 {
        let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
        let head = format!(
            "POST /fhir HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: {JSON}\r\nContent-Length: 33554432\r\n\r\n{{"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        silent.push(stream);
    }

    for _ in 0..20 {
        site.create(&patient("Ada")).await;
    }
    drop(silent);
    site.stop().await;
}

/// A request that is meant to exhaust memory.
#[cfg(target_os = "linux")]
#[derive(Clone)]
struct Hostile {
    path: &'static str,
    body: Vec<u8>,
    packed: bool,
    /// Whether its length is told.
    sized: bool,
}

#[cfg(target_os = "linux")]
impl Hostile {
    fn all() -> Vec<Self> {
        let pack = |bytes: &[u8]| {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        };
        let spaces = vec![b' '; 60 << 20];
        let nested = br#"{"resourceType":"Patient","extension":"#.to_vec();
        let nested = [nested, br#"[{"url":"u","extension":"#.repeat(10_000)].concat();
        let many = [b"[".to_vec(), b"{},".repeat(10 << 20)].concat();
        let plain = |path, body| Self { path, body, packed: false, sized: true };
        let packed = |path, body: &[u8]| Self { packed: true, ..plain(path, pack(body)) };
        vec![
            plain("/Patient", spaces.clone()),
            Self { sized: false, ..plain("/Patient", spaces.clone()) },
            plain("", spaces.clone()),
            plain("/Patient", nested),
            packed("/Patient", &spaces),
            packed("", &vec![b' '; 1 << 30]),
            plain("", many),
        ]
    }

    fn request(self, client: &reqwest::Client, base: &str, token: &str) -> reqwest::RequestBuilder {
        let request = client.post(format!("{base}{}", self.path)).bearer_auth(token);
        let request = request.header(TYPE, JSON);
        let request = match self.packed {
            true => request.header("content-encoding", "gzip"),
            false => request,
        };
        if self.sized {
            return request.body(self.body);
        }
        let chunks: Vec<_> = self.body.chunks(1 << 16).map(<[u8]>::to_vec).collect();
        let chunks = futures::stream::iter(chunks.into_iter().map(Ok::<_, std::io::Error>));
        request.body(reqwest::Body::wrap_stream(chunks))
    }
}

/// One after the other, beside a thousand half-open connections, against the program itself.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn memory_stays_below_300_mb_under_hostile_input() {
    use tokio::io::AsyncWriteExt;

    let folder = tempfile::tempdir().unwrap();
    let gateway = crate::process::Process::start(folder.path());
    let client = reqwest::Client::new();
    let address = gateway.base.trim_start_matches("http://").trim_end_matches("/fhir").to_owned();
    let mut half_open = Vec::new();
    for _ in 0..1_000 {
        let Ok(mut stream) = tokio::net::TcpStream::connect(&address).await else { break };
        stream.write_all(b"POST /fhir/Patient HTTP/1.1\r\nHost: loc").await.unwrap();
        half_open.push(stream);
    }
    assert!(half_open.len() > 200, "{} connections", half_open.len());
    let mut answered = 0;
    for one in Hostile::all().into_iter().cycle().take(14) {
        // The server may answer and close before it has read everything.
        let sent = one.request(&client, &gateway.base, &gateway.token).send().await;
        let Ok(answer) = sent else { continue };
        assert!([400, 413, 429].contains(&answer.status().as_u16()), "{}", answer.status());
        answered += 1;
    }
    assert!(answered >= 7, "{answered} of 14 were answered");

    let create = client.post(format!("{}/Patient", gateway.base)).bearer_auth(&gateway.token);
    let created = create.json(&patient("Ada")).send().await.unwrap();
    assert_eq!(created.status().as_u16(), 201, "the server goes on serving");
    let peak = gateway.memory_peak();
    eprintln!("peak memory {} MB", peak / 1_000_000);
    assert!(peak < 300_000_000, "{peak} bytes");
}
