//! Files that are no longer files of ours: pages overwritten, cut, gone.

use crate::process::sealway;

use super::folder::Folder;

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_with_any_page_overwritten_is_a_finding_and_no_failure() {
    let folder = Folder::make(None).await;
    folder.execute("vacuum").unwrap();
    let sound = std::fs::read(folder.database()).unwrap();
    assert_eq!(folder.problems().await, Vec::<String>::new());

    for page in 0..sound.len() / PAGE_BYTES {
        let mut damaged = sound.clone();
        for (at, byte) in damaged[page * PAGE_BYTES..(page + 1) * PAGE_BYTES].iter_mut().enumerate()
        {
            *byte = u8::try_from(at % 251).unwrap();
        }
        folder.restore(&damaged);

        let problems = folder.problems().await;

        assert!(
            problems.iter().any(|one| one.contains("registry.sqlite")),
            "page {page}: {problems:#?}"
        );
        assert!(problems.len() < 200, "page {page}: {}", problems.len());
        folder.restore(&sound);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_or_foreign_registry_is_a_finding() {
    let folder = Folder::make(None).await;
    let sound = std::fs::read(folder.database()).unwrap();
    let cuts = [0, 1, 99, PAGE_BYTES, sound.len() / 2, sound.len() - 1];
    let mut damaged: Vec<Vec<u8>> = cuts.iter().map(|cut| sound[..*cut].to_vec()).collect();
    damaged.push(b"this is not a database at all".repeat(1_000));

    for bytes in damaged {
        folder.restore(&bytes);
        let problems = folder.problems().await;
        assert!(
            problems.iter().any(|one| one.contains("registry.sqlite")),
            "{} bytes: {problems:#?}",
            bytes.len()
        );
        assert_eq!(std::fs::metadata(folder.database()).unwrap().len(), bytes.len() as u64);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exit_code_tells_tampering_from_what_cannot_be_checked() {
    let folder = Folder::make(None).await;
    let run = |arguments: &[&str]| {
        let mut command = sealway(folder.path());
        let said = command.args(["ledger", "fsck"]).args(arguments).output().unwrap();
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        (said.status.code().unwrap(), text + &String::from_utf8_lossy(&said.stderr))
    };
    let sound = std::fs::read(folder.database()).unwrap();

    let (code, said) = run(&[]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("✓ all is well"), "{said}");

    let (code, said) = run(&["--quick"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("not compared"), "{said}");

    folder.execute("delete from search_number").unwrap();
    assert_eq!(run(&["--quick"]).0, 0, "the index is left out");
    let (code, said) = run(&[]);
    assert_eq!(code, 10, "{said}");
    assert!(said.contains("search_number lacks a row"), "{said}");

    let mut damaged = sound.clone();
    damaged[PAGE_BYTES..3 * PAGE_BYTES].fill(0x5A);
    folder.restore(&damaged);
    let (code, said) = run(&[]);
    assert_eq!(code, 10, "{said}");
    assert!(said.contains("registry.sqlite"), "{said}");

    folder.restore(&sound);
    std::fs::rename(folder.database(), folder.path().join("elsewhere")).unwrap();
    let (code, said) = run(&[]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("is not there"), "{said}");
    assert!(!folder.database().exists(), "nothing is made");
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_of_the_journal_is_told_once_and_nothing_is_cut() {
    let folder = Folder::make(None).await;
    let files = folder.files("access");
    assert_eq!(files.len(), 1, "{files:?}");
    let sound = std::fs::read(&files[0]).unwrap();
    let records = folder.findings().await.accesses_good;
    assert!(records > 15, "{records}");

    let mut hurt = sound.clone();
    hurt[sound.len() / 3..sound.len() / 3 + 500].fill(0);
    for damaged in [hurt, sound[..sound.len() - 1].to_vec(), sound[..30].to_vec(), Vec::new()] {
        std::fs::write(&files[0], &damaged).unwrap();
        let findings = folder.findings().await;
        assert!(matches!(findings.problem_count, 1..=2), "{:#?}", findings.problems);
        assert!(findings.problems[0].contains("access"), "{:#?}", findings.problems);
        assert!(findings.accesses_good < records);
        assert_eq!(std::fs::read(&files[0]).unwrap(), damaged, "it is left as it is");
    }
    std::fs::remove_file(&files[0]).unwrap();
    assert_eq!(folder.findings().await.problem_count, 1);

    // What a crash leaves of a batch that nobody was told of.
    std::fs::write(&files[0], [&sound[..], b"BTCH\x99\x00\x00"].concat()).unwrap();
    assert_eq!(folder.problems().await, Vec::<String>::new());
}

const PAGE_BYTES: usize = 8192;

#[tokio::test(flavor = "multi_thread")]
async fn a_tile_that_a_kill_left_half_written_was_never_part_of_the_log() {
    let folder = Folder::make(None).await;
    let tiles = folder.files("log/tile");
    let partial = tiles.iter().filter(|path| path.parent().unwrap().extension().is_some());
    let left: Vec<_> = partial.map(|path| format!("{}.tmp", path.display())).collect();
    assert!(!left.is_empty());
    for path in left {
        std::fs::write(path, b"half of").unwrap();
    }

    assert_eq!(folder.problems().await, Vec::<String>::new());
}
