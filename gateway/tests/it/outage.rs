//! What is refused when something needed is away.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use registry::access::{Files, Folder, Journal};

use crate::site::{Site, patient};

/// A folder whose disk fails on demand.
struct Failing {
    inner: Folder,
    fails: Arc<AtomicBool>,
}

impl Failing {
    fn refuse(&self) -> io::Result<()> {
        match self.fails.load(Ordering::SeqCst) {
            true => Err(io::Error::other("the disk is gone")),
            false => Ok(()),
        }
    }
}

impl Files for Failing {
    fn names(&self) -> io::Result<Vec<String>> {
        self.inner.names()
    }

    fn length(&self, name: &str) -> io::Result<u64> {
        self.inner.length(name)
    }

    fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        self.inner.read(name, offset, length)
    }

    fn append(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.refuse()?;
        self.inner.append(name, bytes)
    }

    fn rewrite(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.refuse()?;
        self.inner.rewrite(name, offset, bytes)
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        self.refuse()?;
        self.inner.sync(name)
    }

    fn truncate(&self, name: &str, length: u64) -> io::Result<()> {
        self.inner.truncate(name, length)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_access_record_no_data_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let fails = Arc::new(AtomicBool::new(false));
    let inner = Folder::open(&folder.path().join("access")).unwrap();
    let journal = Journal::over(Failing { inner, fails: Arc::clone(&fails) }).unwrap();
    let site = Site::start_over(journal).await;
    let key = site.create(&patient("Ada")).await;
    site.get(&format!("/{key}")).await.expect(200);

    fails.store(true, Ordering::SeqCst);

    for path in [format!("/{key}"), format!("/{key}/_history"), "/Patient".to_owned()] {
        let refused = site.get(&path).await.expect(503);
        assert_eq!(refused.issue().0, "transient");
        assert_eq!(refused.header("retry-after"), "1");
        assert!(!refused.text().contains("Ada"));
    }
    site.get("/metadata").await.expect(200);
    site.stop().await;
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn files_that_name_patients_are_their_owners_only() {
    use std::os::unix::fs::PermissionsExt;

    let site = Site::start().await;
    site.create(&patient("Ada")).await;
    let folder = &site.app.config.data_dir;

    for name in ["registry.sqlite", "registry.sqlite-wal", "access", "objects", "keys"] {
        let mode = std::fs::metadata(folder.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name} has mode {mode:o}");
    }
    site.stop().await;
}
