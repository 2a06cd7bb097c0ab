//! Key sets: fetched, aged, lost and refused.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// A key endpoint with a switch.
struct Endpoint {
    url: String,
    answer: Arc<Mutex<Vec<u8>>>,
    asked: Arc<AtomicUsize>,
}

impl Endpoint {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let url = format!("http://{}/jwks", listener.local_addr().expect("bound"));
        let endpoint = Self { url, answer: Arc::default(), asked: Arc::default() };
        let (answer, asked) = (Arc::clone(&endpoint.answer), Arc::clone(&endpoint.asked));
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                asked.fetch_add(1, Ordering::SeqCst);
                let mut request = [0; 4096];
                let _request = socket.read(&mut request).await;
                let bytes = answer.lock().expect("no panic").clone();
                let _written = socket.write_all(&bytes).await;
            }
        });
        endpoint
    }

    fn answers(&self, head: &str, body: impl AsRef<[u8]>) {
        let body = body.as_ref();
        let length = body.len();
        let head =
            format!("HTTP/1.1 {head}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
        *self.answer.lock().expect("no panic") = [head.as_bytes(), body].concat();
    }

    fn serves(&self, keys: &Value) {
        self.answers("200 OK\r\nCache-Control: max-age=60", json!({ "keys": keys }).to_string());
    }

    fn is_away(&self) {
        self.answer.lock().expect("no panic").clear();
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn authenticator(&self) -> Authenticator {
        authenticator(IssuerSettings::new(ISSUER, AUDIENCE, KeySource::Url(self.url.clone())))
    }
}

async fn answer(gate: &Authenticator, token: &str, now: i64) -> Result<(), AuthError> {
    gate.authenticate(Some(&format!("Bearer {token}")), at(now)).await.map(|_| ())
}

/// A token that is good for the whole hour around `NOW`.
fn token(signer: &Signer, kid: &str) -> String {
    let (mut header, mut claims) = (header(), claims());
    header["kid"] = kid.into();
    claims["iat"] = NOW.into();
    claims["exp"] = (NOW + 3600).into();
    signer.sign(&header, &claims)
}

const UNKNOWN: Result<(), AuthError> = Err(AuthError::Token(TokenFault::UnknownKey));

/// B14.
#[tokio::test]
async fn an_unknown_key_causes_one_fetch_in_thirty_seconds() {
    let (endpoint, signer) = (Endpoint::start().await, Signer::new());
    endpoint.serves(&json!([signer.jwk("k1")]));
    let gate = endpoint.authenticator();
    let unknown = token(&signer, "k9");

    for turn in 0..1000 {
        assert_eq!(answer(&gate, &unknown, NOW + turn / 40).await, UNKNOWN);
    }
    assert_eq!(endpoint.asked(), 1);
    let many = (0..50).map(|_| answer(&gate, &unknown, NOW + 30));
    for answer in futures::future::join_all(many).await {
        assert_eq!(answer, UNKNOWN);
    }
    assert_eq!(endpoint.asked(), 2);
}

#[tokio::test]
async fn a_rotated_key_is_found_at_once() {
    let (endpoint, old, new) = (Endpoint::start().await, Signer::new(), Signer::new());
    endpoint.serves(&json!([old.jwk("k1")]));
    let gate = endpoint.authenticator();
    assert_eq!(answer(&gate, &token(&old, "k1"), NOW).await, Ok(()));

    endpoint.serves(&json!([old.jwk("k1"), new.jwk("k2")]));

    assert_eq!(answer(&gate, &token(&new, "k2"), NOW + 31).await, Ok(()));
}

/// B33.
#[tokio::test]
async fn a_removed_key_stops_working_when_cache_control_says() {
    let (endpoint, old, new) = (Endpoint::start().await, Signer::new(), Signer::new());
    endpoint.serves(&json!([old.jwk("k1")]));
    let gate = endpoint.authenticator();
    let token = token(&old, "k1");
    assert_eq!(answer(&gate, &token, NOW).await, Ok(()));

    endpoint.serves(&json!([new.jwk("k2")]));

    assert_eq!(answer(&gate, &token, NOW + 59).await, Ok(()), "max-age is 60");
    assert_eq!(answer(&gate, &token, NOW + 60).await, UNKNOWN);
    assert_eq!(answer(&gate, &token, NOW + 61).await, UNKNOWN);
}

#[tokio::test]
async fn a_key_replaced_under_its_old_name_invalidates_remembered_tokens() {
    let (endpoint, old, new) = (Endpoint::start().await, Signer::new(), Signer::new());
    endpoint.serves(&json!([old.jwk("k1")]));
    let gate = endpoint.authenticator();
    let token = token(&old, "k1");
    assert_eq!(answer(&gate, &token, NOW).await, Ok(()));

    endpoint.serves(&json!([new.jwk("k1")]));

    let refused = Err(AuthError::Token(TokenFault::Signature));
    assert_eq!(answer(&gate, &token, NOW + 60).await, refused);
}

#[tokio::test]
async fn keys_without_cache_control_are_fetched_again_after_five_minutes() {
    let (endpoint, signer) = (Endpoint::start().await, Signer::new());
    endpoint.answers("200 OK", json!({ "keys": [signer.jwk("k1")] }).to_string());
    let gate = endpoint.authenticator();
    let token = token(&signer, "k1");

    for (now, asked) in [(0, 1), (299, 1), (300, 2), (599, 2), (600, 3)] {
        assert_eq!(answer(&gate, &token, NOW + now).await, Ok(()));
        assert_eq!(endpoint.asked(), asked, "after {now} s");
    }
}

/// B34.
#[tokio::test]
async fn an_endpoint_that_is_away_is_bridged_for_ten_minutes_and_no_longer() {
    let (endpoint, signer) = (Endpoint::start().await, Signer::new());
    endpoint.serves(&json!([signer.jwk("k1")]));
    let gate = endpoint.authenticator();
    let token = token(&signer, "k1");
    assert_eq!(answer(&gate, &token, NOW).await, Ok(()));

    endpoint.is_away();

    for later in [61, 100, 400, 600] {
        assert_eq!(answer(&gate, &token, NOW + later).await, Ok(()), "after {later} s");
    }
    for later in [631, 632, 3000] {
        assert_eq!(answer(&gate, &token, NOW + later).await, Err(AuthError::Unavailable));
    }
    assert_eq!(AuthError::Unavailable.challenge(), None);
    endpoint.serves(&json!([signer.jwk("k1")]));
    assert_eq!(answer(&gate, &token, NOW + 3031).await, Ok(()), "and it recovers");
}

#[tokio::test]
async fn without_any_keys_nobody_is_let_in() {
    let (endpoint, signer) = (Endpoint::start().await, Signer::new());
    endpoint.is_away();
    let gate = endpoint.authenticator();

    for later in 0..10 {
        let answer = answer(&gate, &token(&signer, "k1"), NOW + later).await;
        assert_eq!(answer, Err(AuthError::Unavailable));
    }
    assert_eq!(endpoint.asked(), 1);
}

/// B35.
#[tokio::test]
async fn a_bad_key_set_leaves_the_old_keys_in_place() {
    let (endpoint, signer, other) = (Endpoint::start().await, Signer::new(), Signer::new());
    let keys = json!({ "keys": [signer.jwk("k1")] }).to_string();
    let foreign = json!({ "keys": [other.jwk("k1")] }).to_string();
    endpoint.answers("200 OK\r\nCache-Control: no-store", &keys);
    let gate = endpoint.authenticator();
    let token = token(&signer, "k1");
    assert_eq!(answer(&gate, &token, NOW).await, Ok(()));
    let small = encode([0xC1; 128]);
    let elsewhere = format!("302 Found\r\nLocation: {}", endpoint.url);
    for (turn, (head, body)) in [
        ("200 OK", "<html>login</html>".to_owned()),
        ("200 OK", " ".repeat(50 * 1024 * 1024) + &foreign),
        (elsewhere.as_str(), foreign.clone()),
        ("500 Oops", foreign.clone()),
        ("200 OK", json!({ "keys": [{ "kty": "oct", "kid": "k1", "k": "AAAA" }] }).to_string()),
        (
            "200 OK",
            json!({ "keys": [{ "kty": "RSA", "kid": "k1", "n": small, "e": "AQAB" }] }).to_string(),
        ),
        ("200 OK", json!({ "keys": [] }).to_string()),
        ("200 OK", foreign.replacen("\"kid\"", "\"d\":\"AAAA\",\"kid\"", 1)),
        ("200 OK", foreign.replacen("\"kid\"", "\"use\":\"enc\",\"kid\"", 1)),
        ("200 OK", foreign.replacen("\"kid\"", "\"key_ops\":[\"sign\"],\"kid\"", 1)),
        ("200 OK", foreign.replacen("P-256", "P-521", 1)),
    ]
    .into_iter()
    .enumerate()
    {
        endpoint.answers(head, &body);
        let now = NOW + 31 + 31 * i64::try_from(turn).expect("small");

        assert_eq!(answer(&gate, &token, now).await, Ok(()), "turn {turn}");
        assert_eq!(endpoint.asked(), turn + 2);
    }
}

#[tokio::test]
async fn a_clock_set_back_does_not_stop_fetches() {
    let (endpoint, signer) = (Endpoint::start().await, Signer::new());
    endpoint.serves(&json!([]));
    let gate = endpoint.authenticator();
    let token = token(&signer, "k1");
    assert_eq!(answer(&gate, &token, NOW + 1800).await, Err(AuthError::Unavailable));

    endpoint.serves(&json!([signer.jwk("k1")]));

    assert_eq!(answer(&gate, &token, NOW).await, Ok(()));
}

#[tokio::test]
async fn a_key_file_is_read_again_when_it_has_aged() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("jwks.json");
    let (old, new) = (Signer::new(), Signer::new());
    std::fs::write(&path, json!({ "keys": [old.jwk("k1")] }).to_string()).expect("writes");
    let gate = authenticator(IssuerSettings::new(ISSUER, AUDIENCE, KeySource::File(path.clone())));
    assert_eq!(answer(&gate, &token(&old, "k1"), NOW).await, Ok(()));

    std::fs::write(&path, json!({ "keys": [new.jwk("k2")] }).to_string()).expect("writes");

    assert_eq!(answer(&gate, &token(&new, "k2"), NOW + 1).await, Ok(()), "unknown: read again");
    assert_eq!(answer(&gate, &token(&old, "k1"), NOW + 2).await, UNKNOWN);
}

#[test]
fn a_set_up_that_cannot_work_is_refused_at_the_start() {
    let good = || KeySource::Inline(json!({ "keys": [Signer::new().jwk("k1")] }).to_string());
    let setup = |settings: Vec<IssuerSettings>| {
        Authenticator::new(settings, Vec::new(), at(NOW)).map(|_| ()).map_err(|e| e.to_string())
    };
    let with = |keys| vec![IssuerSettings::new(ISSUER, AUDIENCE, keys)];

    assert_eq!(setup(with(good())), Ok(()));
    assert!(setup([with(good()), with(good())].concat()).is_err(), "twice");
    assert!(setup(vec![IssuerSettings::new("", AUDIENCE, good())]).is_err());
    assert!(setup(vec![IssuerSettings::new(ISSUER, "", good())]).is_err());
    assert!(setup(with(KeySource::Inline("{}".into()))).is_err());
    assert!(setup(with(KeySource::File("/nowhere/jwks.json".into()))).is_err());
    assert!(setup(with(KeySource::Url("http://idp.example/jwks".into()))).is_err());
}
