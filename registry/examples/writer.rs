//! Measures the writer: CPU and wall time a resource at several batch sizes and client counts.
//!
//! The place is a folder for SQLite or the `postgres://…` of an empty database. CPU is this process's only.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fhir::{ResourceId, ResourceKey, ResourceType, VersionId};
use registry::index::IndexRows;
use registry::index::rows::{DateRow, QuantityRow, ReferenceRow, TokenRow};
use registry::postgres::{PostgresOptions, PostgresStore};
use registry::sqlite::{SqliteOptions, SqliteStore};
use registry::store::Store;
use registry::write_set::{Action, Finish, Finished, Write, WriteSet};

struct Fixed;

impl Finish for Fixed {
    fn finish(&self, _: VersionId, _: fhir::Instant) -> Finished {
        Finished { payload: vec![7; 450], entry: [1; 36], salt_id: [2; 16] }
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().unwrap_or_else(|| ".".into());
    let numbers: Vec<usize> = arguments.map(|text| text.parse().expect("a number")).collect();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let [batch, count, clients] = numbers[..] else {
        panic!("usage: writer PLACE BATCH COUNT CLIENTS");
    };
    let (_dir, store) = fresh(&folder, &runtime);
    for _ in 0..3 {
        runtime.block_on(run(&store, batch, count, clients));
    }
    let started = Instant::now();
    let before = cpu();
    runtime.block_on(reads(&store, 200_000));
    println!(
        "reads: {:.1} us CPU each, {:?}",
        (cpu() - before).as_secs_f64() * 5.0,
        started.elapsed()
    );
}

/// Reads of one patient's placeholder and of nothing, 16 at a time.
async fn reads(store: &Arc<dyn Store>, count: usize) {
    let versions = store.scan_versions(0, 1000).await.expect("scans");
    let keys: Arc<Vec<ResourceKey>> = Arc::new(versions.into_iter().map(|one| one.key).collect());
    let mut tasks = Vec::new();
    for client in 0..16 {
        let (store, keys) = (Arc::clone(store), Arc::clone(&keys));
        tasks.push(tokio::spawn(async move {
            let permit = policy::Permit::maintenance();
            for n in 0..count / 16 {
                let found = store.read(&permit, &keys[(n * 7 + client * 61) % keys.len()]).await;
                assert!(found.expect("reads").is_some());
            }
        }));
    }
    for task in tasks {
        task.await.expect("runs");
    }
}

fn fresh(
    place: &str,
    runtime: &tokio::runtime::Runtime,
) -> (Option<tempfile::TempDir>, Arc<dyn Store>) {
    let clock = Arc::new(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        fhir::Instant::from_micros(
            i64::try_from(now.expect("after 1970").as_micros()).expect("fits"),
        )
    });
    let started = Instant::now();
    let (dir, store): (_, Arc<dyn Store>) = if place.starts_with("postgres") {
        let opening = PostgresStore::connect(PostgresOptions::new(place, clock));
        (None, Arc::new(runtime.block_on(opening).expect("connects")))
    } else {
        let dir = tempfile::tempdir_in(place).expect("a folder");
        let options = SqliteOptions::new(dir.path().join("r.db"), clock);
        (Some(dir), Arc::new(SqliteStore::open(options).expect("opens")))
    };
    println!("opened an empty database in {:?}", started.elapsed());
    (dir, store)
}

async fn run(store: &Arc<dyn Store>, batch: usize, count: usize, clients: usize) {
    let cpu = cpu();
    let started = Instant::now();
    let mut tasks = Vec::new();
    for client in 0..clients {
        let store = Arc::clone(store);
        tasks.push(tokio::spawn(async move {
            let mut random = Random(seed(client as u64));
            let mut waits = Vec::new();
            for _ in 0..count / batch / clients {
                let patient = random.next() % 1000;
                let writes = (0..batch).map(|_| resource(&mut random, patient)).collect();
                let set = WriteSet {
                    writes,
                    depends: vec![],
                    new_keys: vec![],
                    idempotency: None,
                    access: None,
                    reads: Vec::new(),
                    erasing: None,
                };
                let sent = Instant::now();
                store.commit(set).await.expect("commits");
                waits.push(sent.elapsed());
            }
            waits
        }));
    }
    let mut waits: Vec<Duration> = Vec::new();
    for task in tasks {
        waits.extend(task.await.expect("runs"));
    }
    waits.sort();
    let wall = started.elapsed();
    let cpu = self::cpu() - cpu;
    let at = |part: f64| waits[((waits.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3;
    println!(
        "batch {batch:4} clients {clients:3}: {:7.0} res/s, {:6.1} us CPU/res, p50 {:.2} p95 {:.2} p99 {:.2} max {:.2} ms",
        count as f64 / wall.as_secs_f64(),
        cpu.as_secs_f64() * 1e6 / count as f64,
        at(0.5),
        at(0.95),
        at(0.99),
        at(1.0),
    );
}

/// 15 rows: 7 tokens, 4 references, 1 date, 3 quantities.
fn resource(random: &mut Random, patient: u64) -> Write {
    let mut id = String::new();
    let _ = write!(id, "{:016x}{:016x}", random.next(), random.next());
    let code = (random.next() % 200) as i64 + 1;
    let date = 1_500_000_000_000_000 + (random.next() % 200_000_000_000_000) as i64;
    let value = (random.next() % 1000) as f64 / 10.0;
    let quantity = |code_hash| QuantityRow {
        param: 50,
        code_hash,
        lo: value - 0.05,
        hi: value + 0.05,
        unit_hash: 5,
        sys_hash: 6,
    };
    let reference = |param, target_hash, code_hash| ReferenceRow { param, target_hash, code_hash };
    let encounter = random.next() as i64;
    Write {
        key: ResourceKey::new(ResourceType::OBSERVATION, ResourceId::parse(&id).expect("valid")),
        previous: None,
        action: Action::Create,
        finish: Arc::new(Fixed),
        rows: IndexRows {
            tokens: (0..7)
                .map(|param| TokenRow {
                    param,
                    code_hash: if param == 0 {
                        random.next() as i64
                    } else {
                        code * i64::from(param) * 0x9E37_79B9_7F4A
                    },
                    sys_hash: 0x1234_5678_9ABC_DEF0,
                })
                .collect(),
            references: vec![
                reference(20, patient as i64 * 0x09E3_779B_97F4_A7C1, 0),
                reference(20, patient as i64 * 0x09E3_779B_97F4_A7C1, code * 0x9E37_79B9_7F4A),
                reference(21, encounter, 0),
                reference(22, code * 0x1234_5678_9ABC, 0),
            ],
            dates: vec![DateRow { param: 30, lo: date, hi: date + 1_000_000 }],
            quantities: vec![quantity(0), quantity(code), quantity(-code)],
            ..IndexRows::default()
        },
        patients: vec![ResourceId::parse(&format!("p{patient}")).expect("valid")],
        sort_us: Some(date),
    }
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }
}

/// Spreads a client's number and the time over all bits.
fn seed(client: u64) -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(client) | 1
}

/// User and system time of this process.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("proc");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
    let ticks: u64 =
        fields[11].parse::<u64>().expect("utime") + fields[12].parse::<u64>().expect("stime");
    Duration::from_millis(ticks * 10)
}
