//! TLS on the HTTP side.

use gateway::app::App;
use gateway::config::Config;
use gateway::gateway::Gateway;
use gateway::message::Desk;

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
