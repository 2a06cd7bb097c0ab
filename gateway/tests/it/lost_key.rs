//! A key-encryption key that is lost or another one: said as such, and never replaced in silence.

use gateway::app::{App, OpenError};

use crate::site::{Site, patient};

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_key_is_asked_for_and_not_made_anew() {
    let site = Site::start().await;
    let stored = site.create(&patient("Ada")).await;
    let config = site.app.config.clone();
    let folder = site.stop().await;
    let (kek, kept) = (config.kek_file(), folder.path().join("kept"));

    std::fs::rename(&kek, &kept).unwrap();
    let Err(OpenError::Key(lost)) = App::open(config.clone()).await else { panic!("it started") };
    assert!(lost.contains("keys/kek") && lost.contains("put it back from its backup"), "{lost}");
    assert!(!kek.exists(), "a new key opens nothing");

    // Another installation's key.
    let other = Site::start().await;
    let others = other.app.config.kek_file();
    std::fs::copy(&others, &kek).unwrap();
    other.stop().await;
    let Err(OpenError::Key(wrong)) = App::open(config.clone()).await else { panic!("it started") };
    assert!(wrong.contains("another key-encryption key"), "{wrong}");

    std::fs::rename(&kept, &kek).unwrap();
    let site = Site::open_in(config, folder).await;
    site.get(&format!("/{stored}")).await.expect(200);
    site.stop().await;
}
