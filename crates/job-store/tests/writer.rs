//! The writer's thread: answers come after the commit, a bad request harms nobody else, and idle means idle.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests are tests

mod common;

use std::sync::{
    atomic::{AtomicU64, Ordering},
    mpsc::channel,
    Arc, Barrier,
};

use common::{batch, fast_folder, key, spec};
use ingot_job_store::{Backoff, Filter, JobStore as _, SqliteStore, StoreError, Writer};
use ingot_types::{JobKey, JobKind, RetryClass};

fn job(n: u32) -> JobKey {
    key(batch(1), JobKind::Prove, 0, 1, 0, n)
}

fn clock() -> impl Fn() -> u64 + Send + 'static {
    let now = AtomicU64::new(1_000);
    move || now.fetch_add(1, Ordering::Relaxed)
}

fn writer() -> Writer<SqliteStore> {
    Writer::spawn(SqliteStore::in_memory(Backoff::default()).unwrap(), clock()).unwrap()
}

#[test]
fn many_threads_share_commits_and_every_job_is_done_once() {
    let folder = fast_folder();
    let path = folder.path().join("jobs.db");
    let writer = Writer::spawn(SqliteStore::open(&path, Backoff::default()).unwrap(), clock()).unwrap();
    let store = writer.handle();
    store.call(|store, now| store.insert((0..500).map(|n| spec(job(n), vec![])).collect(), now)).unwrap();
    let barrier = Arc::new(Barrier::new(16));
    let threads: Vec<_> = (0..16)
        .map(|n| {
            let (store, barrier) = (store.clone(), Arc::clone(&barrier));
            std::thread::spawn(move || {
                barrier.wait();
                let mut done = Vec::new();
                loop {
                    let name = format!("worker-{n}");
                    let lease =
                        store.call(move |s, now| s.lease(&Filter::default(), &name, 1 << 40, now)).unwrap();
                    let Some(lease) = lease else { return done };
                    let key = lease.job.key();
                    store.call(move |s, now| s.complete(key, lease.token, vec![], vec![], now)).unwrap();
                    done.push(key);
                }
            })
        })
        .collect();
    let mut done: Vec<JobKey> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    done.sort();
    assert_eq!(done, (0..500).map(job).collect::<Vec<_>>());
    assert!(store.commits() <= 1 + 500 * 2 + 16);
    drop(writer);
    let error = store.call(|store, _| store.batches()).unwrap_err();
    assert!(matches!(error, StoreError::Closed), "{error}");
    let reopened = SqliteStore::open(&path, Backoff::default()).unwrap();
    assert!(reopened.progress(batch(1)).unwrap().is_done());
}

/// Requests that wait while the thread is held up are in one group.
#[test]
fn what_waits_is_committed_together_and_bad_requests_harm_nobody_else() {
    let writer = writer();
    let store = writer.handle();
    let (release, held) = channel::<()>();
    store.submit(move |_, _| Ok(held.recv().is_ok()), |result| assert!(result.unwrap()));
    let (answers, answered) = channel();
    for n in 0..100u32 {
        let answers = answers.clone();
        store.submit(
            move |store, now| {
                store.insert(vec![spec(job(n), vec![])], now)?;
                match n % 10 {
                    3 => panic!("planned panic {n}"),
                    5 => store.requeue(job(n), now).map(drop),
                    _ => Ok(()),
                }
            },
            move |result| answers.send((n, result)).unwrap(),
        );
    }
    let before = store.commits();
    release.send(()).unwrap();
    for _ in 0..100 {
        let (n, result) = answered.recv().unwrap();
        match (n % 10, result) {
            (3, Err(StoreError::Panicked { reason })) => assert_eq!(reason, format!("planned panic {n}")),
            (5, Err(error)) => assert!(error.refusal().is_some(), "{error}"),
            (3 | 5, other) => panic!("{n}: {other:?}"),
            (_, result) => result.unwrap(),
        }
    }
    let home = writer.close().unwrap();
    // The request that held the thread up may have been alone.
    assert!((1..=2).contains(&(store.commits() - before)));
    let left: Vec<u32> = home.batch_jobs(batch(1)).unwrap().iter().map(|j| j.key().sequence).collect();
    assert_eq!(left, (0..100).filter(|n| ![3, 5].contains(&(n % 10))).collect::<Vec<_>>());
}

#[test]
fn closing_answers_what_waits() {
    let writer = writer();
    let store = writer.handle();
    let (answers, answered) = channel();
    for n in 0..2_000 {
        let answers = answers.clone();
        store.submit(
            move |store, now| store.insert(vec![spec(job(n), vec![])], now),
            move |result| answers.send(result.is_ok()).unwrap(),
        );
    }
    let home = writer.close().unwrap();
    assert_eq!(home.progress(batch(1)).unwrap().jobs, 2_000);
    let late = answers.clone();
    store.submit(|_, _| Ok(()), move |result| late.send(matches!(result, Err(StoreError::Closed))).unwrap());
    drop(answers);
    assert_eq!(answered.iter().filter(|ok| *ok).count(), 2_001);
}

#[test]
fn too_many_are_refused_at_once_and_every_one_is_answered() {
    let writer = writer();
    let store = writer.handle();
    let (release, held) = channel::<()>();
    store.submit(move |_, _| Ok(held.recv().is_ok()), |result| assert!(result.unwrap()));
    let (answers, answered) = channel();
    for _ in 0..10_000 {
        let answers = answers.clone();
        store.submit(|_, _| Ok(()), move |result| answers.send(result).unwrap());
    }
    release.send(()).unwrap();
    drop(answers);
    let (mut good, mut busy) = (0, 0);
    for result in answered {
        match result {
            Ok(()) => good += 1,
            Err(StoreError::Busy) => busy += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(good + busy, 10_000);
    assert!(good >= 8_000 && busy > 0, "{good} and {busy}");
}

#[test]
fn idle_means_no_statement() {
    let writer = writer();
    let store = writer.handle();
    store.call(|store, now| store.insert(vec![spec(job(0), vec![])], now)).unwrap();
    let before = (store.statements(), store.commits());
    assert!(before.0 > 0);
    // However long this is, nothing may happen in it.
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!((store.statements(), store.commits()), before);
    assert_eq!(writer.close().unwrap().statements(), before.0);
}

#[test]
fn errors_of_a_group_keep_their_class() {
    let source = Arc::new(StoreError::Thread { source: std::io::Error::other("none left") });
    let error = StoreError::Group { source };
    assert_eq!(error.retry_class(), RetryClass::Resource);
    assert!(error.to_string().contains("none left"), "{error}");
    assert_eq!(StoreError::Busy.retry_class(), RetryClass::Transient);
}
