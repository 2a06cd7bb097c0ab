//! One process at a time seals what a PostgreSQL database holds.

use std::time::Duration;

use registry::error::{CommitError, SequencerError};
use registry::outbox::SealedRange;
use registry::postgres::PostgresStore;
use registry::store::Store;
use sqlx::{Connection, PgConnection};

use crate::cluster::{self, Cluster};
use crate::sets::{commit_one, write};

/// Ends the connection that holds the right to seal, as an operator or a failover would.
async fn cut(url: &str) {
    let mut conn = PgConnection::connect(url).await.unwrap();
    let ended: Vec<bool> = sqlx::query_scalar(
        "select pg_terminate_backend(pid) from pg_stat_activity join pg_locks using (pid)
         where application_name = 'sealway sequencer' and datname = current_database()
           and locktype = 'advisory' and granted",
    )
    .fetch_all(&mut conn)
    .await
    .unwrap();
    assert_eq!(ended, [true], "one connection holds the right");
}

async fn wait_until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..400 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{what}");
}

/// Commits one resource and tries to record that its entry stands at `index`.
async fn seal_one(store: &PostgresStore, name: &str, index: u64) -> Result<(), CommitError> {
    commit_one(store, write(name, None, "to be sealed")).await.unwrap();
    let waiting = store.outbox(0, 10).await.unwrap();
    let outbox_ids = waiting.iter().map(|row| Some(row.outbox_id)).collect();
    store.mark_sealed(vec![SealedRange { first_index: index, outbox_ids }]).await
}

#[test]
fn the_right_to_seal_has_one_holder_and_goes_on_when_it_leaves() {
    let Some(cluster) = Cluster::shared() else { return };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let url = cluster.database().await;
        let (first, second) = (cluster::open(&url).await, cluster::open(&url).await);
        first.take_sequencer().await.unwrap();

        let refused = second.take_sequencer().await;

        let Err(SequencerError::Taken(holder)) = refused else { panic!("{refused:?}") };
        assert!(holder.contains("on the server's host, since 2"), "{holder}");
        assert!(first.is_sequencer());
        seal_one(&first, "Organization/a", 0).await.unwrap();
        drop(first);
        second.take_sequencer().await.unwrap();
        seal_one(&second, "Organization/b", 1).await.unwrap();
        assert_eq!(second.sealed_size().await.unwrap(), 2);
    });
}

#[test]
fn a_lost_right_is_noticed_and_taken_again() {
    let Some(cluster) = Cluster::shared() else { return };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let url = cluster.database().await;
        let store = cluster::open(&url).await;
        store.take_sequencer().await.unwrap();
        let before = store.sequencer_epoch().await.unwrap().expect("the right is held");
        assert_eq!(store.sequencer_epoch().await.unwrap(), Some(before));

        cut(&url).await;

        wait_until("the loss is noticed", || !store.is_sequencer()).await;
        wait_until("the right is taken again", || store.is_sequencer()).await;
        // Who looks only now sees that it was lost in between.
        assert_eq!(store.sequencer_epoch().await.unwrap(), Some(before + 1));
        seal_one(&store, "Organization/a", 0).await.unwrap();
    });
}

#[test]
fn who_was_fenced_out_marks_nothing_even_before_it_knows() {
    let Some(cluster) = Cluster::shared() else { return };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let url = cluster.database().await;
        let (old, new) = (cluster::open(&url).await, cluster::open(&url).await);
        old.take_sequencer().await.unwrap();

        // The new one waits at the door, so that it is in before the old one can come back.
        let (taken, ()) = tokio::join!(new.take_sequencer(), cut(&url));
        taken.unwrap();

        assert_eq!(old.sequencer_epoch().await.unwrap(), None);
        for sealed in [
            seal_one(&old, "Organization/a", 0).await,
            old.set_setting("journal_sealed", b"anything").await,
            old.clear_accesses(vec![1]).await,
        ] {
            assert!(matches!(sealed, Err(CommitError::Unavailable(_))), "{sealed:?}");
        }
        assert_eq!(old.outbox(0, 10).await.unwrap().len(), 1, "the entry still waits");
        assert_eq!(new.sealed_size().await.unwrap(), 0);
        assert!(old.ping().await.is_ok(), "what is not the sequencer's goes on");
        seal_one(&new, "Organization/b", 0).await.unwrap();
        assert_eq!(new.sealed_size().await.unwrap(), 2);
        wait_until("the loss is noticed", || !old.is_sequencer()).await;
        assert!(new.is_sequencer());
    });
}
