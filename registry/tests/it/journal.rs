//! The access journal: durable before the answer, whole after a cut, refusing after a failure.

use std::path::Path;

use futures::future::join_all;
use registry::access::{Journal, JournalError};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Runtime::new().unwrap()
}

async fn append(journal: &Journal, number: u8) -> u64 {
    let body = vec![number; usize::from(number) * 3];
    journal.append([number; 16], [number; 36], body).await.unwrap()
}

fn newest_segment(folder: &Path) -> std::path::PathBuf {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    names.filter(|path| path.extension().is_some_and(|end| end == "journal")).max().unwrap()
}

#[test]
fn records_are_read_back_in_order_across_reopening() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let journal = Journal::open(folder.path()).unwrap();
        assert_eq!(journal.position(), 0);
        assert_eq!(append(&journal, 1).await, 1);
        join_all((2..=40).map(|number| append(&journal, number))).await;
        drop(journal);

        let journal = Journal::open(folder.path()).unwrap();
        assert_eq!(append(&journal, 41).await, 41);
        let all = journal.records(0, 100).await.unwrap();
        let some = journal.entries(17, 5).await.unwrap();
        let more = journal.entries(22, 100).await.unwrap();

        let positions: Vec<u64> = all.iter().map(|record| record.position).collect();
        assert_eq!(positions, (1..=41).collect::<Vec<u64>>());
        assert!(all.iter().all(|record| record.body.len() == usize::from(record.entry[0]) * 3));
        assert_eq!(
            some.iter().map(|entry| entry.position).collect::<Vec<_>>(),
            [18, 19, 20, 21, 22]
        );
        assert_eq!(more.len(), 19);
        assert!(journal.records(41, 10).await.unwrap().is_empty());
    });
}

#[test]
fn a_torn_tail_is_cut_away_and_the_next_record_takes_its_place() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let journal = Journal::open(folder.path()).unwrap();
        append(&journal, 1).await;
        append(&journal, 2).await;
        drop(journal);
        let segment = newest_segment(folder.path());
        let bytes = std::fs::read(&segment).unwrap();
        std::fs::write(&segment, &bytes[..bytes.len() - 1]).unwrap();

        let journal = Journal::open(folder.path()).unwrap();
        assert_eq!(journal.position(), 1);
        assert_eq!(append(&journal, 3).await, 2);

        let records = journal.records(0, 10).await.unwrap();
        assert_eq!(records.iter().map(|record| record.entry[0]).collect::<Vec<_>>(), [1, 3]);
    });
}

#[test]
fn damage_in_durable_records_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let journal = Journal::open(folder.path()).unwrap();
        append(&journal, 1).await;
        append(&journal, 2).await;
        drop(journal);
        let segment = newest_segment(folder.path());
        let mut bytes = std::fs::read(&segment).unwrap();
        bytes[60] ^= 1;
        std::fs::write(&segment, &bytes).unwrap();

        let refused = Journal::open(folder.path());

        assert!(matches!(refused, Err(JournalError::Damaged(1))));
    });
}

#[test]
fn a_second_process_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let _first = Journal::open(folder.path()).unwrap();

    assert!(Journal::open(folder.path()).is_err());
}
