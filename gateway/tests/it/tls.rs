//! TLS on the HTTP side.

use gateway::app::App;
use gateway::auth::TokenRequest;
use gateway::config::Config;
use gateway::gateway::Gateway;
use gateway::message::Desk;
use policy::Role;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::Digest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_serves_https_with_http2() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let mut config = Config::in_folder(&folder.path().join("data"));
    config.server.listen = "127.0.0.1:0".parse().unwrap();
    config.tls.certificate = Some(certificate);
    config.tls.key = Some(key);
    let gateway = Gateway::start(config, Desk::default()).await.unwrap();

    let root = reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([root]).build().unwrap();
    let url = format!("https://localhost:{}/fhir/metadata", gateway.http.port());
    let answer = client.get(&url).send().await.unwrap();

    assert_eq!(answer.version(), reqwest::Version::HTTP_2);
    let text = answer.text().await.unwrap();
    assert!(text.contains(&url.replace("/metadata", "")));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_others_reach_is_not_served_without_tls() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::in_folder(folder.path());
    config.server.listen = "0.0.0.0:0".parse().unwrap();
    let app = App::open(config).await.unwrap();

    let started = Gateway::over(std::sync::Arc::clone(&app), Desk::default()).await;
    let refused = started.err().unwrap().to_string();

    assert!(refused.contains("tls.certificate"), "{refused}");
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_of_hl7_v2_shows_a_certificate_of_the_named_authority() {
    let folder = tempfile::tempdir().unwrap();
    let authority = authority();
    let known = signed_by(&authority);
    let foreign = signed_by(&self::authority());
    let server = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        Some(path)
    };
    let mut config = Config::in_folder(&folder.path().join("data"));
    config.server.listen = "127.0.0.1:0".parse().unwrap();
    config.mllp.listen = Some("127.0.0.1:0".parse().unwrap());
    config.tls.certificate = file("cert.pem", server.cert.pem());
    config.tls.key = file("key.pem", server.signing_key.serialize_pem());
    config.mllp.client_ca = file("ca.pem", authority.0.pem());
    config.auth.dev_issuer = true;
    let gateway = Gateway::start(config, Desk::default()).await.unwrap();
    let address = gateway.mllp.unwrap();
    let trusted = server.cert.der().clone();

    assert!(converse(address, &trusted, Some(&foreign)).await.is_err());
    assert!(converse(address, &trusted, None).await.is_err());
    let acknowledged = converse(address, &trusted, Some(&known)).await.unwrap();
    assert!(acknowledged.contains("MSA|AA|M7"), "{acknowledged}");

    let name = format!("mllp:sha256:{}", hex::encode(sha2::Sha256::digest(&known.0)));
    let agents = agents_of_messages(&gateway, &server.cert.pem()).await;
    assert!(agents.contains(&name), "{agents:?} {name}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_hl7_v2_address_that_others_reach_needs_an_authority_for_its_senders() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::in_folder(folder.path());
    config.server.listen = "127.0.0.1:0".parse().unwrap();
    config.mllp.listen = Some("0.0.0.0:0".parse().unwrap());

    let refused = Gateway::start(config, Desk::default()).await.err().unwrap().to_string();

    assert!(refused.contains("mllp.client_ca"), "{refused}");
}

type Signer = (rcgen::Certificate, rcgen::KeyPair, rcgen::CertificateParams);
type Identity = (CertificateDer<'static>, PrivateKeyDer<'static>);

fn authority() -> Signer {
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap(), key, params)
}

fn signed_by((_, key, params): &Signer) -> Identity {
    let own = rcgen::KeyPair::generate().unwrap();
    let wanted = rcgen::CertificateParams::new(vec!["sender.example.org".to_owned()]).unwrap();
    let issuer = rcgen::Issuer::from_params(params, key);
    let certificate = wanted.signed_by(&own, &issuer).unwrap();
    let key = PrivateKeyDer::try_from(own.serialize_der()).unwrap();
    (certificate.der().clone(), key)
}

/// Who the AuditEvents name as agents of messages.
async fn agents_of_messages(gateway: &Gateway, root: &str) -> Vec<String> {
    let root = reqwest::Certificate::from_pem(root.as_bytes()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([root]).build().unwrap();
    let url = format!("https://localhost:{}/fhir/AuditEvent", gateway.http.port());
    let request =
        TokenRequest { role: Role::Auditor, patient: None, scope: None, lifetime_seconds: 600 };
    let issuer = gateway.app.dev_issuer.as_ref().unwrap();
    let token = issuer.token(&request, gateway::clock::now()).unwrap();
    let answer = client.get(&url).bearer_auth(token).send().await.unwrap();
    let found: serde_json::Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    let events = found["entry"].as_array().unwrap().iter().map(|entry| &entry["resource"]);
    events
        .filter(|event| event["subtype"][0]["code"] == "transaction")
        .flat_map(|event| event["agent"].as_array().unwrap())
        .filter_map(|agent| Some(agent["who"]["display"].as_str()?.to_owned()))
        .collect()
}

/// Sends an admission and gives the acknowledgement.
async fn converse(
    address: std::net::SocketAddr,
    trusted: &CertificateDer<'static>,
    own: Option<&Identity>,
) -> std::io::Result<String> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match own {
        Some((certificate, key)) => {
            builder.with_client_auth_cert(vec![certificate.clone()], key.clone_key()).unwrap()
        }
        None => builder.with_no_client_auth(),
    };
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let socket = tokio::net::TcpStream::connect(address).await?;
    let mut socket = connector.connect("localhost".try_into().unwrap(), socket).await?;
    let message = "MSH|^~\\&|LAB|NORTH|GW|NORTH|20260301101500+0000||ADT^A01^ADT_A01|M7|P|2.5.1\r\
        EVN|A01|20260301101500+0000\rPID|1||17^^^NORTH^MR||Example^Ada||19600102|F\r\
        PV1|1|I|WARD^1^A|||||||||||||||||V17^^^NORTH^VN\r";
    socket.write_all(format!("\x0b{message}\x1c\r").as_bytes()).await?;
    let mut answer = vec![0; 4096];
    let read = socket.read(&mut answer).await?;
    if read == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(String::from_utf8_lossy(&answer[..read]).into_owned())
}
